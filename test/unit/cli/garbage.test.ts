import { describe, expect, it } from 'vitest'
import { growthPercent } from '../../../cli/garbage.ts'

const MIB = 1_048_576

describe('how far a heap may grow between two full collections', () => {
  it('is a fixed room, so that the memory it costs does not grow with the heap', () => {
    for (const live of [30, 64, 100, 200]) {
      const room = (live * growthPercent(live * MIB)) / 100
      expect(room).toBeGreaterThan(250)
      expect(room).toBeLessThanOrEqual(256)
    }
  })

  it('is left to V8 where the room would be less than V8 gives', () => {
    expect(growthPercent(230 * MIB)).toBeGreaterThan(0)
    expect(growthPercent(233 * MIB)).toBe(0)
    expect(growthPercent(2_000 * MIB)).toBe(0)
  })

  it('is bounded for a heap that holds next to nothing', () => {
    expect(growthPercent(0)).toBe(1_000)
    expect(growthPercent(1)).toBe(1_000)
  })
})
