import { cumulativeStdNormalProbability } from 'simple-statistics'
import { describe, expect, it } from 'vitest'
import {
  EVEN_ODDS,
  MAX_SURPRISE,
  normalSurprise,
  studentRange99,
  studentSurprise,
  zOfSurprise,
} from '../../../baseline/tail.ts'

describe('normalSurprise', () => {
  it.each([
    [0, 0.5],
    [1, 0.15865525393145705],
    [2, 0.022750131948179195],
    [3, 1.3498980316300933e-3],
    [5, 2.866515718791939e-7],
    [8, 6.220960574271786e-16],
    [20, 2.7536241186062337e-89],
    [37, 5.725571222524577e-300],
  ])('of z = %d agrees with the published upper tail %d', (z, p) => {
    expect(normalSurprise(z)).toBeCloseTo(-Math.log10(p), 4)
  })

  it('agrees with the table of simple-statistics to its four digits', () => {
    for (let hundredths = 0; hundredths < 300; hundredths += 7) {
      const z = hundredths / 100
      expect(10 ** -normalSurprise(z)).toBeCloseTo(1 - cumulativeStdNormalProbability(z), 4)
    }
  })

  it('is even odds in the middle and never above the cut', () => {
    expect(normalSurprise(0)).toBeCloseTo(EVEN_ODDS, 12)
    for (const z of [37.2, 40, 44.99, 45, 1e9, Number.POSITIVE_INFINITY]) {
      expect(normalSurprise(z)).toBe(MAX_SURPRISE)
    }
  })
})

describe('studentSurprise', () => {
  // Upper-tail critical values of Student's t as every statistics table has them.
  it.each([
    [4, 2.132, 0.05],
    [4, 3.747, 0.01],
    [4, 7.173, 0.001],
    [10, 1.812, 0.05],
    [10, 2.764, 0.01],
    [10, 4.144, 0.001],
    [30, 1.697, 0.05],
    [30, 2.457, 0.01],
    [30, 3.385, 0.001],
  ])('with %d degrees of freedom, t = %d has the tail %d', (dof, t, p) => {
    expect(studentSurprise(t, dof)).toBeCloseTo(-Math.log10(p), 1)
  })

  it('is milder than the normal tail: a rare value proves less when little is known', () => {
    for (const t of [2, 4, 8, 16]) {
      expect(studentSurprise(t, 4)).toBeLessThan(studentSurprise(t, 30))
      expect(studentSurprise(t, 30)).toBeLessThan(normalSurprise(t))
    }
  })
})

describe('studentRange99', () => {
  it.each([
    [4, 4.604],
    [10, 3.169],
    [30, 2.75],
  ])('with %d degrees of freedom is near the table value %d', (dof, t) => {
    expect(Math.abs(studentRange99(dof) / t - 1)).toBeLessThan(0.02)
  })

  it('is the value whose tail is half of one percent', () => {
    for (let dof = 4; dof <= 30; dof++) {
      expect(studentSurprise(studentRange99(dof), dof)).toBeCloseTo(-Math.log10(0.005), 3)
    }
  })
})

describe('zOfSurprise', () => {
  it('is 0 at or below even odds, so that calm opinions never argue against a strong one', () => {
    expect(zOfSurprise(0)).toBe(0)
    expect(zOfSurprise(0.3)).toBe(0)
  })

  it('finds the published quantiles', () => {
    expect(zOfSurprise(-Math.log10(0.025))).toBeCloseTo(1.959964, 3)
    expect(zOfSurprise(-Math.log10(1e-6))).toBeCloseTo(4.753424, 3)
  })
})
