import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mayCount, OWNER_BUCKETS } from '../../../baseline/owners.ts'

/** Lets callers in one after another, each of the owner given, and puts out those whose owner has too many. */
function admit(callers: readonly number[]): Float64Array {
  const owners = new Float64Array(OWNER_BUCKETS)
  for (const owner of callers) if (mayCount(owners, owner, false)) owners[owner]! += 1
  for (const owner of callers) {
    if (owners[owner]! > 0 && !mayCount(owners, owner, true)) owners[owner]! -= 1
  }
  return owners
}
const total = (owners: Float64Array): number => owners.reduce((sum, n) => sum + n, 0)

describe('who counts in what is known about all', () => {
  it('is never one owner beyond 5 % and three, with twenty owners or more, whatever the order', () => {
    const others = Array.from({ length: 31 * 40 }, (_, i) => i % 31)
    fc.assert(
      fc.property(
        fc.shuffledSubarray([...others, ...new Array(2_000).fill(31)], { minLength: 3_000 }),
        (mix) => {
          const owners = admit(mix)
          expect(owners[31]).toBeLessThanOrEqual(0.05 * total(owners) + 3)
          expect(owners[31]).toBeGreaterThan(0)
        },
      ),
      { numRuns: 20 },
    )
  })

  it('is everybody where all have one owner, or each its own', () => {
    expect(total(admit(new Array(500).fill(4)))).toBe(500)
    const each = Array.from({ length: 3_200 }, (_, i) => i % OWNER_BUCKETS)
    expect(total(admit(each))).toBe(3_200)
  })

  it('shrinks to its share when others come', () => {
    const first = admit([...new Array(100).fill(0), ...new Array(100).fill(1)])
    expect(mayCount(first, 0, true)).toBe(true)
    first[0] = 140
    expect(mayCount(first, 0, true)).toBe(false)
    expect(mayCount(first, 1, false)).toBe(true)
  })
})
