import { describe, expect, it } from 'vitest'
import {
  type LabelledCall,
  partialArea,
  readingAt,
  TakeoverJudging,
} from '../../../../bench/public/takeover-judging.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/** Forty calls of a warm-up on day 0, then what the test is about. Hours count from day 10. */
function log(...calls: readonly (readonly [principal: string, hour: number, attack?: 'attack'])[]) {
  const names = [...new Set(calls.map(([principal]) => principal))]
  const warmUp = names.flatMap((principal) =>
    Array.from({ length: 40 }, (_, i) => ({ principal, time: i * 1000, attack: false })),
  )
  const rest = calls.map(([principal, hour, attack]) => ({
    principal,
    time: 10 * DAY + hour * HOUR,
    attack: attack !== undefined,
  }))
  return { calls: [...warmUp, ...rest] as readonly LabelledCall[], start: warmUp.length }
}

const takeover = (principal: string, from: number, to: number) => ({
  principal,
  level: 'foreign',
  first: 10 * DAY + from * HOUR,
  last: 10 * DAY + to * HOUR,
})

describe('false-alarm principal-days', () => {
  it('count days of alarms, one alarm per principal and 24 h', () => {
    // Hour 20 of day one, then within 24 h of it on day two, then behind these 24 h on day two.
    const { calls, start } = log(['a', 20], ['a', 30], ['a', 45], ['b', 1])
    const judging = new TakeoverJudging(calls, [])
    expect(judging.principalDays).toBe(3)
    const at = (...places: number[]) => judging.falseAlarms((i) => places.includes(i - start))
    expect(at()).toBe(0)
    expect(at(0)).toBeCloseTo(1000 / 3)
    expect(at(0, 1)).toBeCloseTo(1000 / 3)
    expect(at(0, 1, 2)).toBeCloseTo(2000 / 3)
    expect(at(0, 2, 3)).toBe(1000)
  })

  it('charge no warm-up, no attack, and no call within 24 h after one', () => {
    const { calls, start } = log(['a', 1], ['a', 2, 'attack'], ['a', 25], ['a', 27])
    const judging = new TakeoverJudging(calls, [takeover('a', 2, 2)])
    expect(judging.falseAlarms((i) => i < start)).toBe(0)
    expect(judging.falseAlarms((i) => i === start + 1 || i === start + 2)).toBe(0)
    expect(judging.falseAlarms((i) => i === start + 3)).toBeGreaterThan(0)
    // Day one holds the attack; day two is a day without one.
    expect(judging.principalDays).toBe(1)
  })

  it('end the warm-up after 40 calls or 7 days, whichever comes first', () => {
    const slow = [0, 8].map((day) => ({ principal: 'slow', time: day * DAY, attack: false }))
    expect(new TakeoverJudging(slow, []).principalDays).toBe(1)
    const quick = Array.from({ length: 41 }, (_, i) => ({ principal: 'quick', time: i, attack: false }))
    expect(new TakeoverJudging(quick, []).principalDays).toBe(1)
    expect(new TakeoverJudging(quick.slice(1), []).principalDays).toBe(0)
  })
})

describe('a takeover', () => {
  const { calls, start } = log(
    ['a', 1],
    ['a', 2, 'attack'],
    ['a', 3],
    ['a', 4, 'attack'],
    ['a', 27],
    ['a', 29],
    ['b', 3],
  )
  const judging = new TakeoverJudging(calls, [takeover('a', 2, 4)])
  const at = (...places: number[]) => judging.detections((i) => places.includes(i - start))

  it('is detected from its first call until 24 h after its last, on the victim only', () => {
    expect(at(0, 5, 6)).toEqual([null])
    expect(at(1, 3)).toEqual([1])
    expect(at(2)).toEqual([1])
    expect(at(3)).toEqual([2])
    expect(at(4)).toEqual([2])
  })

  it('that begins in the warm-up is kept apart', () => {
    const early = [
      { principal: 'a', time: 0, attack: false },
      { principal: 'a', time: 1, attack: true },
    ]
    const cold = new TakeoverJudging(early, [{ principal: 'a', level: 'x', first: 1, last: 1 }])
    expect(cold.judged).toEqual([])
    expect(cold.coldStarts).toHaveLength(1)
  })

  it('is read off the curve at the last threshold within the false alarms', () => {
    const scores = new Float64Array(calls.length)
    scores[start + 3] = 5
    scores[start + 6] = 4
    scores[start + 1] = 3
    const curve = judging.curve(scores, 1000)
    expect(curve.map(({ threshold, eventsToDetect }) => [threshold, eventsToDetect[0]])).toEqual([
      [5, 2],
      [4, 2],
      [3, 1],
    ])
    expect(readingAt(curve, 10, 1).eventsToDetect).toEqual([2])
    expect(readingAt(curve, 1000, 1).eventsToDetect).toEqual([1])
    expect(readingAt([], 10, 1).eventsToDetect).toEqual([null])
    expect(partialArea(curve, 1).value).toBe(1)
    scores[start + 3] = 0
    expect(partialArea(judging.curve(scores, 1000), 1).value).toBe(0)
  })

  it('ranks principal-days by the calls that count', () => {
    const scores = Float64Array.from(calls, (_, i) => Math.max(0, i - start + 1))
    // Call 5 falls on day two within 24 h after the attack; call 6 is behind it; b has one day.
    expect(judging.rankedDays(scores)).toEqual([
      { score: 7, positive: false },
      { score: 6, positive: false },
      { score: 4, positive: true },
    ])
  })
})
