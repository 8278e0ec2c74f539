import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { copyProfile, decodeProfile, encodeProfile, MAX_BLOB_BYTES } from '../../../baseline/codec.ts'
import { FIXED_BYTES, LAYOUT_VERSION } from '../../../baseline/layout.ts'
import {
  filledProfile,
  owner,
  SECTION_BYTES,
  SECTIONS,
  sparseBytes,
  storedBytes,
  storedBytesOf,
  unknownSection,
} from './filled-profile.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const golden1 = (): Uint8Array =>
  new Uint8Array(
    Buffer.from(
      readFileSync(new URL('../../unit/baseline/profile-v1.base64', import.meta.url), 'ascii'),
      'base64',
    ),
  )
const OWNER = {
  tenant: 'default',
  principal: { kind: 'consumer', id: 'id-orders', label: 'orders', verified: true },
} as const

const stored = fc.oneof(storedBytes(FIXED_BYTES + SECTION_BYTES), sparseBytes(FIXED_BYTES + SECTION_BYTES))
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

  it('with a right checksum over wrong bytes are corrupt or another profile, and nothing worse', () => {
    const change = fc.record({ at: fc.nat(), value: fc.integer({ min: 0, max: 255 }) })
    const outcomes = new Map<string, number>()
    fc.assert(
      fc.property(
        fc.constantFrom(1, LAYOUT_VERSION),
        sparseBytes(FIXED_BYTES + SECTION_BYTES),
        unknown,
        fc.array(change, { minLength: 1, maxLength: 4 }),
        fc.nat({ max: 40 }),
        (layout, bytes, carried, changes, cut) => {
          const whole =
            layout === 1 ? golden1() : encodeProfile(filledProfile(bytes), OWNER, SECTIONS, carried)
          const blob = whole.slice(0, whole.length - (cut > 20 ? 0 : cut))
          // Lengths and counts lie in front, so half of the changes go there.
          for (const { at, value } of changes) blob[8 + (at % (at % 2 === 0 ? 90 : blob.length - 8))] = value
          new DataView(blob.buffer).setUint32(4, crc32(blob.subarray(8), layout === 1 ? 0 : layout), true)
          const decoded = decodeProfile(blob, SECTIONS)
          outcomes.set(decoded.kind, (outcomes.get(decoded.kind) ?? 0) + 1)
          if (decoded.kind !== 'profile') return
          const copy = filledProfile(new Uint8Array(FIXED_BYTES + SECTION_BYTES))
          copyProfile(blob, copy, SECTIONS)
          const again = encodeProfile(copy, decoded.owner, SECTIONS, decoded.unknown)
          expect(decodeProfile(again, SECTIONS)).toMatchObject({ kind: 'profile', owner: decoded.owner })
          // Only names may be long; what is packed is bounded.
          expect(decoded.unknown.reduce((sum, s) => sum + s.data.length, 0)).toBeLessThan(MAX_BLOB_BYTES)
        },
      ),
      { numRuns: 3_000, seed: 11 },
    )
    expect(outcomes.get('corrupt')).toBeGreaterThan(100)
    expect(outcomes.get('profile')).toBeGreaterThan(100)
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
