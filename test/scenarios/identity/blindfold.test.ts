import { describe, expect, it } from 'vitest'
import type { Format, SourceSettings } from '../../../ingest/format.ts'
import { canonical } from '../../../ingest/formats/canonical.ts'
import { kong } from '../../../ingest/formats/kong.ts'
import { HOUR_MS, MINUTE_MS, MONDAY, officeHabit } from '../engine/traffic.ts'
import { LineFeed } from './engine-lines.ts'
import {
  download,
  figures,
  learntServices,
  NIGHT_AFTER,
  RECORDS_PER_CALL,
  type Theft,
  type TheftLine,
} from './theft.ts'

const THIEF = officeHabit('orders-svc').principal
const NIGHT = MONDAY + NIGHT_AFTER
const CALLS = 400
const GAP_MS = 2_000
const QUOTE = 'curl/8 "quoted" \\" end'

const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'kong', id: 'edge' },
  principal: { order: ['consumer', 'sub', 'key'], issuers: new Map() },
  records: { headers: ['x-records-returned'], contentRange: false, field: null, bytesPerRecord: null },
}

/** One call of the night. */
interface Call {
  readonly id: string
  readonly start: number
  readonly durationMs: number
  readonly agent: string
  readonly uri: string
}

type Write = (call: Call) => string

const kongLine: Write = (call) =>
  JSON.stringify({
    response: {
      status: 200,
      size: 9_900,
      headers: { 'x-records-returned': String(RECORDS_PER_CALL) },
    },
    client_ip: '192.0.2.10',
    request: { id: call.id, method: 'GET', uri: call.uri, size: 600, headers: { 'user-agent': call.agent } },
    started_at: call.start,
    latencies: { request: call.durationMs, proxy: call.durationMs - 2, kong: 2 },
    tries: [{ ip: '10.0.0.7' }],
    source: 'upstream',
    consumer: { id: THIEF.id, username: THIEF.label },
    authenticated_entity: { id: 'cred-orders' },
  })

const canonicalLine: Write = (call) =>
  JSON.stringify({
    id: call.id,
    time: call.start + call.durationMs,
    principal: THIEF,
    status: 200,
    latencyMs: call.durationMs,
    responseBytes: 9_900,
    records: RECORDS_PER_CALL,
    clientIp: '192.0.2.10',
    method: 'GET',
    path: call.uri,
    userAgent: call.agent,
  })

/** A producer that puts text into its line without escaping it, as hand-written log formats do. */
const careless: Write = (call) => canonicalLine({ ...call, agent: '@' }).replace('"@"', `"${call.agent}"`)

function night(changes: Partial<Call> = {}): Call[] {
  return Array.from({ length: CALLS }, (_, i) => ({
    id: `n${i}`,
    start: NIGHT + i * GAP_MS,
    durationMs: 20,
    agent: 'curl/8',
    uri: '/v1/orders/17',
    ...changes,
  }))
}

/** Arrival as in a live installation; NaN as in a file. */
type Arrival = (call: Call) => number
const live: Arrival = (call) => call.start + call.durationMs + 30
const unknown: Arrival = () => Number.NaN

function theft(format: Format, calls: readonly Call[], write: Write, arrival: Arrival): Theft {
  const feed = new LineFeed(format, SETTINGS, learntServices(THIEF))
  const lines: TheftLine[] = calls.map((c) => ({ bytes: Buffer.from(write(c)), receivedAt: arrival(c) }))
  return download(feed, lines)
}

/** The first call of the night states a time an hour ahead; it arrives when it really ended. */
const misdated = (write: Write): Write => {
  const first = night()[0]!.id
  return (call) => write(call.id === first ? { ...call, start: call.start + HOUR_MS } : call)
}

const FORMATS: readonly (readonly [string, Format, Write])[] = [
  ['kong', kong, kongLine],
  ['canonical', canonical, canonicalLine],
]

describe.each(FORMATS)('the 3 AM download behind a blindfold, in %s lines', (name, format, write) => {
  const plain = theft(format, night(), write, live)
  const nine = 'x'.repeat(4_500)
  const variants: readonly (readonly [string, () => Theft])[] = [
    ['a quote in the user agent', () => theft(format, night({ agent: QUOTE }), write, live)],
    [
      '9 kB of user agent and URL',
      () => theft(format, night({ agent: nine, uri: `/v1/orders/17?q=${nine}` }), write, live),
    ],
    ['one request id for all', () => theft(format, night({ id: 'same' }), write, live)],
    [
      'responses read over 20 minutes',
      () => theft(format, night({ durationMs: 20 * MINUTE_MS }), write, live),
    ],
    ['a first call dated +1 h', () => theft(format, night(), misdated(write), live)],
    ['a first call dated +1 h, in a file', () => theft(format, night(), misdated(write), unknown)],
  ]

  it('is seen without one', () => {
    console.log(figures(`${name}, plain`, plain, plain))
    expect(plain.opened.map((a) => a.entity.id)).toEqual([`consumer:${THIEF.label}`])
    expect(plain.restricted).not.toBeNull()
  })

  it.each(variants)('%s: seen, and no more than twice the records left', (what, run) => {
    const result = run()
    console.log(figures(`${name}, ${what}`, result, plain))
    expect(result.opened.map((a) => a.entity.id)).toContain(`consumer:${THIEF.label}`)
    expect(result.restricted?.principal.id).toBe(THIEF.id)
    expect(result.recordsLeft).toBeLessThanOrEqual(2 * plain.recordsLeft)
  })
})

describe('lines that a producer broke because a client sent a quote', () => {
  const plain = theft(canonical, night(), canonicalLine, live)

  it('are scored by what stands before the quote', () => {
    const result = theft(canonical, night({ agent: QUOTE }), careless, live)
    console.log(figures('canonical, a quote that nobody escaped', result, plain))
    expect(result).toMatchObject({ deadLetters: CALLS, scored: CALLS })
    expect(result.restricted?.principal.id).toBe(THIEF.id)
    expect(result.recordsLeft).toBeLessThanOrEqual(2 * plain.recordsLeft)
  })

  it.each([
    [
      'the address, where it stands before the quote',
      '"clientIp":"192.0.2.10","userAgent":"@",',
      'ip',
      'ip:192.0.2.10',
    ],
    ['the source, where nothing does', '"userAgent":"@",', 'source', 'source:edge'],
  ])('open an incident of %s', (_, start, type, id) => {
    const first: Write = (call) => {
      const {
        userAgent: _u,
        clientIp: _c,
        ...rest
      } = JSON.parse(canonicalLine(call)) as Record<string, unknown>
      return `{${start.replace('@', QUOTE)}${JSON.stringify(rest).slice(1)}`
    }
    const result = theft(canonical, night(), first, unknown)
    console.log(figures(`canonical, unreadable from the start on (${type})`, result, plain))
    expect(result).toMatchObject({ deadLetters: CALLS, scored: 0, restricted: null })
    expect(result.opened.map((a) => a.entity)).toEqual([{ type, id }])
    expect(result.opened[0]?.summary).toMatch(/log lines in ten minutes that could not be read/)
  })
})

describe('a log whose very first line is dated an hour ahead', () => {
  it('hides nothing that follows', () => {
    const fresh = () => new LineFeed(canonical, SETTINGS, learntServices(THIEF))
    const ahead = canonicalLine({ ...night()[0]!, id: 'first', start: NIGHT + HOUR_MS, uri: '/v1/status' })
    const lines = night().map((c) => ({ bytes: Buffer.from(canonicalLine(c)), receivedAt: Number.NaN }))
    const other = ahead.replace(THIEF.id, 'id-first').replace(THIEF.label, 'first')
    const result = download(fresh(), [{ bytes: Buffer.from(other), receivedAt: Number.NaN }, ...lines])
    expect(result.opened.map((a) => a.entity.id)).toEqual([`consumer:${THIEF.label}`])
    expect(result.restricted).not.toBeNull()
  })
})
