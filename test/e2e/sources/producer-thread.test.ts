import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import type { Logger } from '../../../ingest/sources/logger.ts'
import { ProducerThread } from '../../../ingest/sources/producer-thread.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { readMessages } from '../../services/kafka-messages.ts'

const COMPILED = new URL('../../../dist/ingest/sources/producer-worker.js', import.meta.url)
const DYING = new URL('./dying-producer.mjs', import.meta.url)
const NOWHERE = { brokers: ['127.0.0.1:1'], clientId: 'test', retries: 0 }

function messages(...texts: readonly string[]) {
  return texts.map((text) => ({ partition: 0, value: Buffer.from(text) }))
}

describe('a producer in a thread of its own', () => {
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

  it('writes in the order of the calls and tells the first offset of each partition', async () => {
    const topic = 'threaded'
    await client.createTopic(topic, 2)
    const producer = new ProducerThread({ brokers: kafka.brokers, clientId: 'test' }, undefined, COMPILED)
    const first = await producer.send(topic, [
      { partition: 0, value: Buffer.from('a'), headers: { curfew: '1 gateway' } },
      { partition: 1, value: new Uint8Array(0) },
      { partition: 0, value: Buffer.from('é'.repeat(60_000)) },
    ])
    expect([...first].sort()).toEqual([
      [0, 0],
      [1, 0],
    ])
    const sending = ['b', 'c', 'd'].map((text) => producer.send(topic, messages(text)))
    expect((await Promise.all(sending)).map((firsts) => firsts.get(0))).toEqual([2, 3, 4])
    await producer.close()
    const found = await readMessages(client, topic, 6)
    const texts = found.map((message) => Buffer.from(message.value).toString())
    expect(texts.filter((text) => text !== '')).toEqual(['a', 'é'.repeat(60_000), 'b', 'c', 'd'])
    expect(found.find((message) => message.value.length === 1)?.header('curfew')).toBe('1 gateway')
  })

  it('writes what was asked for before it was closed', async () => {
    await client.createTopic('closing', 1)
    const producer = new ProducerThread({ brokers: kafka.brokers, clientId: 'test' }, undefined, COMPILED)
    const sending = producer.send('closing', messages('last'))
    await producer.close()
    expect((await sending).get(0)).toBe(0)
    await producer.close()
  })

  it('leaves the values of its caller as they are', async () => {
    const producer = new ProducerThread(NOWHERE, undefined, DYING)
    const value = Buffer.from('kept')
    expect((await producer.send('t', [{ value }, { value }])).get(0)).toBe(8)
    expect(value.toString()).toBe('kept')
    await producer.close()
  })

  it('fails as the client does, with the code and whether it may be tried again', async () => {
    const warnings: string[] = []
    const log: Logger = {
      info: () => undefined,
      warn: (_, message) => warnings.push(message),
      error: (_, message) => warnings.push(message),
    }
    const lost = new ProducerThread(NOWHERE, log, COMPILED)
    await expect(lost.send('t', messages('x'))).rejects.toMatchObject({
      code: 'LOG_UNREACHABLE',
      retriable: true,
    })
    await lost.close()
    expect(warnings.length).toBeGreaterThan(0)
    const small = new ProducerThread({ brokers: kafka.brokers, clientId: 'test' }, undefined, COMPILED)
    await client.createTopic('small', 1, { 'max.message.bytes': '100' })
    await expect(small.send('small', messages('x'.repeat(500)))).rejects.toMatchObject({
      code: 'LOG_FULL',
      retriable: false,
    })
    await small.close()
  })

  it.each(['throw', 'exit'])(
    'fails what was under way when the thread dies (%s), and goes on',
    async (how) => {
      const producer = new ProducerThread(NOWHERE, undefined, DYING)
      const [before, dying] = [producer.send('t', messages('x')), producer.send(how, messages('y'))]
      expect((await before).get(0)).toBe(1)
      await expect(dying).rejects.toMatchObject({ code: 'LOG_UNREACHABLE', retriable: true })
      expect((await producer.send('t', messages('again'))).get(0)).toBe(5)
      await producer.close()
    },
  )
})
