import type { Clock } from '../core/time.ts'
import { plannedFor, plannedText } from '../engine/maintenance.ts'
import type { SettingsKeeper } from './settings-keeper.ts'

/** Answers why nothing is newly enforced on a caller at the present, or null. */
export function plannedWork(settings: Pick<SettingsKeeper, 'current'>, clock: Clock) {
  return (tenant: string, entity: string, groups: readonly string[]): string | null => {
    const window = plannedFor(settings.current(), { tenant, entity, groups }, clock.now())
    return window === null ? null : plannedText(window)
  }
}
