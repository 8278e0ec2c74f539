import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import type { Output } from '../../../engine/incident-book.ts'
import type { Partition } from '../../../engine/partition.ts'
import type { Format, SourceSettings } from '../../../ingest/format.ts'
import { canonical } from '../../../ingest/formats/canonical.ts'
import { kong } from '../../../ingest/formats/kong.ts'
import {
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  officeHabit,
  partition,
  play,
  profileBytes,
  renumber,
  routine,
} from '../engine/traffic.ts'
import { LineFeed } from './engine-lines.ts'

const LINES = 100_000
const DAYS = 14
const ATTACK = MONDAY + DAYS * DAY_MS + 9 * HOUR_MS
const VICTIM = 'orders-svc'
const VICTIM_ID = `id-${VICTIM}`
const ISSUER = 'https://id.example'

const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'kong', id: 'edge' },
  principal: { order: ['consumer', 'sub', 'key'], issuers: new Map([[ISSUER, 'staff']]) },
  records: { headers: ['x-records-returned'], contentRange: false, field: null, bytesPerRecord: null },
}

type Json = Record<string, unknown>

/** A Kong line of a caller at 203.0.113.66 that authenticated as nobody. */
function kongLine(
  i: number,
  time: number,
  changes: { root?: Json; headers?: Json; uri?: string; status?: number },
): Json {
  return {
    response: { status: changes.status ?? 200, size: 9_900, headers: { 'x-records-returned': '25' } },
    client_ip: '203.0.113.66',
    request: {
      id: `a${i}`,
      method: 'GET',
      uri: changes.uri ?? '/v1/orders',
      size: 600,
      headers: { host: 'api.example', 'user-agent': 'curl/8', ...changes.headers },
    },
    started_at: time,
    latencies: { request: 20, proxy: 15, kong: 5 },
    tries: [{ ip: '10.0.0.7' }],
    ...changes.root,
  }
}

const consumer = { id: VICTIM_ID, username: VICTIM, custom_id: VICTIM }
const claims = { iss: ISSUER, sub: VICTIM, jti: 'night', iat: 1, exp: 9_999_999_999 }
const quoted = `","consumer":${JSON.stringify(consumer)},"authenticated_entity":{"id":"${VICTIM_ID}"},"x":"`

/** Every place that a client controls, as Kong writes it. Each returns the line's text. */
const KONG_PLACES: readonly (readonly [string, (i: number, time: number) => string])[] = [
  ['unsigned JWT', (i, t) => text(kongLine(i, t, { root: { jwt: claims } }))],
  ['Basic user', (i, t) => text(kongLine(i, t, { headers: { authorization: 'Basic b3JkZXJzLXN2Yzp4' } }))],
  [
    'X-Consumer-*',
    (i, t) =>
      text(
        kongLine(i, t, {
          headers: {
            'x-consumer-id': VICTIM_ID,
            'x-consumer-username': VICTIM,
            'x-consumer-custom-id': VICTIM,
            'x-credential-identifier': VICTIM_ID,
            'x-authenticated-userid': VICTIM,
          },
        }),
      ),
  ],
  [
    'X-Forwarded-For',
    (i, t) => text(kongLine(i, t, { headers: { 'x-forwarded-for': `192.0.2.10, ${VICTIM}` } })),
  ],
  [
    'query',
    (i, t) => text(kongLine(i, t, { uri: `/v1/orders?consumer=${VICTIM_ID}&sub=${VICTIM}&user=${VICTIM}` })),
  ],
  ['user agent', (i, t) => text(kongLine(i, t, { headers: { 'user-agent': quoted } }))],
  [
    'injected JSON key',
    (i, t) => text(kongLine(i, t, {})).replace('{', `{"consumer":{},"consumer":${JSON.stringify(consumer)},`),
  ],
  [
    'refused with the name',
    (i, t) =>
      text(
        kongLine(i, t, {
          status: 401,
          root: { source: 'kong', consumer, authenticated_entity: { id: VICTIM_ID }, jwt: claims },
        }),
      ),
  ],
  [
    'same sub at another issuer',
    (i, t) =>
      text(
        kongLine(i, t, {
          root: {
            authenticated_entity: { id: 'cred-other' },
            jwt: { ...claims, iss: 'https://evil.example' },
          },
        }),
      ),
  ],
]

/** The same ideas in lines that a producer writes itself. */
const CANONICAL_PLACES: readonly (readonly [string, (i: number, time: number) => string])[] = [
  [
    'unverified name',
    (i, t) =>
      text(
        canonicalLine(i, t, {
          principal: { kind: 'consumer', id: VICTIM_ID, label: VICTIM, verified: false },
        }),
      ),
  ],
  ['unsigned JWT', (i, t) => text(canonicalLine(i, t, { token: { ...claims, scopes: [] } }))],
  ['query', (i, t) => text(canonicalLine(i, t, { path: `/v1/orders?consumer=${VICTIM_ID}` }))],
  [
    'user agent',
    (i, t) =>
      text(canonicalLine(i, t, { userAgent: `","principal":{"kind":"consumer","id":"${VICTIM_ID}"},"x":"` })),
  ],
  [
    'unescaped quote',
    (i, t) =>
      text(canonicalLine(i, t, { userAgent: '@' })).replace(
        '@',
        `","principal":{"kind":"consumer","id":"${VICTIM_ID}"},"x":"`,
      ),
  ],
  [
    'refused with the name',
    (i, t) =>
      text(
        canonicalLine(i, t, {
          principal: { kind: 'consumer', id: VICTIM_ID, label: VICTIM },
          status: 401,
          refusedBy: 'gateway',
        }),
      ),
  ],
  [
    'same sub at another issuer',
    (i, t) =>
      text(
        canonicalLine(i, t, {
          principal: {
            kind: 'sub',
            id: JSON.stringify(['https://evil.example', VICTIM_ID]),
            label: 'evil/x',
          },
        }),
      ),
  ],
]

function canonicalLine(i: number, time: number, changes: Json): Json {
  return {
    id: `a${i}`,
    time,
    principal: { kind: 'ip', id: '203.0.113.66' },
    clientIp: '203.0.113.66',
    method: 'GET',
    path: '/v1/orders',
    status: 200,
    responseBytes: 9_900,
    records: 25,
    ...changes,
  }
}

function text(line: Json): string {
  return JSON.stringify(line)
}

/** Two weeks of twelve services, the victim among them. */
function learnt(): Partition {
  renumber()
  const engine = partition()
  const peers = Array.from({ length: 11 }, (_, i) => routine(officeHabit(`svc-${i}`), MONDAY, DAYS, 100 + i))
  play(engine, inOrder(routine(officeHabit(VICTIM), MONDAY, DAYS, 1), ...peers))
  return engine
}

/** The victim's and the others' working day, on which the attack falls. */
function workingDay(): AccessEvent[] {
  const peers = Array.from({ length: 11 }, (_, i) =>
    routine(officeHabit(`svc-${i}`), MONDAY + DAYS * DAY_MS, 1, 300 + i),
  )
  return inOrder(routine(officeHabit(VICTIM), MONDAY + DAYS * DAY_MS, 1, 50), ...peers)
}

function attacked(
  format: Format,
  places: typeof KONG_PLACES,
): { engine: Partition; outputs: Output[]; rejected: number } {
  const engine = learnt()
  const feed = new LineFeed(format, SETTINGS, engine)
  const outputs: Output[] = []
  let rejected = 0
  const day = workingDay()
  let next = 0
  for (let i = 0; i < LINES; i++) {
    // 100,000 lines from 9:00 on, two thirds of a second apart at most: the day's honest calls fall in between.
    const time = ATTACK + i * 250
    for (; next < day.length && day[next]!.time <= time; next++) engine.step(day[next]!)
    const result = feed.line(Buffer.from(places[i % places.length]![1](i, time)), time + 25)
    if (result.rejected !== null) rejected++
    outputs.push(...result.outputs)
  }
  for (; next < day.length; next++) engine.step(day[next]!)
  outputs.push(...engine.book.outputs.splice(0))
  return { engine, outputs, rejected }
}

describe.each([
  ['kong', kong, KONG_PLACES],
  ['canonical', canonical, CANONICAL_PLACES],
] as const)('a caller without the credential of another, in %s lines', (name, format, places) => {
  it('moves, alerts on and restricts nobody but its address, with the name in every place that it controls', () => {
    const victim = officeHabit(VICTIM).principal
    const alone = learnt()
    play(alone, workingDay())
    const { engine, outputs, rejected } = attacked(format, places)

    expect(profileBytes(engine, victim)).toEqual(profileBytes(alone, victim))
    const told = outputs.map((o) => {
      if (o.kind === 'alert') return o.alert.entity.id
      return o.kind === 'decision' ? o.decision.entity.id : ''
    })
    expect(told).not.toContain(`consumer:${VICTIM}`)
    expect(told).not.toContain(`sub:${VICTIM}`)
    const decisions = outputs.flatMap((o) => (o.kind === 'decision' ? [o.decision] : []))
    const meant = decisions.map((d) => JSON.stringify([d.principal, d.scope]))
    expect(meant.filter((text) => text.includes(VICTIM_ID) || text.includes(ISSUER))).toEqual([])
    const opened = outputs.flatMap((o) =>
      o.kind === 'alert' && o.alert.transition === 'opened' ? [o.alert.entity] : [],
    )
    expect(opened).toContainEqual({ type: 'ip', id: 'ip:203.0.113.66' })
    expect(decisions.filter((d) => d.entity.type === 'ip' && d.mode !== 'observe')).toEqual([])

    const entities = [...new Set(opened.map((e) => e.id))].join(', ')
    console.log(
      `${name}: ${LINES} lines in ${places.length} places, ${rejected} to the dead letters; ` +
        `victim's profile identical (${profileBytes(engine, victim)?.length} bytes); incidents: ${entities}`,
    )
  }, 120_000)
})
