import { Webhook } from 'standardwebhooks'
import { describe, expect, it } from 'vitest'
import { asciiJson } from '../../../alerts/log-text.ts'
import { createSlackBot } from '../../../alerts/slack-bot.ts'
import { createSlackWebhook } from '../../../alerts/slack-webhook.ts'
import { createWebhook } from '../../../alerts/webhook.ts'
import { digestBody, MAX_BODY_BYTES, messageBody } from '../../../alerts/webhook-body.ts'
import { signature, signingKeys } from '../../../alerts/webhook-signature.ts'
import { CurfewError } from '../../../core/errors.ts'
import { ManualClock } from './manual-clock.ts'
import {
  alertMessage,
  alertRecord,
  decisionStatus,
  HOSTILE_TEXTS,
  hostileMessage,
  reason,
} from './samples.ts'

const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`
const NEXT_SECRET = `whsec_${Buffer.alloc(24, 9).toString('base64')}`

function failure(run: () => unknown): CurfewError {
  try {
    run()
  } catch (error) {
    if (error instanceof CurfewError) return error
  }
  throw new Error('no CurfewError')
}

describe('signature', () => {
  it('is what the reference implementation signs, one per secret', () => {
    const body = messageBody(alertMessage())
    const ours = signature(signingKeys('hook', [SECRET, NEXT_SECRET]), 'al_0001', 1_700_000_000, body)
    const at = new Date(1_700_000_000_000)
    const theirs = [SECRET, NEXT_SECRET].map((secret) => new Webhook(secret).sign('al_0001', at, body))
    expect(ours).toBe(theirs.join(' '))
  })

  it('refuses unusable secrets without quoting them', () => {
    const short = `whsec_${Buffer.alloc(8, 1).toString('base64')}`
    for (const secrets of [
      [],
      [short],
      ['plain-text-secret'],
      [SECRET, 'whsec_***'],
      Array(6).fill(SECRET),
    ]) {
      const error = failure(() => signingKeys('hook', secrets))
      expect(error.message).toContain('hook')
      for (const secret of secrets) expect(error.message).not.toContain(secret.slice(6))
    }
  })
})

describe('webhook body', () => {
  it('names the event and carries alert and decisions', () => {
    const { type, timestamp, data } = JSON.parse(messageBody(alertMessage()))
    expect({ type, timestamp }).toEqual({ type: 'incident.opened', timestamp: '2026-11-23T03:04:10.000Z' })
    expect(data.alert).toEqual(alertRecord())
    expect(data.decisions[0]).toMatchObject({
      status: 'in-force',
      decision: { action: 'throttle', id: 'dec_0001' },
    })
  })

  it.each(HOSTILE_TEXTS)('stays small, ASCII and inert with %j', (text) => {
    const body = messageBody(hostileMessage(text))
    expect(body.length).toBeLessThan(MAX_BODY_BYTES)
    expect(body).toMatch(/^[\x20-\x7e]*$/)
    expect(body).not.toMatch(/[<>&]/)
    expect(body).not.toMatch(/\\u00[01][0-9a-f]|\\u202e|\\u2028|\\n|\\r/)
  })

  it('stays below 20 kB however much there is to say', () => {
    const long = 'x'.repeat(5000)
    const reasons = Array.from({ length: 500 }, () =>
      reason({ feature: long, unit: long, comparedWith: long }),
    )
    const decisions = Array.from({ length: 500 }, () => decisionStatus({ status: long }))
    const alert = alertRecord({ reasons, summary: long, detectors: Array(500).fill(long) })
    expect(messageBody(alertMessage({ alert, decisions })).length).toBeLessThan(MAX_BODY_BYTES)
  })

  it('lists a storm as far as it fits and always counts it', () => {
    const alerts = Array.from({ length: 5000 }, (_, index) =>
      alertRecord({ id: `al_${index}`.padEnd(23, '0') }),
    )
    const body = digestBody({ id: 'digest_1', alerts, omitted: 7 })
    expect(body.length).toBeLessThan(MAX_BODY_BYTES)
    const { type, data } = JSON.parse(body)
    expect(type).toBe('incident.digest')
    expect(data).toMatchObject({ id: 'digest_1', total: 5007, omitted: 7 })
    expect(data.alerts.length).toBeGreaterThan(20)
    expect(data.moreIds.length).toBeGreaterThan(300)
  })

  it('is the same data after parsing', () => {
    const value = { a: '<b>&\u2028é😀', n: 1 }
    expect(JSON.parse(asciiJson(value))).toEqual(value)
  })
})

describe('options of sinks', () => {
  const clock = new ManualClock()
  const secret = 'T0/B0/very-secret'

  it('refuses addresses that are no web address or carry a password, without quoting them', () => {
    for (const url of [
      `file:///${secret}`,
      `no address ${secret}`,
      `https://user:${secret.replaceAll('/', '')}@x.example/`,
    ]) {
      const runs = [
        () => createWebhook({ name: 'hook', url, secrets: [SECRET], clock }),
        () => createSlackWebhook({ name: 'hook', url, clock }),
        () => createSlackBot({ name: 'hook', token: 'xoxb-1', channel: '#ops', baseUrl: url, clock }),
      ]
      for (const error of runs.map(failure)) {
        expect(error.code).toBe('CONFIG_INVALID')
        expect(`${error.message} ${String(error.cause)}`).not.toContain('secret')
      }
    }
  })

  it('refuses a token or channel that would break a header or a message', () => {
    const error = failure(() =>
      createSlackBot({ name: 'hook', token: 'xoxb-1\r\nx: secret', channel: '#ops', clock }),
    )
    expect(error.message).not.toContain('secret')
    expect(
      failure(() => createSlackBot({ name: 'h', token: 'xoxb-1', channel: '<!here>', clock })).code,
    ).toBe('CONFIG_INVALID')
  })
})
