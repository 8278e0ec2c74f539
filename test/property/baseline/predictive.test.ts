import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { CELLS, DERIVED, WINDOW_COUNT } from '../../../baseline/layout.ts'
import { degreesOfFreedom, derive, predict, rangeOf } from '../../../baseline/predictive.ts'
import {
  cutPrior,
  decodePriorSums,
  emptyPriorSums,
  encodePriorSums,
  MIN_WINDOWS_IN_PRIOR,
  weighInPrior,
} from '../../../baseline/prior.ts'
import { ProfileSlab, type ProfileView } from '../../../baseline/slab.ts'
import { advance, count } from '../../../baseline/windows.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const call = fc.record({
  gapMs: fc.oneof(fc.integer({ min: 0, max: 90_000 }), fc.integer({ min: 0, max: 200_000_000 })),
  records: fc.integer({ min: 0, max: 5_000 }),
  bytes: fc.integer({ min: 0, max: 5_000_000 }),
})
const calls = fc.array(call, { minLength: 1, maxLength: 120 })

const statistics = fc.record({
  seen: fc.integer({ min: 0, max: 300 }),
  mean: fc.double({ min: 0, max: 20, noNaN: true }),
  m2: fc.double({ min: 0, max: 500, noNaN: true }),
})

function lived(sequence: readonly { gapMs: number; records: number; bytes: number }[]) {
  const slab = new ProfileSlab(0)
  const view: ProfileView = slab.at(slab.allocate())
  const sums = emptyPriorSums()
  const prior = cutPrior(sums, 0)
  let time = Date.UTC(2026, 8, 7)
  for (const { gapMs, records, bytes } of sequence) {
    time += gapMs
    advance(view, time, { prior, sums }, null)
    count(view, records, bytes)
  }
  return { view, prior, sums, hourIndex: Math.floor(time / 3_600_000) }
}

describe('derived fields', () => {
  it('say what predict says, for every cell', () => {
    fc.assert(
      fc.property(calls, (sequence) => {
        const { view, prior, hourIndex } = lived(sequence)
        derive(view, prior)
        const f = (view.base + view.derived) / 4
        for (let cell = 0; cell < CELLS; cell++) {
          const { center, scale } = predict(view, prior, cell, hourIndex)
          expect(view.f32[f + DERIVED.center / 4 + cell]).toBeCloseTo(center, 4)
          expect(view.f32[f + DERIVED.inverseScale / 4 + cell]! * scale).toBeCloseTo(1, 5)
          const median = view.f32[f + DERIVED.median / 4 + cell]!
          expect(Math.abs(Math.log1p(median) - center)).toBeLessThan(1e-4)
        }
      }),
    )
  })

  it('that are kept up window by window equal those worked out anew: a restart changes nothing', () => {
    fc.assert(
      fc.property(calls, calls, (before, after) => {
        const { view, prior, sums } = lived(before)
        derive(view, prior)
        let time = view.f64[0]! + 0
        time = Date.UTC(2026, 8, 7) + before.reduce((sum, c) => sum + c.gapMs, 0)
        for (const { gapMs, records, bytes } of after) {
          time += gapMs
          advance(view, time, { prior, sums }, null)
          count(view, records, bytes)
        }
        const start = view.base + view.derived
        const kept = view.bytes.slice(start, start + DERIVED.version)
        view.bytes.fill(0, start, start + DERIVED.version)
        derive(view, prior)
        expect(view.bytes.slice(start, start + DERIVED.version)).toEqual(kept)
      }),
    )
  })
})

describe('a prediction', () => {
  it('is proper whatever was seen: positive spread, its middle inside its range, own share below 1', () => {
    fc.assert(
      fc.property(calls, fc.nat(CELLS - 1), (sequence, cell) => {
        const { view, prior, hourIndex } = lived(sequence)
        const p = predict(view, prior, cell, hourIndex)
        const { expected, range } = rangeOf(p)
        expect(p.scale).toBeGreaterThan(0)
        expect(p.ownShare).toBeGreaterThanOrEqual(0)
        expect(p.ownShare).toBeLessThan(1)
        expect(range[0]).toBeLessThanOrEqual(expected)
        expect(expected).toBeLessThan(range[1])
      }),
    )
  })

  it('is the prior for somebody never seen', () => {
    const slab = new ProfileSlab(0)
    const view = slab.at(slab.allocate())
    const prior = cutPrior(emptyPriorSums(), 0)
    for (let cell = 0; cell < CELLS; cell++) {
      const p = predict(view, prior, cell, 0)
      expect(p).toMatchObject({ center: prior.center[cell], ownShare: 0, dof: 4 })
    }
  })

  it('gets no thinner tails than 30 degrees of freedom', () => {
    expect([0, 1, 26, 27, 500].map(degreesOfFreedom)).toEqual([4, 5, 30, 30, 30])
  })
})

describe('what is known about all', () => {
  it('does not depend on the order in which principals are weighed in', () => {
    fc.assert(
      fc.property(fc.array(statistics, { maxLength: 30 }), fc.nat(CELLS - 1), (many, cell) => {
        const forward = emptyPriorSums()
        const backward = emptyPriorSums()
        for (const s of many) weighInPrior(forward, cell, s.seen, s.mean, s.m2, 1)
        for (const s of [...many].reverse()) weighInPrior(backward, cell, s.seen, s.mean, s.m2, 1)
        expect(encodePriorSums(backward)).toEqual(encodePriorSums(forward))
      }),
    )
  })

  it('forgets a principal without a trace', () => {
    fc.assert(
      fc.property(
        fc.array(statistics, { maxLength: 10 }),
        statistics,
        fc.nat(CELLS - 1),
        (others, one, cell) => {
          const sums = emptyPriorSums()
          for (const s of others) weighInPrior(sums, cell, s.seen, s.mean, s.m2, 1)
          const before = encodePriorSums(sums)
          weighInPrior(sums, cell, one.seen, one.mean, one.m2, 1)
          weighInPrior(sums, cell, one.seen, one.mean, one.m2, -1)
          // Signs of zero may differ; the numbers may not.
          expect([...encodePriorSums(sums)].map((v) => v + 0)).toEqual([...before].map((v) => v + 0))
        },
      ),
    )
  })

  it('gives newcomers no weight', () => {
    const sums = emptyPriorSums()
    for (let i = 0; i < 1_000; i++) weighInPrior(sums, 0, MIN_WINDOWS_IN_PRIOR - 1, 15, 3, 1)
    expect(cutPrior(sums, 1).center).toEqual(cutPrior(emptyPriorSums(), 1).center)
  })

  it('survives its encoding', () => {
    fc.assert(
      fc.property(fc.array(statistics, { maxLength: 10 }), (many) => {
        const sums = emptyPriorSums()
        many.forEach((s, i) => {
          weighInPrior(sums, i % CELLS, s.seen, s.mean, s.m2, 1)
        })
        expect(decodePriorSums(encodePriorSums(sums))).toEqual(sums)
      }),
    )
  })

  it('is a proper prior whatever it was cut from', () => {
    fc.assert(
      fc.property(fc.array(statistics, { maxLength: 40 }), (many) => {
        const sums = emptyPriorSums()
        many.forEach((s, i) => {
          weighInPrior(sums, (i * WINDOW_COUNT + i) % CELLS, s.seen, s.mean, s.m2, 1)
          sums.hours[i * 3]! += s.seen
        })
        const prior = cutPrior(sums, 3)
        expect([...prior.between, ...prior.within].every((v) => v > 0 && Number.isFinite(v))).toBe(true)
        expect([...prior.center].every(Number.isFinite)).toBe(true)
        expect(prior.hours.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 9)
        expect(Math.min(...prior.hours)).toBeGreaterThan(0)
      }),
    )
  })
})
