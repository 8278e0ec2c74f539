import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { Journal } from '../../../ingest/journal/journal.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { KafkaEventLog } from '../../../ingest/sources/kafka-event-log.ts'
import { ProducerThread } from '../../../ingest/sources/producer-thread.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import {
  EVENT_LOG_CHECK_NAMES,
  EVENT_LOG_CHECKS,
  type EventLogHarness,
  IDLE_MS,
} from './event-log-contract.ts'

describe('event log contract: journal', () => {
  const folders = new Map<unknown, string>()
  const openIn = async (folder: string) => {
    const log = await Journal.open({ folder, idleMs: IDLE_MS, segmentBytes: 20_000 })
    folders.set(log, folder)
    return log
  }
  const harness: EventLogHarness = {
    patienceMs: 30_000,
    open: async () => openIn(await mkdtemp(join(tmpdir(), 'curfew-journal-'))),
    afterCrash: async (log) => {
      // This process lives on, so its lock is what a crash would leave behind and nothing else is closed.
      const folder = folders.get(log) ?? ''
      await rm(join(folder, 'lock'))
      return openIn(folder)
    },
  }
  afterAll(async () => {
    for (const folder of new Set(folders.values())) await rm(folder, { recursive: true, force: true })
  })
  it.each(EVENT_LOG_CHECK_NAMES)('%s', (name) => EVENT_LOG_CHECKS[name](harness))
})

/** Who writes the records: the client itself, or a thread of its own. */
const PRODUCERS = ['in this thread', 'in a thread of its own'] as const
const WORKER = new URL('../../../dist/ingest/sources/producer-worker.js', import.meta.url)

describe.each(PRODUCERS)('event log contract: Kafka, written %s', (where) => {
  let kafka: KafkaService
  let client: KafkaClient
  let topics = 0
  const names = new Map<unknown, string>()
  const threaded = () =>
    new ProducerThread({ brokers: kafka.brokers, clientId: 'contract' }, undefined, WORKER)
  const openTopic = async (topic: string) => {
    const log = await KafkaEventLog.open(client, {
      topic,
      partitions: 2,
      groupId: `${topic}-group`,
      idleMs: IDLE_MS,
      maxWaitMs: 20,
      ...(where === 'in this thread' ? {} : { producer: threaded() }),
    })
    names.set(log, topic)
    return log
  }
  const harness: EventLogHarness = {
    patienceMs: 30_000,
    open: () => {
      topics += 1
      return openTopic(`events-${topics}`)
    },
    afterCrash: async (log) => {
      await kafka.kill()
      await kafka.restart()
      return openTopic(names.get(log) ?? '')
    },
  }
  beforeAll(async () => {
    kafka = await startKafka()
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'contract' })
  })
  afterAll(async () => {
    await client?.close()
    await kafka?.stop()
  })
  it.each(EVENT_LOG_CHECK_NAMES)('%s', (name) => EVENT_LOG_CHECKS[name](harness))
})
