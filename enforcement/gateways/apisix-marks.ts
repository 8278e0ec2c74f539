import { CurfewError } from '../../core/errors.ts'
import { hashOf } from '../../core/hash.ts'
import type { Rule } from '../gateway.ts'
import { RULE_ID } from '../gateway.ts'
import { isRecord } from './answer-shape.ts'
import type { ApisixRow } from './apisix-client.ts'
import { parseRule } from './deny-list-store.ts'

/**
 * What we write into the `labels` of a consumer, so that rules, their expiry and what is needed to restore are kept at
 * APISIX itself. A label holds 64 characters without white space, 256 since 3.5 (`schema_def.lua`), so the text is cut
 * into several.
 */

/** Our owner mark: `GET /consumers?label=curfew` finds everything we hold. */
export const OWNER_LABEL = 'curfew'
const PART = /^curfew-\d{3}$/
const PART_LENGTH = 60
/** 12 kB: what a whole list of names that stood in the place of ours may take. */
const MAX_PARTS = 200

/** The plugins of a consumer that rules of ours are put into. */
export type Slot = 'limit-count' | 'consumer-restriction'
export const SLOTS: readonly Slot[] = ['limit-count', 'consumer-restriction']

/** Fields of a plugin; null for one that is not there. */
export type Fields = Readonly<Record<string, unknown>>

/** What we did to one plugin. `was` is null when the plugin is all ours, else what stood in those fields. */
export interface SlotMarks {
  readonly set: Fields
  readonly was: Fields | null
}

/** Our marks on a consumer. */
export interface Marks {
  readonly rules: readonly Rule[]
  readonly slots: Readonly<Partial<Record<Slot, SlotMarks>>>
  /** Objects that the consumer did not have at all before. */
  readonly absent: readonly ('labels' | 'plugins')[]
}

/** The slot that holds a rule. */
export function slotOf({ action }: Pick<Rule, 'action'>): Slot {
  return action === 'throttle' ? 'limit-count' : 'consumer-restriction'
}

/** The labels that carry these marks. Throws `GATEWAY_UNSUPPORTED` when they do not fit. */
export function labelsFor(marks: Marks): Readonly<Record<string, string>> {
  const rules = [...marks.rules].sort((a, b) => (a.id < b.id ? -1 : 1))
  const text = JSON.stringify({ ...marks, rules }).replace(/[^\x21-\x7e]/g, escaped)
  const parts = text.match(new RegExp(`.{1,${PART_LENGTH}}`, 'g')) ?? []
  if (parts.length > MAX_PARTS) {
    const what = 'what would have to be kept to restore the consumer is too long for its labels'
    throw new CurfewError('GATEWAY_UNSUPPORTED', `APISIX: ${what}; use the deny list`)
  }
  const named = parts.map((part, i) => [`${OWNER_LABEL}-${String(i).padStart(3, '0')}`, part])
  return { [OWNER_LABEL]: sealOf(text), ...Object.fromEntries(named) }
}

/** The labels of others on a consumer. */
export function foreignLabels(consumer: ApisixRow): ApisixRow {
  return Object.fromEntries(Object.entries(labelsOf(consumer)).filter(([name]) => !isOurs(name)))
}

/** Our marks on a consumer; null when it bears none. `damaged` when marks are there but cannot be read. */
export function marksOf(consumer: ApisixRow): Marks | 'damaged' | null {
  const ours = Object.entries(labelsOf(consumer)).filter(([name]) => isOurs(name))
  if (ours.length === 0) return null
  const parts = ours.filter(([name]) => name !== OWNER_LABEL).sort(([a], [b]) => (a < b ? -1 : 1))
  const text = parts.map(([, part]) => (typeof part === 'string' ? part : '')).join('')
  if (labelsOf(consumer)[OWNER_LABEL] !== sealOf(text)) return 'damaged'
  try {
    return parsed(JSON.parse(text), consumer.username)
  } catch {
    return 'damaged'
  }
}

function parsed(stored: unknown, username: unknown): Marks {
  if (!isRecord(stored) || !Array.isArray(stored.rules) || !isRecord(stored.slots)) throw new Error('shape')
  const rules = stored.rules.map((row: unknown) => {
    const id = isRecord(row) && typeof row.id === 'string' && RULE_ID.test(row.id) ? row.id : ''
    const rule = parseRule(id, JSON.stringify({ layout: 1, ...(isRecord(row) ? row : {}) }))
    const { scope } = rule
    const isTheirs = 'principal' in scope && scope.principal.id === username
    if (!isTheirs) throw new Error('a rule about somebody else')
    return rule
  })
  const slots: Partial<Record<Slot, SlotMarks>> = {}
  for (const slot of SLOTS) {
    const marks = stored.slots[slot]
    if (!isRecord(marks)) continue
    const { set, was } = marks
    if (!isRecord(set) || !(was === null || isRecord(was))) throw new Error('shape')
    slots[slot] = { set, was }
  }
  if (rules.length === 0 || rules.some((rule) => slots[slotOf(rule)] === undefined)) throw new Error('shape')
  const absent = Array.isArray(stored.absent) ? stored.absent : []
  return { rules, slots, absent: absent.filter((field) => field === 'labels' || field === 'plugins') }
}

function labelsOf({ labels }: ApisixRow): ApisixRow {
  return isRecord(labels) ? labels : {}
}

function isOurs(name: string): boolean {
  return name === OWNER_LABEL || PART.test(name)
}

/** Layout and a check sum: a part that was lost or edited does not go unnoticed. */
function sealOf(text: string): string {
  return `1-${hashOf('apisix-marks', text).slice(0, 16)}`
}

function escaped(char: string): string {
  return `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`
}
