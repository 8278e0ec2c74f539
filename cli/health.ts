import { setTimeout as pause } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import type { ReadinessCheck } from '../engine/control-plane.ts'
import type { DetectWorker } from '../engine/worker.ts'
import type { OpenedLog } from './build-storage.ts'

/** Whoever does not answer for so long does not work. */
const HEALTH_MS = 2_000

/** Asks whether something works; no answer in time is an answer. */
export async function health(
  name: string,
  detail: string,
  ask: () => Promise<unknown>,
): Promise<ReadinessCheck> {
  const done = new AbortController()
  const late = pause(HEALTH_MS, null, { signal: done.signal }).then(() => {
    throw new Error(`no answer within ${HEALTH_MS} ms`)
  })
  try {
    await Promise.race([ask(), late])
    return { name, ok: true, detail }
  } catch (error) {
    return { name, ok: false, detail: error instanceof Error ? error.message : String(error) }
  } finally {
    done.abort()
    late.catch(() => undefined)
  }
}

export interface ReadinessParts {
  readonly store: StateStore
  readonly opened: OpenedLog
  /** Null where other processes detect. */
  readonly worker: DetectWorker | null
  readonly sourcesReadable: boolean
  /** Why enforcement is latched to observe, or null. */
  readonly latched: string | null
}

/** Whether each part that must work does. */
export async function readinessChecks(parts: ReadinessParts): Promise<readonly ReadinessCheck[]> {
  const { store, opened, worker, sourcesReadable, latched } = parts
  const [stored, logged] = await Promise.all([
    health('store', store.name, () => store.check()),
    opened.kafka === null
      ? { name: 'log', ok: true, detail: 'embedded' }
      : health('log', 'kafka', () => opened.kafka!.topics()),
  ])
  const [gap] = opened.stopped.values()
  const detecting = gap === undefined && (worker === null || worker.healthy)
  const trouble = gap ?? 'waiting for the state store or the log'
  return [
    stored,
    logged,
    { name: 'detection', ok: detecting, detail: detecting ? 'running' : trouble },
    { name: 'enforcement', ok: true, detail: latched ?? 'as the settings say' },
    {
      name: 'sources',
      ok: sourcesReadable,
      detail: sourcesReadable ? 'readable' : 'a source cannot be read',
    },
  ]
}
