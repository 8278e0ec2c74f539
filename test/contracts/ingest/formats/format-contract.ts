import { strict as assert } from 'node:assert'
import type { AccessEvent } from '../../../../core/event.ts'
import {
  type Format,
  MAX_LINE_BYTES,
  type Rejection,
  type SourceSettings,
} from '../../../../ingest/format.ts'

export const RECEIVED_AT = 1_795_453_260_000

/** What a format's author provides: the same few stories, told in that format. */
export interface FormatSubject {
  readonly format: Format
  readonly settings: SourceSettings
  /** A served call of a caller that the gateway authenticated; what `caller` names must be its principal. */
  readonly ordinary: string
  readonly caller: string
  /** The same call, refused a name: nobody authenticated it, but it claims to be the caller. From 203.0.113.10. */
  readonly claimed: string
  /** The ordinary call, name and all, turned away by the gateway as unauthenticated (401). From 203.0.113.10. */
  readonly turnedAway: string
  /** The ordinary call with `tenant` and `gateway` members of its own. */
  readonly tenantClaimed: string
  /** The ordinary call with the caller's name stated twice. */
  readonly statedTwice: string
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
      assert.equal(event.principal.verified, true)
    },
  },
  {
    name: 'the same bytes get the same answer',
    run: (s) => {
      for (const line of [s.ordinary, s.statedTwice, s.claimed]) {
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
      const { events } = ask(s, `[${s.ordinary},${s.claimed}]`)
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
