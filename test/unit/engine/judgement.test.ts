import { describe, expect, it, vi } from 'vitest'
import { cutCalibration, emptyCalibration, UNITS_PER_DAY } from '../../../engine/calibration.ts'
import { combine } from '../../../engine/combine.ts'
import { addEvidence, openIncident } from '../../../engine/incident.ts'
import { allowedBy, modeFor } from '../../../engine/modes.ts'
import { DEFAULT_SETTINGS, SETTING_SPECS } from '../../../engine/settings.ts'
import { severityOf } from '../../../engine/severity.ts'
import { summarise } from '../../../engine/summary.ts'
import {
  address,
  burst,
  call,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  officeHabit,
  partition,
  play,
  routine,
  settingsFor,
} from '../../scenarios/engine/traffic.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const QUESTION = {
  principal: 'consumer:orders',
  groups: ['org:acme'],
  gateway: 'edge',
  detector: 'volume',
  action: 'throttle',
} as const

describe('the mode of an action', () => {
  it('is observe where nothing is set', () => {
    expect(modeFor([], QUESTION)).toBe('observe')
    expect(modeFor([{ principal: 'consumer:other', mode: 'enforce' }], QUESTION)).toBe('observe')
  })

  const LADDER = [
    { mode: 'enforce' },
    { action: 'throttle', mode: 'observe' },
    { detector: 'volume', mode: 'approve' },
    { gateway: 'edge', mode: 'enforce' },
    { group: 'org:acme', mode: 'approve' },
    { principal: 'consumer:orders', mode: 'observe' },
  ] as const

  it.each([1, 2, 3, 4, 5, 6])('is that of the most specific of %i rules, in any order', (count) => {
    const rules = LADDER.slice(0, count)
    expect(modeFor(rules, QUESTION)).toBe(rules[count - 1]!.mode)
    expect(modeFor([...rules].reverse(), QUESTION)).toBe(rules[count - 1]!.mode)
  })

  it('lets a rule on the principal win over one on everything else', () => {
    const all = { group: 'org:acme', gateway: 'edge', detector: 'volume', action: 'throttle' }
    expect(
      modeFor(
        [
          { ...all, mode: 'enforce' },
          { principal: 'consumer:orders', mode: 'observe' },
        ],
        QUESTION,
      ),
    ).toBe('observe')
  })

  it('needs every field of a rule to match', () => {
    expect(modeFor([{ principal: 'consumer:orders', action: 'block', mode: 'enforce' }], QUESTION)).toBe(
      'observe',
    )
  })

  it('is the last of equally specific ones', () => {
    expect(modeFor([{ mode: 'enforce' }, { mode: 'approve' }], QUESTION)).toBe('approve')
  })
})

describe('the allow list', () => {
  const rule = {
    tenant: 'default',
    entity: 'consumer:backup',
    reason: 'migration',
    expires: '2026-09-08T00:00:00Z',
  }
  const settings = settingsFor({ allow: [rule] })

  it('covers its entity until it expires', () => {
    expect(allowedBy(settings, 'default', 'consumer:backup', MONDAY)).toBe(rule)
    expect(allowedBy(settings, 'default', 'consumer:backup', MONDAY + DAY_MS)).toBeNull()
    expect(
      allowedBy(
        settingsFor({ allow: [{ ...rule, expires: null }] }),
        'default',
        'consumer:backup',
        MONDAY + 900 * DAY_MS,
      ),
    ).not.toBeNull()
  })

  it('covers no namesake in another tenant', () => {
    expect(allowedBy(settings, 'acme', 'consumer:backup', MONDAY)).toBeNull()
    expect(allowedBy(settings, 'default', 'sub:backup', MONDAY)).toBeNull()
  })
})

describe('severity', () => {
  const incident = (surprise: number, records: number, requests = 10) => ({
    ...openIncident(call(MONDAY, consumer('a')), MONDAY),
    surprise,
    records,
    requests,
  })

  it.each([
    [4, 10, 'low'],
    [7, 10, 'medium'],
    [30, 10, 'medium'],
    [4, 100, 'medium'],
    [7, 100, 'high'],
    [9, 100, 'high'],
    [7, 1_000_000, 'high'],
    [9, 500, 'critical'],
  ])('of surprise %d with %d records is %s', (surprise, records, expected) => {
    expect(severityOf(incident(surprise, records), DEFAULT_SETTINGS)).toBe(expected)
  })

  it('counts requests and bytes where no records are known', () => {
    expect(severityOf(incident(7, 0, 200), DEFAULT_SETTINGS)).toBe('high')
    expect(severityOf({ ...incident(7, 0), bytes: 10_000_000 }, DEFAULT_SETTINGS)).toBe('high')
  })
})

describe('calibration', () => {
  it('knows nothing at first and believes the detectors', () => {
    const { score, threshold } = cutCalibration(emptyCalibration())
    expect(score(0)).toBeCloseTo(0, 2)
    expect(score(2)).toBeCloseTo(0.99, 2)
    expect(threshold(5, 3.5)).toBeGreaterThanOrEqual(3.5)
  })

  it('scores by the share of events that are less surprising', () => {
    const counts = emptyCalibration()
    // A thousand days on which every event had between 0 and 4 decades, evenly.
    for (let bin = 0; bin < 64; bin++) counts.events[bin] = (1_000 * UNITS_PER_DAY) / 64
    const { score } = cutCalibration(counts)
    expect(score(1)).toBeCloseTo(0.25, 1)
    expect(score(2)).toBeCloseTo(0.5, 1)
    expect(score(3.6)).toBeCloseTo(0.9, 1)
  })

  it('never scores a more surprising event lower, and stays below 1', () => {
    const counts = emptyCalibration()
    for (let bin = 0; bin < 40; bin++) counts.events[bin] = 2 ** (20 - bin / 2)
    const { score } = cutCalibration(counts)
    let before = -1
    for (let surprise = 0; surprise <= 300; surprise += 0.25) {
      const now = score(surprise)
      expect(now).toBeGreaterThanOrEqual(before)
      expect(now).toBeLessThanOrEqual(1)
      before = now
    }
  })

  it('picks a lower threshold for a larger budget, and none below the minimum', () => {
    const counts = emptyCalibration()
    for (let bin = 0; bin < 100; bin++) counts.dayMaxima[bin] = 10_000 * 0.9 ** bin
    const { threshold } = cutCalibration(counts)
    expect(threshold(1, 1)).toBeGreaterThan(threshold(5, 1))
    expect(threshold(5, 1)).toBeGreaterThan(threshold(100, 1))
    expect(threshold(100, 9)).toBe(9)
  })
})

describe('settings', () => {
  it.each(Object.entries(SETTING_SPECS))(
    '%s: its default lies within its bounds and it says what it is',
    (_, spec) => {
      expect(spec.default).toBeGreaterThanOrEqual(spec.min)
      expect(spec.default).toBeLessThanOrEqual(spec.max)
      expect(spec.description).toMatch(/^[A-Z].{15,}\.$/)
      expect(spec.unit).not.toBe('')
    },
  )
})

describe('a verdict', () => {
  const habit = officeHabit('orders')
  const night = MONDAY + 15 * DAY_MS + 3 * HOUR_MS

  function alertOf() {
    const engine = partition()
    const told = play(engine, [...routine(habit, MONDAY, 15, 3), ...burst(habit.principal, night, 80, 2_000)])
    const [incident] = engine.book.openIncidents()
    return { told, incident: incident! }
  }

  it('stores the parts from which its surprise is recomputed exactly', () => {
    const { incident } = alertOf()
    expect(combine(incident.parts)).toBe(incident.surprise)
    expect(incident.parts.length).toBeGreaterThan(1)
  })

  it('has reasons whose shares add up to 1, strongest detector first, and a sentence with their numbers', () => {
    const { told, incident } = alertOf()
    const weights = incident.reasons.reduce((sum, r) => sum + r.weight, 0)
    expect(weights).toBeCloseTo(1, 9)
    expect(told.alerts[0]!.detectors[0]).toBe(told.alerts[0]!.reasons[0]!.detector)
    expect(summarise(incident)).toMatch(
      /^consumer:orders: [\d,.]+ (requests|records|bytes) in (one|ten) .*usually/,
    )
  })

  it('observes what was really called for: the totals in its reasons are those of the calls', () => {
    const engine = partition()
    const calls = burst(habit.principal, night, 80, 2_000, { records: 7, responseBytes: 900 })
    play(engine, inOrder(routine(habit, MONDAY, 15, 3), calls))
    const [incident] = engine.book.openIncidents()
    const counted = incident!.reasons.filter((r) => r.detector === 'volume' && /\/1[hd]$/.test(r.feature))
    expect(counted.length).toBeGreaterThan(0)
    for (const { feature, observed } of counted) {
      const perCall = { requests: 1, records: 7, bytes: 900 }[feature.split('/')[0]!]!
      expect(observed % perCall).toBe(0)
      expect(observed / perCall).toBeGreaterThan(0)
      expect(observed / perCall).toBeLessThanOrEqual(80)
    }
  })
})

describe('the combination', () => {
  const parts = (...surprises: number[]) =>
    surprises.map((surprise, i) => ({ detector: `d${i}`, surprise, weight: i === 1 ? 0.6 : 1 }))

  it('does not let silent detectors outvote a loud one', () => {
    expect(combine(parts(13, 0.1, 0.1))).toBeGreaterThan(11)
  })

  it('holds agreement for more than its strongest part alone', () => {
    expect(combine(parts(3, 3, 3))!).toBeGreaterThan(combine(parts(3, 0.3, 0.3))! + 0.7)
  })

  it('is at most the strongest part and what agreement adds, and never negative', () => {
    expect(combine(parts(0, 0, 0))).toBe(0)
    expect(combine(parts(300, 0, 300))).toBeLessThanOrEqual(300)
  })
})

describe('an incident', () => {
  it('is about the address where nobody was authenticated', () => {
    const event = call(MONDAY, address('203.0.113.9'))
    expect(openIncident(event, MONDAY).entity).toEqual({ type: 'ip', id: 'ip:203.0.113.9' })
    expect(openIncident(call(MONDAY, consumer('a')), MONDAY).entity.type).toBe('principal')
  })

  it('has an id that follows from what it is about', () => {
    const event = call(MONDAY, consumer('a'), { id: 'r1' })
    expect(openIncident({ ...event }, MONDAY).id).toBe(openIncident(event, MONDAY).id)
    expect(openIncident({ ...event, tenant: 'acme' }, MONDAY).id).not.toBe(openIncident(event, MONDAY).id)
    expect(openIncident({ ...event, id: 'r2' }, MONDAY).id).not.toBe(openIncident(event, MONDAY).id)
  })

  it('is not turned back by a call that comes late', () => {
    const incident = openIncident(call(MONDAY, consumer('a')), MONDAY)
    addEvidence(incident, call(MONDAY + HOUR_MS, consumer('a')), MONDAY + HOUR_MS)
    addEvidence(incident, call(MONDAY - HOUR_MS, consumer('a')), MONDAY - HOUR_MS)
    expect(incident).toMatchObject({
      lastEventAt: MONDAY + HOUR_MS,
      lastDemandAt: MONDAY + HOUR_MS,
      events: 2,
    })
  })
})
