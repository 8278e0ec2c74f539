import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { copyProfile, decodeProfile, encodeProfile, type StoredSection } from '../../../baseline/codec.ts'
import { ACTIVITY, CORE, FIXED_BYTES, MEAN, SEEN } from '../../../baseline/layout.ts'
import { ProfileSlab, type ProfileView } from '../../../baseline/slab.ts'

/** Written by the first release from 19 days of an office-hours service; must be readable for ever. */
const golden = (): Uint8Array =>
  new Uint8Array(
    Buffer.from(readFileSync(new URL('./profile-v1.base64', import.meta.url), 'ascii'), 'base64'),
  )

const SEQUENCE = { name: 'sequence', version: 3, data: new Uint8Array([1, 2, 3, 250, 0, 9]) }

function emptyView(sectionBytes = 0): ProfileView {
  const slab = new ProfileSlab(sectionBytes)
  return slab.at(slab.allocate())
}

function loaded(): ProfileView {
  const view = emptyView()
  copyProfile(golden(), view, [])
  return view
}

describe('a blob of layout version 1', () => {
  it('names its owner and carries a section that this build does not know', () => {
    expect(decodeProfile(golden(), [])).toEqual({
      kind: 'profile',
      owner: {
        tenant: 'default',
        principal: { kind: 'consumer', id: 'id-orders-svc', label: 'orders-svc', verified: true },
      },
      unknown: [SEQUENCE],
    })
  })

  it('still means what it meant', () => {
    const view = loaded()
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

  it('is written again byte for byte', () => {
    const decoded = decodeProfile(golden(), [])
    if (decoded.kind !== 'profile') throw new Error(decoded.kind)
    expect(encodeProfile(loaded(), decoded.owner, [], decoded.unknown)).toEqual(golden())
  })

  it('is corrupt, or of a newer layout, with any one bit of any byte changed', () => {
    const blob = golden()
    for (let at = 0; at < blob.length; at++) {
      for (const mask of [1, 2, 128]) {
        blob[at]! ^= mask
        const { kind } = decodeProfile(blob, [])
        expect(`${at}/${mask}: ${kind}`).toBe(
          `${at}/${mask}: ${(at === 2 && mask > 1) || at === 3 ? 'newer' : 'corrupt'}`,
        )
        blob[at]! ^= mask
      }
    }
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
})
