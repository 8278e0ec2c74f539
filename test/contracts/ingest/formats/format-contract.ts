import { strict as assert } from 'node:assert'
import type { AccessEvent } from '../../../../core/event.ts'
import {
  type Format,
  MAX_LINE_BYTES,
  type Rejection,
  type SourceSettings,
} from '../../../../ingest/format.ts'
import type { Call } from './call.ts'

const RECEIVED_AT = 1_795_453_260_000

/** What a format's author provides: the same few stories, told in that format. */
export interface FormatSubject {
  readonly format: Format
  readonly settings: SourceSettings
  /** A served call of a caller that the gateway authenticated; what `caller` names must be its principal. */
  readonly ordinary: string
  readonly caller: string
  /** False where the format has no names that a gateway verified, so that everybody is an address. */
  readonly verified: boolean
  /** Any call of the same kind; `raw` where a template's text of a client is not escaped. */
  readonly write: (changes: Partial<Call>, raw?: boolean) => string
  /** Whether lines are made from a template, so that text may not be escaped, or be cut off at its end. */
  readonly template: boolean
  /** Members that name somebody else, as JSON without braces. */
  readonly victim: string
  /** Several lines as one message. */
  readonly together: (lines: readonly string[]) => string
  /** The same call, refused a name: nobody authenticated it, but it claims to be the caller. From 203.0.113.10. */
  readonly claimed: string
  /** The ordinary call, name and all, turned away by the gateway as unauthenticated (401). From 203.0.113.10. */
  readonly turnedAway: string
  /** The ordinary call with `tenant` and `gateway` members of its own. */
  readonly tenantClaimed: string
  /** The ordinary call with the caller's name stated twice; null where that cannot be. */
  readonly statedTwice: string | null
  /** The ordinary call with a negative response size. */
  readonly negativeSize: string
  /** The ordinary call a year before its receipt. */
  readonly stale: string
  /** The ordinary call with this secret as an API key in a place that is logged, and broken at its end. */
  readonly withSecret: (secret: string) => string
}

interface Answer {
  readonly events: readonly AccessEvent[]
  readonly rejections: readonly Rejection[]
}

function ask(subject: FormatSubject, line: string | Uint8Array, receivedAt = RECEIVED_AT): Answer {
  const events: AccessEvent[] = []
  const rejections: Rejection[] = []
  const bytes = typeof line === 'string' ? Buffer.from(line) : line
  const record = { bytes, receivedAt, topic: 'access', partition: 1, offset: 9 }
  subject.format.parse(record, subject.settings, {
    event: (event) => events.push(event),
    rejected: (rejection) => rejections.push(rejection),
  })
  return { events, rejections }
}

function theEvent(subject: FormatSubject, line: string): AccessEvent {
  const { events, rejections } = ask(subject, line)
  assert.deepEqual(rejections, [])
  assert.equal(events.length, 1)
  return events[0]!
}

const HOSTILE: readonly (string | Uint8Array)[] = [
  '',
  '\u0000',
  'null',
  '[]',
  '[[]]',
  '{',
  '{"a"',
  '[{"a":1},',
  '"'.repeat(99),
  '\\',
  '{"a":"\\ud800"}',
  '1e999',
  `{"a":${'['.repeat(200_000)}`,
  `{"a":"${'x'.repeat(MAX_LINE_BYTES)}"}`,
  Uint8Array.from({ length: 512 }, (_, i) => i & 255),
]

/** Texts with which a client tries to write into a line. */
function hostileTexts(s: FormatSubject): readonly string[] {
  const quoted = s.victim.replaceAll('"', '\\"')
  const spelt = s.victim.replace(
    /^"(.)/,
    (_, c: string) => `"\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  return [
    `","x":{},${s.victim},"y":"`,
    `",${s.victim}}`,
    `",${s.victim},"`,
    `",${spelt},"y":"`,
    `","jsonPayload":{${s.victim}},"y":"`,
    `\\",${s.victim},"y":"`,
    quoted,
    `victim" 200 5 "-" "victim`,
    'victim',
  ]
}

const principalIn = (event: AccessEvent): string => `${event.principal.kind}:${event.principal.label}`

export interface FormatCheck {
  readonly name: string
  readonly run: (subject: FormatSubject) => void
}

/** What every format promises; each check throws when the promise is broken. */
export const FORMAT_CHECKS: readonly FormatCheck[] = [
  {
    name: 'an ordinary call is one event of its caller',
    run: (s) => {
      const event = theEvent(s, s.ordinary)
      assert.equal(`${event.principal.kind}:${event.principal.label}`, s.caller)
      assert.equal(event.principal.verified, s.verified)
    },
  },
  {
    name: 'the same bytes get the same answer',
    run: (s) => {
      for (const line of [s.ordinary, s.statedTwice ?? s.stale, s.claimed]) {
        const first = JSON.stringify(ask(s, line))
        ask(s, s.negativeSize)
        assert.equal(JSON.stringify(ask(s, line)), first)
      }
    },
  },
  {
    name: 'nothing makes it throw',
    run: (s) => {
      for (const line of HOSTILE) ask(s, line)
      for (let cut = 0; cut < s.ordinary.length; cut += 7) ask(s, s.ordinary.slice(0, cut))
    },
  },
  {
    name: 'no line disappears',
    run: (s) => {
      for (const line of HOSTILE) {
        if (line === '[]') continue
        const { events, rejections } = ask(s, line)
        assert.ok(events.length + rejections.length > 0, `nothing said about ${String(line).slice(0, 40)}`)
      }
      for (let cut = 1; cut < s.ordinary.length; cut += 7)
        assert.ok(ask(s, s.ordinary.slice(0, cut)).rejections.length > 0)
    },
  },
  {
    name: 'a name that the gateway did not verify is not believed',
    run: (s) => {
      const event = theEvent(s, s.claimed)
      assert.deepEqual(event.principal, {
        kind: 'ip',
        id: '203.0.113.10',
        label: '203.0.113.10',
        verified: false,
      })
      assert.equal(event.token, null)
    },
  },
  {
    name: 'whom the gateway turned away is its address, whatever the line says',
    run: (s) => {
      const event = theEvent(s, s.turnedAway)
      assert.equal(event.principal.id, '203.0.113.10')
      assert.equal(event.principal.verified, false)
      assert.deepEqual([event.token, event.credential, event.refusedBy], [null, null, 'gateway'])
    },
  },
  {
    name: 'text that a client chose names nobody',
    run: (s) => {
      const ways = s.template ? [false, true] : [false]
      for (const text of hostileTexts(s)) {
        for (const change of [
          { agent: text },
          { uri: `/v1/${text}` },
          { agent: text, uri: `/v1/?q=${text}` },
        ]) {
          for (const raw of ways) {
            const nobody = ask(s, s.write({ who: 'claimed', ...change }, raw))
            assert.ok(nobody.events.length + nobody.rejections.length > 0)
            for (const event of nobody.events) assert.equal(principalIn(event), 'ip:203.0.113.10')
            for (const event of ask(s, s.write(change, raw)).events)
              assert.ok([s.caller, 'ip:203.0.113.10'].includes(principalIn(event)), principalIn(event))
          }
        }
      }
    },
  },
  {
    name: 'no client passes a refusal off as ours',
    run: (s) => {
      for (const member of ['decision', 'curfew_decision', 'x-curfew-decision', 'refusedBy']) {
        for (const raw of s.template ? [false, true] : [false]) {
          const agent = `","${member}":"curfew","y":"`
          for (const event of ask(s, s.write({ who: 'turned away', agent }, raw)).events)
            assert.notEqual(event.refusedBy, 'curfew')
        }
      }
    },
  },
  {
    name: 'quotes, long text and reused ids hide no call',
    run: (s) => {
      const long = 'x'.repeat(9_000)
      for (const change of [{ agent: 'a "b" \\" c' }, { agent: long }, { uri: `/v1/orders/7?q=${long}` }]) {
        const event = theEvent(s, s.write(change))
        assert.equal(principalIn(event), s.caller)
        assert.equal(event.status, 200)
        assert.ok((event.userAgent?.length ?? 0) <= 256 && event.path.length <= 2_048)
      }
      const twice = ['/v1/orders/1', '/v1/orders/2'].map((uri) => theEvent(s, s.write({ id: 'same', uri })))
      assert.notDeepEqual([twice[0]?.path, twice[0]?.objectIds], [twice[1]?.path, twice[1]?.objectIds])
    },
  },
  {
    name: 'a line that breaks in the text of a client is still a call of its caller',
    run: (s) => {
      if (!s.template) return
      const long = s.write({ agent: 'x'.repeat(300) })
      const cutOff = long.slice(0, long.lastIndexOf('x') - 100)
      for (const line of [cutOff, s.write({ agent: 'a "b" c' }, true), s.write({ agent: 'a\\' }, true)]) {
        const { events, rejections } = ask(s, line)
        assert.deepEqual(events.map(principalIn), [s.caller], line)
        assert.equal(events[0]?.status, 200)
        assert.equal(rejections.length, 1)
      }
    },
  },
  {
    name: 'a call that was cut off is dated by its receipt, or no event',
    run: (s) => {
      for (let cut = 1; cut < s.ordinary.length; cut += 3) {
        const cutOff = s.ordinary.slice(0, cut)
        for (const { time } of ask(s, cutOff).events) assert.ok(Math.abs(time - RECEIVED_AT) <= 60_000)
        for (const { time } of ask(s, cutOff, Number.NaN).events) assert.ok(time > 0)
      }
    },
  },
  {
    name: 'a line does not choose its tenant or gateway',
    run: (s) => {
      const event = theEvent(s, s.tenantClaimed)
      assert.equal(event.tenant, s.settings.tenant)
      assert.deepEqual(event.gateway, s.settings.gateway)
    },
  },
  {
    name: 'a name stated twice is booked on the address and reported',
    run: (s) => {
      if (s.statedTwice === null) return
      const { events, rejections } = ask(s, s.statedTwice)
      assert.deepEqual(
        events.map((e) => e.principal.kind),
        ['ip'],
      )
      assert.deepEqual(
        rejections.map((r) => r.reason),
        ['duplicate-key'],
      )
    },
  },
  {
    name: 'what no response can have is no measure',
    run: (s) => {
      const { events, rejections } = ask(s, s.negativeSize)
      assert.ok(events.every((e) => e.responseBytes === null))
      assert.deepEqual(
        rejections.map((r) => r.reason),
        ['bad-number'],
      )
    },
  },
  {
    name: 'a time outside the bounds is refused, unless no receipt is known',
    run: (s) => {
      const { events, rejections } = ask(s, s.stale)
      assert.deepEqual([events.length, rejections[0]?.reason], [0, 'time-out-of-bounds'])
      assert.equal(ask(s, s.stale, Number.NaN).events.length, 1)
    },
  },
  {
    name: 'several calls in one message keep their places',
    run: (s) => {
      const { events } = ask(s, s.together([s.ordinary, s.claimed]))
      assert.deepEqual(
        events.map((e) => e.source),
        [0, 1].map((index) => ({ topic: 'access', partition: 1, offset: 9, index })),
      )
    },
  },
  {
    name: 'dead letters are short and hold no secret',
    run: (s) => {
      const secret = 'hunter2hunter2'
      const { rejections } = ask(s, s.withSecret(secret))
      assert.equal(rejections.length, 1)
      for (const r of rejections) {
        assert.ok(r.excerpt.length > 0 && r.excerpt.length <= 512 && r.detail.length <= 256)
        assert.ok(!JSON.stringify(r).includes(secret))
      }
      for (const line of HOSTILE) for (const r of ask(s, line).rejections) assert.ok(r.excerpt.length <= 512)
    },
  },
]
