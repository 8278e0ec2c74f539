import { CurfewError } from '../../core/errors.ts'
import { hashOf } from '../../core/hash.ts'
import type { Rule } from '../gateway.ts'
import { RULE_ID } from '../gateway.ts'
import { isRecord } from './answer-shape.ts'
import { parseRule } from './deny-list-store.ts'
import type { TykRow } from './tyk-client.ts'
import { tykKeyId } from './tyk-client.ts'

/**
 * What we write into the `meta_data` of a key, so that rules, their ends and what is needed to restore are kept at Tyk
 * itself: one text under one name.
 */
export const OWNER_FIELD = 'curfew'

/** What of a session our rules change: its rates, or whether it is switched off. */
export type Slot = 'rates' | 'is_inactive'
export const SLOTS: readonly Slot[] = ['rates', 'is_inactive']

/** One field of a session that we changed. */
export interface Change {
  /** Names of fields and positions in lists, from the session on. */
  readonly path: readonly (string | number)[]
  readonly set: number | boolean
  /** What stood there; null for nothing. */
  readonly was: number | boolean | null
}

/** Our marks on a key. */
export interface Marks {
  readonly rules: readonly Rule[]
  readonly slots: Readonly<Partial<Record<Slot, readonly Change[]>>>
  /** What `meta_data` was before. */
  readonly meta: 'object' | 'null' | 'absent'
}

/** The slot that holds a rule. */
export function slotOf({ action }: Pick<Rule, 'action'>): Slot {
  return action === 'throttle' ? 'rates' : 'is_inactive'
}

/** Id of the key that a rule acts on; null when the rule is about none of Tyk's. */
export function keyIdOf({ scope }: Rule): string | null {
  const isKey = scope.kind === 'principal' && scope.principal.kind === 'key' && scope.principal.verified
  const id = scope.kind === 'credential' ? scope.credential : isKey ? scope.principal.id : ''
  return /^sha256-[0-9a-f]{32}$/.test(id) ? id : null
}

/** A session that carries these marks; null takes ours off. */
export function withMarks(session: TykRow, marks: Marks | null, meta: Marks['meta']): TykRow {
  const { [OWNER_FIELD]: _ours, ...others } = metaOf(session)
  if (marks !== null) return { ...session, meta_data: { ...others, [OWNER_FIELD]: textOf(marks) } }
  if (Object.keys(others).length > 0 || meta === 'object') return { ...session, meta_data: others }
  const { meta_data: _gone, ...rest } = session
  return meta === 'null' ? { ...rest, meta_data: null } : rest
}

/** Our marks on a key; null when it bears none. Throws `GATEWAY_CONFLICT` when they were edited. */
export function marksOf(key: string, session: TykRow): Marks | null {
  const text = metaOf(session)[OWNER_FIELD]
  if (text === undefined) return null
  try {
    return parsed(String(text), tykKeyId(key))
  } catch (cause) {
    const what = `meta_data.${OWNER_FIELD} of key ${tykKeyId(key)} was edited or copied`
    throw new CurfewError('GATEWAY_CONFLICT', `Tyk: ${what}; restore it, or remove it`, { cause })
  }
}

function metaOf({ meta_data: meta }: TykRow): TykRow {
  return isRecord(meta) ? meta : {}
}

/** The same text for the same marks, with a check sum: an edit does not go unnoticed. */
function textOf({ rules, slots, meta }: Marks): string {
  const sorted = [...rules].sort((a, b) => (a.id < b.id ? -1 : 1))
  const ordered = SLOTS.flatMap((slot) => (slots[slot] === undefined ? [] : [[slot, slots[slot]] as const]))
  const text = JSON.stringify({ rules: sorted, slots: Object.fromEntries(ordered), meta })
  return `1-${sealOf(text)}-${text}`
}

function parsed(text: string, keyId: string): Marks {
  const [, seal = '', body = ''] = /^1-([0-9a-f]{16})-(.*)$/s.exec(text) ?? []
  if (sealOf(body) !== seal) throw new Error('check sum')
  const stored: unknown = JSON.parse(body)
  if (!isRecord(stored) || !Array.isArray(stored.rules) || !isRecord(stored.slots)) throw new Error('shape')
  const rules = stored.rules.map((row: unknown) => {
    const id = isRecord(row) && typeof row.id === 'string' && RULE_ID.test(row.id) ? row.id : ''
    const rule = parseRule(id, JSON.stringify({ layout: 1, ...(isRecord(row) ? row : {}) }))
    if (keyIdOf(rule) !== keyId) throw new Error('a rule about another key')
    return rule
  })
  const slots: Partial<Record<Slot, readonly Change[]>> = {}
  for (const slot of SLOTS) {
    const changes = stored.slots[slot]
    if (Array.isArray(changes)) slots[slot] = changes.map(changeOf)
  }
  const { meta } = stored
  if (meta !== 'object' && meta !== 'null' && meta !== 'absent') throw new Error('shape')
  if (rules.length === 0 || rules.some((rule) => slots[slotOf(rule)] === undefined)) throw new Error('shape')
  return { rules, slots, meta }
}

function changeOf(row: unknown): Change {
  if (!isRecord(row) || !Array.isArray(row.path) || !row.path.every(isStep)) throw new Error('shape')
  const { set, was } = row
  if (!isValue(set) || !(was === null || isValue(was))) throw new Error('shape')
  return { path: row.path, set, was }
}

function isStep(step: unknown): step is string | number {
  return typeof step === 'string' || Number.isSafeInteger(step)
}

function isValue(value: unknown): value is number | boolean {
  return typeof value === 'number' || typeof value === 'boolean'
}

function sealOf(text: string): string {
  return hashOf('tyk-marks', text).slice(0, 16)
}
