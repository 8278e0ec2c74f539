import { setTimeout as sleep } from 'node:timers/promises'
import { expect } from 'vitest'
import type { EventLog, LogRecord, PartitionOwner } from '../../../ingest/source.ts'
import { call, consumer } from '../../scenarios/engine/traffic.ts'

/** How the checks get at logs. Every `open` begins with an empty log. */
export interface EventLogHarness {
  /** Reads go to partition 0. Idle calls should come every 100 ms or so. */
  open(): Promise<EventLog>
  /** Another instance over what is durable of `log`, whose process is taken to have died. */
  afterCrash(log: EventLog): Promise<EventLog>
  /** After so long a thing that should happen counts as missing. */
  readonly patienceMs: number
}

const WAIT_STEP_MS = 20
export const IDLE_MS = 100

async function until(harness: EventLogHarness, what: string, condition: () => boolean): Promise<void> {
  for (let step = 0; step * WAIT_STEP_MS < harness.patienceMs; step += 1) {
    if (condition()) return
    await sleep(WAIT_STEP_MS)
  }
  throw new Error(`never happened: ${what}`)
}

interface Call {
  readonly kind: 'assigned' | 'records' | 'revoked'
  readonly offsets: readonly number[]
  readonly caughtUp: boolean
}

/** Writes down what it is told about partition 0 and notices overlapping calls. */
class Witness implements PartitionOwner {
  readonly start: number
  readonly calls: Call[] = []
  readonly received: LogRecord[] = []
  overlaps = 0
  #busy = false

  constructor(start: number) {
    this.start = start
  }

  assigned(partition: number): Promise<number> {
    return this.#call(partition, { kind: 'assigned', offsets: [], caughtUp: false }, () => undefined).then(
      () => (partition === 0 ? this.start : 0),
    )
  }

  records(partition: number, records: readonly LogRecord[], caughtUp: boolean): Promise<void> {
    const offsets = records.map((record) => record.offset)
    return this.#call(partition, { kind: 'records', offsets, caughtUp }, () => this.received.push(...records))
  }

  revoked(partition: number): Promise<void> {
    return this.#call(partition, { kind: 'revoked', offsets: [], caughtUp: false }, () => undefined)
  }

  async #call(partition: number, call: Call, effect: () => unknown): Promise<void> {
    if (partition !== 0) return
    if (this.#busy) this.overlaps += 1
    this.#busy = true
    this.calls.push(call)
    await sleep(5)
    effect()
    this.#busy = false
  }
}

function entry(text: string, receivedAt = 1_700_000_000_000) {
  return { partition: 0, source: 'kong', bytes: Buffer.from(text), receivedAt }
}

/** An entry with an event that is known by its text. */
function eventful(text: string) {
  return { ...entry(text), events: [call(0, consumer('etl'), { id: text })] }
}

function texts(records: readonly LogRecord[]): string[] {
  return records.map((record) => Buffer.from(record.bytes).toString())
}

const numbers = (count: number) => Array.from({ length: count }, (_, i) => `line ${i}`)

/** Reads from `start` until `count` records came. */
async function readSome(
  harness: EventLogHarness,
  log: EventLog,
  start: number,
  count: number,
): Promise<Witness> {
  const witness = new Witness(start)
  const stop = new AbortController()
  const reading = log.read(witness, stop.signal)
  try {
    await Promise.race([reading, until(harness, `${count} records`, () => witness.received.length >= count)])
  } finally {
    stop.abort()
    await reading
  }
  return witness
}

type Check = (harness: EventLogHarness) => Promise<void>

/** What every event log must do. A check fails by throwing. */
export const EVENT_LOG_CHECKS = {
  'delivers bytes, source, time and offsets as appended': async (harness) => {
    const log = await harness.open()
    await log.append([entry('a', 5), entry('b\n\u0000ü', 6.5)])
    const { received } = await readSome(harness, log, 0, 2)
    expect(texts(received)).toEqual(['a', 'b\n\u0000ü'])
    expect(received.map(({ offset, source, receivedAt }) => [offset, source, receivedAt])).toEqual([
      [0, 'kong', 5],
      [1, 'kong', 6.5],
    ])
    await log.close()
  },
  'an acknowledged record survives the death of the process': async (harness) => {
    const log = await harness.open()
    await log.append(numbers(50).map((text) => entry(text)))
    const next = await harness.afterCrash(log)
    const { received } = await readSome(harness, next, 0, 50)
    expect(texts(received)).toEqual(numbers(50))
    await next.close()
  },
  'keeps the order of appends that are under way together': async (harness) => {
    const log = await harness.open()
    await Promise.all(numbers(60).map((text) => log.append([entry(text)])))
    const { received } = await readSome(harness, log, 0, 60)
    expect(texts(received)).toEqual(numbers(60))
    await log.close()
  },
  'offsets have no holes, over what was there before and what comes live': async (harness) => {
    const log = await harness.open()
    await log.append(numbers(2_500).map((text) => entry(text)))
    const witness = new Witness(0)
    const stop = new AbortController()
    const reading = log.read(witness, stop.signal)
    await until(harness, 'the first records', () => witness.received.length > 0)
    await log.append(numbers(10).map((text) => entry(text)))
    await until(harness, 'all records', () => witness.received.length >= 2_510)
    stop.abort()
    await reading
    expect(witness.received.map((record) => record.offset)).toEqual(
      Array.from({ length: 2_510 }, (_, i) => i),
    )
    await log.close()
  },
  'starts where the owner says, every time': async (harness) => {
    const log = await harness.open()
    await log.append(numbers(20).map((text) => entry(text)))
    expect(texts((await readSome(harness, log, 0, 20)).received)).toEqual(numbers(20))
    expect(texts((await readSome(harness, log, 7, 13)).received)).toEqual(numbers(20).slice(7))
    await log.close()
  },
  'a position that the log does not hold is LOG_GAP, not another position': async (harness) => {
    const log = await harness.open()
    await log.append(numbers(3).map((text) => entry(text)))
    const witness = new Witness(9)
    await expect(log.read(witness, AbortSignal.timeout(harness.patienceMs))).rejects.toMatchObject({
      code: 'LOG_GAP',
    })
    expect(witness.received).toEqual([])
    await log.close()
  },
  'waits for the owner and never overlaps two calls': async (harness) => {
    const log = await harness.open()
    await log.append(numbers(3_000).map((text) => entry(text)))
    const witness = await readSome(harness, log, 0, 3_000)
    expect(witness.overlaps).toBe(0)
    await log.close()
  },
  'says when it is caught up, also when nothing comes': async (harness) => {
    const log = await harness.open()
    await log.append(numbers(2_500).map((text) => entry(text)))
    const witness = new Witness(0)
    const stop = new AbortController()
    const reading = log.read(witness, stop.signal)
    const idle = () => witness.calls.filter((call) => call.kind === 'records' && call.offsets.length === 0)
    await until(harness, 'idle calls', () => witness.received.length === 2_500 && idle().length >= 2)
    stop.abort()
    await reading
    const first = witness.calls.findIndex((call) => call.caughtUp)
    expect(witness.calls.slice(0, first + 1).flatMap((call) => call.offsets).length).toBe(2_500)
    expect(idle().every((call) => call.caughtUp)).toBe(true)
    await log.close()
  },
  'an empty log makes idle calls too': async (harness) => {
    const log = await harness.open()
    const witness = new Witness(0)
    const stop = new AbortController()
    const reading = log.read(witness, stop.signal)
    await until(harness, 'an idle call', () =>
      witness.calls.some((call) => call.kind === 'records' && call.caughtUp),
    )
    stop.abort()
    await reading
    await log.close()
  },
  'stopping tells the owner once and last': async (harness) => {
    const log = await harness.open()
    await log.append([entry('a')])
    const { calls } = await readSome(harness, log, 0, 1)
    expect(calls[0]?.kind).toBe('assigned')
    expect(calls.filter((call) => call.kind === 'revoked').length).toBe(1)
    expect(calls.at(-1)?.kind).toBe('revoked')
    await log.close()
  },
  'a failing owner ends the reading with its error': async (harness) => {
    const log = await harness.open()
    await log.append([entry('a')])
    const owner: PartitionOwner = {
      assigned: async () => 0,
      records: async (partition) => {
        if (partition === 0) throw new Error('the store is gone')
      },
      revoked: async () => undefined,
    }
    await expect(log.read(owner, AbortSignal.timeout(harness.patienceMs))).rejects.toThrow(
      'the store is gone',
    )
    await log.close()
  },
  'reads back one record, before and while it is read': async (harness) => {
    const log = await harness.open()
    await log.append(numbers(5).map((text) => entry(text)))
    const found = await log.at(0, 3)
    expect(found === null ? [] : texts([found])).toEqual(['line 3'])
    expect(await log.at(0, 5)).toBeNull()
    const looked: (LogRecord | null)[] = []
    const witness = new Witness(0)
    const stop = new AbortController()
    const reading = log.read(
      {
        assigned: async (partition) => {
          if (partition === 0) looked.push(await log.at(0, 4))
          return partition === 0 ? 5 : 0
        },
        records: (partition, records, caughtUp) => witness.records(partition, records, caughtUp),
        revoked: (partition) => witness.revoked(partition),
      },
      stop.signal,
    )
    await until(harness, 'the look', () => looked.length === 1)
    await log.append([entry('next')])
    await until(harness, 'the next record', () => witness.received.length === 1)
    stop.abort()
    await reading
    expect(looked.map((record) => record?.offset)).toEqual([4])
    expect(texts(witness.received)).toEqual(['next'])
    await log.close()
  },
  'a record comes with the events that it was appended with, or with none': async (harness) => {
    const log = await harness.open()
    const witness = new Witness(0)
    const stop = new AbortController()
    const reading = log.read(witness, stop.signal)
    await log.append([entry('without')])
    await until(harness, 'the first record', () => witness.received.length === 1)
    for (const text of numbers(30)) await log.append([eventful(text), eventful(`second ${text}`)])
    await until(harness, 'all records', () => witness.received.length === 61)
    stop.abort()
    await reading
    for (const { bytes, events } of witness.received) {
      const text = Buffer.from(bytes).toString()
      if (text === 'without') expect(events).toBeUndefined()
      else expect([undefined, text]).toContain(events?.map((event) => event.id).join())
    }
    await log.close()
  },
} as const satisfies Record<string, Check>

export type EventLogCheck = keyof typeof EVENT_LOG_CHECKS
export const EVENT_LOG_CHECK_NAMES = Object.keys(EVENT_LOG_CHECKS) as EventLogCheck[]
