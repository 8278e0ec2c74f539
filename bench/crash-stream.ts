import { type AccessEvent, type Principal, profileKey } from '../core/event.ts'
import { partitionOf } from '../core/hash.ts'
import { DAY_MS, eventTime, HOUR_MS } from '../core/time.ts'
import { encodeInternal } from '../ingest/formats/internal.ts'
import type { EventLog } from '../ingest/source.ts'
import { seededRandom } from './seeded-random.ts'

/** Records of a log in its order, ready to be appended. */
export type StreamRecord = Parameters<EventLog['append']>[0][number]

export interface StreamOptions {
  readonly events: number
  readonly principals: number
  readonly partitions: number
  readonly seed: number
}

const START = Date.UTC(2026, 8, 7)
const DAYS = 21
/** Bursts begin when everybody has a profile. */
const FIRST_ATTACK_DAY = 15
const BURST_CALLS = 400
const BURST_GAP_MS = 100
/** One record in so many is a copy of the one before it, as a gateway's log shipper makes them. */
const COPY_EVERY = 997
/** Calls of a burst after which the gateway refuses most of the rest. */
const REFUSED_FROM = 250

interface Call {
  readonly time: number
  readonly caller: number
  readonly burst: number | null
}

/**
 * Normalised calls of three weeks: callers with a working day of their own, a few bursts of downloads that
 * get refused half way, some records twice. The time of receipt is the time of the call, so nothing depends
 * on when it is read. The same options give the same bytes.
 */
export function* crashStream(options: StreamOptions): Iterable<StreamRecord> {
  const random = seededRandom(options.seed)
  let offset = 0
  for (const call of callsOf(options, random)) {
    const event = eventOf(call, offset, random)
    const partition = partitionOf(profileKey(event.tenant, event.principal), options.partitions)
    const record = { partition, source: 'raw', bytes: encodeInternal(event), receivedAt: call.time }
    yield record
    offset++
    if (offset % COPY_EVERY === 0) yield record
  }
}

function callsOf(options: StreamOptions, random: () => number): readonly Call[] {
  const bursts = Math.max(4, Math.round(options.principals / 40))
  const usual = Math.max(0, options.events - bursts * BURST_CALLS)
  const calls: Call[] = []
  while (calls.length < usual) {
    const caller = Math.floor(random() ** 2 * options.principals)
    const day = Math.floor(random() * DAYS)
    const hour = ((caller * 5) % 24) + random() * 9
    calls.push({ time: Math.round(START + day * DAY_MS + hour * HOUR_MS), caller, burst: null })
  }
  for (let burst = 0; burst < bursts; burst++) {
    const caller = Math.floor(random() * options.principals)
    const begin = START + (FIRST_ATTACK_DAY + random() * (DAYS - FIRST_ATTACK_DAY)) * DAY_MS
    for (let i = 0; i < BURST_CALLS; i++) {
      calls.push({ time: Math.round(begin + i * BURST_GAP_MS), caller, burst: i })
    }
  }
  return calls.sort((a, b) => a.time - b.time)
}

function eventOf({ time, caller, burst }: Call, offset: number, random: () => number): AccessEvent {
  const name = `svc-${caller}`
  const principal: Principal = {
    kind: 'sub',
    id: JSON.stringify(['https://idp.test', name]),
    label: name,
    verified: true,
  }
  const refused = burst !== null && burst >= REFUSED_FROM && burst % 3 !== 0
  const records = burst === null ? 1 + Math.floor(random() * 4) : 25
  const issued = Math.floor(time / DAY_MS) * 86_400
  return {
    id: `call-${offset}`,
    time: eventTime(time),
    receivedAt: time,
    tenant: 'default',
    principal,
    parents: [`app:${caller % 7}`],
    token: {
      iss: 'https://idp.test',
      sub: name,
      jti: `${name}-${issued}`,
      iat: issued,
      exp: issued + 90_000,
      scopes: ['orders:read'],
    },
    credential: null,
    clientIp: `10.0.${caller >> 8}.${caller & 255}`,
    userAgent: 'orders/1.4',
    method: 'GET',
    route: '/v1/orders/{id}',
    path: `/v1/orders/${1_000 + Math.floor(random() * 5_000)}`,
    objectIds: [],
    status: refused ? 429 : 200,
    latencyMs: 4 + Math.floor(random() * 60),
    requestBytes: 400,
    responseBytes: refused ? 60 : 300 + records * 180,
    records: refused ? 0 : records,
    recordsFrom: 'header',
    refusedBy: refused ? 'curfew' : null,
    gateway: { kind: 'haproxy', id: 'edge' },
    source: { topic: 'raw', partition: 0, offset, index: 0 },
  }
}
