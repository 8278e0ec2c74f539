import { createSocket } from 'node:dgram'
import type { KafkaClient } from '../../../ingest/sources/kafka-client.ts'

/** A log shipper between a gateway and partitions 1 and 2 of a topic (0 holds the past) that can be told to lose lines. */
export interface DroppingForwarder {
  /** UDP port on 127.0.0.1. */
  readonly port: number
  /** From now on loses the lines for which this is true; the number counts lines from 1. */
  lose(isLost: (line: number) => boolean): void
  /** Lines lost and lines sent. */
  readonly counts: { lost: number; sent: number }
  close(): Promise<void>
}

export async function startDroppingForwarder(client: KafkaClient, topic: string): Promise<DroppingForwarder> {
  const producer = client.producer()
  const counts = { lost: 0, sent: 0 }
  let isLost: (line: number) => boolean = () => false
  let number = 0
  let waiting: { partition: number; value: Buffer }[] = []
  let sending: Promise<unknown> = Promise.resolve()
  const socket = createSocket('udp4').on('message', (message) => {
    if (isLost(++number)) {
      counts.lost++
      return
    }
    counts.sent++
    waiting.push({ partition: 1 + (number % 2), value: message })
  })
  const timer = setInterval(() => {
    const messages = waiting
    waiting = []
    if (messages.length > 0) sending = sending.then(() => producer.send(topic, messages))
  }, 200)
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return {
    port: socket.address().port,
    lose: (which) => {
      isLost = which
    },
    counts,
    close: async () => {
      clearInterval(timer)
      socket.close()
      await sending
      await producer.close()
    },
  }
}
