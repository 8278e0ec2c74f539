import { isDeepStrictEqual } from 'node:util'
import { CurfewError } from '../../core/errors.ts'
import { hashOf } from '../../core/hash.ts'
import type { Rule } from '../gateway.ts'
import { isRecord } from './answer-shape.ts'
import type { ApisixRow } from './apisix-client.ts'
import { APISIX_USERNAME } from './apisix-client.ts'
import { limitsOf } from './apisix-limit.ts'
import type { Fields, Marks, Slot, SlotMarks } from './apisix-marks.ts'
import { foreignLabels, labelsFor, marksOf, SLOTS, slotOf } from './apisix-marks.ts'
import { strictest, wholeLimit } from './window-limit.ts'

/**
 * What a consumer must be so that it holds rules. Pure: consumer in, consumer out.
 *
 * Of plugins with one name APISIX runs only one for a call: that of the consumer, else that of its group, else that of
 * the route with its plugin configuration and service (`merge_consumer_route` in apisix/plugin.lua; a plugin that is
 * switched off hides the others all the same). So a plugin on the consumer holds for all its calls, and takes the
 * place of the others: ours allows no more than any of them.
 */

/** Fields of `limit-count` that say who is limited by how much; the others say where is counted. */
const LIMITING = [
  'count',
  'time_window',
  'key',
  'key_type',
  'rejected_code',
  'rejected_msg',
  'group',
  'rules',
  '_meta',
]

/** The consumer that a rule acts on; null when the rule is not about one that APISIX can have. */
export function consumerOf({ scope }: Rule): string | null {
  const principal = scope.kind === 'principal' || scope.kind === 'credential' ? scope.principal : null
  const fits = principal?.kind === 'consumer' && principal.verified && APISIX_USERNAME.test(principal.id)
  return fits ? principal.id : null
}

/** Rules of ours on a consumer. */
export function rulesOn(consumer: ApisixRow): readonly Rule[] {
  return readableMarks(consumer)?.rules ?? []
}

/** The `limit-count` of the consumer itself, whoever put it there; null for none of its own. */
export function ownLimit(consumer: ApisixRow): ApisixRow | null {
  const slot = readableMarks(consumer)?.slots['limit-count']
  return slot?.was === null ? null : pluginOf(consumer, 'limit-count')
}

/**
 * The consumer with `rule` among its rules and without the rules of `gone`; what has to do with other rules only stays
 * as it is. `replaced` are the `limit-count` of others that one on the consumer would take the place of. Throws
 * `GATEWAY_CONFLICT` where somebody else has edited what would have to change.
 */
export function withRules(
  consumer: ApisixRow,
  rule: Rule | null,
  gone: ReadonlySet<string>,
  replaced: readonly ApisixRow[],
): ApisixRow {
  const marks = readableMarks(consumer)
  const before = marks?.rules ?? []
  const kept = before.filter(({ id }) => id !== rule?.id && !gone.has(id))
  const rules = rule === null ? kept : [...kept, rule]
  const changed = new Set(
    [...before.filter((one) => !kept.includes(one)), ...(rule ? [rule] : [])].map(slotOf),
  )
  let plugins: ApisixRow = isRecord(consumer.plugins) ? consumer.plugins : {}
  const slots: Partial<Record<Slot, SlotMarks>> = { ...marks?.slots }
  for (const slot of SLOTS) {
    if (!changed.has(slot)) continue
    const owners = givenBack(consumer, slot, slots[slot] ?? null)
    const { [slot]: _ours, ...others } = plugins
    const wanted = rules.filter((one) => slotOf(one) === slot)
    const held = wanted.length === 0 ? null : heldIn(slot, owners, wanted, replaced)
    const conf = held?.conf ?? owners
    plugins = conf === null ? others : { ...others, [slot]: conf }
    if (held === null) delete slots[slot]
    else slots[slot] = held.marks
  }
  const lacks = (['labels', 'plugins'] as const).filter((field) => consumer[field] === undefined)
  const absent = marks === null ? lacks : marks.absent
  const labels = foreignLabels(consumer)
  const ours = rules.length === 0 ? {} : labelsFor({ rules, slots, absent })
  return {
    ...consumer,
    ...withoutEmpty('plugins', plugins, rules.length === 0 && absent.includes('plugins')),
    ...withoutEmpty('labels', { ...labels, ...ours }, rules.length === 0 && absent.includes('labels')),
  }
}

/** Whether the plugins of a consumer still are what our rules need. */
export function stillHolds(consumer: ApisixRow, rule: Rule): boolean {
  const slot = slotOf(rule)
  const set = readableMarks(consumer)?.slots[slot]?.set
  const conf = pluginOf(consumer, slot)
  return set !== undefined && conf !== null && isStill(conf, set)
}

/** Whether what was read bears the marks of what was written, and in our plugins what it says. */
export function agrees(read: ApisixRow, written: ApisixRow): boolean {
  const marks = marksOf(read)
  if (marks === 'damaged' || !isDeepStrictEqual(marks, marksOf(written))) return false
  return SLOTS.every((slot) => {
    const conf = pluginOf(read, slot)
    const set = marks?.slots[slot]?.set ?? {}
    return contains(conf, pluginOf(written, slot)) && isStill(conf ?? {}, set)
  })
}

/** APISIX may fill in defaults, but must keep what it was told. */
function contains(read: unknown, written: unknown): boolean {
  if (!isRecord(read) || !isRecord(written)) return isDeepStrictEqual(read, written)
  return Object.entries(written).every(([field, value]) => contains(read[field], value))
}

/** A plugin as its owner left it; null where there is none of another owner. */
function givenBack(consumer: ApisixRow, slot: Slot, marks: SlotMarks | null): ApisixRow | null {
  const conf = pluginOf(consumer, slot)
  if (conf === null || marks === null) return conf
  if (!isStill(conf, marks.set)) {
    const what = `${slot} of consumer ${String(consumer.username)} was edited while it held a rule of ours`
    throw new CurfewError(
      'GATEWAY_CONFLICT',
      `APISIX: ${what}; it is left as it is, remove the curfew labels of the consumer to settle it`,
    )
  }
  return marks.was === null ? null : withFields(conf, marks.was)
}

/** A slot with rules in it. Of somebody else's plugin as little as possible is changed. */
function heldIn(
  slot: Slot,
  owners: ApisixRow | null,
  rules: readonly Rule[],
  replaced: readonly ApisixRow[],
): { readonly conf: ApisixRow; readonly marks: SlotMarks } {
  const isLimit = slot === 'limit-count'
  const wanted = isLimit ? throttling(rules, owners, replaced) : refusing(rules)
  if (owners === null) {
    const conf = { ...(isLimit ? countingLike(replaced) : {}), ...present(wanted) }
    const group = isLimit ? groupOf(conf) : {}
    return { conf: { ...conf, ...group }, marks: { set: { ...present(wanted), ...group }, was: null } }
  }
  const all = { ...wanted, ...awake(owners) }
  const set = {
    ...Object.fromEntries(
      Object.entries(all).filter(([field, value]) => !isDeepStrictEqual(owners[field] ?? null, value)),
    ),
    ...(isLimit ? groupOf(withFields(owners, all)) : {}),
  }
  const was = Object.fromEntries(Object.keys(set).map((field) => [field, owners[field] ?? null]))
  return { conf: withFields(owners, set), marks: { set, was } }
}

/**
 * Counts the calls of all routes together: before 3.15 a consumer has a counter for each route otherwise, and as many
 * times its limit. Whatever is in one group must be equal, so the group is named for what it says.
 */
function groupOf(conf: ApisixRow): Fields {
  const { group: _group, ...rest } = conf
  return { group: `curfew-${hashOf('apisix-group', canonical(rest)).slice(0, 32)}` }
}

/** The same text for the same JSON, whatever the order of its fields. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_field, inner: unknown) =>
    isRecord(inner) ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1))) : inner,
  )
}

function refusing(rules: readonly Rule[]): Fields {
  const [first = ''] = rules.map(({ id }) => id).sort()
  const names = [...new Set(rules.map((rule) => consumerOf(rule) ?? ''))]
  // The black list is asked before anything else that may stand in the plugin.
  return {
    type: 'consumer_name',
    blacklist: names,
    rejected_code: 403,
    rejected_msg: `Access is suspended (${first})`,
  }
}

function throttling(
  rules: readonly Rule[],
  owners: ApisixRow | null,
  replaced: readonly ApisixRow[],
): Fields {
  const ours = rules.flatMap(({ limit }) => (limit === null ? [] : [wholeLimit('APISIX', limit)]))
  const theirs = owners === null ? replaced : [owners]
  const { count, seconds } = strictest([...ours, ...theirs.filter(isOn).flatMap(limitsOf)])
  return {
    count,
    time_window: seconds,
    key: 'consumer_name',
    key_type: 'var',
    rejected_code: 429,
    rules: null,
  }
}

/** Counting at least as strict as what ours replaces: shared between nodes, and sliding, where that was. */
function countingLike(replaced: readonly ApisixRow[]): Fields {
  const on = replaced.filter(isOn)
  const shared = on.find(({ policy }) => typeof policy === 'string' && policy !== 'local')
  const kept = Object.entries(shared ?? {}).filter(([field]) => !LIMITING.includes(field))
  const sliding = on.some(({ window_type: type }) => type === 'sliding') ? { window_type: 'sliding' } : {}
  return { policy: 'local', ...Object.fromEntries(kept), ...sliding }
}

/** Whether a plugin is switched on. */
export function isOn({ _meta: meta }: ApisixRow): boolean {
  return !(isRecord(meta) && meta.disable === true)
}

/** What to change so that a plugin runs, and for every call. */
function awake({ _meta: meta }: ApisixRow): Fields {
  if (!isRecord(meta) || (meta.disable !== true && meta.filter === undefined)) return {}
  const { disable: _disable, filter: _filter, ...kept } = meta
  return { _meta: Object.keys(kept).length === 0 ? null : kept }
}

function pluginOf({ plugins }: ApisixRow, slot: Slot): ApisixRow | null {
  const conf = isRecord(plugins) ? plugins[slot] : undefined
  return isRecord(conf) ? conf : null
}

function isStill(conf: ApisixRow, set: Fields): boolean {
  return Object.entries(set).every(([field, value]) => isDeepStrictEqual(conf[field] ?? null, value))
}

/** A plugin with these fields in it; null takes one out. */
function withFields(conf: ApisixRow, fields: Fields): ApisixRow {
  const kept = Object.entries(conf).filter(([field]) => !Object.hasOwn(fields, field))
  return { ...Object.fromEntries(kept), ...present(fields) }
}

function present(fields: Fields): Fields {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== null))
}

function withoutEmpty(field: 'labels' | 'plugins', value: ApisixRow, drop: boolean): ApisixRow {
  return { [field]: drop && Object.keys(value).length === 0 ? undefined : value }
}

function readableMarks(consumer: ApisixRow): Marks | null {
  const marks = marksOf(consumer)
  if (marks !== 'damaged') return marks
  const what = `the curfew labels of consumer ${String(consumer.username)} were edited`
  throw new CurfewError('GATEWAY_CONFLICT', `APISIX: ${what}; restore them, or remove all of them`)
}
