import { CurfewError } from '../../core/errors.ts'
import type { Rule } from '../gateway.ts'
import { isRecord } from './answer-shape.ts'
import { parseRule } from './deny-list-store.ts'

/** A rule as it is noted in the realm, with what stood there before. */
export interface KeycloakMark {
  /** Id of the group that bears the mark. */
  readonly group: string
  readonly rule: Rule
  /** Set until everything that the rule asks for was seen done. */
  readonly pending: boolean
  /** Whether the account was switched on before; null where the account is not switched off. */
  readonly wasEnabled: boolean | null
}

/** Names of our groups begin so. */
export const MARK_PREFIX = 'curfew-rule-'
/** A value of a group attribute holds 255 characters. */
const CHUNK = 240
const MAX_CHUNKS = 64
const ATTRIBUTE = 'curfew.'
const LAYOUT = 'curfew'

/** The group that bears a mark, without its id. Throws `GATEWAY_UNSUPPORTED` when the rule does not fit. */
export function groupOf({ rule, pending, wasEnabled }: Omit<KeycloakMark, 'group'>): object {
  const text = JSON.stringify({ layout: 1, ...rule, pending, wasEnabled })
  const encoded = Buffer.from(text, 'utf8').toString('base64url')
  const chunks = encoded.match(new RegExp(`.{1,${CHUNK}}`, 'g')) ?? []
  if (chunks.length > MAX_CHUNKS)
    throw new CurfewError('GATEWAY_UNSUPPORTED', 'the rule is too long to be noted at Keycloak')
  const attributes = Object.fromEntries(chunks.map((chunk, i) => [`${ATTRIBUTE}${i}`, [chunk]]))
  return { name: MARK_PREFIX + rule.id, attributes: { [LAYOUT]: ['1'], ...attributes } }
}

/** Our mark on a group; null when it bears none. `damaged` when a mark is there but cannot be read. */
export function markOf(group: Readonly<Record<string, unknown>>): KeycloakMark | 'damaged' | null {
  const { id, name, attributes } = group
  if (typeof name !== 'string' || !name.startsWith(MARK_PREFIX)) return null
  if (!isRecord(attributes) || attributes[LAYOUT] === undefined) return null
  const chunks: string[] = []
  for (let i = 0; i < MAX_CHUNKS; i++) {
    const value = attributes[`${ATTRIBUTE}${i}`]
    if (value === undefined) break
    if (!Array.isArray(value) || typeof value[0] !== 'string') return 'damaged'
    chunks.push(value[0])
  }
  if (typeof id !== 'string' || chunks.length === 0) return 'damaged'
  try {
    const text = Buffer.from(chunks.join(''), 'base64url').toString('utf8')
    const rule = parseRule(name.slice(MARK_PREFIX.length), text)
    const { pending, wasEnabled } = JSON.parse(text) as Readonly<Record<string, unknown>>
    if (typeof pending !== 'boolean') return 'damaged'
    if (wasEnabled !== null && typeof wasEnabled !== 'boolean') return 'damaged'
    return { group: id, rule, pending, wasEnabled }
  } catch {
    return 'damaged'
  }
}
