import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { copyProfile, decodeProfile, encodeProfile } from '../../../baseline/codec.ts'
import { FIXED_BYTES, LAYOUT_VERSION } from '../../../baseline/layout.ts'
import {
  filledProfile,
  owner,
  SECTION_BYTES,
  SECTIONS,
  storedBytes,
  storedBytesOf,
  unknownSection,
} from './filled-profile.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const stored = storedBytes(FIXED_BYTES + SECTION_BYTES)
const unknown = fc.uniqueArray(unknownSection, { selector: (s) => s.name, maxLength: 3 })

describe('profile blobs', () => {
  it('come back bit for bit, with their owner and the sections of detectors that are not here', () => {
    fc.assert(
      fc.property(stored, owner, unknown, (bytes, who, carried) => {
        const blob = encodeProfile(filledProfile(bytes), who, SECTIONS, carried)
        const decoded = decodeProfile(blob, SECTIONS)
        expect(decoded).toEqual({ kind: 'profile', owner: who, unknown: carried })
        const copy = filledProfile(new Uint8Array(FIXED_BYTES + SECTION_BYTES))
        copyProfile(blob, copy, SECTIONS)
        expect(storedBytesOf(copy)).toEqual(bytes)
        expect(encodeProfile(copy, who, SECTIONS, carried)).toEqual(blob)
      }),
    )
  })

  it('decode alike wherever they lie in a larger buffer', () => {
    fc.assert(
      fc.property(stored, owner, fc.integer({ min: 1, max: 9 }), (bytes, who, offset) => {
        const blob = encodeProfile(filledProfile(bytes), who, SECTIONS, [])
        const larger = new Uint8Array(blob.length + offset + 5).fill(0xaa)
        larger.set(blob, offset)
        const part = larger.subarray(offset, offset + blob.length)
        expect(decodeProfile(part, SECTIONS)).toEqual(decodeProfile(blob, SECTIONS))
      }),
      { numRuns: 30 },
    )
  })

  it('are never taken for a profile when any byte was changed', () => {
    fc.assert(
      fc.property(
        stored,
        owner,
        unknown,
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        (bytes, who, carried, n, mask) => {
          const blob = encodeProfile(filledProfile(bytes), who, SECTIONS, carried)
          const at = n % blob.length
          blob[at]! ^= mask
          const { kind } = decodeProfile(blob, SECTIONS)
          // Only the two bytes that state the layout may claim a newer one; nothing is written then either.
          expect(kind).toBe(kind === 'newer' && (at === 2 || at === 3) ? 'newer' : 'corrupt')
        },
      ),
      { numRuns: 300 },
    )
  })

  it('are corrupt when cut short anywhere', () => {
    fc.assert(
      fc.property(stored, owner, fc.nat(), (bytes, who, n) => {
        const blob = encodeProfile(filledProfile(bytes), who, SECTIONS, [])
        expect(decodeProfile(blob.subarray(0, n % blob.length), SECTIONS).kind).toBe('corrupt')
      }),
    )
  })

  it('of a newer layout are named as such, whatever else they hold', () => {
    fc.assert(
      fc.property(
        stored,
        owner,
        fc.integer({ min: LAYOUT_VERSION + 1, max: 65_535 }),
        (bytes, who, version) => {
          const blob = encodeProfile(filledProfile(bytes), who, SECTIONS, [])
          new DataView(blob.buffer).setUint16(2, version, true)
          blob.fill(0xff, 16)
          expect(decodeProfile(blob, SECTIONS)).toEqual({ kind: 'newer', version })
        },
      ),
      { numRuns: 50 },
    )
  })

  it('are corrupt for random bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2_000 }), (bytes) => {
        expect(decodeProfile(bytes, SECTIONS).kind).toBe('corrupt')
      }),
    )
  })
})
