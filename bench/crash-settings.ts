import { copyFile, link, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { StateStore } from '../baseline/store.ts'
import { openEmbeddedStore } from '../baseline/stores/embedded-store.ts'
import { openRedisStore } from '../baseline/stores/redis-store.ts'
import { Journal } from '../ingest/journal/journal.ts'
import type { EventLog } from '../ingest/source.ts'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import { KafkaEventLog } from '../ingest/sources/kafka-event-log.ts'
import { startKafka } from '../test/services/kafka.ts'
import { startRedis } from '../test/services/redis.ts'
import { crashStream, type StreamOptions } from './crash-stream.ts'
import { logOptions, type Place } from './crash-task.ts'

/** A log that is filled once and read by any number of runs, each with a state of its own. */
export interface CrashSetting {
  /** Number of records of each partition. */
  readonly ends: readonly number[]
  /** Makes room for a run that starts from nothing. */
  place(run: string): Promise<Place>
  /** Another reader of the same state, with a log of its own where the log has one reader only. */
  sibling(place: Place, name: string): Promise<Place>
  /** What a run left behind; no worker of it may live. */
  withStore<T>(place: Place, use: (store: StateStore) => Promise<T>): Promise<T>
  forget(place: Place): Promise<void>
  close(): Promise<void>
}

type Stream = Omit<StreamOptions, 'partitions'>

const CHUNK = 2_000
const KAFKA_PARTITIONS = 4

/** A real broker and a real Redis; four partitions. */
export async function redisSetting(options: Stream): Promise<CrashSetting> {
  const folder = await scratch()
  const kafka = await startKafka()
  const redis = await startRedis()
  const topic = 'crash.events'
  const common = { kind: 'kafka' as const, brokers: kafka.brokers, topic, partitions: KAFKA_PARTITIONS }
  const client = new KafkaClient({ brokers: kafka.brokers, clientId: 'crash-fill' })
  const log = await KafkaEventLog.open(client, logOptions({ ...common, groupId: 'fill' }))
  const ends = await fill(log, { ...options, partitions: KAFKA_PARTITIONS })
  await log.close()
  await client.close()
  return {
    ends,
    place: async (run) => ({
      log: { ...common, groupId: `crash-${run}` },
      state: { kind: 'redis', url: redis.url, keyPrefix: `${run}:` },
      ...edges(folder, run),
    }),
    sibling: async (place) => place,
    withStore,
    forget: async (place) => rm(join(place.gateway, '..'), { recursive: true, force: true }),
    close: async () => {
      await redis.stop()
      await kafka.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** A local journal in front of Redis: who owns the partition is decided by the epoch alone. */
export async function contestedSetting(options: Stream): Promise<CrashSetting> {
  const redis = await startRedis()
  const setting = await journalSetting(options, (run) => ({
    kind: 'redis',
    url: redis.url,
    keyPrefix: `${run}:`,
  }))
  return { ...setting, close: () => redis.stop().then(() => setting.close()) }
}

/** A local journal and a local folder of state. */
export async function embeddedSetting(options: Stream): Promise<CrashSetting> {
  return journalSetting(options, (run, folder) => ({ kind: 'embedded', folder: join(folder, run, 'state') }))
}

async function journalSetting(
  options: Stream,
  stateOf: (run: string, folder: string) => Place['state'],
): Promise<CrashSetting> {
  const folder = await scratch()
  const filled = join(folder, 'filled')
  const journal = await Journal.open({ folder: filled, segmentBytes: 8_388_608 })
  const ends = await fill(journal, { ...options, partitions: 1 })
  await journal.close()
  const logIn = async (run: string, name: string): Promise<Place['log']> => {
    const own = join(folder, run, name)
    await copyJournal(filled, own)
    return { kind: 'journal', folder: own }
  }
  return {
    ends,
    place: async (run) => ({
      log: await logIn(run, 'log'),
      state: stateOf(run, folder),
      ...edges(folder, run),
    }),
    sibling: async (place, name) => {
      if (place.log.kind !== 'journal') throw new Error('a place with a journal')
      const own = join(place.log.folder, '..', name)
      await copyJournal(filled, own)
      return { ...place, log: { kind: 'journal', folder: own } }
    },
    withStore,
    forget: (place) => rm(join(place.gateway, '..'), { recursive: true, force: true }),
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

function scratch(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'curfew-crash-runs-'))
}

function edges(folder: string, run: string): Pick<Place, 'gateway' | 'messages'> {
  return { gateway: join(folder, run, 'gateway'), messages: join(folder, run, 'messages.ndjson') }
}

async function withStore<T>({ state }: Place, use: (store: StateStore) => Promise<T>): Promise<T> {
  const store =
    state.kind === 'redis'
      ? await openRedisStore({ url: state.url, keyPrefix: state.keyPrefix })
      : await openEmbeddedStore({ folder: state.folder })
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}

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

/** Finished segments never change, so a link is a copy; a run removes its own link when it has read them. */
async function copyJournal(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  const segments = (await readdir(from)).sort()
  for (const name of segments) {
    if (name === segments.at(-1)) await copyFile(join(from, name), join(to, name))
    else await link(join(from, name), join(to, name))
  }
}
