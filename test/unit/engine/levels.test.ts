import { describe, expect, it } from 'vitest'
import { FIXED_BYTES } from '../../../baseline/layout.ts'
import { ProfileSlab } from '../../../baseline/slab.ts'
import { DAY_LOOKS } from '../../../engine/combine.ts'
import {
  closeLevels,
  cutLevels,
  LEVEL_BINS,
  LEVEL_PLACES,
  LEVELS_SECTION,
  noteLevel,
  worthOf,
} from '../../../engine/levels.ts'

const empty = () => new Float64Array(LEVEL_PLACES * LEVEL_BINS)

/** Day maxima of a detector in place 0: so many days in the bin that begins at a surprise. */
function counts(days: readonly (readonly [surprise: number, days: number])[]): Float64Array {
  const out = empty()
  for (const [surprise, n] of days) out[surprise * 4]! += n
  return out
}

describe('what surprises of a detector are worth', () => {
  it('is what it says while nothing is known, as if its tail were exact', () => {
    const levels = cutLevels(empty(), 0)
    for (const surprise of [0, 0.3, 1.4, 2, 3.7, 8, 15.9]) {
      expect(worthOf(levels, 0, surprise)).toBeCloseTo(surprise, 1)
    }
    expect(worthOf(levels, 0, 40)).toBeGreaterThan(20)
  })

  it('is less where the tail is heavier than it says', () => {
    const levels = cutLevels(
      counts([
        [1, 8_000],
        [4, 1_500],
        [7, 500],
      ]),
      10_000,
    )
    // Every twentieth day brings a 7: worth what a perfect detector says as often.
    expect(worthOf(levels, 0, 7)).toBeCloseTo(DAY_LOOKS - Math.log10(0.05), 1)
    expect(worthOf(levels, 0, 4)).toBeLessThan(3)
  })

  it('is more where it hardly ever has an opinion', () => {
    const levels = cutLevels(counts([[2, 6]]), 20_000)
    expect(worthOf(levels, 0, 2)).toBeGreaterThan(3.9)
    expect(worthOf(levels, 1, 2)).toBeGreaterThan(3)
  })

  it('never falls as the surprise grows, and goes on rising beyond what was seen', () => {
    const levels = cutLevels(
      counts([
        [0, 900],
        [3, 90],
        [6, 10],
      ]),
      1_000,
    )
    let before = 0
    for (let surprise = 0; surprise < 40; surprise += 0.1) {
      const worth = worthOf(levels, 0, surprise)
      expect(worth).toBeGreaterThanOrEqual(before)
      before = worth
    }
    expect(worthOf(levels, 0, 20)).toBeGreaterThan(worthOf(levels, 0, 10) + 3)
  })
})

describe('the largest surprise of a day', () => {
  it('is noted per detector and counted once, where the day counts', () => {
    const slab = new ProfileSlab(LEVELS_SECTION.bytes)
    const view = slab.at(slab.allocate())
    noteLevel(view, 2, 3.3)
    noteLevel(view, 2, 1.1)
    noteLevel(view, 5, 300)
    const sums = empty()
    closeLevels(view, sums)
    expect(sums[2 * LEVEL_BINS + 13]).toBe(1)
    expect(sums[5 * LEVEL_BINS + LEVEL_BINS - 1]).toBe(1)
    expect(sums.reduce((a, b) => a + b, 0)).toBe(2)
    noteLevel(view, 2, 3.3)
    closeLevels(view, null)
    closeLevels(view, sums)
    expect(sums.reduce((a, b) => a + b, 0)).toBe(2)
    const from = view.base + FIXED_BYTES
    expect([...view.bytes.subarray(from, from + LEVELS_SECTION.bytes)].every((b) => b === 0)).toBe(true)
  })
})
