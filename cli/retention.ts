import { setTimeout as pause } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import type { Clock } from '../core/time.ts'
import { DAY_MS, HOUR_MS } from '../core/time.ts'
import type { Logger } from '../engine/worker.ts'
import type { AuditLog } from './audit-log.ts'
import { cutAudit } from './audit-retention.ts'
import type { Config } from './config/schema.ts'

export interface RetentionOptions {
  readonly config: Pick<Config, 'retention'>
  readonly store: StateStore
  readonly audit: AuditLog
  readonly enforcer: { forgetEnded(before: number): Promise<void> }
  readonly clock: Clock
  readonly logger: Logger
}

/** Deletes what is older than the configuration keeps, once. */
export async function applyRetention(options: RetentionOptions): Promise<void> {
  const { auditDays, decisionDays } = options.config.retention
  const { store, audit, enforcer, clock } = options
  const now = clock.now()
  await enforcer.forgetEnded(now - decisionDays * DAY_MS)
  await cutAudit(store, audit, now - auditDays * DAY_MS)
}

/** {@link applyRetention} at the start and each hour until `stop`; what fails is tried again an hour later. */
export async function keepRetention(options: RetentionOptions, stop: AbortSignal): Promise<void> {
  while (!stop.aborted) {
    await applyRetention(options).catch((error: unknown) =>
      options.logger.error({ detail: String(error) }, 'old records could not be deleted'),
    )
    await pause(HOUR_MS, undefined, { signal: stop }).catch(() => undefined)
  }
}
