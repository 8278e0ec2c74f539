import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DailyBursts, envelopeOf } from '../../../baseline/envelope.ts'
import { CORE } from '../../../baseline/layout.ts'
import { cutPrior, emptyPriorSums } from '../../../baseline/prior.ts'
import { ProfileSlab } from '../../../baseline/slab.ts'
import {
  acceptQuarantine,
  advance,
  count,
  countActiveDay,
  emptyQuarantine,
  taint,
} from '../../../baseline/windows.ts'
import { ENVELOPE_LIMITS, type EnvelopeLimits, grantedLimits } from '../../../core/envelope.ts'
import { DAY_MS, MINUTE_MS } from '../../../core/time.ts'

const MONDAY = Date.UTC(2026, 8, 7)
const TEN_MINUTES = 10 * MINUTE_MS

/** What a caller does in one ten minutes of a day: when, how many calls in how many minutes, how much in each. */
const batch = fc.record({
  slot: fc.integer({ min: 0, max: 143 }),
  calls: fc.integer({ min: 1, max: 20 }),
  minutes: fc.integer({ min: 1, max: 10 }),
  records: fc.integer({ min: 0, max: 5_000 }),
})
const history = fc.array(fc.array(batch, { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 30 })

interface Largest {
  minute: number
  records: number
  bytes: number
}

/** A profile that has seen these days, and the largest windows in them. */
function lived(
  days: readonly (readonly { slot: number; calls: number; minutes: number; records: number }[])[],
) {
  const slab = new ProfileSlab(0)
  const view = slab.at(slab.allocate())
  const sums = emptyPriorSums()
  const prior = cutPrior(sums, 0)
  const largest: Largest = { minute: 0, records: 0, bytes: 0 }
  const byMinute = new Map<number, number>()
  const bySlot = new Map<number, { records: number; bytes: number }>()
  for (const [day, batches] of days.entries()) {
    const calls = batches.flatMap(({ slot, calls: n, minutes, records }) =>
      Array.from({ length: n }, (_, i) => ({
        at: MONDAY + day * DAY_MS + slot * TEN_MINUTES + (i % minutes) * MINUTE_MS + i * 10,
        records,
      })),
    )
    calls.sort((a, b) => a.at - b.at)
    countActiveDay(view, sums, 0)
    for (const { at, records } of calls) {
      advance(view, at, { prior, sums }, null)
      count(view, records, 100 + records * 150)
      const slot = Math.floor(at / TEN_MINUTES)
      const minute = Math.floor(at / MINUTE_MS)
      byMinute.set(minute, (byMinute.get(minute) ?? 0) + 1)
      const before = bySlot.get(slot) ?? { records: 0, bytes: 0 }
      bySlot.set(slot, { records: before.records + records, bytes: before.bytes + 100 + records * 150 })
    }
  }
  advance(view, MONDAY + days.length * DAY_MS, { prior, sums }, null)
  largest.minute = Math.max(...byMinute.values())
  largest.records = Math.max(...[...bySlot.values()].map(({ records }) => records))
  largest.bytes = Math.max(...[...bySlot.values()].map(({ bytes }) => bytes))
  return { view, prior, largest }
}

describe('the envelope of a profile', () => {
  it('is never below what the caller has done, even across the border of two windows', () => {
    fc.assert(
      fc.property(history, (days) => {
        const { view, prior, largest } = lived(days)
        const limits = envelopeOf(view, prior, null, 4)
        expect(limits.inFlight).toBeGreaterThanOrEqual(largest.minute)
        expect(limits.requestsPer10s).toBeGreaterThanOrEqual(2 * largest.minute)
        expect(limits.recordsPer10min ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(2 * largest.records)
        expect(limits.bytesPer10min ?? Number.POSITIVE_INFINITY).toBeGreaterThanOrEqual(2 * largest.bytes)
      }),
      { numRuns: 300, seed: 22 },
    )
  })

  it('leaves room for what a person accepted once, four weeks ago', () => {
    const slab = new ProfileSlab(0)
    const view = slab.at(slab.allocate())
    const sums = emptyPriorSums()
    const learning = { prior: cutPrior(sums, 0), sums }
    const quarantine = emptyQuarantine()
    const call = (at: number, records: number) => {
      advance(view, at, learning, quarantine)
      count(view, records, 100 + records * 150)
    }
    for (let day = 0; day < 30; day++) {
      countActiveDay(view, sums, 0)
      for (const hour of [3, 6, 9, 12, 15]) {
        call(MONDAY + day * DAY_MS + hour * 3_600_000, day === 2 && hour === 15 ? 2_000 : 8)
        if (day === 2 && hour === 15) taint(view)
      }
      if (day === 3) acceptQuarantine(view, quarantine, sums)
    }
    const limits = envelopeOf(view, learning.prior, null, 4)
    expect(limits.recordsPer10min).toBeGreaterThanOrEqual(2 * 2_000)
    // And no more than that asks for.
    expect(limits.recordsPer10min).toBeLessThan(20_000)
  })

  it('is a pure question', () => {
    fc.assert(
      fc.property(history, (days) => {
        const { view, prior } = lived(days)
        const before = view.bytes.slice()
        const limits = envelopeOf(view, prior, null, 4)
        expect(envelopeOf(view, prior, null, 4)).toEqual(limits)
        expect(Buffer.compare(view.bytes, before)).toBe(0)
      }),
      { numRuns: 50, seed: 22 },
    )
  })

  it('is never below the largest burst of any former day, nor below that of today', () => {
    const peaks = fc.array(fc.integer({ min: 1, max: 5_000 }), { minLength: 1, maxLength: 45 })
    fc.assert(
      fc.property(peaks, fc.integer({ min: 0, max: 5_000 }), (days, today) => {
        const { view, prior } = lived([[{ slot: 0, calls: 1, minutes: 1, records: 1 }]])
        const limits = envelopeOf(view, prior, burstsOf(days, today), 4)
        expect(limits.requestsPer10s).toBeGreaterThanOrEqual(2 * Math.max(today, ...days))
      }),
      { numRuns: 300, seed: 22 },
    )
  })

  it('gives a caller without former days what its peers do, and no less for a wider headroom', () => {
    const { view, prior } = lived([[{ slot: 0, calls: 1, minutes: 1, records: 1 }]])
    const narrow = envelopeOf(view, prior, null, 2)
    const wide = envelopeOf(view, prior, null, 8)
    expect(narrow.recordsPer10min).toBeGreaterThan(1_000)
    for (const name of ENVELOPE_LIMITS) expect(wide[name]).toBeGreaterThanOrEqual(narrow[name]!)
  })

  it('counts nothing that a known caller never had', () => {
    const { view, prior } = lived(
      Array.from({ length: 8 }, () => [{ slot: 0, calls: 1, minutes: 1, records: 0 }]),
    )
    expect(view.u16[(view.base + CORE.activeDays) / 2]).toBe(8)
    expect(envelopeOf(view, prior, null, 4).recordsPer10min).toBeNull()
  })
})

function burstsOf(days: readonly number[], today: number): DailyBursts {
  const logs = days.map((n) => Math.log(n))
  const mean = logs.reduce((a, b) => a + b, 0) / logs.length
  return { days: days.length, mean, m2: logs.reduce((sum, y) => sum + (y - mean) ** 2, 0), today }
}

const someLimits: fc.Arbitrary<EnvelopeLimits> = fc.record({
  inFlight: fc.double({ min: 2, max: 1e6, noNaN: true }),
  requestsPer10s: fc.double({ min: 1, max: 1e6, noNaN: true }),
  recordsPer10min: fc.option(fc.double({ min: 1, max: 1e9, noNaN: true })),
  bytesPer10min: fc.option(fc.double({ min: 1, max: 1e12, noNaN: true })),
})

describe('what is granted of wished limits', () => {
  it('grows by no more than the factor of a day, however often it is asked', () => {
    const wishes = fc.array(fc.tuple(someLimits, fc.integer({ min: 0, max: DAY_MS / 20 })), {
      minLength: 1,
      maxLength: 30,
    })
    fc.assert(
      fc.property(someLimits, wishes, (first, later) => {
        let standing = { limits: first, at: 0 }
        let now = 0
        for (const [wish, pause] of later) {
          now += pause
          const limits = grantedLimits(wish, standing, 1.5, now)
          standing = { limits, at: now }
          for (const name of ENVELOPE_LIMITS) {
            if (wish[name] !== null) expect(limits[name] ?? 0).toBeLessThanOrEqual(wish[name] * (1 + 1e-9))
            if (first[name] === null) continue
            expect(limits[name] ?? 0).toBeLessThanOrEqual(first[name] * 1.5 ** (now / DAY_MS) * (1 + 1e-9))
          }
        }
      }),
      { seed: 22 },
    )
  })
})
