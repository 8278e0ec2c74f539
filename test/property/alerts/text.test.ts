import fc from 'fast-check'
import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { asciiJson, inert } from '../../../alerts/log-text.ts'
import { messageText } from '../../../alerts/message-text.ts'
import { numberText, quantityText } from '../../../alerts/quantity.ts'
import type { AlertMessage } from '../../../alerts/sink.ts'
import { messagePayload, slackText } from '../../../alerts/slack-blocks.ts'
import { digestBody, MAX_BODY_BYTES, messageBody } from '../../../alerts/webhook-body.ts'
import { signature, signingKeys } from '../../../alerts/webhook-signature.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { SEVERITIES } from '../../../core/incident.ts'
import type { Reason } from '../../../core/opinion.ts'
import { slackProblem } from '../../services/slack-fake.ts'
import { decision } from '../../unit/alerts/samples.ts'

const text = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 600 }),
  fc.string({ unit: 'grapheme', maxLength: 50 }),
  fc.string({
    unit: fc.constantFrom('<', '>', '&', '\n', '\u202e', '@', '😀', '\ud800', '\u0301', 'http://x'),
    maxLength: 400,
  }),
)
const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.constantFrom(0, 1, Number.NaN, Number.POSITIVE_INFINITY),
)
const unit = fc.oneof(text, fc.constantFrom('records', 'bytes', 'ms', 'share', '', 'entries'))

const reason: fc.Arbitrary<Reason> = fc.record({
  detector: text,
  feature: fc.oneof(text, fc.constantFrom('records/10m', 'bytes/1h')),
  observed: number,
  expected: number,
  range: fc.tuple(number, number),
  unit,
  surprise: number,
  weight: number,
  comparedWith: text,
})

const alert: fc.Arbitrary<AlertRecord> = fc.record({
  id: text,
  incident: text,
  time: text,
  tenant: text,
  transition: fc.constantFrom('opened' as const, 'escalated' as const, 'resolved' as const),
  entity: fc.record({
    type: fc.constantFrom('principal' as const, 'ip' as const, 'route' as const),
    id: text,
  }),
  detectors: fc.array(text, { maxLength: 30 }),
  severity: fc.constantFrom(...SEVERITIES),
  score: number,
  surprise: number,
  summary: text,
  reasons: fc.array(reason, { maxLength: 30 }),
  owasp: fc.array(text, { maxLength: 12 }),
  firstEventTime: text,
  lastEventTime: text,
  events: number,
})

const message: fc.Arbitrary<AlertMessage> = fc.record({
  id: text,
  alert,
  decisions: fc.array(
    fc.record({
      decision: fc.record({ id: text, reason: text }).map((parts) => decision(parts)),
      status: fc.oneof(text, fc.constant('in-force')),
      until: fc.option(text),
    }),
    { maxLength: 12 },
  ),
  incidentUrl: fc.option(fc.oneof(text, fc.webUrl())),
  undo: text,
})

describe('log text', () => {
  it('is bounded, inert and stays the same when treated again', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 2, max: 300 }), (value, max) => {
        const shown = inert(value, max)
        expect(shown.length).toBeLessThanOrEqual(max)
        expect(shown).not.toMatch(/[\p{C}\p{Zl}\p{Zp}]|\p{M}{5}/u)
        expect(inert(shown, max)).toBe(shown)
      }),
    )
  })

  it('keeps ordinary text as it is', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme-ascii', maxLength: 256 }), (value) => {
        expect(inert(value)).toBe(value)
      }),
    )
  })
})

describe('Slack message', () => {
  it('is accepted by Slack and holds no control character of it, whatever the alert says', () => {
    fc.assert(
      fc.property(message, (value) => {
        const payload = messagePayload(messageText(value))
        expect(slackProblem({ ...payload })).toBeNull()
        expect(
          JSON.stringify({ ...payload, blocks: payload.blocks.filter(({ type }) => type !== 'rich_text') }),
        ).not.toMatch(/[<>]|:\/\//)
      }),
    )
  })

  it('cuts escaped text to its limit', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 200 }), (value, max) => {
        const shown = slackText(value, max)
        expect(shown.length).toBeLessThanOrEqual(max)
        expect(shown.replace(/&(amp|lt|gt);/g, '')).not.toMatch(/[<>&]/)
      }),
    )
  })
})

describe('webhook body', () => {
  it('is ASCII JSON below 20 kB, whatever the alert says', () => {
    fc.assert(
      fc.property(message, fc.array(alert, { maxLength: 40 }), (value, alerts) => {
        for (const body of [messageBody(value), digestBody({ id: value.id, alerts, omitted: 0 })]) {
          expect(body.length).toBeLessThan(MAX_BODY_BYTES)
          expect(body).toMatch(/^[\x20-\x7e]*$/)
          expect(JSON.parse(body)).toHaveProperty('data')
        }
      }),
    )
  })

  it('keeps any data', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        expect(JSON.parse(asciiJson(value))).toEqual(JSON.parse(JSON.stringify(value)))
      }),
    )
  })
})

describe('signature', () => {
  it('agrees with the reference implementation', () => {
    const secret = fc
      .uint8Array({ minLength: 24, maxLength: 64 })
      .map((key) => `whsec_${Buffer.from(key).toString('base64')}`)
    const seconds = fc.integer({ min: 0, max: 4_000_000_000 })
    fc.assert(
      fc.property(secret, seconds, fc.string({ unit: 'grapheme' }), (key, timestamp, body) => {
        const theirs = new Webhook(key).sign('al_1', new Date(timestamp * 1000), body)
        expect(signature(signingKeys('hook', [key]), 'al_1', timestamp, body)).toBe(theirs)
      }),
    )
  })
})

describe('numbers', () => {
  it('are short and close to the truth', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.01, max: 1e14, noNaN: true }), (value) => {
        const shown = numberText(value)
        expect(shown.length).toBeLessThan(20)
        const factor = { million: 1e6, billion: 1e9, trillion: 1e12 }[shown.split(' ')[1] ?? ''] ?? 1
        expect(Math.abs((Number.parseFloat(shown.replaceAll(',', '')) * factor) / value - 1)).toBeLessThan(
          0.06,
        )
      }),
    )
    fc.assert(fc.property(number, unit, (value, name) => void quantityText(value, name)))
  })
})
