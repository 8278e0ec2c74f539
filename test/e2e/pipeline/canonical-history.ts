import { DAY_MS, HOUR_MS } from '../../../core/time.ts'
import type { KafkaClient } from '../../../ingest/sources/kafka-client.ts'

/** A caller with its usual calls of a day: at which milliseconds of the day, and how many records each. */
export interface Caller {
  readonly name: string
  readonly callsOfDay: (day: number) => readonly { readonly at: number; readonly records: number }[]
}

/**
 * About 50 records a day in ten calls, one an hour. None is within four hours of `now`'s hour of the day, so that
 * whoever calls at that hour never did before, whatever hour the test is run at.
 */
export function worker(name: string, now: number): Caller {
  const shift = name.length * 60_000
  const firstHour = Math.floor((now % DAY_MS) / HOUR_MS) + 6
  const callsOfDay = (day: number) =>
    Array.from({ length: 10 }, (_, i) => ({
      at: ((firstHour + i) % 24) * HOUR_MS + shift + day * 1_000,
      records: 4 + ((day + i) % 3),
    }))
  return { name, callsOfDay }
}

/** A health check of a few calls of one record, at the beginning of each hour, day and night. */
export function poller(name: string): Caller {
  const callsOfDay = () =>
    Array.from({ length: 24 * 12 }, (_, i) => ({
      at: Math.floor(i / 12) * HOUR_MS + (i % 12) * 2_000,
      records: 1,
    }))
  return { name, callsOfDay }
}

const CHUNK = 1_000

/**
 * Produces `days` days of calls that end before `now`, in the canonical format and in order; the time of each
 * Kafka record is that of the call. Returns how many there are.
 */
export async function produceHistory(
  client: KafkaClient,
  topic: string,
  callers: readonly Caller[],
  issuer: string,
  days: number,
  now: number,
): Promise<number> {
  const today = Math.floor(now / DAY_MS) * DAY_MS
  const calls = callers.flatMap((caller) =>
    Array.from({ length: days }, (_, i) => i).flatMap((i) =>
      caller
        .callsOfDay(i)
        .map(({ at, records }) => ({ caller: caller.name, time: today - (days - i) * DAY_MS + at, records })),
    ),
  )
  calls.sort((a, b) => a.time - b.time)
  const producer = client.producer()
  for (let first = 0; first < calls.length; first += CHUNK) {
    const messages = calls.slice(first, first + CHUNK).map((call, i) => ({
      partition: 0,
      timestamp: call.time,
      value: Buffer.from(lineOf(call, first + i, issuer)),
    }))
    await producer.send(topic, messages)
  }
  await producer.close()
  return calls.length
}

function lineOf(
  call: { caller: string; time: number; records: number },
  number: number,
  issuer: string,
): string {
  const { caller, time, records } = call
  return JSON.stringify({
    id: `history-${number}`,
    time,
    principal: { kind: 'sub', id: JSON.stringify([issuer, caller]), label: caller, verified: true },
    method: 'GET',
    path: `/v1/orders?page=${number % 9}`,
    status: 200,
    records,
    recordsFrom: 'header',
    responseBytes: 200 + 180 * records,
    clientIp: '127.0.0.1',
  })
}
