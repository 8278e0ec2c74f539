import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../core/errors.ts'
import type { Logger } from '../engine/worker.ts'
import { Pace, sizeOf } from '../ingest/pace.ts'
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
/** Batches of a source that may wait for the log, and their bytes, but for one that is larger by itself. */
const MAX_APPENDS = 4
const MAX_APPEND_BYTES = 8_388_608

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
  const underWay = new Appends()
  let working = false
  const end = () => reading.abort()
  // What is under way is acknowledged before the source closes.
  const finish = () => {
    if (!working) void underWay.settled().then(end)
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
      const bytes = sizeOf(entries)
      await underWay.room(bytes)
      // In a turn of its own, whoever failed in an earlier one has told.
      await new Promise(setImmediate)
      if (underWay.failure !== null) break
      const append = opened.log
        .append(entries)
        .then(() => batch.ack())
        .then(appended)
      underWay.add(append, bytes, end)
      working = false
      if (stop.aborted) finish()
    }
  } finally {
    stop.removeEventListener('abort', finish)
    await underWay.settled()
  }
  if (underWay.failure !== null) throw underWay.failure.error
}

/** Batches on their way to the log. */
class Appends {
  readonly #bytes = new Map<Promise<void>, number>()
  failure: { readonly error: unknown } | null = null

  /** `failed` is called when the append fails. */
  add(append: Promise<void>, bytes: number, failed: () => void): void {
    const done = append
      .catch((error: unknown) => {
        this.failure ??= { error }
        failed()
      })
      .finally(() => this.#bytes.delete(done))
    this.#bytes.set(done, bytes)
  }

  /** Resolves when so many bytes may be added. */
  async room(bytes: number): Promise<void> {
    for (;;) {
      const open = [...this.#bytes.values()].reduce((sum, size) => sum + size, 0)
      const hasRoom = this.#bytes.size < MAX_APPENDS && open + bytes <= MAX_APPEND_BYTES
      if (hasRoom || this.#bytes.size === 0) return
      await Promise.race(this.#bytes.keys())
    }
  }

  async settled(): Promise<void> {
    await Promise.all(this.#bytes.keys())
  }
}
