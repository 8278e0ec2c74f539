import type {
  AllowRule,
  EngineSettings,
  MaintenanceWindow,
  SettingName,
  SettingValues,
} from '../engine/settings.ts'

/** What a configuration file says about settings. */
export type ConfiguredSettings = Omit<EngineSettings, 'version'>

/**
 * The settings after the configuration file changed from `before` to `after`: each threshold that the file
 * changed takes the file's value, the others stay as they were tuned; modes, exceptions or
 * windows of planned work that the file changed are replaced by the file's; temporary exceptions and windows made elsewhere
 * that still run (`now` in epoch ms) are kept. Null when
 * the file says the same as before.
 */
export function reconfigured(
  current: EngineSettings,
  before: ConfiguredSettings,
  after: ConfiguredSettings,
  now: number,
): ConfiguredSettings | null {
  const names = Object.keys(after.values) as SettingName[]
  const changed = names.filter((name) => before.values[name] !== after.values[name])
  const modes = !same(before.modes, after.modes)
  const allow = !same(before.allow, after.allow)
  const maintenance = !same(before.maintenance ?? [], after.maintenance ?? [])
  if (changed.length === 0 && !modes && !allow && !maintenance) return null
  const values: Record<string, number> = { ...after.values, ...current.values }
  for (const name of changed) values[name] = after.values[name]
  const windows = maintenance
    ? [...(after.maintenance ?? []), ...tunedWindows(current, before, now)]
    : (current.maintenance ?? [])
  return {
    values: values as SettingValues,
    modes: modes ? after.modes : current.modes,
    allow: allow ? [...after.allow, ...stillRunning(current.allow, after.allow, now)] : current.allow,
    ...(windows.length === 0 ? {} : { maintenance: windows }),
  }
}

function stillRunning(
  rules: readonly AllowRule[],
  configured: readonly AllowRule[],
  now: number,
): readonly AllowRule[] {
  return rules.filter(
    (rule) =>
      rule.expires !== null &&
      Date.parse(rule.expires) > now &&
      !configured.some((other) => other.tenant === rule.tenant && other.entity === rule.entity),
  )
}

/** Windows that were not the file's and are not over. */
function tunedWindows(
  current: EngineSettings,
  before: ConfiguredSettings,
  now: number,
): readonly MaintenanceWindow[] {
  const ofFile = before.maintenance ?? []
  return (current.maintenance ?? []).filter(
    (window) => Date.parse(window.to) > now && !ofFile.some((other) => same([other], [window])),
  )
}

/** Same content whatever the order of keys within a rule; the order of rules counts. */
function same(a: readonly object[], b: readonly object[]): boolean {
  const text = (rules: readonly object[]) => JSON.stringify(rules.map((rule) => Object.entries(rule).sort()))
  return text(a) === text(b)
}
