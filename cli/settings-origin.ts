import type { AllowRule, EngineSettings, SettingName, SettingValues } from '../engine/settings.ts'

/** What a configuration file says about settings. */
export type ConfiguredSettings = Omit<EngineSettings, 'version'>

/**
 * The settings after the configuration file changed from `before` to `after`: each threshold that the file
 * changed takes the file's value, the others stay as they were tuned; modes or exceptions that the file changed
 * are replaced by the file's, and temporary exceptions that still run (`now` in epoch ms) are kept. Null when
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
  if (changed.length === 0 && !modes && !allow) return null
  const values: Record<string, number> = { ...after.values, ...current.values }
  for (const name of changed) values[name] = after.values[name]
  return {
    values: values as SettingValues,
    modes: modes ? after.modes : current.modes,
    allow: allow ? [...after.allow, ...stillRunning(current.allow, after.allow, now)] : current.allow,
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

/** Same content whatever the order of keys within a rule; the order of rules counts. */
function same(a: readonly object[], b: readonly object[]): boolean {
  const text = (rules: readonly object[]) => JSON.stringify(rules.map((rule) => Object.entries(rule).sort()))
  return text(a) === text(b)
}
