import { CurfewError } from '../../core/errors.ts'
import { hashOf } from '../../core/hash.ts'
import type { Rule } from '../gateway.ts'
import type { KongPlugin, KongPluginBody } from './kong-client.ts'
import type { KongFields, MarkedRule, Marks } from './kong-marks.ts'
import { foreignTags, marksOf, stillSet, tagsFor } from './kong-marks.ts'
import type { KongLimits } from './kong-throttle.ts'
import { kongLimits, limitsOf, strictest } from './kong-throttle.ts'

/**
 * What to write so that Kong holds a rule. Pure: plugins in, writes out.
 *
 * Of all plugins with one name Kong runs only the most specific: 1 route + service + consumer, 2 route +
 * consumer, 3 service + consumer, 4 route + service, 5 consumer, 6 route, 7 service, 8 global. So a plugin
 * on a consumer replaces 6 to 8 for that consumer (ours takes the strictest of all of them along), and is
 * itself replaced by 1 to 4 (ours goes there, too). Source: kong/runloop/plugins_iterator.lua.
 */

/** One change to one plugin. Afterwards the plugin bears `marks`. */
export type KongWrite =
  | {
      readonly kind: 'create' | 'edit'
      readonly id: string
      readonly body: KongPluginBody
      readonly marks: Marks
    }
  | { readonly kind: 'restore'; readonly id: string; readonly body: KongPluginBody }
  | { readonly kind: 'delete'; readonly id: string }

/** How our own rate-limiting plugins count: `local` is per node, `cluster` writes to Kong's database. */
export type KongPolicy = 'local' | 'cluster'

/** More specific plugins that one rule is put into; beyond it the rule is refused. */
export const MAX_PLACES = 16

interface Slot {
  readonly name: 'rate-limiting' | 'request-termination'
  readonly consumer: string
  readonly route: string | null
  readonly service: string | null
}

/** The consumer that a rule acts on; null when the rule is not about a Kong consumer. */
export function consumerOf(rule: Rule): string | null {
  const { scope } = rule
  const principal = scope.kind === 'principal' || scope.kind === 'credential' ? scope.principal : null
  return principal?.kind === 'consumer' && principal.verified && UUID.test(principal.id) ? principal.id : null
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Everything to write so that the rule holds, and so that nothing else of its id is left. */
export function planPut(
  plugins: readonly KongPlugin[],
  rule: Rule,
  policy: KongPolicy,
): readonly KongWrite[] {
  const consumer = consumerOf(rule)
  if (consumer === null)
    throw new CurfewError('GATEWAY_UNSUPPORTED', 'Kong rules are about a verified consumer')
  const slots = slotsFor(
    plugins,
    rule.action === 'throttle' ? 'rate-limiting' : 'request-termination',
    consumer,
  )
  const writes: KongWrite[] = []
  for (const slot of slots) {
    const current = pluginAt(plugins, slot)
    const others = (current === null ? [] : rulesOn(current)).filter((other) => other.rule.id !== rule.id)
    const write = holdWrite(plugins, slot, current, [...others, { rule, places: slots.length }], policy)
    if (write !== null) writes.push(write)
  }
  const kept = new Set(slots.map((slot) => pluginAt(plugins, slot)?.id))
  for (const plugin of plugins) {
    if (kept.has(plugin.id) || !rulesOn(plugin).some((other) => other.rule.id === rule.id)) continue
    const write = planLift(plugins, plugin, rule.id, policy)
    if (write !== null) writes.push(write)
  }
  return writes
}

/** Takes one rule off one plugin; the last one to go gives back, or deletes, the plugin. Null: nothing to do. */
export function planLift(
  plugins: readonly KongPlugin[],
  plugin: KongPlugin,
  id: string,
  policy: KongPolicy,
): KongWrite | null {
  const marks = readableMarks(plugin)
  if (marks === null || !marks.rules.some(({ rule }) => rule.id === id)) return null
  const rest = marks.rules.filter(({ rule }) => rule.id !== id)
  if (rest.length > 0) {
    const name = plugin.name === 'rate-limiting' ? plugin.name : 'request-termination'
    const slot = {
      name,
      consumer: plugin.consumer ?? '',
      route: plugin.route,
      service: plugin.service,
    } as const
    return holdWrite(plugins, slot, plugin, rest, policy)
  }
  if (marks.was === null) return { kind: 'delete', id: plugin.id }
  if (!stillSet(plugin, marks.set)) throw edited(plugin)
  const tags = foreignTags(plugin)
  const back = marks.was.enabled === undefined ? {} : { enabled: marks.was.enabled }
  const body = {
    config: marks.was.config,
    tags: marks.was.tags === 'null' && tags.length === 0 ? null : tags,
    ...back,
  }
  return { kind: 'restore', id: plugin.id, body }
}

/** Makes a slot hold these rules; null when it does already. */
function holdWrite(
  plugins: readonly KongPlugin[],
  slot: Slot,
  current: KongPlugin | null,
  rules: readonly MarkedRule[],
  policy: KongPolicy,
): KongWrite | null {
  const marks = current === null ? null : readableMarks(current)
  if (current === null || (marks !== null && marks.was === null)) {
    const replaced = replacedBy(plugins, slot)
    const config = targetFor(
      slot,
      rules,
      replaced.map((plugin) => limitsOf(plugin.config)),
    )
    const next: Marks = { rules, set: { enabled: true, config }, was: null }
    const tags = tagsFor(next, current === null ? [] : foreignTags(current))
    if (current !== null && holds(current, next, tags)) return null
    const owner = {
      consumer: { id: slot.consumer },
      ...reference('route', slot.route),
      ...reference('service', slot.service),
    }
    const full = slot.name === 'rate-limiting' ? { ...config, ...countingFor(replaced, policy) } : config
    const body = { name: slot.name, ...owner, enabled: true, config: full, tags }
    return { kind: 'create', id: current?.id ?? slotId(slot), body, marks: next }
  }
  if (marks !== null && !stillSet(current, marks.set)) throw edited(current)
  return overlay(plugins, slot, current, marks, rules)
}

/** Changes as little as possible of somebody else's plugin, and keeps beside it what stood there. */
function overlay(
  plugins: readonly KongPlugin[],
  slot: Slot,
  current: KongPlugin,
  marks: Marks | null,
  rules: readonly MarkedRule[],
): KongWrite | null {
  const base = baseOf(current, marks)
  const inEffect = base.enabled ? [base] : [base, ...replacedBy(plugins, slot)]
  const all = targetFor(
    slot,
    rules,
    inEffect.map((plugin) => limitsOf(plugin.config)),
  )
  const target = slot.name === 'rate-limiting' ? all : { trigger: null }
  const changed = Object.entries(target).filter(([field, value]) => (base.config[field] ?? null) !== value)
  const before = changed.map(([field]) => [field, scalar(base.config[field])] as const)
  const switched = base.enabled ? {} : { enabled: true }
  const set: KongFields = { config: Object.fromEntries(changed), ...switched }
  const tagsWere = marks?.was?.tags ?? (current.tags === null ? 'null' : 'list')
  const wasOff = base.enabled ? {} : { enabled: false }
  const next: Marks = { rules, set, was: { config: Object.fromEntries(before), tags: tagsWere, ...wasOff } }
  const tags = tagsFor(next, foreignTags(current))
  if (marks !== null && holds(current, next, tags)) return null
  const body = { config: { ...marks?.was?.config, ...set.config }, tags, ...switched }
  return { kind: 'edit', id: current.id, body, marks: next }
}

/** Whether a plugin bears these marks and has what they say. */
export function holds(plugin: KongPlugin, marks: Marks, tags: readonly string[]): boolean {
  const there = new Set(plugin.tags ?? [])
  return (
    there.size === new Set(tags).size && tags.every((tag) => there.has(tag)) && stillSet(plugin, marks.set)
  )
}

function targetFor(
  slot: Slot,
  rules: readonly MarkedRule[],
  existing: readonly KongLimits[],
): Readonly<Record<string, string | number | null>> {
  if (slot.name === 'request-termination') {
    const id = rules.map(({ rule }) => rule.id).sort()[0]
    return { status_code: 403, message: `Access is suspended (${id})`, trigger: null }
  }
  const wanted = rules.flatMap(({ rule }) => (rule.limit === null ? [] : [kongLimits(rule.limit)]))
  return { ...strictest([...wanted, ...existing]), limit_by: 'consumer' }
}

/** Counting at least as strict as what ours replaces: shared between nodes where that was. */
function countingFor(replaced: readonly KongPlugin[], policy: KongPolicy): Readonly<Record<string, unknown>> {
  const fixed = { fault_tolerant: true, hide_client_headers: false }
  const shared = replaced.find((plugin) => plugin.config.policy === 'redis')
  if (shared !== undefined) {
    const redis = Object.entries(shared.config).filter(
      ([field]) => field === 'redis' || field.startsWith('redis_'),
    )
    const nested = redis.filter(([field]) => field === 'redis')
    return { ...fixed, policy: 'redis', ...Object.fromEntries(nested.length > 0 ? nested : redis) }
  }
  const cluster = policy === 'cluster' || replaced.some((plugin) => plugin.config.policy === 'cluster')
  return { ...fixed, policy: cluster ? 'cluster' : 'local' }
}

/** Where a rule must stand so that no more specific plugin outranks it. */
function slotsFor(plugins: readonly KongPlugin[], name: Slot['name'], consumer: string): readonly Slot[] {
  const slots: Slot[] = [{ name, consumer, route: null, service: null }]
  const specific = plugins
    .filter((plugin) => plugin.name === name && (plugin.route !== null || plugin.service !== null))
    .map((plugin) => ({ plugin, marks: readableMarks(plugin) }))
  const theirs = specific
    .filter(({ plugin, marks }) => plugin.consumer === consumer && (marks === null || marks.was !== null))
    .map(({ plugin, marks }) => baseOf(plugin, marks))
    .filter((base) => base.enabled)
  for (const base of theirs) {
    if (outranks(base)) slots.push({ name, consumer, route: base.route, service: base.service })
  }
  for (const { plugin } of specific) {
    const { route, service } = plugin
    if (plugin.consumer !== null || plugin.consumerGroup !== null || route === null || service === null)
      continue
    const covered = theirs.some(
      (base) => (base.route ?? route) === route && (base.service ?? service) === service,
    )
    if (plugin.enabled && outranks(plugin) && !covered) slots.push({ name, consumer, route, service })
  }
  if (slots.length > MAX_PLACES) {
    const what = `${slots.length} ${name} plugins outrank one on this consumer, more than ${MAX_PLACES}`
    throw new CurfewError('GATEWAY_UNSUPPORTED', `Kong: ${what}; use the deny list`)
  }
  return slots
}

/** A plugin that refuses every call needs no help of ours; one that waits for a header does. */
function outranks(plugin: KongPlugin): boolean {
  return plugin.name === 'rate-limiting' || (plugin.config.trigger ?? null) !== null
}

/** Plugins of others that stop to apply to the consumer once a plugin stands in the slot. */
function replacedBy(plugins: readonly KongPlugin[], slot: Slot): readonly KongPlugin[] {
  const general = plugins.filter(
    (plugin) => plugin.name === slot.name && plugin.consumer === null && plugin.enabled,
  )
  if (slot.route === null || slot.service === null) {
    return general.filter((plugin) => plugin.route === null || plugin.service === null)
  }
  return general.filter((plugin) => plugin.route === slot.route && plugin.service === slot.service)
}

function pluginAt(plugins: readonly KongPlugin[], slot: Slot): KongPlugin | null {
  const at = plugins.find(
    (plugin) =>
      plugin.name === slot.name &&
      plugin.consumer === slot.consumer &&
      plugin.consumerGroup === null &&
      plugin.route === slot.route &&
      plugin.service === slot.service,
  )
  return at ?? null
}

/** The plugin as its owner left it. */
function baseOf(plugin: KongPlugin, marks: Marks | null): KongPlugin {
  if (marks === null || marks.was === null) return plugin
  const { enabled = plugin.enabled, config } = marks.was
  return { ...plugin, enabled, config: { ...plugin.config, ...config } }
}

function rulesOn(plugin: KongPlugin): readonly MarkedRule[] {
  return readableMarks(plugin)?.rules ?? []
}

function readableMarks(plugin: KongPlugin): Marks | null {
  const marks = marksOf(plugin)
  if (marks !== 'damaged') return marks
  const what = `the curfew tags of plugin ${plugin.id} were edited`
  throw new CurfewError('GATEWAY_CONFLICT', `Kong: ${what}; restore them or delete that plugin`)
}

function edited(plugin: KongPlugin): CurfewError {
  const what = `plugin ${plugin.id} was edited while it held a rule of ours`
  return new CurfewError(
    'GATEWAY_CONFLICT',
    `Kong: ${what}; it is left as it is, remove its curfew tags to settle it`,
  )
}

function reference(
  field: 'route' | 'service',
  id: string | null,
): Readonly<Record<string, { readonly id: string }>> {
  return id === null ? {} : { [field]: { id } }
}

function scalar(value: unknown): string | number | boolean | null {
  return typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null
}

/** The same slot always gets the same UUID (in the form of version 5, RFC 9562), so creating twice is once. */
function slotId({ name, consumer, route, service }: Slot): string {
  const hex = hashOf('kong', name, consumer, route, service)
  const variant = '89ab'[Number.parseInt(hex[16]!, 16) % 4]!
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-5${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`
}
