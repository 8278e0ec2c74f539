import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../core/errors.ts'
import type { Logger } from '../engine/worker.ts'
import { Pace } from '../ingest/pace.ts'
import type { Ingest, PulledSource } from './build-ingest.ts'
import type { OpenedLog } from './build-storage.ts'

export interface Pulling {
  readonly opened: OpenedLog
  readonly ingest: Ingest
  readonly logger: Logger
  readonly stop: AbortSignal
  /** Told whether the sources can be read. */
  readonly readable: (is: boolean) => void
  /** Called when a source cannot be read and trying again will not help. */
  readonly fail: (error: unknown) => void
}

const RETRY_MIN_MS = 250
const RETRY_MAX_MS = 10_000
/** Batches of a source that may wait for the log. */
const MAX_APPENDS = 4

/** Reads one source for as long as it goes on; an unreachable one is tried again. */
export async function pull(pulled: PulledSource, parts: Pulling): Promise<void> {
  const { stop, logger, readable, fail } = parts
  const pace = new Pace()
  let wait = RETRY_MIN_MS
  const appended = () => {
    wait = RETRY_MIN_MS
    readable(true)
  }
  while (!stop.aborted) {
    try {
      await readOn(pulled, parts, pace, appended)
      return
    } catch (error) {
      if (stop.aborted) return
      if (!(error instanceof CurfewError) || !error.retriable) return fail(error)
      readable(false)
      logger.warn(
        { source: pulled.source.name, detail: error.message },
        'source cannot be read, trying again',
      )
      await sleep(wait)
      wait = Math.min(RETRY_MAX_MS, wait * 2)
    }
  }
}

/**
 * Some batches are appended while the next is normalised: what waits for the log shares its next write. The log
 * keeps their order and fails all behind one that failed. Nothing may be appended once one has: it would make
 * that one look as if it were delivered again.
 */
async function readOn(
  pulled: PulledSource,
  { opened, ingest, stop }: Pulling,
  pace: Pace,
  appended: () => void,
): Promise<void> {
  const { source } = pulled
  const reading = new AbortController()
  /** The last appends, oldest first. */
  const appends: Promise<void>[] = []
  let hasFailed = false
  let working = false
  const end = () => reading.abort()
  // What is under way is acknowledged before the source closes.
  const finish = () => {
    if (!working) void Promise.allSettled(appends).then(end)
  }
  stop.addEventListener('abort', finish, { once: true })
  if (stop.aborted) finish()
  try {
    for await (const batch of source.batches(reading.signal)) {
      if (stop.aborted) continue
      working = true
      const entries =
        opened.kafka === null
          ? batch.records.flatMap((record) => ingest.sealed(pulled, record))
          : await ingest.normalised(opened.log, source.name, batch.records, pace)
      if (appends.length >= MAX_APPENDS) await appends.shift()
      // In a turn of its own, whoever failed in an earlier one has told.
      await new Promise(setImmediate)
      if (hasFailed) break
      const append = opened.log
        .append(entries)
        .then(() => batch.ack())
        .then(appended)
      append.catch(() => {
        hasFailed = true
        end()
      })
      appends.push(append)
      working = false
      if (stop.aborted) finish()
    }
  } finally {
    stop.removeEventListener('abort', finish)
    await Promise.allSettled(appends)
    await Promise.all(appends)
  }
}
