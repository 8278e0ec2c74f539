import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { RawSource } from '../../../ingest/source.ts'
import { FileSource, type FileSourceOptions } from '../../../ingest/sources/file-source.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { KafkaSource } from '../../../ingest/sources/kafka-source.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { RAW_SOURCE_CHECK_NAMES, RAW_SOURCE_CHECKS, type RawSourceHarness } from './raw-source-contract.ts'

describe.each([false, true])('raw source contract: file (follow: %s)', (follows) => {
  const folders: string[] = []
  const options = new Map<RawSource, FileSourceOptions>()
  const openWith = (given: FileSourceOptions) => {
    const source = new FileSource(given)
    options.set(source, given)
    return source
  }
  const harness: RawSourceHarness = {
    patienceMs: 10_000,
    open: async (lines) => {
      const folder = await mkdtemp(join(tmpdir(), 'curfew-raw-'))
      folders.push(folder)
      const path = join(folder, 'access.log')
      // Long enough that a followed file takes several reads.
      await writeFile(path, lines.map((line) => `${line}\n`).join(''))
      const follow = { positionFile: join(folder, 'position'), pollMs: 10, chunkBytes: 8_192 }
      const clock = { now: () => wallTime(0) }
      return openWith({ name: 'edge', paths: [path], clock, ...(follows ? { follow } : {}) })
    },
    again: async (source) => {
      const given = options.get(source)
      return follows && given !== undefined ? openWith(given) : source
    },
  }
  afterAll(async () => {
    for (const folder of folders) await rm(folder, { recursive: true, force: true })
  })
  it.each(RAW_SOURCE_CHECK_NAMES)('%s', (name) => RAW_SOURCE_CHECKS[name](harness))
})

describe('raw source contract: Kafka', () => {
  let kafka: KafkaService
  let client: KafkaClient
  let topics = 0
  const names = new Map<RawSource, string>()
  const openTopic = (topic: string) => {
    const source = new KafkaSource(client, {
      name: 'edge',
      topics: [topic],
      groupId: `${topic}-group`,
      maxWaitMs: 20,
    })
    names.set(source, topic)
    return source
  }
  const harness: RawSourceHarness = {
    patienceMs: 30_000,
    open: async (lines) => {
      topics += 1
      const topic = `raw-${topics}`
      await client.createTopic(topic, 1)
      const producer = client.producer()
      await producer.send(
        topic,
        lines.map((line) => ({ partition: 0, value: Buffer.from(line) })),
      )
      await producer.close()
      return openTopic(topic)
    },
    again: async (source) => openTopic(names.get(source) ?? ''),
  }
  beforeAll(async () => {
    kafka = await startKafka()
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'contract' })
  })
  afterAll(async () => {
    await client?.close()
    await kafka?.stop()
  })
  it.each(RAW_SOURCE_CHECK_NAMES)('%s', (name) => RAW_SOURCE_CHECKS[name](harness))
})
