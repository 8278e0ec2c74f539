import { keyedHash, secretsEqual } from '../../core/hash.ts'
import type { Rule } from '../gateway.ts'
import { isRecord, isTexts } from './answer-shape.ts'
import { parseRule } from './deny-list-store.ts'

/**
 * What we write into the description of an API key: rules, their expiry and what is needed to restore are kept
 * at the gateway itself. An API key's tags would need a call of their own, so that mark and change could part;
 * the description goes with `enabled` in one call. Portals may let customers write descriptions, so a mark
 * counts only with a keyed hash over the id of its key: nobody can forge one, or carry one to another key.
 */
export interface KeyMarks {
  readonly rules: readonly Rule[]
  /** Whether the key was enabled before we disabled it; null when we did not. */
  readonly wasEnabled: boolean | null
  /** Plans that the key was taken out of; null while no rule needs a move. Empty: it was in quarantine already. */
  readonly wasPlans: readonly string[] | null
  /** The quarantine plan that the key belongs into while throttled. */
  readonly plan: string | null
}

export const NO_MARKS: KeyMarks = { rules: [], wasEnabled: null, wasPlans: null, plan: null }

const MARK = / ?\[curfew:1:([A-Za-z0-9_-]{1,8192}):([0-9a-f]{32})\]/g

function signature(secret: Uint8Array, keyId: string, payload: string): string {
  return keyedHash(secret, JSON.stringify([keyId, payload]))
}

/** Our marks on a key and the text of others beside them. A mark that we did not write is such a text. */
export function readDescription(
  secret: Uint8Array,
  keyId: string,
  description: string,
): { readonly marks: KeyMarks | null; readonly foreign: string } {
  let marks: KeyMarks | null = null
  const foreign = description.replace(MARK, (mark, payload: string, hash: string) => {
    if (!secretsEqual(hash, signature(secret, keyId, payload))) return mark
    marks ??= parsePayload(payload)
    return ''
  })
  return { marks, foreign }
}

/** The description of a key with these marks; without rules it is what others wrote. */
export function writeDescription(
  secret: Uint8Array,
  keyId: string,
  foreign: string,
  marks: KeyMarks,
): string {
  if (marks.rules.length === 0) return foreign
  const { rules, wasEnabled, wasPlans, plan } = marks
  const stored = [...rules].sort((a, b) => (a.id < b.id ? -1 : 1)).map((rule) => ({ layout: 1, ...rule }))
  const payload = Buffer.from(JSON.stringify([stored, wasEnabled, wasPlans, plan])).toString('base64url')
  const mark = `[curfew:1:${payload}:${signature(secret, keyId, payload)}]`
  return foreign === '' ? mark : `${foreign} ${mark}`
}

/** Throws `STORE_CORRUPT` for a mark that is ours but cannot be read: of a newer build, say. */
function parsePayload(payload: string): KeyMarks {
  const stored: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8'))
  const [rules, wasEnabled, wasPlans, plan] = Array.isArray(stored) ? (stored as readonly unknown[]) : []
  const list = Array.isArray(rules) ? (rules as readonly unknown[]) : []
  return {
    rules: list.map((rule) =>
      parseRule(isRecord(rule) && typeof rule.id === 'string' ? rule.id : '', JSON.stringify(rule)),
    ),
    wasEnabled: typeof wasEnabled === 'boolean' ? wasEnabled : null,
    wasPlans: isTexts(wasPlans) ? wasPlans : null,
    plan: typeof plan === 'string' ? plan : null,
  }
}
