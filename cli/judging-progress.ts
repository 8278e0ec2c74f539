import type { Clock } from '../core/time.ts'
import type { LogRecord, PartitionOwner } from '../ingest/source.ts'

interface Progress {
  at: number
  lagMs: number
}

/** A log that has not asked for so long has stopped asking. */
const IDLE_MS = 5_000
/** Raw records older than this when they are read say that their reader is catching up; */
const BEHIND_MS = 30_000
/** until newer ones come, or none for so long that there are none. */
const FRESH_MS = 60_000

/** How far judging and reading are behind, measured where the records pass by. */
export class JudgingProgress {
  private readonly clock: Clock
  private readonly partitions = new Map<number, Progress>()
  private readonly reading = new Map<string, { readonly source: string; at: number; receivedAt: number }>()
  private lagSince = 0

  constructor(clock: Clock) {
    this.clock = clock
  }

  /** The same owner, with its pace measured. */
  watch(owner: PartitionOwner): PartitionOwner {
    return {
      assigned: async (partition) => {
        const next = await owner.assigned(partition)
        this.partitions.set(partition, { at: this.clock.now(), lagMs: 0 })
        return next
      },
      records: async (partition, records, caughtUp) => {
        await owner.records(partition, records, caughtUp)
        this.note(partition, records, caughtUp)
      },
      revoked: async (partition) => {
        await owner.revoked(partition)
        this.partitions.delete(partition)
      },
    }
  }

  private note(partition: number, records: readonly LogRecord[], caughtUp: boolean): void {
    const now = this.clock.now()
    const last = records.at(-1)
    const lagMs = last === undefined ? 0 : Math.max(0, now - last.receivedAt)
    if (last === undefined && !caughtUp) return
    const progress = this.partitions.get(partition)
    if (progress === undefined) this.partitions.set(partition, { at: now, lagMs })
    else {
      progress.at = now
      progress.lagMs = lagMs
    }
    this.lagSince = Math.max(this.lagSince, lagMs)
  }

  /** How long the newest judged record of each partition had waited, ms. */
  *lags(): Iterable<readonly [partition: number, lagMs: number]> {
    for (const [partition, { lagMs }] of this.partitions) yield [partition, lagMs]
  }

  /** Raw records of a source were read. */
  read(source: string, topic: string, partition: number, receivedAt: number): void {
    const key = `${source}/${topic}/${partition}`
    const known = this.reading.get(key)
    if (known === undefined) this.reading.set(key, { source, at: this.clock.now(), receivedAt })
    else {
      known.at = this.clock.now()
      known.receivedAt = receivedAt
    }
  }

  /** Largest lag since the last call, ms. */
  takeLag(): number {
    const now = this.clock.now()
    let lag = this.lagSince
    this.lagSince = 0
    for (const { at, lagMs } of this.partitions.values()) {
      if (now - at > IDLE_MS) lag = Math.max(lag, now - at + lagMs)
    }
    return lag
  }

  /** For each source that is catching up: receipt time up to which it was read, epoch ms. */
  frontiers(): Record<string, number> {
    const now = this.clock.now()
    const frontiers: Record<string, number> = {}
    for (const { source, at, receivedAt } of this.reading.values()) {
      if (now - at > FRESH_MS || at - receivedAt <= BEHIND_MS) continue
      frontiers[source] = Math.min(frontiers[source] ?? receivedAt, receivedAt)
    }
    return frontiers
  }
}
