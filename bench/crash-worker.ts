/**
 * Child process of the crash runs: reads a log to its end, detecting, and prints how far it is after every
 * batch. Leaves with 0 when all is committed. Its one argument is a {@link WorkerTask} as JSON.
 */
import { writeSync } from 'node:fs'
import type { Checkpoint, PartitionStore, StateStore } from '../baseline/store.ts'
import { openEmbeddedStore } from '../baseline/stores/embedded-store.ts'
import { openRedisStore } from '../baseline/stores/redis-store.ts'
import { wallTime } from '../core/time.ts'
import { DETECTORS } from '../detectors/catalog.ts'
import { DEFAULT_SETTINGS } from '../engine/settings.ts'
import { DetectWorker } from '../engine/worker.ts'
import { decodeInternal } from '../ingest/formats/internal.ts'
import { Journal } from '../ingest/journal/journal.ts'
import type { EventLog, LogRecord, PartitionOwner } from '../ingest/source.ts'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import { KafkaEventLog } from '../ingest/sources/kafka-event-log.ts'
import { KEY, logOptions, SEED, type WorkerTask } from './crash-task.ts'

/** Checkpoints come that much closer together than in service, so that more kills meet one. */
const CLOCK_RATE = 8
const GAP_MS = 150

const task = JSON.parse(process.argv[2] ?? '') as WorkerTask
const nothing = () => undefined
const said = (fields: object, message: string) =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`)

/** What must not be: the position is durable before the profiles that it stands for. */
function positionFirst(store: StateStore): StateStore {
  const open = async (partition: number): Promise<PartitionStore> => {
    const owned = await store.open(partition)
    const commit = async (checkpoint: Checkpoint) => {
      await owned.commit({ ...checkpoint, puts: new Map(), deletes: [] })
      await new Promise((resolve) => setTimeout(resolve, GAP_MS))
      await owned.commit({ ...checkpoint, expected: checkpoint.position })
    }
    return new Proxy(owned, { get: (target, name) => (name === 'commit' ? commit : memberOf(target, name)) })
  }
  return new Proxy(store, { get: (target, name) => (name === 'open' ? open : memberOf(target, name)) })
}

function memberOf(target: object, name: string | symbol): unknown {
  const member: unknown = Reflect.get(target, name, target)
  return typeof member === 'function' ? member.bind(target) : member
}

/** Passes calls on, tells how far the log was read, and says when all of it was. */
class Reading implements PartitionOwner {
  private readonly worker: DetectWorker
  private readonly next: number[]
  private readonly whole: () => void

  constructor(worker: DetectWorker, whole: () => void) {
    this.worker = worker
    this.next = task.ends.map(() => 0)
    this.whole = whole
  }

  async assigned(partition: number): Promise<number> {
    const next = await this.worker.assigned(partition)
    this.next[partition] = next
    return next
  }

  async records(partition: number, records: readonly LogRecord[], caughtUp: boolean): Promise<void> {
    await this.worker.records(partition, records, caughtUp)
    const last = records.at(-1)
    if (last !== undefined) this.next[partition] = last.offset + 1
    writeSync(1, `${this.next.reduce((sum, n) => sum + n, 0)}\n`)
    if (this.next.every((n, i) => n >= task.ends[i]!)) this.whole()
  }

  revoked(partition: number): Promise<void> {
    return this.worker.revoked(partition)
  }
}

const { where } = task
const kafka =
  where.kind === 'redis'
    ? new KafkaClient(
        { brokers: where.brokers, clientId: 'crash' },
        { info: nothing, warn: said, error: said },
      )
    : null
const log: EventLog =
  where.kind === 'redis'
    ? await KafkaEventLog.open(kafka!, logOptions(where))
    : await Journal.open({ folder: where.log })
const opened =
  where.kind === 'redis'
    ? await openRedisStore({ url: where.url, keyPrefix: where.keyPrefix })
    : await openEmbeddedStore({ folder: where.state, minLogBytes: 2_000_000 })
const stop = new AbortController()
const worker = new DetectWorker(
  {
    store: task.positionFirst ? positionFirst(opened) : opened,
    log,
    detectors: DETECTORS,
    settings: () => ({ version: 1, values: DEFAULT_SETTINGS, modes: [{ mode: 'enforce' }], allow: [] }),
    maxPrincipals: 100_000,
    identityKey: new TextEncoder().encode(KEY),
    seed: SEED,
    decode: (record, onEvent) => {
      const event = decodeInternal(record.bytes, record.receivedAt)
      if (event === null) throw new Error(`record ${record.offset} cannot be read`)
      onEvent(event)
    },
    observer: { judged: nothing, redelivered: nothing, checkpointed: nothing, ownership: nothing },
    onOutbox: nothing,
    onLost: async (detail) => {
      throw new Error(detail)
    },
    clock: { now: () => wallTime(Date.now() * CLOCK_RATE) },
    logger: { info: nothing, warn: said, error: said },
    ticks: false,
  },
  stop.signal,
)
await log.read(new Reading(worker, () => stop.abort()), stop.signal)
await worker.close()
await log.close()
await kafka?.close()
await opened.close()
