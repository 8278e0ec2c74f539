import type { Principal } from '../../core/event.ts'
import type { RawRecord, RejectReason, SourceSettings } from '../format.ts'
import { type Address, addressOf } from '../principal-address.ts'
import { isToken, showValue } from '../scrub.ts'
import { ABSENT, type Fields, NO_TEXTS, NULL, NUMBER, TEXT, wellFormed } from './json-fields.ts'
import type { KnownText } from './text-table.ts'

/** Longest claim or credential id that is kept; a longer one is treated as not stated. */
const MAX_CLAIM_CHARS = 512
const MAX_TENANT_CHARS = 128
const GATEWAY_ID = /^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$/

const NO_BYTES = Buffer.alloc(0)

/**
 * One line on its way to becoming an event: where it came from, how far it can be trusted, and the first
 * thing that was wrong with it.
 */
export class Line {
  readonly record: RawRecord
  readonly settings: SourceSettings
  readonly index: number
  /** Watched paths stated more than once: somebody may have forged the line, so no name in it counts. */
  duplicates: readonly string[] = []
  /** Only what stood before the damage is known. */
  salvaged = false
  /** Bytes outside UTF-8 were replaced, so that two names may look alike. */
  replacedBytes = false
  address: Address | null = null
  /** The line itself, without what it came in. */
  bytes: Buffer = NO_BYTES
  problem: { readonly reason: RejectReason; readonly detail: string } | null = null

  constructor(record: RawRecord, settings: SourceSettings, index: number) {
    this.record = record
    this.settings = settings
    this.index = index
  }

  /** Records what is wrong; the first one is reported. */
  note(reason: RejectReason, field: string, value?: unknown): void {
    this.problem ??= { reason, detail: value === undefined ? field : `${field}: ${showValue(value)}` }
  }

  /** Notes the problem and says that there is no value. */
  nothing(reason: RejectReason, field: string, value?: unknown): null {
    this.note(reason, field, value)
    return null
  }

  get believesNames(): boolean {
    return this.duplicates.length === 0
  }

  /** A text that may name somebody; null unless it is a string that says one thing only, and no token. */
  name(f: Fields, slot: number): string | null {
    return this.knownName(f, slot)?.text ?? null
  }

  /** As {@link name}, with what is remembered of it. */
  knownName(f: Fields, slot: number): KnownText | null {
    if (f.kind(slot) !== TEXT) return null
    const known = f.known(slot)
    if (known.text === '' || known.text.length > MAX_CLAIM_CHARS) return null
    if (known.token === undefined) known.token = isToken(known.text)
    if (known.token) return null
    return this.replacedBytes && known.text.includes('\ufffd') ? null : known
  }

  /** The client's address; anything but an IP address is the same as none. */
  readAddress(f: Fields, slot: number): void {
    if (f.kind(slot) !== TEXT) return
    const known = f.known(slot)
    if (known.address === undefined) known.address = addressOf(known.text)
    this.address = known.address
  }

  /** Books the call on its address, or notes that nobody can be named. */
  addressPrincipal(): Principal | null {
    return (
      this.address?.principal ?? this.nothing('no-principal', 'no verified identity and no client address')
    )
  }

  /**
   * The gateway that the configuration names; with a field, the id that this states. A line that does not state
   * one plainly is taken as the source's own: it is judged all the same.
   */
  gateway(f: Fields, slot: number): { readonly kind: string; readonly id: string } {
    const { gateway } = this.settings
    if (slot < 0 || !this.believesNames || f.kind(slot) !== TEXT) return gateway
    const id = f.known(slot).text
    return GATEWAY_ID.test(id) ? { kind: gateway.kind, id } : gateway
  }

  /** The tenant that the configuration names, or the value of the field that the configuration names. */
  tenant(f: Fields, slot: number): string | null {
    if (slot < 0) return this.settings.tenant
    const kind = f.kind(slot)
    if ((kind === ABSENT && this.believesNames && !this.salvaged) || kind === NULL)
      return this.settings.tenant
    const field = this.settings.tenantField ?? ''
    if (kind === ABSENT) return this.nothing('missing-field', field)
    if (kind !== TEXT) return this.nothing('wrong-type', field, f.value(slot))
    const text = f.known(slot).text
    const usable =
      text !== '' &&
      text.length <= MAX_TENANT_CHARS &&
      !hasControls(text) &&
      !text.includes('\ufffd') &&
      !isToken(text)
    return usable ? text : this.nothing('wrong-type', field, text)
  }
}

function hasControls(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c < 0x20 || c === 0x7f) return true
  }
  return false
}

/** A whole number given as JSON number or digits (claims such as `exp`); null when it is neither. */
export function wholeNumber(f: Fields, slot: number): number | null {
  const kind = f.kind(slot)
  if (kind !== NUMBER && kind !== TEXT) return null
  const value = kind === NUMBER ? f.number(slot) : digitsOf(f.text(slot))
  return Number.isSafeInteger(value) && value >= 0 ? value + 0 : null
}

function digitsOf(text: string): number {
  return /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN
}

const MAX_SCOPES = 64
const MAX_SCOPE_CHARS = 128

/** OAuth scopes: a space-separated text (RFC 6749 section 3.3) or an array of texts, bounded. */
export function scopesOf(value: unknown): readonly string[] {
  const list: readonly unknown[] =
    typeof value === 'string' ? value.split(' ', MAX_SCOPES) : Array.isArray(value) ? value : []
  if (list.length === 0) return NO_TEXTS
  return list
    .filter((scope) => typeof scope === 'string' && scope !== '' && scope.length <= MAX_SCOPE_CHARS)
    .slice(0, MAX_SCOPES)
    .map((scope) => wellFormed(String(scope)))
}
