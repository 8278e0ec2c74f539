import { describe, expect, it } from 'vitest'
import { FIXED_BYTES } from '../../../baseline/layout.ts'
import { ProfileSlab, type ProfileView } from '../../../baseline/slab.ts'
import { DAY_LOOKS } from '../../../engine/combine.ts'
import {
  closeLevels,
  cutLevels,
  LEVEL_BINS,
  LEVEL_PLACES,
  LEVELS_SECTION,
  noteLevel,
  REPEATED_SECTION,
  worthFor,
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

function profile(): ProfileView {
  const slab = new ProfileSlab(LEVELS_SECTION.bytes + REPEATED_SECTION.bytes)
  return slab.at(slab.allocate())
}

describe('a surprise that two former days of the caller had as well', () => {
  const levels = cutLevels(empty(), 0)
  /** A caller whose days had these surprises of the detector in place 3. */
  const daysOf = (...days: readonly (number | null)[]) => {
    const view = profile()
    for (const surprise of days) {
      if (surprise !== null) noteLevel(view, 3, surprise)
      closeLevels(view, null, true)
    }
    return view
  }
  const lost = (view: ProfileView, surprise: number, place = 3) =>
    worthOf(levels, place, surprise) - worthFor(view, levels, place, surprise)

  it('is worth half a decade less, and no more than that however often it was', () => {
    expect(lost(daysOf(6, 6), 6)).toBeCloseTo(0.5, 6)
    expect(lost(daysOf(...Array.from({ length: 99 }, () => 15)), 6)).toBeCloseTo(0.5, 6)
    expect(lost(daysOf(6, 6), 12)).toBeCloseTo(0.5, 6)
  })

  it('is worth as much as ever when one day had it', () => {
    expect(lost(daysOf(6), 6)).toBe(0)
    expect(lost(daysOf(6, null, 1, 1), 6)).toBe(0)
  })

  it('is never worth less than what every day brings', () => {
    expect(lost(daysOf(1.5, 1.5), 6)).toBeCloseTo(1.75 - 1 / 16 - DAY_LOOKS, 6)
    expect(lost(daysOf(6, 6), 1.8)).toBeCloseTo(1.8 - DAY_LOOKS, 1)
    expect(lost(daysOf(6, 6), 1.4)).toBe(0)
  })

  it('is none of the days on which little was known of the caller', () => {
    const view = profile()
    for (let day = 0; day < 3; day++) {
      noteLevel(view, 3, 6)
      closeLevels(view, null, false)
    }
    expect(lost(view, 6)).toBe(0)
  })

  it('is one of the same detector, and is forgotten after months', () => {
    expect(lost(daysOf(6, 6), 6, 4)).toBe(0)
    expect(lost(daysOf(6, 6, ...Array.from({ length: 90 }, () => null)), 6)).toBe(0)
  })

  it('takes what it keeps of a caller no further than there is room for', () => {
    const view = daysOf(300, 300)
    const from = view.base + FIXED_BYTES + LEVELS_SECTION.bytes
    expect([view.bytes[from + 3], view.bytes[from + LEVEL_PLACES + 3]]).toEqual([254, 255])
    expect(view.bytes.subarray(from, from + REPEATED_SECTION.bytes).filter((b) => b > 0).length).toBe(2)
  })
})

describe('the largest surprise of a day', () => {
  it('is noted per detector and counted once, where the day counts', () => {
    const view = profile()
    noteLevel(view, 2, 3.3)
    noteLevel(view, 2, 1.1)
    noteLevel(view, 5, 300)
    const sums = empty()
    closeLevels(view, sums, true)
    expect(sums[2 * LEVEL_BINS + 13]).toBe(1)
    expect(sums[5 * LEVEL_BINS + LEVEL_BINS - 1]).toBe(1)
    expect(sums.reduce((a, b) => a + b, 0)).toBe(2)
    noteLevel(view, 2, 3.3)
    closeLevels(view, null, true)
    closeLevels(view, sums, true)
    expect(sums.reduce((a, b) => a + b, 0)).toBe(2)
    const from = view.base + FIXED_BYTES
    expect([...view.bytes.subarray(from, from + LEVELS_SECTION.bytes)].every((b) => b === 0)).toBe(true)
  })
})
