import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { MAX_SURPRISE } from '../../../baseline/tail.ts'
import type { VerdictPart } from '../../../core/opinion.ts'
import { combine, DAY_LOOKS } from '../../../engine/combine.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const part: fc.Arbitrary<VerdictPart> = fc.record({
  detector: fc.constantFrom('volume', 'off-hours', 'novelty'),
  surprise: fc.oneof(
    fc.double({ min: 0, max: 12, noNaN: true }),
    fc.double({ min: 0, max: MAX_SURPRISE, noNaN: true }),
  ),
  weight: fc.double({ min: 0.1, max: 2, noNaN: true }),
})
const parts = fc.array(part, { minLength: 1, maxLength: 8 })

describe('combine', () => {
  it('has no opinion when nobody has one', () => {
    expect(combine([])).toBeNull()
  })

  it('gives the identical number when it is recomputed from the stored parts', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const stored = JSON.parse(JSON.stringify(given)) as VerdictPart[]
        expect(Object.is(combine(stored), combine(given))).toBe(true)
      }),
    )
  })

  it('is a finite surprise for anything that detectors may answer', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const combined = combine(given)
        expect(Number.isFinite(combined)).toBe(true)
        expect(combined).toBeGreaterThanOrEqual(0)
        expect(combined).toBeLessThanOrEqual(MAX_SURPRISE)
      }),
      { numRuns: 1_000 },
    )
  })

  it('does not depend on the order of the parts beyond the last digits of a double', () => {
    fc.assert(
      fc.property(parts, fc.infiniteStream(fc.nat()), (given, keys) => {
        const shuffled = given
          .map((p) => ({ p, key: keys.next().value as number }))
          .sort((a, b) => a.key - b.key)
          .map(({ p }) => p)
        expect(combine(shuffled)).toBeCloseTo(combine(given) as number, 9)
      }),
    )
  })

  it('never falls when one part grows', () => {
    fc.assert(
      fc.property(parts, fc.nat(), fc.double({ min: 0, max: 50, noNaN: true }), (given, which, more) => {
        const at = which % given.length
        const grown = given.map((p, i) =>
          i === at ? { ...p, surprise: Math.min(MAX_SURPRISE, p.surprise + more) } : p,
        )
        expect(combine(grown) as number).toBeGreaterThanOrEqual((combine(given) as number) - 1e-9)
      }),
      { numRuns: 1_000 },
    )
  })

  it('lies between the heaviest part alone and the strongest with half of what the second has beyond an ordinary day', () => {
    fc.assert(
      fc.property(parts, (given) => {
        const combined = combine(given) as number
        const [first, second = 0] = given.map((p) => p.surprise).sort((a, b) => b - a)
        const heaviest = Math.max(...given.map((p) => p.weight))
        const alone = Math.max(...given.filter((p) => p.weight === heaviest).map((p) => p.surprise))
        expect(combined).toBeGreaterThanOrEqual(alone - 1e-9)
        expect(combined).toBeLessThanOrEqual(first! + Math.max(0, second - DAY_LOOKS) / 2 + 1e-9)
      }),
      { numRuns: 1_000 },
    )
  })

  it('rewards agreement: two detectors that see the same are more than either', () => {
    const one = { detector: 'volume', surprise: 5, weight: 1 }
    expect(combine([one, { ...one, detector: 'off-hours' }])).toBeGreaterThan(5)
  })

  it('keeps all of one strong signal among two calm ones', () => {
    const calm = ['b', 'c'].map((detector) => ({ detector, surprise: 0, weight: 0.6 }))
    expect(combine([{ detector: 'a', surprise: 12, weight: 1 }, ...calm])).toBe(12)
  })
})
