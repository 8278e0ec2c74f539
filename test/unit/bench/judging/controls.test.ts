import { describe, expect, it } from 'vitest'
import { controls, hourlyZ, randomScore, staticLimit } from '../../../../bench/judging/controls.ts'

const HOUR = 3_600_000
const call = (time: number, records = 1, caller = 0) => ({ id: `${caller}-${time}`, caller, time, records })

describe('controls', () => {
  it('are three', () => {
    expect(controls().map((c) => c.name)).toEqual(['random', 'hourly-z', 'static-limit'])
  })

  it('scores at random, the same in every run', () => {
    const score = (id: string) => randomScore().score({ ...call(0), id })!
    expect(score('a')).toBe(score('a'))
    const all = Array.from({ length: 1_000 }, (_, i) => score(`id-${i}`))
    expect(all.filter((s) => s < 0.5).length).toBeGreaterThan(440)
    expect(all.filter((s) => s < 0.5).length).toBeLessThan(560)
    expect(Math.min(...all)).toBeGreaterThanOrEqual(0)
    expect(Math.max(...all)).toBeLessThan(1)
  })

  it('holds an hour against the own past hours, and waits for eight of them', () => {
    const control = hourlyZ()
    // Eight hours with one call of 2 records and one of 4: 6 records, never any spread.
    for (let hour = 0; hour < 8; hour++) {
      expect(control.score(call(hour * HOUR, 2))).toBeNull()
      expect(control.score(call(hour * HOUR + 60_000, 4))).toBeNull()
    }
    // 1 request against 2, 10 records against 6; one is added to the variance of 0.
    expect(control.score(call(8 * HOUR, 10))).toBe(4)
    expect(control.score(call(8 * HOUR + 1, 0))).toBe(4)
    expect(control.score(call(8 * HOUR + 2, 30))).toBe(34)
    // A caller of its own knows nothing of the first one's past.
    expect(control.score(call(8 * HOUR + 3, 30, 1))).toBeNull()
  })

  it('scores before it learns', () => {
    const control = hourlyZ()
    for (let hour = 0; hour < 9; hour++) control.score(call(hour * HOUR))
    const first = control.score(call(9 * HOUR, 500))
    expect(first).toBe(499)
  })

  it('counts the calls of the running minute of each key', () => {
    const control = staticLimit()
    expect([0, 1, 59_999].map((t) => control.score(call(t)))).toEqual([1, 2, 3])
    expect(control.score(call(60_000))).toBe(1)
    expect(control.score(call(60_000, 1, 1))).toBe(1)
    // A late call of a minute that is over counts in the running one.
    expect(control.score(call(10_000))).toBe(2)
  })
})
