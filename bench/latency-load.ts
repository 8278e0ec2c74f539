/**
 * Child process of the latency benchmark: the other callers. Its one argument is a {@link LoadTask} as JSON.
 * Sent a {@link LoadOrder}, it produces so many records at once, or at a rate until it is told to stop. A count is
 * answered with the number produced so far, a burst and a stop as well, when nothing is under way any more.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import type { LoadOrder, LoadTask } from './latency-children.ts'
import { loadCall } from './latency-records.ts'

/** What a log shipper collects before it sends. */
const LINGER_MS = 10
const BURST = 500

const { brokers, topic } = JSON.parse(process.argv[2] ?? '') as LoadTask
const client = new KafkaClient({ brokers, clientId: 'load' })
const producer = client.producer()
let produced = 0
let order = 0
let working: Promise<void> = Promise.resolve()

async function produce(count: number): Promise<void> {
  const time = Date.now()
  const records = Array.from({ length: count }, () => loadCall(produced++, time))
  await producer.send(
    topic,
    records.map(({ key, value }) => ({ key, value })),
  )
}

async function burst(count: number): Promise<void> {
  for (let left = count; left > 0; left -= BURST) await produce(Math.min(BURST, left))
}

/** Keeps the average rate: what a late turn missed goes with the next. */
async function steady(perSecond: number, mine: number): Promise<void> {
  const start = performance.now()
  let due = 0
  while (mine === order) {
    const wanted = Math.floor(((performance.now() - start) / 1_000) * perSecond)
    if (wanted > due) await produce(wanted - due)
    due = wanted
    await sleep(LINGER_MS)
  }
}

async function follow(next: LoadOrder): Promise<void> {
  if (next.kind === 'count') {
    process.send?.({ produced })
    return
  }
  const mine = ++order
  await working
  if (next.kind === 'burst') working = burst(next.count)
  if (next.kind === 'steady') working = steady(next.perSecond, mine)
  await working
  if (next.kind !== 'steady') process.send?.({ produced })
}

process.on('message', (next: LoadOrder) => {
  follow(next).catch((error: unknown) => {
    process.stderr.write(`load: ${String(error)}\n`)
    process.exit(1)
  })
})
process.once('disconnect', () => void producer.close().then(() => client.close()))
await produce(1)
process.send?.({ produced })
