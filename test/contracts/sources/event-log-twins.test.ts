import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import type { EventLog, LogRecord, PartitionOwner } from '../../../ingest/source.ts'
import {
  EVENT_LOG_CHECK_NAMES,
  EVENT_LOG_CHECKS,
  type EventLogCheck,
  type EventLogHarness,
} from './event-log-contract.ts'

type Append = Parameters<EventLog['append']>[0]

/** A right log in memory; each twin below breaks one thing of it. */
class MemoryLog implements EventLog {
  readonly partitions = 1
  durable: LogRecord[] = []

  async append(records: Append): Promise<void> {
    for (const { source, bytes, receivedAt } of records) {
      this.durable.push({ offset: this.durable.length, source, bytes: new Uint8Array(bytes), receivedAt })
    }
  }

  async read(owner: PartitionOwner, stop: AbortSignal): Promise<void> {
    let position = await owner.assigned(0)
    try {
      position = this.start(position)
      while (!stop.aborted) {
        const records = this.durable.slice(position, position + 1_000)
        position += records.length
        await this.hand(owner, records, position >= this.durable.length)
        if (records.length === 0) await new Promise((resolve) => setTimeout(resolve, 20))
      }
    } finally {
      await this.end(owner)
    }
  }

  async at(_partition: number, offset: number): Promise<LogRecord | null> {
    return this.durable[offset] ?? null
  }

  async release(): Promise<void> {
    this.durable = [...this.durable]
  }

  async close(): Promise<void> {
    await this.release()
  }

  start(position: number): number {
    if (position <= this.durable.length) return position
    throw new CurfewError('LOG_GAP', 'beyond the end')
  }

  async hand(owner: PartitionOwner, records: readonly LogRecord[], caughtUp: boolean): Promise<void> {
    await owner.records(0, records, caughtUp)
  }

  async end(owner: PartitionOwner): Promise<void> {
    await owner.revoked(0)
  }
}

class AcknowledgesBeforeDurable extends MemoryLog {
  readonly #late: Append[number][] = []
  override async append(records: Append): Promise<void> {
    this.#late.push(...records)
    setTimeout(() => void super.append(this.#late.splice(0)), 30)
  }
}

class Reorders extends MemoryLog {
  override async append(records: Append): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, (this.#calls++ % 3) * 5))
    await super.append(records)
  }
  #calls = 0
}

class LosesTheSource extends MemoryLog {
  override append(records: Append): Promise<void> {
    return super.append(records.map((record) => ({ ...record, source: '' })))
  }
}

class SkipsAGap extends MemoryLog {
  override start(position: number): number {
    return Math.min(position, this.durable.length)
  }
}

class SkipsRecords extends MemoryLog {
  override async hand(
    owner: PartitionOwner,
    records: readonly LogRecord[],
    caughtUp: boolean,
  ): Promise<void> {
    await super.hand(owner, records.length > 9 ? records.slice(1) : records, caughtUp)
  }
}

class RemembersThePositionItself extends MemoryLog {
  #position = 0
  override start(): number {
    return this.#position
  }
  override async hand(
    owner: PartitionOwner,
    records: readonly LogRecord[],
    caughtUp: boolean,
  ): Promise<void> {
    await super.hand(owner, records, caughtUp)
    this.#position += records.length
  }
}

class DoesNotWait extends MemoryLog {
  override async hand(
    owner: PartitionOwner,
    records: readonly LogRecord[],
    caughtUp: boolean,
  ): Promise<void> {
    void super.hand(owner, records, caughtUp)
  }
}

class AlwaysCaughtUp extends MemoryLog {
  override hand(owner: PartitionOwner, records: readonly LogRecord[]): Promise<void> {
    return super.hand(owner, records, true)
  }
}

class SilentWhenIdle extends MemoryLog {
  override async hand(
    owner: PartitionOwner,
    records: readonly LogRecord[],
    caughtUp: boolean,
  ): Promise<void> {
    if (records.length > 0) await super.hand(owner, records, caughtUp)
  }
}

class NeverRevokes extends MemoryLog {
  override end(): Promise<void> {
    return Promise.resolve()
  }
}

class SwallowsErrors extends MemoryLog {
  override async hand(
    owner: PartitionOwner,
    records: readonly LogRecord[],
    caughtUp: boolean,
  ): Promise<void> {
    await super.hand(owner, records, caughtUp).catch(() => undefined)
  }
}

class FindsNothing extends MemoryLog {
  override async at(): Promise<null> {
    return null
  }
}

class MisplacesEvents extends MemoryLog {
  #last: Pick<LogRecord, 'events'> = {}
  override async append(records: Append): Promise<void> {
    const first = this.durable.length
    await super.append(records)
    for (const [i, { events }] of records.entries()) {
      this.durable[first + i] = { ...this.durable[first + i]!, ...this.#last }
      this.#last = events === undefined ? {} : { events }
    }
  }
}

const TWINS: readonly (readonly [new () => MemoryLog, EventLogCheck])[] = [
  [AcknowledgesBeforeDurable, 'an acknowledged record survives the death of the process'],
  [Reorders, 'keeps the order of appends that are under way together'],
  [LosesTheSource, 'delivers bytes, source, time and offsets as appended'],
  [SkipsAGap, 'a position that the log does not hold is LOG_GAP, not another position'],
  [SkipsRecords, 'offsets have no holes, over what was there before and what comes live'],
  [RemembersThePositionItself, 'starts where the owner says, every time'],
  [DoesNotWait, 'waits for the owner and never overlaps two calls'],
  [AlwaysCaughtUp, 'says when it is caught up, also when nothing comes'],
  [SilentWhenIdle, 'an empty log makes idle calls too'],
  [NeverRevokes, 'stopping tells the owner once and last'],
  [SwallowsErrors, 'a failing owner ends the reading with its error'],
  [FindsNothing, 'reads back one record, before and while it is read'],
  [MisplacesEvents, 'a record comes with the events that it was appended with, or with none'],
]

function harnessOf(make: new () => MemoryLog): EventLogHarness {
  return {
    patienceMs: 1_000,
    open: async () => new make(),
    afterCrash: async (log) => {
      const next = new make()
      if (log instanceof MemoryLog) next.durable = [...log.durable]
      return next
    },
  }
}

describe('event log contract', () => {
  it.each(EVENT_LOG_CHECK_NAMES)('a right log passes: %s', (name) =>
    EVENT_LOG_CHECKS[name](harnessOf(MemoryLog)),
  )

  it.each(TWINS.map(([twin, check]) => [twin.name, check, twin] as const))(
    '%s fails: %s',
    async (_, check, twin) => {
      await expect(EVENT_LOG_CHECKS[check](harnessOf(twin))).rejects.toThrow()
    },
  )

  it('has a twin for every check', () => {
    expect(TWINS.map(([, check]) => check).sort()).toEqual([...EVENT_LOG_CHECK_NAMES].sort())
  })
})
