import type { EngineMetrics } from '../admin/metrics.ts'
import type { StateStore } from '../baseline/store.ts'
import type { ReadinessCheck } from '../engine/control-plane.ts'
import type { OpenedLog } from './build-storage.ts'
import { health } from './health.ts'

/** What readiness is judged by. */
export interface ReadinessParts {
  readonly store: StateStore
  readonly opened: OpenedLog
  readonly metrics: EngineMetrics
  readonly sourcesReadable: boolean
  /** Whether the partitions of this process can reach what they need. */
  readonly detecting: boolean
  /** Why everything is only observed; null when the settings decide. */
  readonly latched: string | null
}

/** Asks the store and the log, and says how the parts of this process stand. */
export async function readinessOf(parts: ReadinessParts): Promise<readonly ReadinessCheck[]> {
  const { store, opened, metrics, sourcesReadable } = parts
  const [stored, logged] = await Promise.all([
    health('store', store.name, () => store.check()),
    opened.kafka === null
      ? { name: 'log', ok: true, detail: 'embedded' }
      : health('log', 'kafka', () => opened.kafka!.topics()),
  ])
  const [gap] = opened.stopped.values()
  const detecting = gap === undefined && parts.detecting
  metrics.storeReachable(stored.ok)
  metrics.logReachable(logged.ok && sourcesReadable)
  return [
    stored,
    logged,
    {
      name: 'detection',
      ok: detecting,
      detail: detecting ? 'running' : (gap ?? 'waiting for the state store or the log'),
    },
    { name: 'enforcement', ok: true, detail: parts.latched ?? 'as the settings say' },
    {
      name: 'sources',
      ok: sourcesReadable,
      detail: sourcesReadable ? 'readable' : 'a source cannot be read',
    },
  ]
}
