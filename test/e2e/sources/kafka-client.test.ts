import { spawn } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { deadLetterTopic } from '../../../ingest/dead-letters.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { readMessages } from '../../services/kafka-messages.ts'

/** Writes lines with Kafka's own Java console producer. */
async function produceFromJava(kafka: KafkaService, topic: string, codec: string, lines: readonly string[]) {
  const child = spawn(
    'java',
    [
      '-Xmx128m',
      '-XX:TieredStopAtLevel=1',
      '-cp',
      kafka.classpath,
      'org.apache.kafka.tools.ConsoleProducer',
      '--bootstrap-server',
      kafka.brokers.join(','),
      '--topic',
      topic,
      '--compression-codec',
      codec,
      '--batch-size',
      '65536',
      '--producer-property',
      'linger.ms=200',
    ],
    { stdio: ['pipe', 'ignore', 'pipe'] },
  )
  let problems = ''
  child.stderr.on('data', (chunk: Buffer) => {
    problems += chunk.toString()
  })
  child.stdin.end(`${lines.join('\n')}\n`)
  const code = await new Promise((resolve) => child.once('close', resolve))
  expect(code, problems).toBe(0)
  expect(problems).not.toContain('Exception')
}

describe('kafka client against a real broker', () => {
  let kafka: KafkaService
  let client: KafkaClient

  beforeAll(async () => {
    kafka = await startKafka()
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'test' })
  })

  afterAll(async () => {
    await client?.close()
    await kafka?.stop()
  })

  it('creates a topic once and describes it', async () => {
    expect(await client.partitionCount('plain')).toBeNull()
    expect(await client.createTopic('plain', 3)).toBe(true)
    expect(await client.createTopic('plain', 3)).toBe(false)
    expect(await client.partitionCount('plain')).toBe(3)
    expect((await client.offsets('plain')).get(2)).toEqual({ low: 0, high: 0 })
  })

  it.each([false, true])('produces and consumes (gzip: %s)', async (gzip) => {
    const topic = `own-${gzip}`
    await client.createTopic(topic, 1)
    const producer = client.producer()
    const values = Array.from({ length: 500 }, (_, i) => `{"line":${i}}`)
    await producer.send(
      topic,
      values.map((value) => ({ partition: 0, value: Buffer.from(value), headers: { h: 'x' } })),
      gzip,
    )
    await producer.close()
    const messages = await readMessages(client, topic, values.length)
    expect(messages.map((m) => Buffer.from(m.value).toString())).toEqual(values)
    expect(messages.map((m) => m.offset)).toEqual(values.map((_, i) => i))
    expect(messages[0]?.header('h')).toBe('x')
  })

  it.each(['none', 'gzip', 'snappy', 'lz4', 'zstd'])(
    'reads what the Java client wrote with %s',
    async (codec) => {
      const topic = `java-${codec}`
      await client.createTopic(topic, 1)
      const lines = Array.from(
        { length: 2_000 },
        (_, i) =>
          `{"n":${i},"request":"GET /v1/orders/${(i * 2_654_435_761) % 1e9}","agent":"curl/8.${i % 7}"}`,
      )
      await produceFromJava(kafka, topic, codec, lines)
      const messages = await readMessages(client, topic, lines.length)
      expect(messages.map((m) => Buffer.from(m.value).toString())).toEqual(lines)
    },
  )

  it('says that a broker cannot be reached, retriably', async () => {
    const lost = new KafkaClient({ brokers: ['127.0.0.1:1'], clientId: 'test', retries: 0 })
    await expect(lost.topics()).rejects.toMatchObject({ code: 'LOG_UNREACHABLE', retriable: true })
    await lost.close()
  })

  it('writes dead letters to a topic', async () => {
    await client.createTopic('dead', 1)
    const producer = client.producer()
    const letters = deadLetterTopic({ producer, topic: 'dead', clock: { now: () => wallTime(0) } })
    const rejection = { reason: 'not-json', detail: '', excerpt: 'x', index: 0, clientIp: null } as const
    letters.write('edge', rejection, { topic: 'raw', partition: 1, offset: 2, index: 0 })
    await letters.flush()
    await producer.close()
    const [message] = await readMessages(client, 'dead', 1)
    expect(JSON.parse(Buffer.from(message?.value ?? []).toString())).toMatchObject({
      source: 'edge',
      reason: 'not-json',
      position: { topic: 'raw', partition: 1, offset: 2 },
    })
  })
})
