import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { AccessEvent, Principal } from '../../../../core/event.ts'
import { eventTime } from '../../../../core/time.ts'
import type { Format, SourceSettings } from '../../../../ingest/format.ts'
import { FORMATS } from '../../../../ingest/formats/catalog.ts'
import { anonymousObject, kongObject, parsed, SETTINGS } from '../../../unit/ingest/formats/kong-line.ts'
import { FORMAT_CHECKS, type FormatSubject, RECEIVED_AT } from './format-contract.ts'

type Json = Record<string, unknown>

function formatNamed(name: string): Format {
  const format = FORMATS.get(name)
  if (format === undefined) throw new Error(`no format ${name}`)
  return format
}

function subject(
  name: string,
  caller: string,
  lines: { ordinary: Json; claimed: Json; turnedAway: Json; negativeSize: Json; stale: Json },
  again: string,
): FormatSubject {
  const ordinary = JSON.stringify(lines.ordinary)
  return {
    format: formatNamed(name),
    settings: SETTINGS,
    ordinary,
    caller,
    claimed: JSON.stringify(lines.claimed),
    turnedAway: JSON.stringify(lines.turnedAway),
    tenantClaimed: JSON.stringify({ ...lines.ordinary, tenant: 'victim', gateway: { kind: 'x', id: 'y' } }),
    statedTwice: `{${again},${ordinary.slice(1)}`,
    negativeSize: JSON.stringify(lines.negativeSize),
    stale: JSON.stringify(lines.stale),
    withSecret: (secret) =>
      `{"apikey":"${secret}","note":"/x?access_token=${secret}",${ordinary.slice(1, -2)}`,
  }
}

const YEAR_AGO = RECEIVED_AT - 365 * 86_400_000

function kongSubject(): FormatSubject {
  const claimed = anonymousObject({
    jwt: { sub: 'acme-mobile' },
    request: { id: 'r', method: 'GET', uri: '/', headers: { 'x-consumer-username': 'acme-mobile' } },
  })
  return subject(
    'kong',
    'consumer:acme-mobile',
    {
      ordinary: kongObject(),
      claimed,
      turnedAway: kongObject({ source: 'kong', response: { status: 401, size: 90 } }),
      negativeSize: kongObject({ response: { status: 200, size: -1 } }),
      stale: kongObject({ started_at: YEAR_AGO }),
    },
    '"consumer":{"id":"victim","username":"victim"}',
  )
}

function canonicalSubject(): FormatSubject {
  const ordinary = {
    time: RECEIVED_AT - 1_000,
    principal: { kind: 'consumer', id: 'c-1', label: 'orders-svc' },
    clientIp: '203.0.113.10',
    method: 'GET',
    path: '/v1/orders/7',
    status: 200,
  }
  return subject(
    'canonical',
    'consumer:orders-svc',
    {
      ordinary,
      claimed: { ...ordinary, principal: { ...ordinary.principal, verified: false } },
      turnedAway: {
        ...ordinary,
        token: { sub: 'orders-svc' },
        credential: 'k1',
        status: 401,
        refusedBy: 'gateway',
      },
      negativeSize: { ...ordinary, responseBytes: -1 },
      stale: { ...ordinary, time: YEAR_AGO },
    },
    '"principal":{"kind":"consumer","id":"victim"}',
  )
}

const SUBJECTS: readonly FormatSubject[] = [kongSubject(), canonicalSubject()]

describe('every format', () => {
  it('is under contract', () => {
    expect(SUBJECTS.map((s) => s.format.name).sort()).toEqual([...FORMATS.keys()].sort())
  })

  for (const s of SUBJECTS) {
    for (const check of FORMAT_CHECKS) it(`${s.format.name}: ${check.name}`, () => check.run(s))
  }
})

/** A format that is Kong's but for what `change` spoils. */
function twin(change: (inner: Format) => Format['parse']): FormatSubject {
  const good = kongSubject()
  return { ...good, format: { name: 'twin', parse: change(good.format) } }
}

const mapEvent =
  (map: (event: AccessEvent, text: string) => AccessEvent) =>
  (inner: Format): Format['parse'] =>
  (record, settings, emit) =>
    inner.parse(record, settings, {
      ...emit,
      event: (e) => emit.event(map(e, Buffer.from(record.bytes).toString())),
      rejected: (r) => emit.rejected(r),
    })

const victim: Principal = { kind: 'consumer', id: 'victim', label: 'victim', verified: true }
const withTenant = (settings: SourceSettings): SourceSettings => ({ ...settings, tenantField: 'tenant' })
let calls = 0

/** Each twin breaks one promise; the named check must notice. */
const TWINS: readonly (readonly [string, string, FormatSubject])[] = [
  [
    'loses the caller',
    'an ordinary call is one event of its caller',
    twin(mapEvent((e) => ({ ...e, principal: { ...e.principal, label: 'x' } }))),
  ],
  [
    'remembers',
    'the same bytes get the same answer',
    twin(mapEvent((e) => ({ ...e, id: `${e.id}-${calls++}` }))),
  ],
  [
    'throws',
    'nothing makes it throw',
    twin((inner) => (record, settings, emit) => {
      if (record.bytes[0] !== 0x7b) throw new SyntaxError('unexpected token')
      inner.parse(record, settings, emit)
    }),
  ],
  [
    'swallows broken lines',
    'no line disappears',
    twin(
      (inner) => (r, s, emit) =>
        inner.parse(r, s, { event: (e) => emit.event(e), rejected: () => undefined }),
    ),
  ],
  [
    'believes an unverified name',
    'a name that the gateway did not verify is not believed',
    twin(mapEvent((e, text) => (text.includes('x-consumer-username') ? { ...e, principal: victim } : e))),
  ],
  [
    'believes whom the gateway turned away',
    'whom the gateway turned away is its address, whatever the line says',
    twin(mapEvent((e) => (e.refusedBy === 'gateway' ? { ...e, principal: victim } : e))),
  ],
  [
    'dates what was cut off by the epoch',
    'a call that was cut off is dated by its receipt, or no event',
    twin(mapEvent((e, text) => (text.endsWith('}') ? e : { ...e, time: eventTime(0) }))),
  ],
  [
    'lets a line choose its tenant',
    'a line does not choose its tenant or gateway',
    twin((inner) => (r, s, emit) => inner.parse(r, withTenant(s), emit)),
  ],
  [
    'takes the last of two names',
    'a name stated twice is booked on the address and reported',
    twin(mapEvent((e, text) => (text.includes('victim') ? { ...e, principal: victim } : e))),
  ],
  [
    'spells unknown 0',
    'what no response can have is no measure',
    twin(mapEvent((e) => ({ ...e, responseBytes: e.responseBytes ?? 0 }))),
  ],
  [
    'takes any time',
    'a time outside the bounds is refused, unless no receipt is known',
    twin((inner) => (r, s, emit) => inner.parse({ ...r, receivedAt: Number.NaN }, s, emit)),
  ],
  [
    'forgets places',
    'several calls in one message keep their places',
    twin(mapEvent((e) => ({ ...e, source: { ...e.source, index: 0 } }))),
  ],
  [
    'shows the line as it is',
    'dead letters are short and hold no secret',
    twin(
      (inner) => (r, s, emit) =>
        inner.parse(r, s, {
          event: (e) => emit.event(e),
          rejected: (x) => emit.rejected({ ...x, excerpt: Buffer.from(r.bytes).toString().slice(0, 512) }),
        }),
    ),
  ],
]

describe('the format contract', () => {
  it.each(TWINS)('rejects a twin that %s', (_, name, wrong) => {
    const check = FORMAT_CHECKS.find((c) => c.name === name)
    expect(() => check?.run(wrong)).toThrow()
  })

  it('has a twin for every check', () => {
    expect(TWINS.map(([, name]) => name).sort()).toEqual(FORMAT_CHECKS.map((c) => c.name).sort())
  })
})

const SAMPLES = new URL('../../../../../shared/gateways/samples/', import.meta.url)

describe('sample lines collected from gateways', () => {
  it.skipIf(!existsSync(SAMPLES))('are all read without a word', () => {
    const files = readdirSync(SAMPLES).filter((name) => name.startsWith('kong-'))
    expect(files.length).toBeGreaterThan(0)
    let events = 0
    for (const file of files) {
      for (const line of readFileSync(new URL(file, SAMPLES), 'utf8')
        .split('\n')
        .filter((text) => text !== '')) {
        const answer = parsed(formatNamed('kong'), line, SETTINGS, Number.NaN)
        expect(answer.rejections).toEqual([])
        events += answer.events.length
      }
    }
    expect(events).toBeGreaterThanOrEqual(12)
  })
})
