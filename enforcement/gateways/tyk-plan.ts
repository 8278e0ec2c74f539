import { isDeepStrictEqual } from 'node:util'
import { CurfewError } from '../../core/errors.ts'
import type { Rule } from '../gateway.ts'
import { isRecord } from './answer-shape.ts'
import type { TykRow } from './tyk-client.ts'
import { tykKeyId } from './tyk-client.ts'
import { mustObeyRate, ratePlaces, throttledTo } from './tyk-limits.ts'
import { type Change, type Marks, marksOf, SLOTS, type Slot, slotOf, withMarks } from './tyk-marks.ts'

/** What a key must be so that it holds rules. Pure: session in, session out. */

/** Fields that Tyk itself keeps changing: neither compared nor written. */
const VOLATILE = ['allowance', 'quota_renews', 'quota_remaining', 'last_updated', 'last_check']

/** How a session has to be written. */
export interface Written {
  readonly session: TykRow
  /** Whether rates changed, which the limiter in the memory of Tyk sees only when its counters begin anew. */
  readonly ratesChanged: boolean
}

/** A session without what Tyk itself keeps changing. */
export function lasting(session: TykRow): TykRow {
  const kept = without(session, VOLATILE)
  if (!isRecord(kept.access_rights)) return kept
  const rights = Object.entries(kept.access_rights).map(([api, one]) => [
    api,
    isRecord(one) && isRecord(one.limit) ? { ...one, limit: without(one.limit, VOLATILE) } : one,
  ])
  return { ...kept, access_rights: Object.fromEntries(rights) }
}

/**
 * The session with `rule` among its rules and without the rules of `gone`; what has to do with other rules only stays
 * as it is. Throws `GATEWAY_CONFLICT` where somebody else has edited what would have to change, and
 * `GATEWAY_UNSUPPORTED` where the key cannot hold the rule.
 */
export function withRules(
  key: string,
  session: TykRow,
  rule: Rule | null,
  gone: ReadonlySet<string>,
  countsInRedis: boolean,
): Written {
  const marks = marksOf(key, session)
  const before = marks?.rules ?? []
  const kept = before.filter(({ id }) => id !== rule?.id && !gone.has(id))
  const rules = rule === null ? kept : [...kept, rule]
  const touched = [...before.filter((one) => !kept.includes(one)), ...(rule === null ? [] : [rule])]
  const slots: Partial<Record<Slot, readonly Change[]>> = { ...marks?.slots }
  let next = session
  for (const slot of SLOTS.filter((one) => touched.some((rule) => slotOf(rule) === one))) {
    next = givenBack(key, next, slots[slot] ?? [])
    const wanted = rules.filter((one) => slotOf(one) === slot)
    const changes = wanted.length === 0 ? [] : changesFor(slot, next, wanted, countsInRedis)
    for (const { path, set } of changes) next = withValue(next, path, set)
    if (changes.length === 0) delete slots[slot]
    else slots[slot] = changes
  }
  const meta =
    marks?.meta ?? (session.meta_data === null ? 'null' : isRecord(session.meta_data) ? 'object' : 'absent')
  const all = withMarks(next, rules.length === 0 ? null : { rules, slots, meta }, meta)
  mustSurvive(key, all)
  return { session: all, ratesChanged: !isDeepStrictEqual(ratePlaces(session), ratePlaces(all)) }
}

/** Whether a key still is what a rule of ours needs: an API that came later has a rate of its own. */
export function stillHolds(session: TykRow, marks: Marks, rule: Rule): boolean {
  const slot = slotOf(rule)
  const changes = marks.slots[slot] ?? []
  if (!changes.every((change) => isStill(session, change))) return false
  if (slot !== 'rates') return true
  return ratePlaces(session).every(({ path }) =>
    changes.some((change) => isDeepStrictEqual(change.path, [...path, 'rate'])),
  )
}

/** Whether what was read bears the marks of what was written, and is what they say. */
export function agrees(key: string, read: TykRow, written: TykRow): boolean {
  const marks = marksOf(key, read)
  if (!isDeepStrictEqual(marks, marksOf(key, written))) return false
  return Object.values(marks?.slots ?? {}).every((changes) => changes.every((one) => isStill(read, one)))
}

function changesFor(
  slot: Slot,
  owners: TykRow,
  rules: readonly Rule[],
  countsInRedis: boolean,
): readonly Change[] {
  if (slot === 'is_inactive') return [changeTo(owners, ['is_inactive'], true)]
  mustObeyRate(owners, countsInRedis)
  const limits = rules.flatMap(({ limit }) => (limit === null ? [] : [limit]))
  return throttledTo(owners, limits).flatMap(({ path, rate, per }) => [
    changeTo(owners, [...path, 'rate'], rate),
    changeTo(owners, [...path, 'per'], per),
  ])
}

function changeTo(session: TykRow, path: Change['path'], set: Change['set']): Change {
  const was = valueAt(session, path)
  return { path, set, was: typeof was === 'number' || typeof was === 'boolean' ? was : null }
}

/** A session as its owner left it. What is gone together with its API needs nothing. */
function givenBack(key: string, session: TykRow, changes: readonly Change[]): TykRow {
  const there = changes.filter(({ path }) => valueAt(session, path.slice(0, -1)) !== undefined)
  const edited = there.find((change) => !isStill(session, change))
  if (edited !== undefined) {
    const what = `${edited.path.join('.')} was edited while it held a rule of ours`
    const todo = `it is left as it is, remove meta_data.curfew of key ${tykKeyId(key)} to settle it`
    throw new CurfewError('GATEWAY_CONFLICT', `Tyk: ${what}; ${todo}`)
  }
  return there.reduce((given, { path, was }) => withValue(given, path, was), session)
}

/** Tyk leaves out what is 0 or false. */
function isStill(session: TykRow, { path, set }: Change): boolean {
  return valueAt(session, path) === set || (set === false && valueAt(session, path) === undefined)
}

function valueAt(whole: unknown, path: Change['path']): unknown {
  let value = whole
  for (const step of path) {
    if (typeof step === 'number') value = Array.isArray(value) ? value[step] : undefined
    else value = isRecord(value) && Object.hasOwn(value, step) ? value[step] : undefined
  }
  return value
}

/** The session with one field set; null takes it out. */
function withValue(whole: TykRow, path: Change['path'], value: Change['was']): TykRow {
  return replaced(whole, path, value) as TykRow
}

function replaced(whole: unknown, path: Change['path'], value: Change['was']): unknown {
  const [step, ...rest] = path
  if (step === undefined) return value
  if (typeof step === 'number')
    return Array.isArray(whole)
      ? whole.map((one, i) => (i === step ? replaced(one, rest, value) : one))
      : whole
  const row = isRecord(whole) ? whole : {}
  if (rest.length === 0 && value === null) return without(row, [step])
  return Object.fromEntries([...Object.entries(row), [step, replaced(row[step], rest, value)]])
}

function without(row: TykRow, fields: readonly string[]): TykRow {
  return Object.fromEntries(Object.entries(row).filter(([field]) => !fields.includes(field)))
}

/** Tyk has whole numbers of 64 bits; one that does not fit into ours would go back as another. */
function mustSurvive(key: string, session: TykRow): void {
  const pending: unknown[] = [lasting(session)]
  for (let value = pending.pop(); value !== undefined; value = pending.pop()) {
    if (typeof value === 'object' && value !== null)
      pending.push(...Object.values(value).filter((v) => v !== undefined))
    if (typeof value !== 'number' || !Number.isInteger(value) || Number.isSafeInteger(value)) continue
    const what = `key ${tykKeyId(key)} has a number that is too large to be written back as it is`
    throw new CurfewError('GATEWAY_UNSUPPORTED', `Tyk: ${what}`)
  }
}
