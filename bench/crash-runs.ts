import { spawn } from 'node:child_process'
import { copyFile, link, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import { openEmbeddedStore } from '../baseline/stores/embedded-store.ts'
import { openRedisStore } from '../baseline/stores/redis-store.ts'
import { Journal } from '../ingest/journal/journal.ts'
import type { EventLog } from '../ingest/source.ts'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import { KafkaEventLog } from '../ingest/sources/kafka-event-log.ts'
import { startKafka } from '../test/services/kafka.ts'
import { startRedis } from '../test/services/redis.ts'
import { type FinalState, finalState } from './crash-state.ts'
import { crashStream, type StreamOptions } from './crash-stream.ts'
import { logOptions, type Place, type WorkerTask } from './crash-task.ts'

/** A log that is filled once and read by any number of runs, each with a state of its own. */
export interface CrashSetting {
  /** Number of records of each partition. */
  readonly ends: readonly number[]
  /** Makes room for a run that starts from nothing. */
  place(run: string): Promise<Place>
  /** Reads what a run left behind. */
  read(place: Place): Promise<FinalState>
  close(): Promise<void>
}

const CHUNK = 2_000

async function fill(log: EventLog, options: StreamOptions): Promise<readonly number[]> {
  const ends = Array.from({ length: options.partitions }, () => 0)
  let chunk: Parameters<EventLog['append']>[0][number][] = []
  for (const record of crashStream(options)) {
    chunk.push(record)
    ends[record.partition]! += 1
    if (chunk.length < CHUNK) continue
    await log.append(chunk)
    chunk = []
  }
  await log.append(chunk)
  return ends
}

async function readAndClose(store: StateStore, partitions: number): Promise<FinalState> {
  try {
    return await finalState(store, partitions)
  } finally {
    await store.close()
  }
}

/** A real broker and a real Redis; four partitions. */
export async function redisSetting(options: Omit<StreamOptions, 'partitions'>): Promise<CrashSetting> {
  const partitions = 4
  const kafka = await startKafka()
  const redis = await startRedis()
  const topic = 'crash.events'
  const common = { kind: 'redis' as const, brokers: kafka.brokers, topic, partitions, url: redis.url }
  const client = new KafkaClient({ brokers: kafka.brokers, clientId: 'crash-fill' })
  const log = await KafkaEventLog.open(client, logOptions({ ...common, groupId: 'fill', keyPrefix: '' }))
  const ends = await fill(log, { ...options, partitions })
  await log.close()
  await client.close()
  return {
    ends,
    place: async (run) => ({ ...common, groupId: `crash-${run}`, keyPrefix: `${run}:` }),
    read: async (place) => {
      if (place.kind !== 'redis') throw new Error('a place in Redis')
      return readAndClose(await openRedisStore({ url: place.url, keyPrefix: place.keyPrefix }), partitions)
    },
    close: async () => {
      await redis.stop()
      await kafka.stop()
    },
  }
}

/** A local journal and a local folder of state. */
export async function embeddedSetting(options: Omit<StreamOptions, 'partitions'>): Promise<CrashSetting> {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-crash-runs-'))
  const filled = join(folder, 'filled')
  const journal = await Journal.open({ folder: filled, segmentBytes: 8_388_608 })
  const ends = await fill(journal, { ...options, partitions: 1 })
  await journal.close()
  return {
    ends,
    place: async (run) => {
      const place = {
        kind: 'embedded' as const,
        log: join(folder, run, 'log'),
        state: join(folder, run, 'state'),
      }
      await copyJournal(filled, place.log)
      return place
    },
    read: async (place) => {
      if (place.kind !== 'embedded') throw new Error('a place in a folder')
      const state = await readAndClose(await openEmbeddedStore({ folder: place.state }), 1)
      await rm(join(place.log, '..'), { recursive: true })
      return state
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

/** Finished segments never change, so a link is a copy; a run removes its own link when it has read them. */
async function copyJournal(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  const segments = (await readdir(from)).sort()
  for (const name of segments) {
    if (name === segments.at(-1)) await copyFile(join(from, name), join(to, name))
    else await link(join(from, name), join(to, name))
  }
}

export interface RunOptions {
  readonly setting: CrashSetting
  /** Compiled crash-worker. */
  readonly program: string
  readonly name: string
  /** How often the worker is killed on its way. */
  readonly kills: number
  readonly random: () => number
  readonly positionFirst?: boolean
}

export interface RunResult {
  readonly state: FinalState
  readonly kills: number
  readonly seconds: number
}

/** One way through the whole log, with a new worker after each kill. */
export async function crashRun(options: RunOptions): Promise<RunResult> {
  const { setting, program, random } = options
  const started = performance.now()
  const where = await setting.place(options.name)
  const total = setting.ends.reduce((sum, n) => sum + n, 0)
  const points = Array.from({ length: options.kills }, () => Math.floor(random() * total)).sort(
    (a, b) => a - b,
  )
  const task: WorkerTask = { where, ends: setting.ends, positionFirst: options.positionFirst === true }
  let kills = 0
  for (const point of points) {
    // Some kills meet a worker that still loads its state, most one at work.
    const plan = random() < 0.15 ? { afterMs: random() * 1_500 } : { at: point, afterMs: random() * 60 }
    if (await workUntil(program, task, plan)) kills++
  }
  await workUntil(program, task, null)
  const state = await setting.read(where)
  return { state, kills, seconds: (performance.now() - started) / 1_000 }
}

/** When to kill: so many milliseconds after the start, or after so many records of the log were read. */
interface KillPlan {
  readonly at?: number
  readonly afterMs: number
}

/** True when the worker was killed, false when it came to the end. */
async function workUntil(program: string, task: WorkerTask, plan: KillPlan | null): Promise<boolean> {
  const child = spawn(process.execPath, [program, JSON.stringify(task)], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let errors = ''
  child.stderr.on('data', (chunk: Buffer) => {
    errors = (errors + chunk.toString()).slice(-4_000)
  })
  const exit = new Promise<readonly [number | null, NodeJS.Signals | null]>((resolve) =>
    child.once('close', (code, signal) => resolve([code, signal])),
  )
  const due = new Promise<void>((resolve) => {
    if (plan !== null && plan.at === undefined) resolve()
    child.stdout.on('data', (chunk: Buffer) => {
      if (plan?.at !== undefined && Number(chunk.toString().trim().split('\n').at(-1)) >= plan.at) resolve()
    })
  })
  if (plan !== null) {
    await Promise.race([due.then(() => sleep(plan.afterMs)), exit])
    child.kill('SIGKILL')
  }
  const [code, signal] = await exit
  if (plan !== null && signal === 'SIGKILL') return true
  if (code === 0) return false
  throw new Error(`the worker ended with ${code ?? signal}: ${errors}`)
}
