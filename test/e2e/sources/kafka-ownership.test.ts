import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import type { LogRecord, PartitionOwner } from '../../../ingest/source.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { KafkaEventLog, type KafkaEventLogOptions } from '../../../ingest/sources/kafka-event-log.ts'
import { KafkaSource } from '../../../ingest/sources/kafka-source.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'

const PARTITIONS = 4

async function until(what: string, condition: () => boolean): Promise<void> {
  for (let step = 0; step < 3_000; step += 1) {
    if (condition()) return
    await sleep(20)
  }
  throw new Error(`never happened: ${what}`)
}

/** Stands for the state store that all workers share: positions per partition, and who wrote last. */
class SharedState {
  readonly next = new Map<number, number>()
  readonly texts = new Map<number, string[]>()
  readonly epochs = new Map<number, number>()

  count(): number {
    return [...this.texts.values()].reduce((sum, list) => sum + list.length, 0)
  }
}

/** A worker whose writes are refused once another worker opened the partition. */
class Worker implements PartitionOwner {
  readonly owned = new Set<number>()
  readonly #state: SharedState
  readonly #epochs = new Map<number, number>()

  constructor(state: SharedState) {
    this.#state = state
  }

  async assigned(partition: number): Promise<number> {
    const epoch = (this.#state.epochs.get(partition) ?? 0) + 1
    this.#state.epochs.set(partition, epoch)
    this.#epochs.set(partition, epoch)
    this.owned.add(partition)
    return this.#state.next.get(partition) ?? 0
  }

  async records(partition: number, records: readonly LogRecord[]): Promise<void> {
    await sleep(1)
    // The store fences; a worker that lost the partition has no effect.
    if (this.#state.epochs.get(partition) !== this.#epochs.get(partition)) return
    const texts = this.#state.texts.get(partition) ?? []
    this.#state.texts.set(partition, texts)
    for (const record of records) {
      expect(record.offset).toBe(this.#state.next.get(partition) ?? 0)
      texts.push(Buffer.from(record.bytes).toString())
      this.#state.next.set(partition, record.offset + 1)
    }
  }

  async revoked(partition: number): Promise<void> {
    this.owned.delete(partition)
  }
}

describe('ownership of partitions on a real broker', () => {
  let kafka: KafkaService
  let client: KafkaClient
  beforeAll(async () => {
    kafka = await startKafka()
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'ownership', requestTimeoutMs: 5_000 })
  })
  afterAll(async () => {
    await client?.close()
    await kafka?.stop()
  })
  const openLog = (topic: string, more: Partial<KafkaEventLogOptions> = {}) =>
    KafkaEventLog.open(client, {
      topic,
      partitions: PARTITIONS,
      groupId: `${topic}-group`,
      idleMs: 100,
      maxWaitMs: 20,
      sessionTimeoutMs: 6_000,
      ...more,
    })
  const appendLines = async (log: KafkaEventLog, from: number, count: number) => {
    const records = Array.from({ length: count }, (_, i) => ({
      partition: (from + i) % PARTITIONS,
      source: 's',
      bytes: Buffer.from(`line ${from + i}`),
      receivedAt: 1,
    }))
    await log.append(records)
  }

  it('hands its own records on at once, and misses nothing that another process writes in between', async () => {
    const state = new SharedState()
    const own = await openLog('own-and-foreign')
    const foreign = await openLog('own-and-foreign')
    const stop = new AbortController()
    const reading = own.read(new Worker(state), stop.signal)
    const all = (count: number) => until(`${count} records`, () => state.count() === count)
    // Alone long enough that nothing is fetched any more.
    for (let i = 0; i < 100; i++) await appendLines(own, i * PARTITIONS, PARTITIONS)
    await all(400)
    // One record that only a fetch can bring, and nothing of our own behind it.
    await appendLines(foreign, 400, 1)
    await all(401)
    // Both at once, again and again; the worker refuses a record out of its turn.
    for (let round = 0; round < 30; round++) {
      const from = 401 + round * 20
      await Promise.all([appendLines(own, from, 15), appendLines(foreign, from + 15, 5)])
    }
    await all(1_001)
    expect(new Set([...state.texts.values()].flat()).size).toBe(1_001)
    stop.abort()
    await reading
    await Promise.all([own.close(), foreign.close()])
  })

  it('workers come and go: every record takes effect once, in order', async () => {
    const state = new SharedState()
    const logs = [await openLog('handover'), await openLog('handover')]
    const workers = [new Worker(state), new Worker(state)]
    const stops = [new AbortController(), new AbortController()]
    const [first, second] = logs
    if (first === undefined || second === undefined) throw new Error('two logs')
    await appendLines(first, 0, 400)
    const readingFirst = first.read(workers[0]!, stops[0]!.signal)
    await until('the first worker owns all', () => workers[0]?.owned.size === PARTITIONS)
    const readingSecond = second.read(workers[1]!, stops[1]!.signal)
    await appendLines(first, 400, 400)
    await until('both own some', () => workers[0]?.owned.size === 2 && workers[1]?.owned.size === 2)
    await appendLines(first, 800, 400)
    stops[0]!.abort()
    await readingFirst
    expect(workers[0]?.owned.size).toBe(0)
    await until('the second worker owns all', () => workers[1]?.owned.size === PARTITIONS)
    await appendLines(first, 1_200, 400)
    await until('all records', () => state.count() >= 1_600)
    stops[1]!.abort()
    await readingSecond
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const expected = Array.from({ length: 400 }, (_, i) => `line ${i * PARTITIONS + partition}`)
      expect(state.texts.get(partition)).toEqual(expected)
    }
    for (const log of logs) await log.close()
  })

  it('outlives a broker that freezes and one that dies', async () => {
    const state = new SharedState()
    const log = await openLog('outage')
    const worker = new Worker(state)
    const stop = new AbortController()
    await appendLines(log, 0, 40)
    const reading = log.read(worker, stop.signal)
    await until('the first records', () => state.count() >= 40)
    kafka.pause()
    await sleep(500)
    kafka.resume()
    await appendLines(log, 40, 40)
    await until('records after the pause', () => state.count() >= 80)
    await kafka.kill()
    await kafka.restart()
    await appendLines(log, 80, 40)
    await until('records after the death', () => state.count() >= 120)
    stop.abort()
    await reading
    await log.close()
    // An append whose answer was lost is written again; the engine counts it once by its source position.
    expect(new Set([...state.texts.values()].flat()).size).toBe(120)
  })

  it('stops and reports the one partition whose position is wrong', async () => {
    const stopped: [number, CurfewError][] = []
    const log = await openLog('gap', {
      onPartitionStopped: (partition, error) => stopped.push([partition, error]),
    })
    const state = new SharedState()
    state.next.set(1, 500)
    const worker = new Worker(state)
    const stop = new AbortController()
    await appendLines(log, 0, 40)
    const reading = log.read(worker, stop.signal)
    await until('the other partitions', () => state.count() >= 30 && stopped.length === 1)
    await until('the end of ownership', () => !worker.owned.has(1))
    expect(stopped.map(([partition, error]) => [partition, error.code])).toEqual([[1, 'LOG_GAP']])
    expect(stopped[0]?.[1].message).toContain('record 500 of gap/1 is missing')
    stop.abort()
    await reading
    await log.close()
  })

  it('stops and reports the one partition whose owner does not recognise the log', async () => {
    const stopped: [number, CurfewError][] = []
    const log = await openLog('replaced', {
      onPartitionStopped: (partition, error) => stopped.push([partition, error]),
    })
    const state = new SharedState()
    class Refusing extends Worker {
      override async assigned(partition: number): Promise<number> {
        if (partition === 2) throw new CurfewError('LOG_GAP', 'the topic was replaced')
        return super.assigned(partition)
      }
    }
    const stop = new AbortController()
    await appendLines(log, 0, 40)
    const reading = log.read(new Refusing(state), stop.signal)
    await until('the other partitions', () => state.count() >= 30 && stopped.length === 1)
    expect(stopped.map(([partition, error]) => [partition, error.message])).toEqual([
      [2, 'the topic was replaced'],
    ])
    stop.abort()
    await reading
    await log.close()
  })

  it('refuses a topic with another number of partitions', async () => {
    await client.createTopic('narrow', 2)
    await expect(openLog('narrow')).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
  })

  it('a raw source that shares its group loses nothing when members come and go', async () => {
    await client.createTopic('raw', PARTITIONS)
    const producer = client.producer()
    const send = (from: number) =>
      producer.send(
        'raw',
        Array.from({ length: 400 }, (_, i) => ({
          partition: i % PARTITIONS,
          value: Buffer.from(`${from + i}`),
        })),
      )
    await send(0)
    const seen = new Map<string, number>()
    const consume = async (stop: AbortSignal) => {
      const source = new KafkaSource(client, {
        name: 'edge',
        topics: ['raw'],
        groupId: 'raw-group',
        maxWaitMs: 20,
      })
      for await (const batch of source.batches(stop)) {
        for (const record of batch.records) {
          const text = Buffer.from(record.bytes).toString()
          seen.set(text, (seen.get(text) ?? 0) + 1)
        }
        await batch.ack()
      }
    }
    const stops = [new AbortController(), new AbortController()]
    const first = consume(stops[0]!.signal)
    await until('the first records', () => seen.size >= 400)
    const second = consume(stops[1]!.signal)
    await send(400)
    await until('records of both', () => seen.size >= 800)
    stops[0]!.abort()
    await first
    await send(800)
    await until('all records', () => seen.size >= 1_200)
    stops[1]!.abort()
    await second
    await producer.close()
    expect(seen.size).toBe(1_200)
  })
})
