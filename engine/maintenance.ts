import { SEVERITIES, type Severity } from '../core/incident.ts'
import type { EngineSettings, MaintenanceWindow } from './settings.ts'

/** Who is asked about. */
export interface PlannedQuestion {
  readonly tenant: string
  /** Such as `consumer:backup`. */
  readonly entity: string
  /** Owners above it, such as `org:acme`. */
  readonly groups: readonly string[]
}

/** The window that covers a caller at an instant, epoch ms, or null; of several the one that ends last. */
export function plannedFor(
  settings: EngineSettings,
  { tenant, entity, groups }: PlannedQuestion,
  at: number,
): MaintenanceWindow | null {
  let found: MaintenanceWindow | null = null
  for (const window of settings.maintenance ?? []) {
    const meant = window.entity === undefined ? groups.includes(window.group ?? '') : window.entity === entity
    if (!meant || window.tenant !== tenant) continue
    const covers = at >= Date.parse(window.from) && at < Date.parse(window.to)
    if (covers && (found === null || Date.parse(window.to) > Date.parse(found.to))) found = window
  }
  return found
}

/** Planned work makes an incident less severe by one step, and never goes unmentioned. */
export function lessSevere(severity: Severity): Severity {
  return SEVERITIES[Math.max(0, SEVERITIES.indexOf(severity) - 1)] ?? severity
}

/** What people are told about a window. */
export function plannedText({ reason, to }: MaintenanceWindow): string {
  return `planned work until ${to}: ${reason}`
}
