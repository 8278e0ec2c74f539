import type { Principal } from '../../core/event.ts'
import { wallTime } from '../../core/time.ts'
import { RULE_ID, type Rule } from '../gateway.ts'
import type { KongPlugin } from './kong-client.ts'

/**
 * What we write into the `tags` of a plugin, so that rules, their expiry and what is needed to restore
 * are kept at Kong itself. Kong allows printable ASCII in tags but no comma and no slash.
 */

/** Our owner mark: `GET /plugins?tags=curfew` finds everything we hold. */
export const OWNER_TAG = 'curfew'
const ID_TAG = 'curfew-id:'
const RULE_TAG = 'curfew-rule:'
const SET_TAG = 'curfew-set:'
const WAS_TAG = 'curfew-was:'

type Scalar = string | number | boolean | null

/** Fields of a plugin: what we set, or what stood there before. */
export interface KongFields {
  readonly enabled?: boolean
  readonly config: Readonly<Record<string, Scalar>>
}

/** A rule as one plugin carries it. A rule can need several plugins: `places` says how many. */
export interface MarkedRule {
  readonly rule: Rule
  readonly places: number
}

/** Our marks on a plugin. `was` is set when the plugin is somebody else's and must be given back. */
export interface Marks {
  readonly rules: readonly MarkedRule[]
  readonly set: KongFields
  readonly was: (KongFields & { readonly tags: 'list' | 'null' }) | null
}

function textTag(value: string): string {
  return encodeURIComponent(Buffer.from(value, 'utf8').toString('utf8'))
}

function ruleTag({ rule, places }: MarkedRule): string {
  const { scope, limit } = rule
  if (scope.kind !== 'principal' && scope.kind !== 'credential')
    throw new Error(`no Kong rule: ${scope.kind}`)
  const credential = scope.kind === 'credential' ? textTag(scope.credential) : ''
  const parts = [rule.id, rule.action, scope.kind, Math.floor(rule.until / 1_000)]
  const tail = [
    limit?.requests ?? '',
    limit?.windowSeconds ?? '',
    places,
    textTag(scope.principal.label),
    credential,
  ]
  return RULE_TAG + [...parts, ...tail].join(':')
}

/** Null when the tag is damaged. */
function parseRuleTag(tag: string, consumer: string): MarkedRule | null {
  const [id, action, kind, until, requests, window, places, label, credential] = tag
    .slice(RULE_TAG.length)
    .split(':')
  if (id === undefined || !RULE_ID.test(id) || label === undefined || credential === undefined) return null
  if (action !== 'throttle' && action !== 'block' && action !== 'revoke-credential') return null
  const numbers = [Number(until), Number(places), Number(requests), Number(window)]
  if (!numbers.every((value) => Number.isFinite(value))) return null
  let names: readonly [string, string]
  try {
    names = [decodeURIComponent(label), decodeURIComponent(credential)]
  } catch {
    return null
  }
  const principal: Principal = { kind: 'consumer', id: consumer, label: names[0], verified: true }
  const limit = requests === '' ? null : { requests: Number(requests), windowSeconds: Number(window) }
  const scope =
    kind === 'credential'
      ? ({ kind, credential: names[1], principal } as const)
      : ({ kind: 'principal', principal } as const)
  return {
    rule: { id, action, scope, limit, until: wallTime(Number(until) * 1_000) },
    places: Number(places),
  }
}

function fieldsTag(prefix: string, fields: object): string {
  return prefix + Buffer.from(JSON.stringify(fields)).toString('base64url')
}

function parseFields(
  tags: readonly string[],
  prefix: string,
): (KongFields & { readonly tags?: unknown }) | null {
  const tag = tags.find((one) => one.startsWith(prefix))
  if (tag === undefined) return null
  try {
    const fields: unknown = JSON.parse(Buffer.from(tag.slice(prefix.length), 'base64url').toString('utf8'))
    return isFields(fields) ? fields : null
  } catch {
    return null
  }
}

function isFields(value: unknown): value is KongFields & { readonly tags?: unknown } {
  if (typeof value !== 'object' || value === null || !('config' in value)) return false
  const { config } = value
  if (typeof config !== 'object' || config === null) return false
  return Object.values(config).every(
    (field) => field === null || ['string', 'number', 'boolean'].includes(typeof field),
  )
}

function isOurs(tag: string): boolean {
  return tag === OWNER_TAG || [ID_TAG, RULE_TAG, SET_TAG, WAS_TAG].some((prefix) => tag.startsWith(prefix))
}

/** Our marks on a plugin; null when it bears none. `damaged` when marks are there but cannot be read. */
export function marksOf(plugin: KongPlugin): Marks | 'damaged' | null {
  const tags = plugin.tags ?? []
  if (!tags.includes(OWNER_TAG)) return null
  const rules = tags
    .filter((tag) => tag.startsWith(RULE_TAG))
    .map((tag) => parseRuleTag(tag, plugin.consumer ?? ''))
  const set = parseFields(tags, SET_TAG)
  const was = parseFields(tags, WAS_TAG)
  const wasExpected = tags.some((tag) => tag.startsWith(WAS_TAG))
  const readable = rules.filter((rule) => rule !== null)
  const complete = readable.length === rules.length && readable.length > 0 && plugin.consumer !== null
  if (!complete || set === null || (wasExpected && was === null)) return 'damaged'
  return { rules: readable, set, was: was && { ...was, tags: was.tags === 'null' ? 'null' : 'list' } }
}

/** The tags of others on a plugin. */
export function foreignTags(plugin: KongPlugin): readonly string[] {
  return (plugin.tags ?? []).filter((tag) => !isOurs(tag))
}

/** All tags of a plugin that carries these marks. */
export function tagsFor(marks: Marks, foreign: readonly string[]): readonly string[] {
  const rules = [...marks.rules].sort((a, b) => (a.rule.id < b.rule.id ? -1 : 1))
  const ours = [
    OWNER_TAG,
    ...rules.map(({ rule }) => ID_TAG + rule.id),
    ...rules.map(ruleTag),
    fieldsTag(SET_TAG, marks.set),
  ]
  return [...foreign, ...ours, ...(marks.was === null ? [] : [fieldsTag(WAS_TAG, marks.was)])]
}

/** Whether the plugin still has what we set. */
export function stillSet(plugin: KongPlugin, set: KongFields): boolean {
  if (set.enabled !== undefined && plugin.enabled !== set.enabled) return false
  return Object.entries(set.config).every(([field, value]) => (plugin.config[field] ?? null) === value)
}
