import { setTimeout as pause } from 'node:timers/promises'
import type { Clock } from '../core/time.ts'
import type { Logger } from '../engine/worker.ts'
import type { SettingsKeeper } from './settings-keeper.ts'

const POLL_MS = 10_000

/** Takes over what others changed, every ten seconds until `stop`; `alone` also ends what was loosened for a time. */
export async function followSettings(
  options: { settings: SettingsKeeper; alone: boolean; clock: Clock; logger: Logger },
  stop: AbortSignal,
): Promise<void> {
  const { settings, alone, clock, logger } = options
  while (!stop.aborted) {
    await pause(POLL_MS, undefined, { signal: stop }).catch(() => undefined)
    if (stop.aborted) return
    const work = alone ? settings.expireDue(clock.now()) : settings.refresh()
    await work.catch((error: unknown) => logger.warn({ error: String(error) }, 'settings cannot be read'))
  }
}
