import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { pack, packedBound, unpack } from '../../../baseline/packing.ts'

const MAX = 700

/** Runs of zeros and of anything, as profiles have them. */
const sparse = fc
  .array(
    fc.oneof(
      fc.integer({ min: 1, max: 150 }).map((n) => new Uint8Array(n)),
      fc.uint8Array({ minLength: 1, maxLength: 20 }),
    ),
    { maxLength: 12 },
  )
  .map((runs) => Uint8Array.from(runs.flatMap((run) => [...run])).subarray(0, MAX))

/** Room as {@link pack} wants it: aligned, and zero behind the bytes. */
function roomFor(bytes: Uint8Array): Uint8Array {
  const room = new Uint8Array(Math.ceil((bytes.length + 1) / 8) * 8)
  room.set(bytes)
  return room
}

function packed(bytes: Uint8Array): Uint8Array {
  const out = new Uint8Array(packedBound(bytes.length) + 1).fill(0xaa)
  const end = pack(roomFor(bytes), bytes.length, out, 1)
  return out.subarray(1, end)
}

describe('packed bytes', () => {
  it('come back, within the bound, and are equal for equal bytes', () => {
    fc.assert(
      fc.property(sparse, (bytes) => {
        const small = packed(bytes)
        expect(small.length).toBeLessThanOrEqual(packedBound(bytes.length))
        const back = new Uint8Array(bytes.length).fill(0xbb)
        expect(unpack(small, 0, back, bytes.length)).toBe(true)
        expect(back).toEqual(bytes)
        expect(packed(back)).toEqual(small)
      }),
    )
  })

  it('reach the bound where there is no zero, and are next to nothing where there is nothing else', () => {
    for (const size of [1, 7, 8, 9, 63, 64, 65, 640]) {
      expect(packed(new Uint8Array(size).fill(1)).length).toBe(packedBound(size))
      expect(packed(new Uint8Array(size)).length).toBe(Math.ceil(size / 64))
    }
  })

  it('are taken only as they are written, whatever else they look like, and nothing is written beyond the room', () => {
    const hostile = fc.oneof(
      fc.uint8Array({ maxLength: 120 }),
      fc.tuple(sparse, fc.nat(), fc.integer({ min: 0, max: 255 })).map(([bytes, n, value]) => {
        const small = packed(bytes).slice()
        if (small.length > 0) small[n % small.length] = value
        return small
      }),
    )
    let taken = 0
    fc.assert(
      fc.property(hostile, fc.nat({ max: MAX }), (bytes, size) => {
        const out = new Uint8Array(MAX + 8).fill(0xcc)
        if (unpack(bytes, 0, out, size)) {
          taken++
          expect(packed(out.slice(0, size))).toEqual(bytes)
        }
        expect(out.subarray(size).every((byte) => byte === 0xcc)).toBe(true)
      }),
      { numRuns: 3_000, seed: 7 },
    )
    expect(taken).toBeGreaterThan(0)
  })
})
