import { describe, expect, it } from 'vitest'
import {
  bootstrap,
  mean,
  median,
  poissonUpper,
  quantile,
  wilson,
} from '../../../../bench/judging/statistics.ts'

describe('statistics of judging', () => {
  it('gives the published Wilson intervals', () => {
    // Newcombe 1998, Statistics in Medicine 17, table I, method 3.
    expect(wilson(81, 263)[0]).toBeCloseTo(0.2553, 4)
    expect(wilson(81, 263)[1]).toBeCloseTo(0.3662, 4)
    expect(wilson(0, 20)[0]).toBe(0)
    expect(wilson(0, 20)[1]).toBeCloseTo(0.1611, 4)
    expect(wilson(1, 29)[0]).toBeCloseTo(0.0061, 4)
    expect(wilson(1, 29)[1]).toBeCloseTo(0.1718, 4)
    expect(wilson(0, 0)).toEqual([0, 1])
  })

  it('gives the exact upper bounds of a Poisson expectation', () => {
    // -ln 0.05, and half the 95 % points of chi-squared with 4 and 12 degrees of freedom.
    expect(poissonUpper(0)).toBeCloseTo(2.995732, 5)
    expect(poissonUpper(1)).toBeCloseTo(9.487729 / 2, 4)
    expect(poissonUpper(5)).toBeCloseTo(21.02607 / 2, 4)
  })

  it('knows the middle of few values and of none', () => {
    expect(median([])).toBeNull()
    expect(median([5, 1, 9])).toBe(5)
    expect(median([4, 1])).toBe(2.5)
    expect(mean([])).toBeNull()
    expect(quantile([0, 10], 0.025)).toBe(0.25)
  })

  it('resamples the same way each time, around the estimate', () => {
    const units = [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]
    const first = bootstrap(units, mean, 3)!
    expect(bootstrap(units, mean, 3)).toEqual(first)
    expect(first[0]).toBeGreaterThan(0.35)
    expect(first[0]).toBeLessThan(0.5)
    expect(first[1]).toBeGreaterThan(0.9)
    expect(bootstrap([2, 2, 2], mean, 3)).toEqual([2, 2])
    expect(bootstrap([], mean, 3)).toBeNull()
  })
})
