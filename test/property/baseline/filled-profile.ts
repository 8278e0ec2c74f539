import fc from 'fast-check'
import type { ProfileOwner, StoredSection, UnknownSection } from '../../../baseline/codec.ts'
import { ProfileSlab, type ProfileView } from '../../../baseline/slab.ts'

/** Sections as two detectors would own them, one of them without any. */
export const SECTIONS: readonly StoredSection[] = [
  { name: 'volume', version: 1, bytes: 0 },
  { name: 'novelty', version: 2, bytes: 24 },
  { name: 'rhythm', version: 1, bytes: 8 },
]
export const SECTION_BYTES = 32

/** A profile whose stored bytes are given; the rest of its slab belongs to others. */
export function filledProfile(stored: Uint8Array): ProfileView {
  const slab = new ProfileSlab(SECTION_BYTES)
  for (let i = 0; i < 3; i++) slab.allocate()
  const view = slab.at(1)
  view.bytes.set(stored, view.base)
  return view
}

export function storedBytesOf(view: ProfileView): Uint8Array {
  return view.bytes.slice(view.base, view.base + view.derived)
}

/** Any bytes at all: the codec carries what is in the slab, whatever it means. */
export const storedBytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length })

/** Mostly zeros, as profiles are. */
export const sparseBytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc
    .array(fc.tuple(fc.nat({ max: length - 1 }), fc.integer({ min: 1, max: 255 })), { maxLength: 200 })
    .map((places) => {
      const bytes = new Uint8Array(length)
      for (const [at, value] of places) bytes[at] = value
      return bytes
    })

export const owner: fc.Arbitrary<ProfileOwner> = fc.record({
  tenant: fc.string({ unit: 'binary', maxLength: 40 }),
  principal: fc.record({
    kind: fc.constantFrom('consumer', 'sub', 'app', 'key', 'account', 'ip'),
    id: fc.string({ unit: 'binary', maxLength: 300 }),
    label: fc.string({ unit: 'binary', maxLength: 300 }),
    verified: fc.boolean(),
  }),
})

export const unknownSection: fc.Arbitrary<UnknownSection> = fc.record({
  name: fc.constantFrom('sequence', 'privilege', 'change-point'),
  version: fc.integer({ min: 0, max: 65_535 }),
  data: fc.uint8Array({ maxLength: 200 }),
})
