import { existsSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { AccessEvent, Principal } from '../../../../core/event.ts'
import { eventTime } from '../../../../core/time.ts'
import type { Format, SourceSettings } from '../../../../ingest/format.ts'
import { FORMATS } from '../../../../ingest/formats/catalog.ts'
import { parsed } from '../../../unit/ingest/formats/kong-line.ts'
import { formatNamed, SETTINGS } from './call.ts'
import { FORMAT_CHECKS, type FormatSubject } from './format-contract.ts'
import { GATEWAY_FORMATS } from './gateway-subjects.ts'
import { canonicalSubject, kongSubject, OWN_FORMATS } from './own-subjects.ts'

const SUBJECTS: readonly FormatSubject[] = [...OWN_FORMATS, ...GATEWAY_FORMATS]

describe('every format', () => {
  it('is under contract', () => {
    expect(SUBJECTS.map((s) => s.format.name).sort()).toEqual([...FORMATS.keys()].sort())
  })

  for (const s of SUBJECTS) {
    for (const check of FORMAT_CHECKS) it(`${s.format.name}: ${check.name}`, () => check.run(s))
  }
})

const kongGood = kongSubject()
const canonicalGood = canonicalSubject()

/** A format that is another's but for what `change` spoils. */
function twin(change: (inner: Format) => Format['parse'], good: FormatSubject = kongGood): FormatSubject {
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
    'reads names out of texts',
    'text that a client chose names nobody',
    twin(mapEvent((e, text) => (text.includes('victim') ? { ...e, principal: victim } : e))),
  ],
  [
    'takes any mark for ours',
    'no client passes a refusal off as ours',
    twin(mapEvent((e, text) => (text.includes('curfew') ? { ...e, refusedBy: 'curfew' } : e))),
  ],
  [
    'has no room for long lines',
    'quotes, long text and reused ids hide no call',
    twin((inner) => (r, s, emit) => {
      if (r.bytes.length < 8_192) inner.parse(r, s, emit)
    }),
  ],
  [
    'drops what it cannot read to the end',
    'a line that breaks in the text of a client is still a call of its caller',
    twin(
      (inner) => (r, s, emit) => {
        let isBroken = false
        inner.parse(r, s, {
          event: () => undefined,
          rejected: () => {
            isBroken = true
          },
        })
        inner.parse(r, s, {
          ...emit,
          event: (e) => isBroken || emit.event(e),
          rejected: (x) => emit.rejected(x),
        })
      },
      canonicalGood,
    ),
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

/**
 * Calls in the file, how many of them a gateway vouches for, and dead letters. The captured ones of HAProxy and NGINX
 * do not say that anybody checked their tokens, so they name nobody.
 */
const COLLECTED: readonly (readonly [string, string, number, number, number])[] = [
  ['kong-official.ndjson', 'kong', 1, 0, 0],
  ['kong-synthetic.ndjson', 'kong', 9, 7, 0],
  ['kong-batch-array.json', 'kong', 2, 2, 0],
  ['apigee-cloudlogging-synthetic.ndjson', 'apigee', 5, 4, 0],
  ['aws-rest-synthetic.ndjson', 'aws-rest', 6, 4, 0],
  ['aws-http-api-synthetic.ndjson', 'aws-http', 3, 1, 0],
  ['aws-cloudwatch-subscription-envelope.json', 'aws-rest', 3, 3, 0],
  ['nginx-lua-captured.ndjson', 'nginx', 18, 0, 0],
  ['haproxy-captured.ndjson', 'haproxy', 20, 0, 0],
  ['envoy-json-synthetic.ndjson', 'envoy', 5, 4, 0],
  ['apisix-official.ndjson', 'apisix', 3, 0, 1],
  ['apisix-synthetic.ndjson', 'apisix', 4, 3, 0],
  ['tyk-kafka-pump-synthetic.ndjson', 'tyk', 5, 4, 0],
  ['caddy-captured.ndjson', 'caddy', 12, 0, 0],
]

describe('sample lines collected from gateways', () => {
  it.skipIf(!existsSync(SAMPLES)).each(COLLECTED)(
    '%s: read as %s',
    (file, name, calls, verified, rejected) => {
      const answers = readFileSync(new URL(file, SAMPLES), 'utf8')
        .split(file.endsWith('.json') ? '\u0000' : '\n')
        .filter((text) => text !== '')
        .map((line) => parsed(formatNamed(name), line, SETTINGS, Number.NaN))
      const events = answers.flatMap((answer) => answer.events)
      const said = [
        events.length,
        events.filter((e) => e.principal.verified).length,
        answers.flatMap((answer) => answer.rejections).length,
      ]
      expect(said).toEqual([calls, verified, rejected])
    },
  )
})
