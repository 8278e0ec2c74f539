import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { PulledSource } from '../../../cli/build-ingest.ts'
import type { OpenedLog } from '../../../cli/build-storage.ts'
import { pull } from '../../../cli/pulling.ts'
import { CurfewError } from '../../../core/errors.ts'
import type { EventLog, RawBatch, SourcedRecord } from '../../../ingest/source.ts'
import { deferred } from '../../../ingest/sources/deferred.ts'
import { quietLogger } from '../../services/decision-ledger.ts'
import { ingestOf } from './ingest-rig.ts'

function recordOf(offset: number): SourcedRecord {
  const principal = '{"kind":"sub","id":"etl","label":"etl","verified":true}'
  const line = `{"id":"ca-${offset}","time":1788775200000,"principal":${principal},"status":200,"method":"GET","path":"/v1/orders"}`
  return {
    source: 'edge',
    bytes: Buffer.from(line),
    receivedAt: 1_788_775_200_000,
    topic: 'raw',
    partition: 0,
    offset,
  }
}

/** Gives one record per batch, or many copies of it, from the first that is not acknowledged at each start, until it is stopped. */
class NumberedSource {
  readonly name = 'edge'
  readonly acknowledged = new Set<number>()
  given = 0
  readonly #count: number
  readonly #copies: number
  constructor(count: number, copies = 1) {
    this.#count = count
    this.#copies = copies
  }
  async *batches(stop: AbortSignal): AsyncGenerator<RawBatch> {
    let offset = 0
    while (this.acknowledged.has(offset)) offset++
    for (; offset < this.#count && !stop.aborted; offset++) {
      this.given++
      const at = offset
      yield {
        records: Array(this.#copies).fill(recordOf(at)),
        ack: async () => void this.acknowledged.add(at),
      }
    }
    if (this.acknowledged.size < this.#count || !stop.aborted)
      await new Promise<void>((resolve) => {
        if (stop.aborted) resolve()
        stop.addEventListener('abort', () => resolve(), { once: true })
      })
  }
}

/** Answers each append as the test says; `appended` are the ids of what became durable, in its order. */
class HeldLog {
  readonly partitions = 1
  readonly appended: string[] = []
  readonly answers: ReturnType<typeof deferred<void>>[] = []
  append: EventLog['append'] = async (records) => {
    const answer = deferred<void>()
    this.answers.push(answer)
    await answer.promise
    for (const { bytes } of records) this.appended.push(/ca-\d+/.exec(Buffer.from(bytes).toString())![0])
  }
}

async function eventually(done: () => boolean): Promise<void> {
  for (let i = 0; i < 1_000 && !done(); i++) await sleep(5)
  expect(done()).toBe(true)
}

function pulling(source: NumberedSource, log: HeldLog) {
  const stop = new AbortController()
  const failures: unknown[] = []
  const pulled: PulledSource = { source, lasting: true, close: async () => undefined }
  const opened = { kafka: {}, log } as unknown as OpenedLog
  const ended = pull(pulled, {
    opened,
    ingest: ingestOf('canonical', 0),
    logger: quietLogger,
    stop: stop.signal,
    readable: () => undefined,
    fail: (error) => void failures.push(error),
  })
  return { stop, ended, failures }
}

describe('reading a source', () => {
  it('has several batches wait for the log, but not all', async () => {
    const [source, log] = [new NumberedSource(20), new HeldLog()]
    const { stop, ended } = pulling(source, log)
    await eventually(() => log.answers.length === 4)
    await sleep(30)
    expect(log.answers).toHaveLength(4)
    for (let i = 0; i < 20; i++) {
      await eventually(() => log.answers.length > i)
      log.answers[i]!.resolve()
    }
    await eventually(() => source.acknowledged.size === 20)
    stop.abort()
    await ended
    expect(log.appended).toEqual(Array.from({ length: 20 }, (_, i) => `ca-${i}`))
  })

  it('has no more bytes wait than a few batches of usual size have', async () => {
    const [source, log] = [new NumberedSource(2, 12_000), new HeldLog()]
    const { stop, ended } = pulling(source, log)
    await eventually(() => source.given === 2)
    await sleep(200)
    expect(log.answers).toHaveLength(1)
    log.answers[0]!.resolve()
    await eventually(() => log.answers.length === 2)
    log.answers[1]!.resolve()
    await eventually(() => source.acknowledged.size === 2)
    stop.abort()
    await ended
  })

  it('appends nothing behind a batch that failed, and begins again with that', async () => {
    const [source, log] = [new NumberedSource(6), new HeldLog()]
    const { stop, ended } = pulling(source, log)
    await eventually(() => log.answers.length === 4)
    const away = new CurfewError('LOG_UNREACHABLE', 'no leader', { retriable: true })
    log.answers[0]!.resolve()
    // As the log does: what waits behind a failure fails with it.
    for (const answer of log.answers.slice(1)) answer.reject(away)
    const failed = log.answers.length
    await eventually(() => log.answers.length > failed)
    for (let i = failed; log.appended.length < 6; i++) {
      await eventually(() => log.answers.length > i)
      log.answers[i]!.resolve()
      await sleep(1)
    }
    await eventually(() => source.acknowledged.size === 6)
    stop.abort()
    await ended
    expect(log.appended).toEqual(Array.from({ length: 6 }, (_, i) => `ca-${i}`))
  })

  it('acknowledges what is under way when it is stopped', async () => {
    const [source, log] = [new NumberedSource(3), new HeldLog()]
    const { stop, ended } = pulling(source, log)
    await eventually(() => log.answers.length === 3)
    stop.abort()
    await sleep(10)
    for (const answer of log.answers) answer.resolve()
    await ended
    expect([...source.acknowledged]).toEqual([0, 1, 2])
  })

  it('ends with an error that trying again cannot help', async () => {
    const [source, log] = [new NumberedSource(3), new HeldLog()]
    const { ended, failures } = pulling(source, log)
    await eventually(() => log.answers.length === 3)
    const error = new Error('broken')
    for (const answer of log.answers) answer.reject(error)
    await ended
    expect(failures).toEqual([error])
  })
})
