import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../../core/time.ts'
import { CALLERS, type Caller, callerNamed, ISSUER } from './callers.ts'
import { type Claims, kongLine } from './kong-line.ts'
import { between, seededRandom } from './seeded-random.ts'

/** The night of the story: a Wednesday. Epoch ms. */
export const NIGHT = Date.UTC(2026, 2, 18, 3)
/** Days of log before it. */
export const HISTORY_DAYS = 21
/** The log ends here, five minutes before the story. */
export const HISTORY_END = NIGHT - 5 * MINUTE_MS
const HISTORY_START = HISTORY_END - HISTORY_DAYS * DAY_MS
const SEED = 20_260_318
/** Tokens are issued once a day and live a day, counted from this hour. */
const TOKEN_HOUR_MS = 5 * HOUR_MS
/** Bytes that a record takes in a response: it depends on what is asked for. */
const RECORD_BYTES = { least: 130, most: 230 } as const

/** The nightly batch of `warehouse-etl`: what it does in every night, the one of the story included. */
export const BATCH = { pages: 12, size: 500, pauseMs: 1_500, path: '/v1/stock' } as const

interface Planned {
  readonly caller: Caller
  readonly at: number
  readonly uri: string
  readonly records: number
}

type Random = () => number
/** The calls of one caller on one day; `day` is its midnight UTC, `weekday` 0 for Sunday. */
type Habit = (day: number, weekday: number, random: Random) => readonly Omit<Planned, 'caller'>[]

/** A few lookups in office hours: about 50 records a day, Monday to Friday. */
const ordersService: Habit = (day, weekday, random) => {
  if (isWeekend(weekday)) return []
  return [8, 9, 11, 13, 14, 16].map((hour) => ({
    at: day + hour * HOUR_MS + random() * 50 * MINUTE_MS,
    uri: `/v1/orders?status=open&page=1&size=25`,
    records: between(random, 6, 11),
  }))
}

/** Thousands of records at three in the night, every night. */
const nightlyBatch: Habit = (day, _weekday, random) => {
  const start = day + 3 * HOUR_MS + 5 * SECOND_MS + random() * 15 * SECOND_MS
  return Array.from({ length: BATCH.pages }, (_, i) => ({
    at: start + i * BATCH.pauseMs + random() * 200,
    uri: `${BATCH.path}?page=${i + 1}&size=${BATCH.size}`,
    records: i < BATCH.pages - 1 ? BATCH.size : between(random, 200, BATCH.size),
  }))
}

/** Somebody at a desk: some short sittings on working days. */
const person: Habit = (day, weekday, random) => {
  if (isWeekend(weekday)) return []
  const calls: Omit<Planned, 'caller'>[] = []
  for (let sitting = 0; sitting < 4; sitting++) {
    let at = day + (8 + 2.2 * sitting + 1.5 * random()) * HOUR_MS
    for (let left = between(random, 1, 5); left > 0; left--) {
      const list = random() < 0.4
      const uri = list ? '/v1/customers?page=1&size=10' : `/v1/customers/${between(random, 1_000, 9_999)}`
      calls.push({ at, uri, records: list ? between(random, 3, 10) : 1 })
      at += between(random, 8, 90) * SECOND_MS
    }
  }
  return calls
}

/** A telephone: a look in the morning and one in the evening, weekends too. */
const phone: Habit = (day, _weekday, random) =>
  [7, 18, 20].flatMap((hour) => {
    const at = day + (hour + 1.5 * random()) * HOUR_MS
    return Array.from({ length: between(random, 1, 3) }, (_, i) => ({
      at: at + i * between(random, 4, 30) * SECOND_MS,
      uri: i === 0 ? '/v1/orders?mine=1&page=1&size=5' : `/v1/orders/${between(random, 10_000, 99_999)}`,
      records: i === 0 ? between(random, 1, 5) : 1,
    }))
  })

/** `calls` calls of about `records` records each, `everyHours` hours apart. */
function clockwork(path: string, everyHours: number, calls: number, records: number): Habit {
  return (day, _weekday, random) =>
    Array.from({ length: Math.round(24 / everyHours) }, (_, run) =>
      Array.from({ length: calls }, (_, i) => ({
        at: day + run * everyHours * HOUR_MS + 5 * MINUTE_MS + (i * 3 + random()) * SECOND_MS,
        uri: `${path}?page=${i + 1}&size=${records}`,
        records: Math.max(1, records - between(random, 0, Math.floor(records / 5))),
      })),
    ).flat()
}

const HABITS: readonly (readonly [names: RegExp, habit: Habit])[] = [
  [/^orders-svc$/, ordersService],
  [/^warehouse-etl$/, nightlyBatch],
  [/^phone-/, phone],
  [/^report-cron$/, clockwork('/v1/reports', 1, 1, 20)],
  [/^uptime-probe$/, clockwork('/v1/status', 0.5, 1, 1)],
  [/^partner-acme$/, clockwork('/v1/orders', 6, 3, 100)],
  [/^billing-svc$/, clockwork('/v1/invoices', 24, 8, 100)],
  [/^search-indexer$/, clockwork('/v1/products', 4, 5, 50)],
  [/./, person],
]

/** The bundled access log, line by line in the order in which the calls ended; always the same. */
export function demoHistory(): readonly string[] {
  const random = seededRandom(SEED)
  const planned: Planned[] = []
  for (let day = HISTORY_START - (HISTORY_START % DAY_MS); day < HISTORY_END; day += DAY_MS) {
    const weekday = new Date(day).getUTCDay()
    for (const caller of CALLERS) {
      const habit = HABITS.find(([names]) => names.test(caller.username))![1]
      for (const call of habit(day, weekday, random))
        planned.push({ ...call, at: Math.round(call.at), caller })
    }
  }
  const ended = planned
    .filter(({ at }) => at >= HISTORY_START && at < HISTORY_END - SECOND_MS)
    .map((call) => ({ ...call, ms: 4 + Math.round(call.records / 25) + between(random, 0, 30) }))
  ended.sort((a, b) => a.at + a.ms - b.at - b.ms)
  return ended.map((call, i) => line(call, i, random))
}

function line({ caller, at, uri, records, ms }: Planned & { ms: number }, i: number, random: Random): string {
  return kongLine({
    requestId: (0x51_0000_0000 + i * 7_919).toString(16).padStart(32, '0'),
    startedAt: at,
    method: 'GET',
    uri,
    status: 200,
    requestBytes: 400 + uri.length,
    responseBytes: 320 + records * between(random, RECORD_BYTES.least, RECORD_BYTES.most),
    requestMs: ms + 2,
    proxyMs: ms,
    records,
    clientIp: caller.clientIp,
    userAgent: caller.userAgent,
    identity: { caller, claims: claimsAt(caller.username, at) },
    decision: null,
  })
}

/** The token that a caller holds at an instant: one a day, good for a day. */
export function claimsAt(username: string, at: number): Claims {
  const day = Math.floor((at - TOKEN_HOUR_MS) / DAY_MS)
  const iat = (day * DAY_MS + TOKEN_HOUR_MS) / SECOND_MS
  return { iss: ISSUER, sub: username, jti: `${username}-${day}`, iat, exp: iat + DAY_MS / SECOND_MS }
}

/** Whose token is stolen in the story, and who runs its batch meanwhile. */
export const STOLEN_FROM = callerNamed('orders-svc')
export const BATCH_CALLER = callerNamed('warehouse-etl')

function isWeekend(weekday: number): boolean {
  return weekday === 0 || weekday === 6
}
