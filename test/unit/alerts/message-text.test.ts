import { describe, expect, it } from 'vitest'
import { inert, withoutLinks } from '../../../alerts/log-text.ts'
import { digestText, messageText, plainLine } from '../../../alerts/message-text.ts'
import { durationText, numberText, quantityText, timeText } from '../../../alerts/quantity.ts'
import type { DecisionStatus } from '../../../alerts/sink.ts'
import {
  alertMessage,
  alertRecord,
  decision,
  decisionStatus,
  HOSTILE_TEXTS,
  hostileMessage,
  reason,
} from './samples.ts'

const lines = (text: ReturnType<typeof messageText>): string[] =>
  [text.title, ...text.facts, ...text.why, ...text.done, text.undo, text.footer].map(plainLine)

describe('a message about what is not seen', () => {
  it('names the source and speaks of no caller', () => {
    const alert = alertRecord({
      entity: { type: 'source', id: 'edge/edge-b' },
      detectors: ['coverage'],
      events: 0,
    })
    const text = messageText(alertMessage({ alert, decisions: [] }))
    expect(plainLine(text.title)).toBe('High: source edge/edge-b is not seen completely')
    expect(text.facts.map(plainLine).join(' ')).not.toContain('surprising call')
  })

  it('says that Curfew itself did not judge', () => {
    const alert = alertRecord({ entity: { type: 'engine', id: 'curfew' }, reasons: [], events: 0 })
    expect(plainLine(messageText(alertMessage({ alert })).title)).toBe(
      'High: Curfew itself was not judging calls',
    )
  })
})

describe('numbers and units', () => {
  it.each([
    [0, '0'],
    [0.004, 'less than 0.01'],
    [0.1234, '0.12'],
    [1, '1'],
    [9.96, '10'],
    [39.7, '40'],
    [999.6, '1,000'],
    [1250, '1,250'],
    [999_999, '999,999'],
    [1_254_000, '1.25 million'],
    [999_999_999, '1 billion'],
    [-12.4, '-12'],
    [Number.POSITIVE_INFINITY, 'an unknown number'],
  ])('writes %d as %s', (value, text) => expect(numberText(value)).toBe(text))

  it.each([
    [1, 'records', '1 record'],
    [0, 'records', '0 records'],
    [1.04, 'entries', '1 entry'],
    [1, 'addresses', '1 address'],
    [1, 'requests per minute', '1 request per minute'],
    [0.25, 'share', '25 %'],
    [950, 'bytes', '950 bytes'],
    [1, 'bytes', '1 byte'],
    [1_254_000, 'bytes', '1.25 MB'],
    [999_999, 'bytes', '1 MB'],
    [120, 'ms', '120 ms'],
    [90_000, 'ms', '1.5 minutes'],
    [3, '', '3'],
    [Number.NaN, 'records', 'an unknown number of records'],
  ])('writes %d %s as %s', (value, unit, text) => expect(quantityText(value, unit)).toBe(text))

  it('states the zone of a time and the largest unit of a duration', () => {
    expect(timeText('2026-11-23T03:00:12.345Z')).toBe('2026-11-23 03:00:12 UTC')
    expect(timeText('2026-11-23T03:00:12+02:00')).toBe('2026-11-23 01:00:12 UTC')
    expect(timeText('soon')).toBeNull()
    expect([1, 59, 3600, 172_800].map(durationText)).toEqual(['1 second', '59 seconds', '1 hour', '2 days'])
  })
})

describe('message about an incident', () => {
  it('says who, what, how unusual, why, what was done until when, and how to undo it', () => {
    const text = messageText(alertMessage())
    expect(lines(text)).toEqual([
      'High: caller consumer:orders-svc stopped behaving like itself',
      '1,250 records in 10 minutes; usually 40, 99 % of the time below 120',
      'Reads far more records than usual.',
      'From 2026-11-23 03:00:12 UTC to 2026-11-23 03:04:10 UTC: 57 surprising calls. Tenant default.',
      '1,250 records in 10 minutes; usually 40, 99 % of the time below 120; compared with own history; ' +
        '62 % of the surprise (volume)',
      'Throttle consumer:orders-svc to 1 request per 10 seconds: in force until 2026-11-23 04:04:11 UTC',
      'To undo: curfew release dec_0001',
      'Incident inc_0001, alert al_0001, OWASP API4:2023',
    ])
    expect(text.link).toBe('https://admin.example/incidents/inc_0001')
  })

  it('names the feature where the unit does not, and scales its unit everywhere', () => {
    const bytes = reason({
      feature: 'response-bytes/1h',
      unit: 'bytes',
      observed: 2.5e6,
      expected: 4e4,
      range: [0, 9e4],
    })
    const few = reason({ observed: 0, expected: 300, range: [200, 400], weight: 0.1 })
    const within = reason({ observed: 3, range: [2, 120], expected: 40, weight: 0.05, feature: 'records' })
    const why = messageText(alertMessage({ alert: alertRecord({ reasons: [few, within, bytes] }) })).why.map(
      plainLine,
    )
    expect(why[0]).toContain('response bytes: 2.5 MB in 1 hour; usually 40 kB, 99 % of the time below 90 kB;')
    expect(why[1]).toContain('0 records in 10 minutes; usually 300, 99 % of the time above 200;')
    expect(why[2]).toContain('3 records; usually 40, 99 % of the time between 2 and 120;')
  })

  it('tells how often a caller does what has no size', () => {
    const rare = { unit: 'share of calls', observed: 1, range: [0, 1] as const }
    const hour = reason({ ...rare, feature: 'hour-of-day/03:00 UTC', expected: 0.004 })
    const route = reason({ ...rare, feature: 'operation/GET /orders/{id}', expected: 0.256, weight: 0.1 })
    const told = messageText(alertMessage({ alert: alertRecord({ reasons: [hour, route] }) }))
    const why = told.why.map(plainLine)
    expect(why[0]).toMatch(/^hour of day\/03:00 UTC; usually in less than 1 % of its calls; /)
    expect(why[1]).toMatch(/^operation\/GET \/orders\/\{id\}; usually in 26 % of its calls; /)
  })

  it('shows the three heaviest reasons and five decisions, and counts the rest', () => {
    const reasons = [0.1, 0.4, 0.2, 0.3].map((weight) => reason({ weight, detector: `d${weight}` }))
    const decisions = Array.from({ length: 7 }, () => decisionStatus())
    const text = messageText(alertMessage({ alert: alertRecord({ reasons }), decisions }))
    expect(text.why.map((line) => /\((.*)\)/.exec(plainLine(line))?.[1])).toEqual(['d0.4', 'd0.3', 'd0.2'])
    expect(text.done).toHaveLength(6)
    expect(plainLine(text.done[5] ?? [])).toBe('and 2 more decisions.')
  })

  it('says where a caller is held under another name, and where it is not', () => {
    const aliases = [
      { gateway: 'edge-2', principal: 'key:abc', state: 'held' },
      { gateway: 'deny', principal: 'sub:<b>\u202e', state: 'failed' },
    ] as const
    const many = Array.from({ length: 7 }, () => aliases[0])
    const done = (of: DecisionStatus['aliases']) =>
      messageText(
        alertMessage({
          decisions: [decisionStatus({ status: 'in-force', ...(of === undefined ? {} : { aliases: of }) })],
        }),
      ).done.map(plainLine)[0]
    expect(done(aliases)).toMatch(/; also held at edge-2 as key:abc; not held at deny as sub:<b>/)
    expect(done(aliases)).not.toContain('\u202e')
    expect(done(many)).toMatch(/; and 2 more names$/)
    expect(done(undefined)).not.toContain('held at')
  })

  it('says until when a person may agree and what happens then', () => {
    const approval = { by: '2026-09-21T03:15:00.000Z', onTimeout: 'act' } as const
    const text = messageText(
      alertMessage({ decisions: [decisionStatus({ status: 'awaiting-approval', until: null, approval })] }),
    )
    expect(plainLine(text.done[0] ?? [])).toMatch(/; until .*03:15.*, it is carried out then$/)
  })

  it.each([
    ['observed', 'observed only, nothing was changed'],
    ['awaiting-approval', 'waits for a person to approve it, would hold for 1 hour'],
    ['withheld', 'withheld by a safety rule, nothing was changed'],
    ['pending', 'being put in force for 1 hour'],
    ['in-force', 'in force for 1 hour'],
    ['failed', 'failed at a gateway'],
    ['expired', 'expired'],
    ['released', 'lifted'],
    ['superseded', 'replaced by another decision'],
  ])('says what %s means', (status, words) => {
    const text = messageText(alertMessage({ decisions: [decisionStatus({ status, until: null })] }))
    expect(plainLine(text.done[0] ?? [])).toBe(
      `Throttle consumer:orders-svc to 1 request per 10 seconds: ${words}`,
    )
  })

  it('has words for each action, transition and for nothing done', () => {
    const words = (['block', 'revoke-token', 'revoke-credential', 'release'] as const).map((action) => {
      const status = decisionStatus({ decision: decision({ action, limit: null }), status: 'in-force' })
      return plainLine(messageText(alertMessage({ decisions: [status] })).done[0] ?? []).split(' consumer')[0]
    })
    expect(words).toEqual(['Block', 'Revoke the token of', 'Disable the credential of', 'Release'])
    const titles = (['escalated', 'resolved'] as const).map((transition) =>
      plainLine(
        messageText(alertMessage({ alert: alertRecord({ transition, severity: 'critical' }) })).title,
      ),
    )
    expect(titles).toEqual([
      'Critical, getting worse: caller consumer:orders-svc',
      'Over: caller consumer:orders-svc',
    ])
    const nothing = messageText(alertMessage({ decisions: [], undo: '' }))
    expect([...nothing.done, nothing.undo].map(plainLine)).toEqual(['Nothing was done.', 'Nothing to undo.'])
  })

  it('links only to web addresses', () => {
    for (const incidentUrl of ['javascript:alert(1)', 'no address', null, `https://x/${'y'.repeat(3000)}`]) {
      expect(messageText(alertMessage({ incidentUrl })).link).toBeNull()
    }
  })

  it.each(HOSTILE_TEXTS)('marks log text %j as such, inert and cut', (hostile) => {
    const text = messageText(hostileMessage(hostile))
    for (const line of [text.title, ...text.facts, ...text.why, ...text.done, text.undo, text.footer]) {
      expect(plainLine(line)).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u)
      for (const span of line) {
        expect(span.text.length).toBeLessThanOrEqual(500)
        if (span.from === 'us') expect(span.text).not.toContain(hostile.slice(0, 20))
      }
    }
  })
})

describe('digest', () => {
  it('shows the most severe first and counts the rest', () => {
    const alerts = Array.from({ length: 30 }, (_, index) =>
      alertRecord({
        id: `al_${index}`,
        incident: `inc_${index}`,
        severity: index === 29 ? 'critical' : 'low',
      }),
    )
    const text = digestText({ id: 'digest_1', alerts, omitted: 12 }, 10)
    expect(plainLine(text.title)).toBe('42 alerts in one message')
    expect(text.entries).toHaveLength(10)
    expect(plainLine(text.entries[0] ?? [])).toContain('inc_29')
    expect(text.rest).toBe('and 32 more, 12 of them only counted.')
  })
})

describe('log text', () => {
  it('writes what could act as its code and cuts without splitting a character', () => {
    expect(inert('a\u202Eb\nc\u001b[0m')).toBe('a\\u{202e}b\\u{a}c\\u{1b}[0m')
    expect(inert('caf\u00e9 日本 x\u0301')).toBe('caf\u00e9 日本 x\u0301')
    expect(inert('abcdef', 4)).toBe('abc…')
    expect(inert('ab😀', 4)).toBe('ab😀')
    expect(inert('ab😀d', 4)).toBe('ab…')
    expect(withoutLinks('http://x')).toBe('http[:]//x')
  })
})

describe('a decision about one network of a caller', () => {
  it('says which one, and what stands in for it elsewhere', () => {
    const principal = { kind: 'sub', id: 'orders', label: 'orders', verified: true } as const
    const held = decision({
      action: 'block',
      limit: null,
      scope: { kind: 'network', network: '203.0.113.0', principal },
      wider: {
        action: 'throttle',
        scope: { kind: 'principal', principal },
        limit: { requests: 1, windowSeconds: 10 },
      },
    })
    const text = messageText(alertMessage({ decisions: [decisionStatus({ decision: held })] }))
    expect(text.done.map(plainLine).join(' ')).toContain(
      'in the network 203.0.113.0 (where networks cannot be told apart: throttle the caller to 1 request per 10 seconds)',
    )
  })
})
