import { describe, expect, it } from 'vitest'
import {
  ACTIVITY,
  CELLS,
  CORE,
  hourOfWeek,
  levelCell,
  M2,
  MEAN,
  MEMORY,
  SEEN,
  TOTAL,
  WINDOW_COUNT,
} from '../../../baseline/layout.ts'
import { derive, predict } from '../../../baseline/predictive.ts'
import { cutPrior, emptyPriorSums } from '../../../baseline/prior.ts'
import { ProfileSlab, type ProfileView } from '../../../baseline/slab.ts'
import {
  acceptQuarantine,
  advance,
  count,
  emptyQuarantine,
  resetTainted,
  taint,
} from '../../../baseline/windows.ts'

const MONDAY = Date.UTC(2026, 8, 7)
const MINUTE = 60_000
const HOUR = 3_600_000

function fresh() {
  const slab = new ProfileSlab(0)
  const view = slab.at(slab.allocate())
  const sums = emptyPriorSums()
  return { view, learning: { prior: cutPrior(sums, 0), sums } }
}

const seen = (view: ProfileView, cell: number) => view.f32[view.base / 4 + SEEN / 4 + cell]!
const mean = (view: ProfileView, cell: number) => view.f32[view.base / 4 + MEAN / 4 + cell]!
const m2 = (view: ProfileView, cell: number) => view.f32[view.base / 4 + M2 / 4 + cell]!
const total = (view: ProfileView, cell: number) => view.f64[view.base / 8 + TOTAL / 8 + cell]!

describe('the hour of the week', () => {
  it('begins on Monday at midnight UTC', () => {
    expect(hourOfWeek(MONDAY / HOUR)).toBe(0)
    expect(hourOfWeek((MONDAY - HOUR) / HOUR)).toBe(167)
    expect(hourOfWeek(0)).toBe(72) // The epoch was a Thursday.
  })

  it('has a level of its own on working days and at weekends', () => {
    expect(levelCell(9)).toBe(9)
    expect(levelCell(4 * 24 + 9)).toBe(9)
    expect(levelCell(5 * 24 + 9)).toBe(24 + 9)
    expect(levelCell(167)).toBe(47)
  })
})

describe('windows', () => {
  it('add up calls, records and bytes until they end', () => {
    const { view, learning } = fresh()
    advance(view, MONDAY, learning, null)
    count(view, 10, 1_000)
    advance(view, MONDAY + 61_000, learning, null)
    count(view, 5, 500)
    expect([0, 1, 2, 3].map((w) => total(view, w))).toEqual([1, 2, 2, 2])
    expect([0, 1, 2, 3].map((w) => total(view, WINDOW_COUNT + w))).toEqual([5, 15, 15, 15])
    expect([0, 1, 2, 3].map((w) => total(view, 2 * WINDOW_COUNT + w))).toEqual([500, 1500, 1500, 1500])
    expect([0, 1, 2, 3].map((w) => seen(view, w))).toEqual([1, 0, 0, 0])
  })

  it('tell when the hour changed', () => {
    const { view, learning } = fresh()
    expect(advance(view, MONDAY, learning, null)).toBe(true)
    expect(advance(view, MONDAY + 59 * MINUTE, learning, null)).toBe(false)
    expect(advance(view, MONDAY + HOUR, learning, null)).toBe(true)
  })

  it('without calls teach nothing: silence is not a total of zero', () => {
    const { view, learning } = fresh()
    advance(view, MONDAY, learning, null)
    count(view, 1, 0)
    advance(view, MONDAY + 300 * MINUTE, learning, null)
    expect(seen(view, 0)).toBe(1)
    // The log did not say how many bytes, so nothing is known about bytes.
    expect(seen(view, 2 * WINDOW_COUNT)).toBe(0)
  })

  it('are remembered up to a bound, so that a profile never stops learning', () => {
    const { view, learning } = fresh()
    for (let minute = 0; minute < 700; minute++) {
      advance(view, MONDAY + minute * MINUTE, learning, null)
      count(view, 3, 300)
    }
    expect(seen(view, 0)).toBe(MEMORY[0])
    expect(mean(view, 0)).toBeCloseTo(Math.log(2), 3)
  })

  it('that stick out far are learnt only up to three predicted deviations', () => {
    const { view, learning } = fresh()
    const day = (n: number, records: number) => {
      view.u16[(view.base + CORE.activeDays) / 2] = n + 1
      advance(view, MONDAY + n * 24 * HOUR, learning, null)
      count(view, records, records * 100)
    }
    for (let n = 0; n < 20; n++) day(n, 100)
    day(20, 100_000_000)
    advance(view, MONDAY + 21 * 24 * HOUR - 1, learning, null)
    derive(view, learning.prior)
    const cell = WINDOW_COUNT + 3
    const before = mean(view, cell)
    const { center, scale } = predict(view, learning.prior, cell, view.u32[(view.base + CORE.hourIndex) / 4]!)
    advance(view, MONDAY + 21 * 24 * HOUR, learning, null)
    const moved = mean(view, cell) - before
    expect(moved).toBeCloseTo((center + 3 * scale - before) / 21, 4)
    expect(moved).toBeLessThan((Math.log(100_000_001) - before) / 21 / 2)
  })
})

describe('quarantined windows', () => {
  function held() {
    const { view, learning } = fresh()
    for (let hour = 0; hour < 30; hour++) {
      advance(view, MONDAY + hour * HOUR, learning, null)
      count(view, 10, 1_000)
    }
    advance(view, MONDAY + 30 * HOUR, learning, null)
    count(view, 9_000, 900_000)
    taint(view)
    return { view, learning, quarantine: emptyQuarantine() }
  }

  it('teach nothing and keep what they held apart', () => {
    const { view, learning, quarantine } = held()
    const before = Array.from({ length: CELLS }, (_, c) => [seen(view, c), mean(view, c), m2(view, c)])
    const activity = view.bytes.slice(view.base + ACTIVITY, view.base + ACTIVITY + 168)
    advance(view, MONDAY + 50 * HOUR, learning, quarantine)
    const after = Array.from({ length: CELLS }, (_, c) => [seen(view, c), mean(view, c), m2(view, c)])
    expect(after).toEqual(before)
    expect(view.bytes.slice(view.base + ACTIVITY, view.base + ACTIVITY + 168)).toEqual(activity)
    expect(quarantine.count).toEqual([1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1])
    expect(quarantine.sum[WINDOW_COUNT + 2]).toBeCloseTo(Math.log(9_001), 9)
    expect(quarantine.hours).toEqual([MONDAY / HOUR + 30])
  })

  it('are merged as if they had been learnt when a person accepts them', () => {
    const { view, learning, quarantine } = held()
    advance(view, MONDAY + 50 * HOUR, learning, quarantine)
    const cell = WINDOW_COUNT + 2
    const n = seen(view, cell)
    const own = mean(view, cell)
    acceptQuarantine(view, quarantine, learning.sums)
    expect(seen(view, cell)).toBe(n + 1)
    expect(mean(view, cell)).toBeCloseTo((n * own + Math.log(9_001)) / (n + 1), 4)
    // 24 plus 6 learnt hours, and the accepted one; Tuesday 06:00 was not active before.
    expect(view.bytes[view.base + ACTIVITY + 30]).toBe(1)
  })

  it('are emptied when dismissed, but stay marked so that their remainder teaches nothing either', () => {
    const { view, learning } = held()
    resetTainted(view)
    expect(Array.from({ length: CELLS }, (_, c) => total(view, c)).every((t) => t === 0)).toBe(true)
    count(view, 10, 1_000)
    const before = seen(view, 3)
    advance(view, MONDAY + 24 * 4 * HOUR, learning, null)
    expect(seen(view, 3)).toBe(before)
    count(view, 10, 1_000)
    advance(view, MONDAY + 24 * 6 * HOUR, learning, null)
    expect(seen(view, 3)).toBe(before + 1)
  })

  it('note at most a week of hours', () => {
    const { view, learning, quarantine } = held()
    for (let hour = 31; hour < 400; hour++) {
      advance(view, MONDAY + hour * HOUR, learning, quarantine)
      count(view, 10, 1_000)
      taint(view)
    }
    expect(quarantine.hours).toHaveLength(168)
  })
})

describe('activity', () => {
  it('is halved everywhere when one hour is full, so that old habits fade', () => {
    const { view, learning } = fresh()
    const active = () => view.f32[(view.base + CORE.activeHours) / 4]!
    for (let week = 0; week < 60; week++) {
      for (const hour of [9, 10]) {
        if (hour === 10 && week % 2 === 1) continue
        advance(view, MONDAY + (week * 168 + hour) * HOUR, learning, null)
        count(view, 1, 1)
      }
    }
    advance(view, MONDAY + 61 * 168 * HOUR, learning, null)
    expect(view.bytes[view.base + ACTIVITY + 9]).toBe(30)
    expect(view.bytes[view.base + ACTIVITY + 10]).toBe(15)
    expect(active()).toBe(45)
  })
})

describe('a slab', () => {
  it('hands out zeroed profiles, released ones too, and counts those in use', () => {
    const slab = new ProfileSlab(16)
    const slots = Array.from({ length: 1_100 }, () => slab.allocate())
    const slot = slots[700]!
    const { bytes, base } = slab.at(slot)
    bytes.fill(9, base, base + slab.stride)
    slab.release(slot)
    expect(slab.size).toBe(1_099)
    expect(slab.allocate()).toBe(slot)
    const view = slab.at(slot)
    expect(view.bytes.slice(view.base, view.base + slab.stride).every((b) => b === 0)).toBe(true)
    const neighbour = slab.at(slots[701]!)
    expect(neighbour.bytes[neighbour.base]).toBe(0)
  })
})
