import { describe, expect, it } from 'vitest'
import { byScore, partialRocArea, positivesInTop, rocArea } from '../../../../bench/public/ranking.ts'

const ranked = (...items: readonly (readonly [score: number, positive: boolean])[]) =>
  byScore(items.map(([score, positive]) => ({ score, positive })))

describe('a ranking', () => {
  it('counts ties across the border half', () => {
    const items = ranked([9, true], [5, true], [5, true], [5, false], [1, true])
    expect(positivesInTop(items, 1)).toBe(1)
    expect(positivesInTop(items, 2)).toBe(2)
    expect(positivesInTop(items, 4)).toBe(3)
    expect(positivesInTop(items, 9)).toBe(4)
  })

  it('has the area of its ROC curve, ties counting half', () => {
    expect(rocArea(ranked([3, true], [2, false], [1, true], [0, false]))).toBe(0.75)
    expect(rocArea(ranked([1, true], [1, false]))).toBe(0.5)
    expect(rocArea(ranked([2, false], [1, true]))).toBe(0)
    expect(rocArea(ranked([1, true]))).toBeNull()
  })

  it('has a partial area that sees the first two percent of the negatives only', () => {
    const negatives = Array.from({ length: 1000 }, (_, i) => [i, false] as const)
    expect(partialRocArea(ranked([1001, true], ...negatives))).toBe(1)
    expect(partialRocArea(ranked([979.5, true], ...negatives))).toBe(1 / 40)
    expect(partialRocArea(ranked([978.5, true], ...negatives))).toBe(0)
    // Equal scores count only when they fit whole.
    expect(partialRocArea(ranked(...negatives.map(() => [1, false] as const), [1, true]))).toBe(0)
  })
})
