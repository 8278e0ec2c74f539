import { describe, expect, it } from 'vitest'
import { gaussianScores, pulses } from '../../../../bench/public/nab-adapter.ts'
import { constantsIn, withConstant } from '../../../../bench/public/nab-constants.ts'
import type { Series } from '../../../../bench/public/nab-series.ts'

const HOUR = 3_600_000

function series(hours: readonly number[], values: readonly number[] = hours): Series {
  return {
    name: 'a/b.csv',
    category: 'a',
    times: Float64Array.from(hours, (hour) => hour * HOUR),
    values: Float64Array.from(values),
    windows: [],
  }
}

const pulsed = (hours: readonly number[], scores: readonly number[]) => [
  ...pulses([series(hours)], [Float64Array.from(scores)])[0]!,
]

describe('pulses', () => {
  it('keep what exceeds the 24 h before it, and silence plateaus', () => {
    expect(pulsed([0, 1, 2, 3, 4], [1, 5, 5, 4, 6])).toEqual([1, 5, 0, 0, 6])
  })

  it('speak again when the high is 24 h old', () => {
    expect(pulsed([0, 10, 23, 24, 40], [5, 3, 4, 4, 4])).toEqual([5, 0, 0, 0, 0])
    expect(pulsed([0, 10, 25], [5, 3, 4])).toEqual([5, 0, 4])
  })

  it('take a step back in time for standing still', () => {
    expect(pulsed([30, 0, 31], [5, 4, 4])).toEqual([5, 0, 0])
  })

  it('alarm at the first row above any threshold after a quiet day', () => {
    const scores = Array.from({ length: 400 }, (_, i) => (i * 7919) % 101)
    const hours = scores.map((_, i) => i * 3)
    const kept = pulsed(hours, scores)
    for (const threshold of [20, 60, 95]) {
      for (const [i, score] of scores.entries()) {
        const quiet = scores.every((s, k) => k >= i || hours[k]! <= hours[i]! - 24 || s < threshold)
        if (score >= threshold && quiet) expect(kept[i]).toBe(score)
      }
    }
  })
})

it('the windowed Gaussian knows only earlier rows', () => {
  const values = Array.from({ length: 300 }, (_, i) => (i * 31) % 17)
  const whole = gaussianScores([series(values)])[0]!
  const part = gaussianScores([series(values.slice(0, 250))])[0]!
  expect([...part]).toEqual([...whole.subarray(0, 250)])
})

describe('constants of a build', () => {
  const text = [
    'export const A = 0.25;',
    'const B_1 = 1_000;',
    'const LIST = [1, 2.5];',
    '  const INNER = 4;',
    'const BINS = 512;',
    "const WORD = 'x';",
    '',
  ].join('\n')

  it('are the numbers at the left margin, without sizes', () => {
    expect(constantsIn('f.js', text).map((c) => c.name)).toEqual(['A', 'B_1', 'LIST'])
  })

  it('are changed one at a time', () => {
    expect(withConstant(text, 'A', 0.5)).toBe(text.replace('0.25', '0.125'))
    expect(withConstant(text, 'B_1', 1.25)).toBe(text.replace('1_000', '1250'))
    expect(withConstant(text, 'LIST', 2)).toBe(text.replace('[1, 2.5]', '[2, 5]'))
  })
})
