import { createSocket } from 'node:dgram'
import type { KafkaClient } from '../../../ingest/sources/kafka-client.ts'

/** Takes log lines by UDP and produces each to a topic, as a log shipper beside a gateway does. */
export interface LogForwarder {
  /** UDP port on 127.0.0.1. */
  readonly port: number
  readonly lines: readonly string[]
  /** Why lines could not be produced. */
  readonly failures: readonly string[]
  /** Loses lines, or no longer. */
  lose(yes: boolean): void
  close(): Promise<void>
}

/** Starts to forward; lines go to the partitions in turn, because shippers do not key them. */
export async function startLogForwarder(
  client: KafkaClient,
  topic: string,
  partitions: number,
): Promise<LogForwarder> {
  const lines: string[] = []
  const failures: string[] = []
  let isLosing = false
  const producer = client.producer()
  let sent: Promise<unknown> = Promise.resolve()
  const socket = createSocket('udp4').on('message', (message) => {
    if (isLosing) return
    const partition = lines.push(message.toString('utf8')) % partitions
    sent = sent
      .then(() => producer.send(topic, [{ partition, value: message }]))
      .catch((error: unknown) => void failures.push(String(error)))
  })
  await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve))
  return {
    port: socket.address().port,
    lines,
    failures,
    lose: (yes) => {
      isLosing = yes
    },
    close: async () => {
      socket.close()
      await sent
      await producer.close()
    },
  }
}
