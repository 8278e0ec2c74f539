import type { Clock } from '../core/time.ts'
import type { Actor, ControlPlane, SettingsVersion } from '../engine/control-plane.ts'
import { type EngineSettings, type ModeRule, SETTING_SPECS, type SettingName } from '../engine/settings.ts'
import { classifyChange, type NextSettings, SELECTORS } from './settings-change.ts'

/** Versions that are looked at; a loosening lasts at most 90 days, changes beyond this count are rare. */
const HISTORY = 500
const SELF: Actor = { name: 'curfew', role: 'admin' }

/** What has to be put back, and until when that itself holds. */
export interface Restoration {
  readonly next: NextSettings
  readonly fields: readonly string[]
  readonly expires: string | null
}

/** A field of the settings, by name, and how to put it from one version into another. */
interface Field {
  readonly name: string
  read(settings: NextSettings): string
  copy(from: NextSettings, into: NextSettings): NextSettings
}

const valueField = (name: SettingName): Field => ({
  name: `values.${name}`,
  read: (s) => String(s.values[name]),
  copy: (from, into) => ({ ...into, values: { ...into.values, [name]: from.values[name] } }),
})

const orderedRule = (rule: ModeRule) => [
  ...SELECTORS.map((name) => rule[name] ?? null),
  rule.mode,
  rule.onTimeout ?? null,
]

/** Modes are one field: rules overlap, so putting back a single one could mean something else than before. */
const MODES: Field = {
  name: 'modes',
  read: (s) => JSON.stringify(s.modes.map(orderedRule).sort()),
  copy: (from, into) => ({ ...into, modes: from.modes }),
}

const FIELDS: readonly Field[] = [...(Object.keys(SETTING_SPECS) as SettingName[]).map(valueField), MODES]

/**
 * What the end of loosenings asks for at `now`, judged from the history alone (newest first), so that it
 * may be asked at any time, any number of times. For each field the version that last changed it counts:
 * when that one loosened it and has ended, the field goes back to the newest earlier version which still
 * holds. Allow entries and windows carry their own end and are left alone. Null when nothing is due.
 */
export function dueRestoration(history: readonly SettingsVersion[], now: number): Restoration | null {
  const current = history[0]?.settings
  if (current === undefined) return null
  let next: NextSettings = withoutVersion(current)
  const fields: string[] = []
  let expires: string | null | undefined
  for (const field of FIELDS) {
    const target = restoreTarget(field, history, now)
    if (target === null) continue
    if (expires !== undefined && expires !== target.expires) continue
    expires = target.expires
    next = field.copy(target.version.settings, next)
    fields.push(field.name)
  }
  return fields.length === 0 ? null : { next, fields, expires: expires ?? null }
}

function withoutVersion({ version: _, ...rest }: EngineSettings): NextSettings {
  return rest
}

function restoreTarget(
  field: Field,
  history: readonly SettingsVersion[],
  now: number,
): { version: SettingsVersion; expires: string | null } | null {
  let steps = 0
  for (let i = 0; i < history.length; i++) {
    const [version, before] = [history[i]!, history[i + 1]]
    if (before !== undefined && field.read(version.settings) === field.read(before.settings)) continue
    const temporary = version.expires !== null && isTemporary(field, history, i)
    const ended = temporary && Date.parse(version.expires ?? '') <= now
    if (!ended) return steps === 0 ? null : { version, expires: temporary ? version.expires : null }
    steps++
  }
  return null
}

/**
 * Whether the version at `i`, which changed the field and names an end, holds only until then: because it
 * loosened the field, or because it put back an earlier loosening that had not ended yet.
 */
function isTemporary(field: Field, history: readonly SettingsVersion[], i: number): boolean {
  const version = history[i]!
  for (let k = i; k + 1 < history.length; k++) {
    const [candidate, before] = [history[k]!, history[k + 1]!]
    const same =
      candidate.expires === version.expires && field.read(candidate.settings) === field.read(version.settings)
    if (same && loosened(field, before, candidate)) return true
  }
  return false
}

function loosened(field: Field, before: SettingsVersion, after: SettingsVersion): boolean {
  return classifyChange(before.settings, field.copy(after.settings, before.settings)).change === 'loosen'
}

/**
 * Puts back what ended loosenings had changed. Call it every minute or so; a conflict with a change by a
 * person is left to the next call. Returns the fields put back.
 */
export async function expireLoosenings(controlPlane: ControlPlane, clock: Clock): Promise<readonly string[]> {
  const restored: string[] = []
  for (let round = 0; round < FIELDS.length; round++) {
    const history = await controlPlane.settingsHistory(HISTORY)
    const due = dueRestoration(history, clock.now())
    const version = history[0]?.settings.version
    if (due === null || version === undefined) break
    const reason = `a temporary loosening ended: ${due.fields.join(', ')}`
    const result = await controlPlane.putSettings(due.next, version, SELF, reason, due.expires)
    if (!result.ok) break
    restored.push(...due.fields)
  }
  return restored
}
