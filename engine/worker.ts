import type { OutboxEntry, StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import type { Detector } from '../detectors/detector.ts'
import type { EventLog, LogRecord, PartitionOwner } from '../ingest/source.ts'
import { encodeEffect } from './control-records.ts'
import { takenByAll } from './outbox-cursor.ts'
import { type Decode, OwnedPartition, verifyResumePoint } from './owned-partition.ts'
import { Partition, type PartitionObserver } from './partition.ts'
import { PartitionState } from './partition-state.ts'
import type { EngineSettings } from './settings.ts'

/** What the worker writes to its log. */
export interface Logger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** Measurements of the worker's own work. */
export interface WorkerObserver extends PartitionObserver {
  checkpointed(durationMs: number, bytes: number, ok: boolean): void
  ownership(partitions: number): void
}

export interface WorkerOptions {
  readonly store: StateStore
  readonly log: EventLog
  readonly detectors: readonly Detector[]
  /** Settings for a partition that has no state yet. */
  readonly settings: () => EngineSettings
  readonly maxPrincipals: number
  readonly identityKey: Uint8Array
  readonly seed: number
  readonly decode: Decode
  readonly observer: WorkerObserver
  readonly onOutbox: (partition: number, entries: readonly Omit<OutboxEntry, 'seq'>[]) => void
  /** Told when the store no longer has what a position reflects, before anything is judged. */
  readonly onLost: (detail: string) => Promise<void>
  /** Names of all readers of the outbox; what each of them has taken is removed. None: nothing is. */
  readonly outboxReaders: readonly string[]
  readonly clock: Clock
  readonly logger: Logger
  /** Moves event time when nobody calls; off when a log is replayed whose present is long past. */
  readonly ticks: boolean
}

const CHECKPOINT_MS = 1_000
/** A checkpoint does not wait for its time when so much is dirty: bounds memory, and what a crash repeats. */
const CHECKPOINT_BYTES = 8 * 1024 * 1024
const TRIM_MS = 10_000
/** Multiples of the golden ratio's fraction spread evenly over 0 to 1, however many there are (Weyl sequence). */
const GOLDEN = 0.618_033_988_749
const TICK_MS = 10_000
const REQUESTS_MS = 1_000
const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 5_000
/** Event time lags receipt by at most this before a tick may declare somebody quiet. */
const TICK_LAG_MS = 2_000
/** Where nobody calls and the log is read to its end, knowledge is taken so long after its time has come. */
const KNOWLEDGE_LAG_MS = 120_000

interface Owned {
  readonly part: OwnedPartition
  checkpointAt: number
  requestsAt: number
  tickAt: number
  trimAt: number
  committing: Promise<void> | null
}

/**
 * Owns partitions of the log: loads, folds, checkpoints about each second. A store that cannot be reached
 * holds up its partition, with back-off, and makes the worker unready; a lost epoch drops the partition.
 */
export class DetectWorker implements PartitionOwner {
  private readonly options: WorkerOptions
  private readonly owned = new Map<number, Owned>()
  private failing = 0
  private taken: ReadonlyMap<number, number> = new Map()
  private takenAt = 0
  private readonly stop: AbortSignal

  constructor(options: WorkerOptions, stop: AbortSignal) {
    this.options = options
    this.stop = stop
  }

  /** False while some partition cannot reach the store. */
  get healthy(): boolean {
    return this.failing === 0
  }

  /** The partitions in memory, for reading. */
  partitions(): readonly Partition[] {
    return [...this.owned.values()].map((o) => o.part.partition)
  }

  /** The same, by their numbers. */
  *numbered(): Iterable<readonly [number: number, partition: Partition]> {
    for (const [number, { part }] of this.owned) yield [number, part.partition]
  }

  async assigned(partition: number): Promise<number> {
    const { options } = this
    const part = await this.insist(async () => {
      const store = await options.store.open(partition)
      const { detectors, maxPrincipals, seed, identityKey, decode, observer, onOutbox } = options
      const { partitions } = options.log
      const settings = options.settings()
      const engine = new Partition({ detectors, settings, maxPrincipals, partitions, seed })
      const state = new PartitionState(engine, identityKey)
      const insist = <T>(work: () => Promise<T>) => this.insist(work)
      const owned = new OwnedPartition({
        store,
        partition: engine,
        state,
        decode,
        observer,
        insist,
        onOutbox,
      })
      await owned.load()
      const gone = store.position.offset >= 0 && state.blank
      if (gone || state.lost > 0)
        await options.onLost(
          `partition ${partition} lost ${gone ? 'all' : state.lost} profiles behind its position`,
        )
      if (state.corrupt > 0)
        options.logger.error({ partition, profiles: state.corrupt }, 'corrupt profiles set aside')
      return owned
    })
    const position = part.store.position
    if (position.offset >= 0) {
      verifyResumePoint(
        partition,
        position,
        await this.insist(() => options.log.at(partition, position.offset)),
      )
    }
    const now = options.clock.now()
    this.owned.set(partition, {
      part,
      // Partitions that come together do not checkpoint together: each pauses the folding of all.
      checkpointAt: now + CHECKPOINT_MS * (1 - ((partition * GOLDEN) % 1)),
      requestsAt: 0,
      tickAt: 0,
      trimAt: 0,
      committing: null,
    })
    options.observer.ownership(this.owned.size)
    return part.offset + 1
  }

  async records(partition: number, records: readonly LogRecord[], caughtUp: boolean): Promise<void> {
    const owned = this.owned.get(partition)
    if (owned === undefined) return
    await this.guarded(partition, async () => {
      await owned.part.fold(records)
      const now = this.options.clock.now()
      if (now >= owned.requestsAt) {
        owned.requestsAt = now + REQUESTS_MS
        await owned.part.takeRequests(caughtUp ? now - KNOWLEDGE_LAG_MS : 0)
      }
      if (caughtUp && this.options.ticks) await this.tick(owned, now)
      if (caughtUp && now >= owned.trimAt) await this.noteTaken(partition, owned, now)
      if (now >= owned.checkpointAt || owned.part.dirtyBytes >= CHECKPOINT_BYTES)
        await this.checkpoint(partition, owned)
    })
  }

  private async tick(owned: Owned, now: number): Promise<void> {
    const time = now - TICK_LAG_MS
    if (now < owned.tickAt || !owned.part.isDue(time)) return
    owned.tickAt = now + TICK_MS
    await owned.part.control('tick', encodeEffect({ kind: 'tick', time }))
  }

  /** Caught up once, whatever an earlier owner folded is folded here: the outbox may lose what all have taken. */
  private async noteTaken(partition: number, owned: Owned, now: number): Promise<void> {
    const { store, outboxReaders } = this.options
    owned.trimAt = now + TRIM_MS
    if (outboxReaders.length === 0) return
    if (now >= this.takenAt) {
      this.takenAt = now + TRIM_MS / 2
      this.taken = await this.insist(() => takenByAll(store, outboxReaders))
    }
    owned.part.entriesTaken(this.taken.get(partition) ?? 0)
  }

  /** Starts a checkpoint; folding goes on while it is written, the next one waits for it. */
  private async checkpoint(partition: number, owned: Owned): Promise<void> {
    if (owned.committing !== null) await owned.committing
    const { clock, observer, log } = this.options
    owned.checkpointAt = clock.now() + CHECKPOINT_MS
    const offset = owned.part.offset
    const taken = owned.part.checkpoint()
    if (taken === null) return
    const started = performance.now()
    const committing = this.insist(() => taken.commit()).then(async () => {
      observer.checkpointed(performance.now() - started, taken.bytes, true)
      await log.release(partition, offset)
    })
    owned.committing = committing
    // Errors surface where the promise is awaited: at the next checkpoint or at hand-over.
    committing.catch(() => observer.checkpointed(performance.now() - started, taken.bytes, false))
  }

  async revoked(partition: number): Promise<void> {
    const owned = this.owned.get(partition)
    if (owned === undefined) return
    await this.guarded(partition, async () => {
      await this.checkpoint(partition, owned)
      await owned.committing
      await owned.part.store.close()
    })
    this.owned.delete(partition)
    this.options.observer.ownership(this.owned.size)
  }

  /** Commits everything; for a graceful stop. */
  async close(): Promise<void> {
    for (const partition of [...this.owned.keys()]) await this.revoked(partition)
  }

  /** A partition whose epoch was taken is somebody else's: drop it and write nothing more. */
  private async guarded(partition: number, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (
        !(error instanceof CurfewError) ||
        (error.code !== 'STORE_FENCED' && error.code !== 'STORE_CONFLICT')
      )
        throw error
      this.options.logger.warn({ partition, code: error.code }, 'partition has another owner now')
      this.owned.delete(partition)
      this.options.observer.ownership(this.owned.size)
    }
  }

  /** Repeats while the store or log is unreachable; other failures pass through. */
  private async insist<T>(work: () => Promise<T>): Promise<T> {
    let wait = RETRY_MIN_MS
    let failed = false
    try {
      for (;;) {
        try {
          return await work()
        } catch (error) {
          if (!(error instanceof CurfewError) || !error.retriable || this.stop.aborted) throw error
          if (!failed) {
            failed = true
            this.failing++
            this.options.logger.warn(
              { code: error.code, detail: error.message },
              'waiting for the state store or the log',
            )
          }
          await new Promise((resolve) => setTimeout(resolve, wait))
          wait = Math.min(RETRY_MAX_MS, wait * 2)
        }
      }
    } finally {
      if (failed) this.failing--
    }
  }
}
