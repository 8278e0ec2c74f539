import { existsSync, readFileSync } from 'node:fs'
import type { AccessEvent } from '../core/event.ts'
import type { Emit, Format, RawRecord, SourceSettings } from '../ingest/format.ts'
import { canonical } from '../ingest/formats/canonical.ts'
import { FORMATS } from '../ingest/formats/catalog.ts'
import { decodeInternal, encodeInternal } from '../ingest/formats/internal.ts'
import { kong } from '../ingest/formats/kong.ts'

const START_MS = 1_795_453_200_000
const PRINCIPALS = 100_000
const DISTINCT_LINES = 20_000

/** xorshift32: the same lines in every run. */
function numbers(seed: number): (below: number) => number {
  let x = seed
  return (below) => {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    return (x >>> 0) % below
  }
}

function kongLine(i: number, next: (below: number) => number): string {
  const who = Math.floor(PRINCIPALS ** (next(10_000) / 10_000))
  const hex = (n: number, width: number): string => n.toString(16).padStart(width, '0')
  const order = next(1_000_000)
  const consumer = `8a4c1c1e-1111-4c0a-9b6a-${hex(who, 12)}`
  return JSON.stringify({
    request: {
      id: `${hex(i, 16)}${hex(next(2 ** 32), 16)}`,
      method: 'GET',
      uri: `/v1/orders/${order}/items?page=${next(50)}`,
      size: 400 + next(300),
      querystring: { page: '1' },
      headers: {
        host: 'api.example.test',
        'user-agent': `acme-client/4.${who % 50}`,
        accept: 'application/json',
        authorization: 'REDACTED',
      },
    },
    response: {
      status: next(50) === 0 ? 404 : 200,
      size: 700 + next(9_000),
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'x-records-returned': String(next(50)),
        'x-kong-request-id': hex(i, 32),
      },
    },
    latencies: { kong: 2, proxy: 41, request: 44, receive: 1 },
    client_ip: `10.${who % 250}.${(who >> 8) % 250}.7`,
    started_at: START_MS + i,
    source: 'upstream',
    upstream_status: '200',
    tries: [{ balancer_start: START_MS + i, ip: '10.2.0.7', port: 8080, balancer_latency: 0 }],
    route: { id: 'b6a4f3c0-7c0b-4f55-8a5c-7f7c5d7f0a11', name: 'orders', paths: ['/v1/orders'] },
    service: {
      id: '2f1f7a2e-54a6-4a6e-9a9e-0d8e1c3f7b11',
      name: 'orders',
      host: 'orders.internal',
      port: 80,
    },
    consumer: { id: consumer, username: `service-${who}`, custom_id: null },
    authenticated_entity: { id: `5d7f0a11-2222-4b1b-8c1c-${hex(who, 12)}` },
  })
}

const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'kong', id: 'bench' },
  principal: { order: ['consumer', 'sub'], issuers: new Map() },
  records: { headers: ['x-records-returned'], contentRange: true, field: null, bytesPerRecord: null },
}

/** CPU microseconds per item. */
function cost(items: readonly Buffer[], rounds: number, work: (item: Buffer) => void): number {
  const before = process.cpuUsage()
  for (let round = 0; round < rounds; round++) for (const item of items) work(item)
  const used = process.cpuUsage(before)
  return (used.user + used.system) / (items.length * rounds)
}

function parsing(format: Format): { readonly work: (item: Buffer) => void; readonly seen: () => number } {
  let seen = 0
  const emit: Emit = {
    event: () => {
      seen++
    },
    rejected: (rejection) => {
      throw new Error(`${rejection.reason}: ${rejection.detail}`)
    },
  }
  const record = (bytes: Buffer): RawRecord => ({
    bytes,
    receivedAt: START_MS + 60_000,
    topic: 'access',
    partition: 0,
    offset: seen,
  })
  return { work: (bytes) => format.parse(record(bytes), SETTINGS, emit), seen: () => seen }
}

function eventsOf(lines: readonly Buffer[]): AccessEvent[] {
  const events: AccessEvent[] = []
  const emit: Emit = { event: (event) => events.push(event), rejected: () => undefined }
  lines.forEach((bytes, offset) => {
    kong.parse(
      { bytes, receivedAt: START_MS + 60_000, topic: 'access', partition: 0, offset },
      SETTINGS,
      emit,
    )
  })
  return events
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[values.length >> 1] ?? Number.NaN

/**
 * Measures parsing against `JSON.parse` of the same lines in the same run, interleaved. First argument:
 * number of runs (default 5).
 */
export async function run(args: string[]): Promise<void> {
  const runs = Number(args[0] ?? 5)
  const next = numbers(42)
  const lines = Array.from({ length: DISTINCT_LINES }, (_, i) => Buffer.from(kongLine(i, next)))
  const events = eventsOf(lines)
  const canonicalLines = events.map((event) => Buffer.from(encodeInternal({ ...event, latencyMs: 44 })))
  const parseOnly = (item: Buffer): void => void JSON.parse(item.toString())
  const subjects: readonly (readonly [string, readonly Buffer[], (item: Buffer) => void])[] = [
    ['JSON.parse of Kong lines', lines, parseOnly],
    ['format kong', lines, parsing(kong).work],
    ['JSON.parse of canonical lines', canonicalLines, parseOnly],
    ['format canonical', canonicalLines, parsing(canonical).work],
    ['decodeInternal', canonicalLines, (item) => void decodeInternal(item, 0)],
  ]
  for (const [, items, work] of subjects) cost(items, 2, work)
  const results = subjects.map(() => [] as number[])
  for (let i = 0; i < runs; i++)
    subjects.forEach(([, items, work], k) => void results[k]?.push(cost(items, 3, work)))
  const mean = Math.round(lines.reduce((sum, line) => sum + line.length, 0) / lines.length)
  console.log(`${lines.length} lines, mean ${mean} bytes, median of ${runs} runs, CPU time`)
  subjects.forEach(([name], k) => {
    const us = median(results[k] ?? [])
    const reference = median(results[k < 2 ? 0 : 2] ?? [])
    console.log(
      `${name.padEnd(32)} ${us.toFixed(2).padStart(7)} us/line   ${(reference / us).toFixed(2).padStart(6)} x JSON.parse`,
    )
  })
  sampleRatios(runs)
}

/** One folder up from the source, two from the build. */
const SAMPLES = ['../samples/formats/', '../../samples/formats/']
  .map((place) => new URL(place, import.meta.url))
  .find((place) => existsSync(place))

/** Each format on its samples, their calls repeated; lines that hold several calls are left out. */
function sampleRatios(runs: number): void {
  if (SAMPLES === undefined) return
  console.log(`formats on samples/formats, median of ${runs} runs, CPU time`)
  for (const [name, format] of FORMATS) {
    const file = new URL(`${name}.log`, SAMPLES)
    if (!existsSync(file)) continue
    const single = (line: string) =>
      name === 'combined' || (line.startsWith('{') && !/"(?:Records|logEvents)":/.test(line))
    const lines = readFileSync(file, 'utf8')
      .trimEnd()
      .split('\n')
      .filter(single)
      .map((line) => Buffer.from(line))
    const settings = { ...SETTINGS, gateway: { kind: name, id: 'bench' } }
    const record = { receivedAt: Number.NaN, topic: 'access', partition: 0, offset: 0 }
    const emit: Emit = { event: () => undefined, rejected: () => undefined }
    const parse = (bytes: Buffer): void => format.parse({ ...record, bytes }, settings, emit)
    const json =
      name === 'combined' ? lines.map((line) => Buffer.from(JSON.stringify([line.toString()]))) : lines
    const rounds = Math.ceil(20_000 / lines.length)
    cost(lines, rounds, parse)
    const ratios: number[] = []
    for (let i = 0; i < runs; i++) {
      const reference = cost(json, rounds, (item) => void JSON.parse(item.toString()))
      ratios.push(reference / cost(lines, rounds, parse))
    }
    const mean = Math.round(lines.reduce((sum, line) => sum + line.length, 0) / lines.length)
    console.log(
      `format ${name.padEnd(25)} ${String(mean).padStart(7)} bytes     ${median(ratios).toFixed(2).padStart(6)} x JSON.parse`,
    )
  }
}
