import type { Principal } from '../core/event.ts'
import { DAY_MS, HOUR_MS } from '../core/time.ts'
import type { SettingValues } from '../engine/settings.ts'
import { zipf } from './corpus.ts'
import { seededRandom } from './seeded-random.ts'

/** A caller of a round trip: the subject of a token that the gateway verifies. */
export interface Caller {
  readonly iss: string
  readonly sub: string
  readonly jti: string
}

/** A log record and the time that Kafka gives it: the completion of the call, epoch ms. */
export interface TimedRecord {
  readonly time: number
  readonly key: string
  readonly value: Uint8Array
}

/** Calls that each caller made before the round trips, and the time that they span. */
export const HISTORY_CALLS = 40
const HISTORY_MS = 6 * DAY_MS
/** One call that returns so many records is a download. */
const DOWNLOADED_RECORDS = 100_000
/** Callers of the background load, as in the corpus of every speed figure: few call often, most hardly ever. */
const LOAD_CALLERS = 100_000
const pickCaller = zipf(LOAD_CALLERS, seededRandom(2))

/**
 * One download is enough for a block (not a throttle: a single call lets out too much), and nothing that the
 * background load does leads to a decision. All else is as in the default configuration.
 */
export const DETECTION = {
  persistenceEvents: 1,
  minIncidentSurprise: 8,
  throttleSurprise: 8,
  impactRecords: 10_000,
  impactRequests: 1e9,
  impactBytes: 1e15,
  holdSeconds: 60,
} as const satisfies Partial<SettingValues>

/** The principal of a caller as our HAProxy configuration logs it. */
export function principalOf({ iss, sub }: Pick<Caller, 'iss' | 'sub'>): Principal {
  return { kind: 'sub', id: JSON.stringify([iss, sub]), label: sub, verified: true }
}

interface Call {
  readonly time: number
  readonly id: string
  readonly records: number
}

/** One line in the `canonical` format, about 500 bytes. */
function line(caller: Caller, call: Call): TimedRecord {
  const issued = Math.floor((call.time - HOUR_MS) / 1_000)
  const text = JSON.stringify({
    id: call.id,
    time: call.time,
    principal: principalOf(caller),
    status: 200,
    refusedBy: null,
    latencyMs: 12,
    requestBytes: 410,
    responseBytes: 300 + call.records * 180,
    records: call.records,
    recordsFrom: 'header',
    clientIp: '203.0.113.9',
    token: { ...caller, iat: issued, exp: issued + 14_400, scopes: ['orders:read'] },
    method: 'GET',
    path: '/v1/orders',
    userAgent: 'orders-client/2.14.0',
  })
  return { time: call.time, key: caller.sub, value: Buffer.from(text) }
}

/**
 * Usual calls of every caller, in time order: {@link HISTORY_CALLS} each, spread evenly over six days that end
 * an hour before `until` (epoch ms), a few records per call.
 */
export function* history(callers: readonly Caller[], until: number): Generator<TimedRecord> {
  const end = until - HOUR_MS
  const step = HISTORY_MS / HISTORY_CALLS
  for (let round = 0; round < HISTORY_CALLS; round++) {
    const from = end - HISTORY_MS + round * step
    for (const [i, caller] of callers.entries()) {
      const time = Math.floor(from + (i * step) / callers.length)
      yield line(caller, { time, id: `${caller.jti}-${round}`, records: 1 + ((i + round) % 4) })
    }
  }
}

/** The call that gets its caller blocked. */
export function download(caller: Caller, time: number): TimedRecord {
  return line(caller, { time, id: `${caller.jti}-download`, records: DOWNLOADED_RECORDS })
}

/** As gateways number requests: 32 hexadecimal digits. */
function requestId(time: number, n: number): string {
  return (time.toString(16) + n.toString(16).padStart(10, '0')).padStart(32, '0')
}

/** The n-th call of the background load: harmless, from one of many callers (Zipf 1.0). */
export function loadCall(n: number, time: number): TimedRecord {
  const name = `load-${pickCaller()}`
  const caller = { iss: 'https://idp.test/load', sub: name, jti: name }
  return line(caller, { time, id: requestId(time, n), records: 1 + (n % 4) })
}
