import { describe, expect, it } from 'vitest'
import { NabScorer, PROFILES } from '../../../../bench/public/nab-scoring.ts'
import type { Series } from '../../../../bench/public/nab-series.ts'

describe('a threshold', () => {
  const one: Series = {
    name: 'a/x.csv',
    category: 'a',
    times: new Float64Array(20),
    values: new Float64Array(20),
    windows: [[10, 13]],
  }

  it('charges each false row, and pays the earliest row of a window once', () => {
    const scores = new Float64Array(20)
    scores[4] = 1
    scores[10] = 1
    scores[12] = 1
    const scorer = new NabScorer([one], [scores])
    expect(scorer.perFile(PROFILES.standard, 1)[0]).toBeCloseTo(1 - 0.11, 12)
    // The detection before probation has ended (row 2 of 20) does not exist.
    scores[2] = 1
    expect(new NabScorer([one], [scores]).perFile(PROFILES.standard, 1)[0]).toBeCloseTo(1 - 0.11, 12)
  })

  it('is chosen without looking at the category it is used for', () => {
    const other: Series = { ...one, name: 'b/x.csv', category: 'b' }
    const good = new Float64Array(20)
    good[10] = 5
    const noisy = new Float64Array(20).fill(3)
    const loco = new NabScorer([one, other], [good, noisy]).leaveOneCategoryOut(PROFILES.standard)
    expect(loco.thresholds).toEqual({ a: 3, b: 5 })
  })
})
