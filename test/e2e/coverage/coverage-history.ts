import { DAY_MS, HOUR_MS } from '../../../core/time.ts'
import type { KafkaClient } from '../../../ingest/sources/kafka-client.ts'

const CHUNK = 2_000

export interface HistoryOptions {
  readonly topic: string
  readonly nodes: readonly string[]
  readonly issuer: string
  /** How many days ago there were calls; 0 = today. */
  readonly daysAgo: readonly number[]
  /** Whole hours before and after the present hour that these days have calls in, too. */
  readonly hoursBefore: number
  readonly hoursAfter: number
  readonly callsPerMinute: number
  /** Epoch ms: no call is later. */
  readonly until: number
}

/** Produces evenly spaced calls of several gateways; the time of each Kafka record is that of its call. */
export async function produceGatewayHistory(client: KafkaClient, options: HistoryOptions): Promise<number> {
  const { topic, nodes, issuer, daysAgo, hoursBefore, hoursAfter, callsPerMinute, until } = options
  const producer = client.producer()
  const gap = 60_000 / callsPerMinute
  const hour = Math.floor(until / HOUR_MS) * HOUR_MS
  let messages: { partition: number; timestamp: number; value: Buffer }[] = []
  let count = 0
  const flush = async () => {
    if (messages.length > 0) await producer.send(topic, messages)
    messages = []
  }
  for (const day of daysAgo) {
    const start = hour - day * DAY_MS - hoursBefore * HOUR_MS
    const end = Math.min(until, hour - day * DAY_MS + (hoursAfter + 1) * HOUR_MS)
    for (let time = start; time < end; time += gap) {
      for (const node of nodes) {
        messages.push({
          partition: 0,
          timestamp: Math.round(time),
          value: Buffer.from(lineOf(node, Math.round(time), ++count, issuer)),
        })
      }
      if (messages.length >= CHUNK) await flush()
    }
  }
  await flush()
  await producer.close()
  return count
}

function lineOf(node: string, time: number, number: number, issuer: string): string {
  const sub = `svc-${number % 7}`
  return JSON.stringify({
    id: `history-${node}-${number}`,
    time,
    node,
    principal: { kind: 'sub', id: JSON.stringify([issuer, sub]), label: sub, verified: true },
    token: { iss: issuer, sub, jti: `${sub}-0`, iat: 1, exp: null, scopes: [] },
    method: 'GET',
    path: '/v1/orders',
    status: 200,
    records: 1,
    recordsFrom: 'header',
    responseBytes: 380,
    clientIp: '127.0.0.1',
  })
}
