/**
 * Child process of the crash runs: reads a log to its end, detecting, enforcing and telling, and prints how far
 * it is after every batch. Dies where it is told to; leaves with 0 when all is done and on record. Its one
 * argument is a {@link WorkerTask} as JSON.
 */
import { writeSync } from 'node:fs'
import type { StateStore } from '../baseline/store.ts'
import { openEmbeddedStore } from '../baseline/stores/embedded-store.ts'
import { openRedisStore } from '../baseline/stores/redis-store.ts'
import { wallTime } from '../core/time.ts'
import { DETECTORS } from '../detectors/catalog.ts'
import { KnowledgeMerger } from '../engine/knowledge-merger.ts'
import { DetectWorker } from '../engine/worker.ts'
import { decodeInternal } from '../ingest/formats/internal.ts'
import { Journal } from '../ingest/journal/journal.ts'
import type { EventLog, LogRecord, PartitionOwner } from '../ingest/source.ts'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import { KafkaEventLog } from '../ingest/sources/kafka-event-log.ts'
import { ignoreEpochs } from './crash-broken.ts'
import { openEffects } from './crash-effects.ts'
import { seamFiles } from './crash-files.ts'
import { proxied } from './crash-proxy.ts'
import { FIRST_SETTINGS, Operators } from './crash-requests.ts'
import { seamStore } from './crash-seams.ts'
import { KEY, logOptions, SEED, type WorkerReport, type WorkerTask } from './crash-task.ts'
import { die, KillSwitch } from './kill-points.ts'

/** Checkpoints come that much closer together than in service, so that more kills meet one. */
const CLOCK_RATE = 20
/** Knowledge is merged that often, so that a run has several versions. */
const MERGE_MS = 50
const MERGE_PATIENCE_MS = 2_000
/** Small enough that the log is compacted several times in a run. */
const MIN_LOG_BYTES = 100_000

const task = JSON.parse(process.argv[2] ?? '') as WorkerTask
const nothing = () => undefined
const said = (fields: object, message: string) =>
  void process.stderr.write(`${message} ${JSON.stringify(fields)}\n`)

const kill = new KillSwitch(task.armed, () => {
  if (task.armed?.stop === true) process.kill(process.pid, 'SIGSTOP')
  else die()
})

async function openStore(state: WorkerTask['where']['state']): Promise<StateStore> {
  if (state.kind === 'embedded') {
    await seamFiles(kill)
    return openEmbeddedStore({ folder: state.folder, minLogBytes: MIN_LOG_BYTES })
  }
  const { keyPrefix } = state
  // Passages are counted where somebody may want to die: an undisturbed run goes through the proxy as well.
  const direct = task.armed !== null && !kill.isFor('script-before', 'script-after', 'answer-lost')
  return openRedisStore({ url: direct ? state.url : await proxied(state.url, kill), keyPrefix })
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
    const read = this.next.reduce((sum, n) => sum + n, 0)
    if (task.requests) await operators.after(read, this.worker.partitions())
    if (this.next.every((n, i) => n >= task.ends[i]!)) this.whole()
  }

  revoked(partition: number): Promise<void> {
    return this.worker.revoked(partition)
  }
}

const { log: logPlace, state } = task.where
const kafka =
  logPlace.kind === 'kafka'
    ? new KafkaClient(
        { brokers: logPlace.brokers, clientId: 'crash' },
        { info: nothing, warn: said, error: said },
      )
    : null
const log: EventLog =
  logPlace.kind === 'kafka'
    ? await KafkaEventLog.open(kafka!, logOptions(logPlace))
    : await Journal.open({ folder: logPlace.folder })
if (task.broken === 'epoch-unchecked') ignoreEpochs()
const store = seamStore(await openStore(state), kill, task.broken)
const operators = new Operators(
  store,
  task.ends.reduce((sum, n) => sum + n, 0),
  task.life,
  new TextEncoder().encode(KEY),
)
const effects = await openEffects(store, task.where, kill, task.broken)
const stop = new AbortController()
const clock = { now: () => wallTime(Date.now() * CLOCK_RATE) }
const worker = new DetectWorker(
  {
    outboxReaders: [],
    store,
    log,
    detectors: DETECTORS,
    settings: () => FIRST_SETTINGS,
    maxPrincipals: 100_000,
    identityKey: new TextEncoder().encode(KEY),
    seed: SEED,
    decode: (record, to) => {
      const event = decodeInternal(record.bytes, record.receivedAt)
      if (event === null) throw new Error(`record ${record.offset} cannot be read`)
      to.event(event)
    },
    observer: { judged: nothing, redelivered: nothing, checkpointed: nothing, ownership: nothing },
    onOutbox: (_, entries) => effects.reader.handOn(entries),
    onLost: async (detail) => {
      throw new Error(detail)
    },
    clock,
    logger: { info: nothing, warn: said, error: said },
    ticks: false,
  },
  stop.signal,
)
const merger = new KnowledgeMerger({
  store,
  partitions: log.partitions,
  clock,
  logger: { info: nothing, warn: said, error: said },
  observer: { knowledge: nothing },
  patienceMs: MERGE_PATIENCE_MS,
})
// As the service does: one partition has nobody to merge with.
const merging = task.requests && log.partitions > 1 ? merger.run(stop.signal, MERGE_MS) : null
await log.read(new Reading(worker, () => stop.abort()), stop.signal)
await worker.close()
await merging
await effects.finish(log.partitions)
await log.close()
await kafka?.close()
await store.close()
const report: WorkerReport = { passages: kill.passages }
writeSync(1, `${JSON.stringify(report)}\n`)
process.exit(0)
