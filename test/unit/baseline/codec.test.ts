import { readFileSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import {
  checkSections,
  copyProfile,
  decodeProfile,
  encodeProfile,
  MAX_BLOB_BYTES,
  type ProfileOwner,
  type StoredSection,
} from '../../../baseline/codec.ts'
import { ACTIVITY, CORE, FIXED_BYTES, LAYOUT_VERSION, MEAN, SEEN } from '../../../baseline/layout.ts'
import { ProfileSlab, type ProfileView } from '../../../baseline/slab.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { Judge } from '../../../engine/judge.ts'

/** One profile, 19 days of an office-hours service, as each layout had it first; each must be readable for ever. */
const golden = (layout: number): Uint8Array =>
  new Uint8Array(
    Buffer.from(readFileSync(new URL(`./profile-v${layout}.base64`, import.meta.url), 'ascii'), 'base64'),
  )

const SEQUENCE = { name: 'sequence', version: 3, data: new Uint8Array([1, 2, 3, 250, 0, 9]) }

function emptyView(sectionBytes = 0): ProfileView {
  const slab = new ProfileSlab(sectionBytes)
  return slab.at(slab.allocate())
}

function loaded(layout: number): ProfileView {
  const view = emptyView()
  copyProfile(golden(layout), view, [])
  return view
}

describe.each([1, 2])('a blob of layout version %i', (layout) => {
  it('names its owner and carries a section that this build does not know', () => {
    expect(decodeProfile(golden(layout), [])).toEqual({
      kind: 'profile',
      owner: {
        tenant: 'default',
        principal: { kind: 'consumer', id: 'id-orders-svc', label: 'orders-svc', verified: true },
      },
      unknown: [SEQUENCE],
    })
  })

  it('is not needed any more by the section that is carried along', () => {
    const blob = Buffer.from(golden(layout))
    const decoded = decodeProfile(blob, [])
    blob.fill(0)
    if (decoded.kind !== 'profile') throw new Error(decoded.kind)
    encodeProfile(emptyView(), decoded.owner, [], [])
    expect(decoded.unknown).toEqual([SEQUENCE])
  })

  it('still means what it meant', () => {
    const view = loaded(layout)
    expect(view.f64[(view.base + CORE.firstSeen) / 8]).toBe(1788768269740)
    expect(view.f64[(view.base + CORE.lastSeen) / 8]).toBe(1790355442083)
    expect(view.f64[(view.base + CORE.events) / 8]).toBe(255)
    expect(view.u16[(view.base + CORE.activeDays) / 2]).toBe(15)
    expect(view.f32[(view.base + CORE.activeHours) / 4]).toBe(119)
    const seen = (view.base + SEEN) / 4
    expect([...view.f32.slice(seen, seen + 4)]).toEqual([247, 228, 119, 14])
    const mean = (view.base + MEAN) / 4
    expect(view.f32[mean + 3]).toBeCloseTo(2.87186, 5)
    const activity = view.bytes.slice(view.base + ACTIVITY, view.base + ACTIVITY + 168)
    // Monday, nine to ten, on three Mondays; never on a Sunday.
    expect(activity[9]).toBe(3)
    expect(activity.slice(144).every((hours) => hours === 0)).toBe(true)
  })

  it('is written as the newest layout, byte for byte', () => {
    const decoded = decodeProfile(golden(layout), [])
    if (decoded.kind !== 'profile') throw new Error(decoded.kind)
    const written = encodeProfile(loaded(layout), decoded.owner, [], decoded.unknown)
    expect(written).toEqual(golden(LAYOUT_VERSION))
  })

  it('is corrupt, or of a newer layout, with any one bit of any byte changed', () => {
    const blob = golden(layout)
    for (let at = 0; at < blob.length; at++) {
      for (const mask of [1, 2, 3, 128]) {
        blob[at]! ^= mask
        const isNewer = at === 3 || (at === 2 && blob[at]! > LAYOUT_VERSION)
        expect(`${at}/${mask}: ${decodeProfile(blob, []).kind}`).toBe(
          `${at}/${mask}: ${isNewer ? 'newer' : 'corrupt'}`,
        )
        blob[at]! ^= mask
      }
    }
  })
})

describe('a blob whose checksum is right', () => {
  /** Of layout 2, after the owner: one name of eight letters, its version, its length. */
  const ENTRY = 14 + new DataView(golden(2).buffer).getUint32(8, true)

  function kindOf(blob: Uint8Array, layout: number): string {
    new DataView(blob.buffer).setUint32(4, crc32(blob.subarray(8), layout === 1 ? 0 : layout), true)
    return decodeProfile(blob, []).kind
  }

  it('is corrupt where a section is longer than any profile, though bytes for it are there', () => {
    const blob = new Uint8Array(golden(2).length + 1_024)
    blob.set(golden(2))
    new DataView(blob.buffer).setUint16(ENTRY + 11, 65_535, true)
    expect(kindOf(blob, 2)).toBe('corrupt')
  })

  it.each([
    ['an owner that ends behind the blob', 2, 8, 0xff],
    ['more sections than there are', 2, 12, 2],
    ['a name that is no UTF-8', 2, ENTRY + 1, 0xff],
    ['a name that ends behind the blob', 2, ENTRY, 0xff],
    ['an owner that is no JSON', 2, 14, 0x7b],
    ['an owner of another kind', 2, 14 + '["default","'.length, 0x78],
    ['more sections than there are', 1, 10, 2],
    ['an owner of another length', 1, 8, 3],
  ])('is corrupt with %s, layout %i', (_, layout, at, value) => {
    const blob = golden(layout)
    expect(kindOf(blob, layout)).toBe('profile')
    blob[at] = value
    expect(kindOf(blob, layout)).toBe('corrupt')
  })
})

describe('sections', () => {
  const novelty = (version: number, bytes: number): StoredSection => ({ name: 'novelty', version, bytes })
  const owner = {
    tenant: 't',
    principal: { kind: 'sub', id: 'a', label: 'a', verified: true },
  } as const

  function written(version: number, bytes: number): Uint8Array {
    const view = emptyView(bytes)
    view.bytes.fill(7, view.base + FIXED_BYTES, view.base + FIXED_BYTES + bytes)
    return encodeProfile(view, owner, [novelty(version, bytes)], [])
  }

  it.each([
    ['another version', novelty(2, 16)],
    ['another size', novelty(1, 24)],
  ])('of %s are carried along and start empty', (_, section) => {
    const blob = written(1, 16)
    const decoded = decodeProfile(blob, [section])
    expect(decoded).toMatchObject({ unknown: [{ name: 'novelty', version: 1 }] })
    const view = emptyView(section.bytes)
    copyProfile(blob, view, [section])
    expect(view.bytes.slice(view.base + FIXED_BYTES, view.base + view.derived).every((b) => b === 0)).toBe(
      true,
    )
  })

  it('find their place when other detectors were added in front of them', () => {
    const blob = written(1, 16)
    const sections: StoredSection[] = [{ name: 'rhythm', version: 1, bytes: 8 }, novelty(1, 16)]
    const view = emptyView(24)
    copyProfile(blob, view, sections)
    const at = view.base + FIXED_BYTES
    expect([...view.bytes.slice(at, at + 24)]).toEqual([...Array(8).fill(0), ...Array(16).fill(7)])
  })

  it.each([12, -8, 8.5, Number.NaN])('of %d bytes are refused by name and size', (bytes) => {
    expect(() => checkSections([novelty(1, 8), { name: 'rhythm', version: 1, bytes }])).toThrow(
      new RangeError(`section rhythm has ${bytes} bytes, which is not a multiple of 8`),
    )
    expect(() => new ProfileSlab(bytes)).toThrow(RangeError)
  })

  it('larger than what a profile may be are refused', () => {
    expect(() => checkSections([novelty(1, 65_528)])).toThrow(
      /^section novelty of 65528 bytes makes profiles/,
    )
    const many = Array.from({ length: 40 }, (_, i) => ({ name: `detector-${i}`, version: 1, bytes: 0 }))
    expect(() => checkSections(many)).toThrow(/^section detector-\d+ of 0 bytes/)
  })

  it('are checked when a detector is put to use', () => {
    const [first, second] = DETECTORS
    expect(() => new Judge([first!, { ...second!, sectionBytes: 20 }])).toThrow(
      `section ${second!.name} has 20 bytes`,
    )
  })
})

describe('the largest profile', () => {
  const { stored, sectionBytes } = new Judge(DETECTORS)
  const worst: ProfileOwner = {
    tenant: '\u0001'.repeat(128),
    principal: {
      kind: 'consumer',
      id: '\u0002'.repeat(256),
      label: '\u0003'.repeat(256),
      verified: false,
    },
  }

  function full(): ProfileView {
    const view = emptyView(sectionBytes)
    view.bytes.fill(255, view.base, view.base + view.derived)
    return view
  }

  it('stays below the cap with every detector, the longest names and no zero in it', () => {
    const blob = encodeProfile(full(), worst, stored, [])
    expect(blob.length).toBeLessThanOrEqual(MAX_BLOB_BYTES)
    expect(decodeProfile(blob, stored)).toEqual({ kind: 'profile', owner: worst, unknown: [] })
  })

  it('keeps those of the unknown sections that there is room for, newest first', () => {
    const unknown = Array.from({ length: 12 }, (_, i) => ({
      name: `former-${i}`,
      version: 1,
      data: new Uint8Array(300).fill(i + 1),
    }))
    const blob = encodeProfile(full(), worst, stored, unknown)
    expect(blob.length).toBeLessThanOrEqual(MAX_BLOB_BYTES)
    const decoded = decodeProfile(blob, stored)
    if (decoded.kind !== 'profile') throw new Error(decoded.kind)
    const kept = decoded.unknown.length
    expect(kept).toBeGreaterThan(0)
    expect(kept).toBeLessThan(unknown.length)
    expect(decoded.unknown).toEqual(unknown.slice(0, kept))
  })

  it('may be larger for an owner whom no log format can name, and comes back all the same', () => {
    const owner = { ...worst, tenant: 'x'.repeat(70_000) }
    const blob = encodeProfile(full(), owner, stored, [])
    expect(decodeProfile(blob, stored)).toMatchObject({ kind: 'profile', owner })
  })
})
