import { describe, expect, it } from 'vitest'
import { ScoredLog } from '../../../../bench/judging/false-alarms.ts'
import {
  attackFigures,
  eventsToDetect,
  leftBeforeDetection,
  secondsToDetect,
} from '../../../../bench/judging/outcomes.ts'
import { dailyPrecision, exposure, Pool, partialArea } from '../../../../bench/judging/pool.ts'
import type { BudgetRecord } from '../../../../bench/judging/seed-record.ts'
import { daysUntilNormal, isMain, wrongActions } from '../../../../bench/judging/tables.ts'
import { episode, labels, principal, recordOf, settled, type TinyCall } from './tiny-world.ts'

const NAMES = Array.from({ length: 10 }, (_, i) => `user-${i}`)
const everything = () => true

/** Ten callers, one ordinary call a day at noon for 14 days; user-0 is attacked on day 5 by four calls. */
function world(score: (call: { who: string; day: number; attack: boolean }) => number | null) {
  const ids = ['x0', 'x1', 'x2', 'x3']
  const attack = episode('a1', 'user-0', [5 * 24 + 14, 5 * 24 + 15], { plannedRecords: 40 })
  const calls: TinyCall[] = NAMES.flatMap(settled)
  const scored = (value: number | null) => (value === null ? {} : { score: value })
  for (let day = 0; day < 14; day++) {
    for (const who of NAMES) {
      calls.push({
        id: `${who}/${day}`,
        who,
        hours: day * 24 + 12,
        ...scored(score({ who, day, attack: false })),
      })
    }
    if (day !== 5) continue
    for (const [i, id] of ids.entries()) {
      const value = score({ who: 'user-0', day, attack: true })
      calls.push({ id, who: 'user-0', hours: day * 24 + 14 + i / 4, records: 10, ...scored(value) })
    }
  }
  return recordOf(
    labels(
      NAMES.map((n) => principal(n)),
      [[attack, ids]],
    ),
    calls,
  )
}

describe('wrong judges', () => {
  it('an oracle that sees the labels finds everything at no cost', () => {
    const pool = new Pool([world(({ attack }) => (attack ? 1 : 0))])
    const point = pool.oracle(0).points.get(1)!
    expect(point.falseAlarms).toHaveLength(0)
    expect(attackFigures(point.outcomes, 0)).toMatchObject({
      attacks: 1,
      detected: 1,
      share: 1,
      medianEvents: 1,
    })
    expect(partialArea(pool.oracle(0), everything).area).toBe(1)
    expect(dailyPrecision(pool.records, 0, 5)).toEqual({ precision: 0.014286, attainable: 0.014286 })
  })

  it('a constant score finds nothing', () => {
    const pool = new Pool([world(() => 3)])
    const curve = pool.oracle(0)
    for (const target of [1, 5, 20]) {
      expect(curve.points.get(target)!.falseAlarms).toHaveLength(0)
      expect(attackFigures(curve.points.get(target)!.outcomes, 0).detected).toBe(0)
    }
    expect(partialArea(curve, everything).area).toBe(0)
  })

  it('a judge that never has an opinion finds nothing', () => {
    const curve = new Pool([world(() => null)]).oracle(0)
    expect(attackFigures(curve.points.get(20)!.outcomes, 0).detected).toBe(0)
  })

  it('a judge that always alarms is charged for every principal-day', () => {
    const budget: BudgetRecord = {
      budget: 5,
      alarms: NAMES.flatMap((name, caller) =>
        Array.from({ length: 14 }, (_, day) => ({
          entity: `consumer:${name}`,
          tenant: 'acme',
          caller,
          time: Date.UTC(2026, 0, 15 + day, 12),
          kind: 'ordinary' as const,
          episode: null,
          holdsAttack: caller === 0 && day === 5,
        })),
      ),
      credits: [],
      actions: [],
      left: new Map(),
    }
    const record = { ...world(() => 0), budgets: [budget] }
    const pool = new Pool([record])
    expect(pool.days).toBe(139)
    expect(pool.rate(pool.atBudget(5).falseAlarms)).toMatchObject({ rate: 1000 })
  })
})

describe('false alarms', () => {
  it('one threshold serves all, and false alarms are counted per principal-day', () => {
    // user-1 scores 9 on day 2 and day 3; the attack scores 8; everybody else 1.
    const record = world(({ who, day, attack }) =>
      attack ? 8 : who === 'user-1' && (day === 2 || day === 3) ? 9 : 1,
    )
    const pool = new Pool([record])
    // 139 principal-days without the attacked one: one false alarm is 7.2 per 1,000, two are 14.4.
    expect(pool.oracle(0).points.get(5)!.falseAlarms).toHaveLength(0)
    expect(pool.oracle(0).points.get(5)!.outcomes[0]!.call).toBeNull()
    const at20 = pool.oracle(0).points.get(20)!
    expect(at20.threshold).toBe(9)
    expect(at20.falseAlarms.map((f) => f.caller)).toEqual([1, 1])
    expect(at20.outcomes[0]!.call).toBeNull()
    // Two worlds: the same two alarms are 7.2 per 1,000, and the attack is found at 8 or above when they are affordable.
    const quiet = world(({ attack }) => (attack ? 8 : 1))
    const both = new Pool([record, { ...quiet, header: { ...quiet.header, seed: 102 } }])
    expect(both.days).toBe(278)
    expect(both.rate(both.oracle(0).points.get(20)!.falseAlarms).rate).toBeCloseTo((1000 * 2) / 278, 5)
  })

  it('does not charge the attacked caller within 24 hours, and does after that', () => {
    const ids = ['x0']
    const attack = episode('a1', 'ann', [10, 10])
    const calls: TinyCall[] = [
      ...settled('ann'),
      { id: 'x0', who: 'ann', hours: 10, score: 1 },
      { id: 'b1', who: 'ann', hours: 33, score: 9 },
      { id: 'b2', who: 'ann', hours: 35, score: 9 },
      { id: 'b3', who: 'ann', hours: 58, score: 9 },
      { id: 'b4', who: 'ann', hours: 59.5, score: 9 },
    ]
    const record = recordOf(labels([principal('ann')], [[attack, ids]]), calls)
    expect(record.settled[0]!.get(0)!.filter((s) => s > 0)).toHaveLength(3)
    const pool = new Pool([record])
    const budget = { ...pool.oracle(0).points.get(20)! }
    // 2 chargeable days: nothing is affordable at 20 per 1,000.
    expect(pool.days).toBe(2)
    expect(budget.falseAlarms).toHaveLength(0)
  })

  it('counts one alarm per caller and 24 hours, and none that holds an attack call', () => {
    const attack = episode('a1', 'ann', [110, 110])
    const calls: TinyCall[] = [
      ...settled('ann'),
      ...[1, 2, 24, 25, 100].map((hours) => ({ id: `b${hours}`, who: 'ann', hours, score: 9 })),
      { id: 'x0', who: 'ann', hours: 110, score: 5 },
    ]
    const record = recordOf(labels([principal('ann')], [[attack, ['x0']]]), calls)
    const log = new ScoredLog(record, record.settled[0]!, 0)
    const hoursOf = (threshold: number) =>
      log.at(threshold).map((f) => (f.time - record.header.judgeFrom) / 3_600_000)
    expect(hoursOf(9)).toEqual([1, 25, 100])
    // The alarm of hour 100 goes on to hold the attack where the threshold lets it.
    expect(hoursOf(5)).toEqual([1, 25])
  })

  it('charges a newcomer apart', () => {
    const calls: TinyCall[] = [{ id: 'b1', who: 'new', hours: 1, score: 9 }]
    const record = recordOf(labels([principal('new')], []), calls)
    expect(record.settled[0]!.size).toBe(0)
    expect(record.warmUp[0]!.get(0)![1]).toBe(9)
    expect(new Pool([record]).days).toBe(0)
    expect(exposure([record])).toBe(1)
  })

  it('leaves a look-alike that is held out apart', () => {
    const odd = episode('l1', 'ann', [1, 2], { kind: 'lookalike', heldOut: true })
    const calls: TinyCall[] = [
      ...settled('ann'),
      { id: 'b1', who: 'ann', hours: 1.5, score: 9 },
      { id: 'b2', who: 'ann', hours: 60, score: 1 },
    ]
    const record = recordOf(labels([principal('ann')], [[odd, []]]), calls)
    const pool = new Pool([record])
    expect(pool.days).toBe(1)
    expect(new ScoredLog(record, record.settled[0]!, 0).at(9)).toHaveLength(0)
    const tuned = recordOf(labels([principal('ann')], [[{ ...odd, heldOut: false }, []]]), calls)
    expect(new Pool([tuned]).days).toBe(2)
    expect(new ScoredLog(tuned, tuned.settled[0]!, 0).at(9)).toHaveLength(1)
  })
})

describe('figures of attacks', () => {
  const record = world(({ attack, who, day }) => (attack ? 5 : who === 'user-0' && day === 4 ? 2 : 1))
  const [outcome] = new Pool([record]).oracle(0).points.get(1)!.outcomes

  it('counts calls, time and records up to the detecting one', () => {
    const third = { ...outcome!, call: 2 }
    expect(eventsToDetect(third)).toBe(3)
    expect(secondsToDetect(third)).toBe(1_800)
    expect(leftBeforeDetection(third)).toBe(0.75)
    expect(leftBeforeDetection({ ...outcome!, call: null })).toBe(1)
    const figures = attackFigures([third, { ...outcome!, call: null }], 0)
    expect(figures.within).toEqual([0.5, 0.5, 0.5])
    expect(figures).toMatchObject({ share: 0.5, leftBeforeDetection: 0.875 })
  })

  it('does not count preparation, and finds an attack in it at no harmful call', () => {
    const { attack } = outcome!
    const prepared = {
      ...outcome!,
      attack: { ...attack, episode: { ...attack.episode, harmFrom: attack.calls.times[2]! } },
    }
    expect(eventsToDetect({ ...prepared, call: 1 })).toBe(0)
    expect(secondsToDetect({ ...prepared, call: 1 })).toBe(0)
    expect(eventsToDetect({ ...prepared, call: 3 })).toBe(2)
    expect(leftBeforeDetection({ ...prepared, call: 2 })).toBe(0.25)
  })

  it('saves what a hold kept back', () => {
    const held = { ...outcome!, left: [10, 30] }
    const figures = attackFigures([held, { ...outcome!, left: [40, 40] }], 2)
    expect(figures.saved).toEqual([0.375, 0.125])
    expect(attackFigures([outcome!], 2).saved).toEqual([null, null])
  })

  it('keeps what is held out and what began in a warm-up apart', () => {
    const { attack } = outcome!
    expect(isMain(outcome!)).toBe(true)
    expect(isMain({ ...outcome!, attack: { ...attack, coldStart: true } })).toBe(false)
    expect(
      isMain({ ...outcome!, attack: { ...attack, episode: { ...attack.episode, heldOut: true } } }),
    ).toBe(false)
  })

  it('counts actions against callers that nobody attacked', () => {
    const action = (
      call: 'ordinary' | 'attack' | 'noise' | 'after-attack' | 'warm-up',
      incident: string,
    ) => ({
      incident,
      kind: 'revoke' as const,
      caller: 1,
      time: 0,
      call,
      judged: true,
    })
    const actions = (['ordinary', 'attack', 'noise', 'after-attack', 'warm-up'] as const).map((call, i) =>
      action(call, `i${i}`),
    )
    const budget: BudgetRecord = { budget: 5, alarms: [], credits: [], actions, left: new Map() }
    const wrong = wrongActions(new Pool([{ ...record, budgets: [budget] }]), 5, 'revoke')
    expect(wrong).toMatchObject({ count: 2, principalDays: 139 })
    // 95 % bound of two events is 6.2958.
    expect(wrong.upper).toBeCloseTo((1e5 * 6.2958) / 139, 0)
  })
})

describe('days until normal', () => {
  it('is the first of three days that keep twice the budget in the mean', () => {
    expect(daysUntilNormal([null, 90, 40, 8, 9, 10, 3], 5)).toBe(3)
    expect(daysUntilNormal([0, 0, 0], 5)).toBe(0)
    expect(daysUntilNormal([90, 90, 90, 0], 5)).toBeNull()
  })
})
