import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import {
  EVEN_ODDS,
  MAX_SURPRISE,
  normalSurprise,
  studentSurprise,
  zOfSurprise,
} from '../../../baseline/tail.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const z = fc.integer({ min: 0, max: 60_000 }).map((n) => n / 1_000)
const dof = fc.integer({ min: 4, max: 30 })

describe('tail functions', () => {
  it('grow with the value: more extreme is never less surprising', () => {
    fc.assert(
      fc.property(z, z, dof, (a, b, n) => {
        const low = Math.min(a, b)
        const high = Math.max(a, b)
        expect(normalSurprise(low)).toBeLessThanOrEqual(normalSurprise(high))
        expect(studentSurprise(low, n)).toBeLessThanOrEqual(studentSurprise(high, n))
      }),
      { numRuns: 500 },
    )
  })

  it('stay between even odds and the cut, whatever the value', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, noNaN: true }), dof, (t, n) => {
        for (const surprise of [normalSurprise(t), studentSurprise(t, n)]) {
          expect(surprise).toBeGreaterThanOrEqual(EVEN_ODDS - 1e-12)
          expect(surprise).toBeLessThanOrEqual(MAX_SURPRISE)
        }
      }),
    )
  })

  it('are undone by the inverse', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 37, noNaN: true }), (value) => {
        expect(zOfSurprise(normalSurprise(value))).toBeCloseTo(value, 6)
      }),
    )
    fc.assert(
      fc.property(fc.double({ min: EVEN_ODDS, max: MAX_SURPRISE, noNaN: true }), (surprise) => {
        expect(normalSurprise(zOfSurprise(surprise))).toBeCloseTo(surprise, 6)
      }),
    )
  })
})
