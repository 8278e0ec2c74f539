import { describe, expect, it } from 'vitest'
import { growthPercent } from '../../../cli/garbage.ts'

const MIB = 1_048_576

describe('how far a heap may grow between two full collections', () => {
  it('is a fixed room, so that the memory it costs does not grow with the heap', () => {
    for (const live of [30, 64, 100, 200]) {
      const room = (live * growthPercent(live * MIB)) / 100
      expect(room).toBeGreaterThan(125)
      expect(room).toBeLessThanOrEqual(128)
    }
  })

  it('is half of a large heap', () => {
    expect(growthPercent(255 * MIB)).toBe(50)
    expect(growthPercent(2_000 * MIB)).toBe(50)
  })

  it('is bounded for a heap that holds next to nothing', () => {
    expect(growthPercent(0)).toBe(1_000)
    expect(growthPercent(1)).toBe(1_000)
  })
})
