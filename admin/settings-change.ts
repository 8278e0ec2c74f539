import type { Mode, OnTimeout } from '../core/decision.ts'
import { DAY_MS } from '../core/time.ts'
import type { IncidentView } from '../engine/control-plane.ts'
import {
  type AllowRule,
  type EngineSettings,
  type MaintenanceWindow,
  type ModeRule,
  SETTING_SPECS,
  type SettingName,
} from '../engine/settings.ts'
import { Problem, quoted } from './problem.ts'

export type Direction = 'tighten' | 'loosen' | 'neutral'
export type NextSettings = Omit<EngineSettings, 'version'>

/** One field of the settings that would change, and which way. */
export interface FieldChange {
  readonly field: string
  readonly from: unknown
  readonly to: unknown
  readonly change: Direction
}

export interface SettingsChange {
  /** `loosen` as soon as one field loosens, else `tighten` as soon as one tightens. */
  readonly change: Direction
  readonly fields: readonly FieldChange[]
}

/** No loosening lasts longer than this without being asked for again. */
export const MAX_LOOSENING_MS = 90 * DAY_MS
/** A loosening must say why in at least this many characters. */
export const MIN_LOOSENING_REASON = 10

export const SELECTORS = ['principal', 'group', 'gateway', 'detector', 'action'] as const
type Selector = Partial<Record<(typeof SELECTORS)[number], string>>

/** How readily a rule acts: to ask again later is more than to give up, and less than to act without an answer. */
const TIMEOUT_STRENGTH: Record<OnTimeout, number> = { drop: 1, extend: 1.25, act: 1.5 }
const MODE_STRENGTH: Record<Mode, number> = { observe: 0, approve: 1, enforce: 2 }
const strengthOf = ({ mode, onTimeout }: ModeRule) =>
  mode === 'approve' ? TIMEOUT_STRENGTH[onTimeout ?? 'drop'] : MODE_STRENGTH[mode]
/** How a rule is shown. */
const wordsOf = ({ mode, onTimeout = 'drop' }: ModeRule) =>
  mode === 'approve' && onTimeout !== 'drop' ? `approve, then ${onTimeout}` : mode
const UNSET: ModeRule = { mode: 'observe' }

/** Which settings a change touches and whether the engine would act later or less because of it. */
export function classifyChange(from: EngineSettings, to: NextSettings): SettingsChange {
  const fields = [
    ...valueChanges(from, to),
    ...modeChanges(from.modes, to.modes),
    ...allowChanges(from, to),
    ...windowChanges(from, to),
  ]
  const has = (change: Direction) => fields.some((f) => f.change === change)
  return { change: has('loosen') ? 'loosen' : has('tighten') ? 'tighten' : 'neutral', fields }
}

function valueChanges(from: EngineSettings, to: NextSettings): FieldChange[] {
  const names = Object.keys(SETTING_SPECS) as SettingName[]
  return names
    .filter((name) => from.values[name] !== to.values[name])
    .map((name) => {
      const larger = to.values[name] > from.values[name]
      const change = larger === SETTING_SPECS[name].largerLoosens ? 'loosen' : 'tighten'
      return { field: `values.${name}`, from: from.values[name], to: to.values[name], change }
    })
}

const selectorOf = (rule: ModeRule): Selector => {
  const selector: Selector = {}
  for (const name of SELECTORS) {
    const value = rule[name]
    if (value !== undefined) selector[name] = value
  }
  return selector
}

const selectorText = (selector: Selector): string =>
  SELECTORS.filter((name) => selector[name] !== undefined)
    .map((name) => `${name}=${selector[name]}`)
    .join(', ') || 'everything'

const selectorKey = (selector: Selector): string => JSON.stringify(SELECTORS.map((n) => selector[n] ?? null))

/** The mode for a case in which exactly the selectors given are known: most specific rule, in member order. */
export function modeFor(modes: readonly ModeRule[], at: Selector): Mode {
  return ruleFor(modes, at).mode
}

function ruleFor(modes: readonly ModeRule[], at: Selector): ModeRule {
  let best = UNSET
  for (const rule of modes) {
    const matches = SELECTORS.every((name) => rule[name] === undefined || rule[name] === at[name])
    if (matches && moreSpecific(rule, best)) best = rule
  }
  return best
}

function moreSpecific(a: ModeRule, b: ModeRule): boolean {
  for (const name of SELECTORS) {
    if ((a[name] === undefined) !== (b[name] === undefined)) return a[name] !== undefined
  }
  return true
}

/**
 * Compares what holds, not the list: a case whose winning rule was A and becomes B shows at the union of
 * what A and B select, so looking at every such union misses no case.
 */
function modeChanges(from: readonly ModeRule[], to: readonly ModeRule[]): FieldChange[] {
  const changes = new Map<string, FieldChange>()
  for (const a of [UNSET, ...from]) {
    for (const b of [UNSET, ...to]) {
      if (wordsOf(a) === wordsOf(b)) continue
      const at = { ...selectorOf(a), ...selectorOf(b) }
      if (SELECTORS.some((n) => a[n] !== undefined && b[n] !== undefined && a[n] !== b[n])) continue
      const key = selectorKey(at)
      if (changes.has(key)) continue
      const [before, after] = [ruleFor(from, at), ruleFor(to, at)]
      if (wordsOf(before) === wordsOf(after)) continue
      const change = strengthOf(after) < strengthOf(before) ? 'loosen' : 'tighten'
      const shown = { from: wordsOf(before), to: wordsOf(after) }
      changes.set(key, { field: `modes[${selectorText(at)}]`, ...shown, change })
    }
  }
  return [...changes.values()]
}

const allowKey = (rule: AllowRule) => JSON.stringify([rule.tenant, rule.entity])
const endOf = (rule: AllowRule) =>
  rule.expires === null ? Number.POSITIVE_INFINITY : Date.parse(rule.expires)

function allowChanges(from: NextSettings, to: NextSettings): FieldChange[] {
  const before = new Map(from.allow.map((rule) => [allowKey(rule), rule]))
  const after = new Map(to.allow.map((rule) => [allowKey(rule), rule]))
  const changes: FieldChange[] = []
  for (const key of new Set([...before.keys(), ...after.keys()])) {
    const [a, b] = [before.get(key), after.get(key)]
    const [aEnd, bEnd] = [a ? endOf(a) : 0, b ? endOf(b) : 0]
    if (aEnd === bEnd && a?.reason === b?.reason) continue
    const change = bEnd > aEnd ? 'loosen' : bEnd < aEnd ? 'tighten' : 'neutral'
    const name = `allow[${(a ?? b)?.tenant}/${(a ?? b)?.entity}]`
    changes.push({ field: name, from: a ?? null, to: b ?? null, change })
  }
  return changes
}

const windowsOf = ({ maintenance = [] }: NextSettings) =>
  new Map(maintenance.map((window) => [windowKey(window), window]))
const windowKey = ({ tenant, entity, group, from, to, reason }: MaintenanceWindow) =>
  JSON.stringify([tenant, entity ?? null, group ?? null, from, to, reason])

/** A window that comes loosens, one that goes tightens: what is between two of them is not compared. */
function windowChanges(from: NextSettings, to: NextSettings): FieldChange[] {
  const [before, after] = [windowsOf(from), windowsOf(to)]
  const changes: FieldChange[] = []
  for (const [key, window] of [...before, ...after]) {
    if (before.has(key) && after.has(key)) continue
    const field = `maintenance[${window.tenant}/${window.entity ?? window.group} ${window.from}]`
    const [a, b] = [before.get(key) ?? null, after.get(key) ?? null]
    changes.push({ field, from: a, to: b, change: b === null ? 'tighten' : 'loosen' })
  }
  return changes
}

function checkWindows(from: EngineSettings, next: NextSettings, now: number): void {
  const kept = windowsOf(from)
  for (const [i, window] of (next.maintenance ?? []).entries()) {
    const at = `settings.maintenance.${i}`
    const no = (member: string, words: string) =>
      new Problem('invalid', `${at}${member} ${words}`, `${at}${member}`)
    if (kept.has(windowKey(window))) continue
    if ((window.entity === undefined) === (window.group === undefined))
      throw no('', 'needs exactly one of `entity` and `group`')
    if (window.reason.trim().length < MIN_LOOSENING_REASON)
      throw no('.reason', `needs at least ${MIN_LOOSENING_REASON} characters`)
    if (!(Date.parse(window.from) < Date.parse(window.to))) throw no('.to', 'must lie behind `from`')
    checkExpiry(window.to, `${at}.to`, now)
  }
}

/** Refuses what a schema cannot express. Throws a {@link Problem} naming the field. */
export function checkNext(from: EngineSettings, next: NextSettings, now: number): void {
  const kept = new Map(from.allow.map((rule) => [allowKey(rule), rule]))
  const seen = new Set<string>()
  for (const [i, rule] of next.allow.entries()) {
    const at = `settings.allow.${i}`
    if (seen.has(allowKey(rule))) {
      throw new Problem('invalid', `${at} repeats ${quoted(`${rule.tenant}/${rule.entity}`)}`, at)
    }
    seen.add(allowKey(rule))
    const old = kept.get(allowKey(rule))
    if (old !== undefined && old.expires === rule.expires) continue
    if (rule.reason.trim().length < MIN_LOOSENING_REASON) {
      throw new Problem(
        'invalid',
        `${at}.reason needs at least ${MIN_LOOSENING_REASON} characters`,
        `${at}.reason`,
      )
    }
    checkExpiry(rule.expires, `${at}.expires`, now)
  }
  checkWindows(from, next, now)
  const rules = new Set<string>()
  for (const [i, rule] of next.modes.entries()) {
    const key = selectorKey(selectorOf(rule))
    if (rules.has(key)) {
      throw new Problem(
        'invalid',
        `settings.modes.${i} selects the same as an earlier rule`,
        `settings.modes.${i}`,
      )
    }
    rules.add(key)
  }
}

/** An end of a loosening must be a real moment between now and 90 days ahead. */
export function checkExpiry(expires: string | null | undefined, field: string, now: number): void {
  const end = Date.parse(expires ?? '')
  if (Number.isNaN(end))
    throw new Problem('invalid', `${field} must be a time (got ${quoted(expires ?? null)})`, field)
  if (end <= now) throw new Problem('invalid', `${field} lies in the past (got ${quoted(expires)})`, field)
  if (end > now + MAX_LOOSENING_MS) {
    throw new Problem('invalid', `${field} is more than 90 days ahead (got ${quoted(expires)})`, field)
  }
}

/** A recent incident that other settings would have kept from opening or from being acted on. */
export interface HiddenIncident {
  readonly id: string
  readonly entity: string
  readonly severity: string
  readonly why: string
}

const JUDGED = /^(values\.(minIncidentSurprise|throttleSurprise)$|allow\[)/

/** Loosened fields about whose effect {@link hiddenBy} says nothing. */
export function notJudged(change: SettingsChange): string[] {
  return change.fields.filter((f) => f.change === 'loosen' && !JUDGED.test(f.field)).map((f) => f.field)
}

/** What `next` would have hidden among incidents that the current settings showed or acted on. */
export function hiddenBy(
  from: EngineSettings,
  next: NextSettings,
  incidents: readonly IncidentView[],
): HiddenIncident[] {
  const newlyAllowed = new Set(
    next.allow.map(allowKey).filter((key) => !from.allow.some((rule) => allowKey(rule) === key)),
  )
  const hidden: HiddenIncident[] = []
  for (const incident of incidents) {
    const surprise = Math.max(0, ...incident.transitions.map((t) => t.surprise))
    const between = (name: 'minIncidentSurprise' | 'throttleSurprise') =>
      surprise >= from.values[name] && surprise < next.values[name]
    const why = between('minIncidentSurprise')
      ? 'would not have opened'
      : newlyAllowed.has(JSON.stringify([incident.tenant, incident.entity]))
        ? 'would not have been acted on: allowed'
        : between('throttleSurprise')
          ? 'would not have been acted on: below throttleSurprise'
          : null
    if (why !== null)
      hidden.push({ id: incident.id, entity: incident.entity, severity: incident.severity, why })
  }
  return hidden
}
