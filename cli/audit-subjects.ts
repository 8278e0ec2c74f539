import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { type Principal, profileKey } from '../core/event.ts'
import { profileStoreKey } from '../engine/partition-state.ts'
import type { SharedMap } from './shared-map.ts'

/** Whom an entry of the audit is about. */
export interface AuditSubject {
  readonly tenant: string
  readonly principal: Principal
}

/** The reference of a principal and the key of what is said about it. */
interface SubjectKey {
  /** Random: it says nothing about the name. */
  readonly ref: string
  /** 256 bits, base64. */
  readonly key: string
}

const PREFIX = 'key:'
const SEALED = /^sealed:([0-9a-f]{32}):([A-Za-z0-9_-]+)$/
const CIPHER = 'aes-256-gcm'
const NONCE_BYTES = 12
const TAG_BYTES = 16

/**
 * The principals that the audit is about: each has an opaque reference and a random key, kept in a map of their own
 * under keyed hashes of their names. The chain holds what was said about one only under its key (AES-256-GCM), so a
 * destroyed key takes all of it back and changes no hash.
 */
export class AuditSubjects {
  private readonly map: SharedMap
  private readonly identityKey: Uint8Array
  private readonly byRef = new Map<string, SubjectKey>()

  constructor(map: SharedMap, identityKey: Uint8Array) {
    this.map = map
    this.identityKey = identityKey
    for (const [name, body] of map.entries()) {
      if (!name.startsWith(PREFIX)) continue
      const found = JSON.parse(body) as SubjectKey
      this.byRef.set(found.ref, found)
    }
  }

  /** Name of the map entry that holds a principal's key. */
  entryOf({ tenant, principal }: AuditSubject): string {
    return PREFIX + profileStoreKey(this.identityKey, tenant, profileKey(tenant, principal))
  }

  /** The reference of a principal, made and durable when it is first asked for. */
  async refOf(subject: AuditSubject): Promise<string> {
    return (await this.keyOf(subject)).ref
  }

  /** What seals text about a principal. */
  async sealFor(subject: AuditSubject): Promise<(text: string) => string> {
    const { ref, key } = await this.keyOf(subject)
    return (text) => {
      const nonce = randomBytes(NONCE_BYTES)
      const cipher = createCipheriv(CIPHER, Buffer.from(key, 'base64'), nonce)
      const sealed = Buffer.concat([nonce, cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
      return `sealed:${ref}:${sealed.toString('base64url')}`
    }
  }

  /** The record with what its sealed reason says; one that is not sealed, as older ones are, unchanged. */
  opened<Entry extends { readonly reason: string }>(
    record: Entry,
  ): Entry & { readonly said?: string | null } {
    const match = SEALED.exec(record.reason)
    if (match === null) return record
    const key = this.byRef.get(match[1]!)
    return { ...record, said: key === undefined ? null : unsealed(key, match[2]!) }
  }

  /** Told that the map entry of a principal is gone. */
  destroyed(ref: string): void {
    this.byRef.delete(ref)
  }

  private async keyOf(subject: AuditSubject): Promise<SubjectKey> {
    const name = this.entryOf(subject)
    const known = this.map.get(name)
    if (known !== undefined) return JSON.parse(known) as SubjectKey
    const made = { ref: randomBytes(16).toString('hex'), key: randomBytes(32).toString('base64') }
    await this.map.change(new Map([[name, JSON.stringify(made)]]), [])
    this.byRef.set(made.ref, made)
    return made
  }
}

/** Null for text that was not sealed with the key. */
function unsealed({ key }: SubjectKey, text: string): string | null {
  const bytes = Buffer.from(text, 'base64url')
  if (bytes.length < NONCE_BYTES + TAG_BYTES) return null
  const cipher = createDecipheriv(CIPHER, Buffer.from(key, 'base64'), bytes.subarray(0, NONCE_BYTES))
  cipher.setAuthTag(bytes.subarray(-TAG_BYTES))
  try {
    const plain = cipher.update(bytes.subarray(NONCE_BYTES, -TAG_BYTES))
    return Buffer.concat([plain, cipher.final()]).toString('utf8')
  } catch {
    return null
  }
}
