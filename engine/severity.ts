import type { Severity } from '../core/incident.ts'
import type { Incident } from './incident.ts'
import type { SettingValues } from './settings.ts'

/** How many times over the impact floor some surprising calls are; 1 is the floor. */
export function impactOf(
  calls: { readonly records: number; readonly requests: number; readonly bytes: number },
  values: SettingValues,
): number {
  return Math.max(
    calls.records / Math.max(1, values.impactRecords),
    calls.requests / Math.max(1, values.impactRequests),
    calls.bytes / Math.max(1, values.impactBytes),
  )
}

/** Impact floors from which the strongest surprise is critical. */
const CRITICAL_IMPACT = 5

/** Severity is surprise times impact: improbable alone is never more than medium. */
export function severityOf(incident: Incident, values: SettingValues): Severity {
  const impact = impactOf(incident, values)
  if (incident.surprise >= values.revokeSurprise && impact >= CRITICAL_IMPACT) return 'critical'
  if (incident.surprise >= values.throttleSurprise && impact >= 1) return 'high'
  return incident.surprise >= values.throttleSurprise || impact >= 1 ? 'medium' : 'low'
}
