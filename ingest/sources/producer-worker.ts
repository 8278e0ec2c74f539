/** The thread of a {@link ProducerThread}: a Kafka producer that takes its orders from the port to its parent. */
import { parentPort, workerData } from 'node:worker_threads'
import { KafkaClient } from './kafka-client.ts'
import type { Logger } from './logger.ts'
import {
  type ProducerAnswer,
  type ProducerOrder,
  type ProducerTask,
  tellError,
  unpackMessages,
} from './producer-orders.ts'

if (parentPort === null) throw new Error('this file is the main module of a thread')
const port = parentPort
const { kafka } = workerData as ProducerTask

const answer = (message: ProducerAnswer): void => port.postMessage(message)
const said =
  (level: keyof Logger) =>
  (fields: object, message: string): void =>
    answer({ kind: 'log', level, fields, message })

const client = new KafkaClient(kafka, { info: said('info'), warn: said('warn'), error: said('error') })
const producer = client.producer()

async function send(order: Extract<ProducerOrder, { kind: 'send' }>): Promise<void> {
  const { id, topic } = order
  try {
    const firsts = await producer.send(topic, unpackMessages(order.messages, order.values))
    answer({ kind: 'sent', id, firsts })
  } catch (error) {
    answer({ kind: 'failed', id, error: tellError(error) })
  }
}

const underWay = new Set<Promise<void>>()

async function close(): Promise<void> {
  await Promise.all(underWay)
  await producer.close().catch(() => undefined)
  port.close()
}

port.on('message', (order: ProducerOrder) => {
  if (order.kind === 'close') {
    void close()
    return
  }
  const sending = send(order).finally(() => underWay.delete(sending))
  underWay.add(sending)
})
