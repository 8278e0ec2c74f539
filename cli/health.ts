import { setTimeout as pause } from 'node:timers/promises'
import type { ReadinessCheck } from '../engine/control-plane.ts'

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
