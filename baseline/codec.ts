import { crc32 } from 'node:zlib'
import type { Principal } from '../core/event.ts'
import { FIXED_BYTES, LAYOUT_VERSION } from './layout.ts'
import { pack, packedBound, unpack } from './packing.ts'
import type { ProfileView } from './slab.ts'

/** Who a stored profile belongs to; the readable id is inside the blob, its key in the store is a hash. */
export interface ProfileOwner {
  readonly tenant: string
  readonly principal: Principal
}

/** One detector's bytes within a profile. */
export interface StoredSection {
  readonly name: string
  readonly version: number
  /** A multiple of 8; see {@link checkSections}. */
  readonly bytes: number
}

/** What a blob turned out to be. `newer` must stop the worker; `corrupt` is set aside and counted. */
export type Decoded =
  | { readonly kind: 'profile'; readonly owner: ProfileOwner; readonly unknown: readonly UnknownSection[] }
  | { readonly kind: 'corrupt'; readonly detail: string }
  | { readonly kind: 'newer'; readonly version: number }

/** A section of a detector that this build does not have; carried along unchanged while there is room. */
export interface UnknownSection {
  readonly name: string
  readonly version: number
  readonly data: Uint8Array
}

const MAGIC = 0x4643 // "CF"
const HEADER_BYTES = 14
/** Of layout 1, whose fixed part and sections were not packed. */
const HEADER_BYTES_1 = 16
/** What a section takes besides its name and data: name length u8, version u16, data length u16. */
const ENTRY_BYTES = 5

/** What no stored profile exceeds whose owner a log format can name. */
export const MAX_BLOB_BYTES = 8_192
/** An owner as JSON, at most: tenant of 128 characters, id and label of 256, each of them escaped as `\u0000` is. */
const MAX_OWNER_BYTES = 4_096
/** Fixed part and sections before packing, at most. */
const MAX_BODY_BYTES = 3_328
/** Names, versions and lengths of the sections, at most. */
const MAX_ENTRIES_BYTES = MAX_BLOB_BYTES - HEADER_BYTES - MAX_OWNER_BYTES - packedBound(MAX_BODY_BYTES)

const text = new TextEncoder()
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const KINDS: Readonly<Record<Principal['kind'], true>> = {
  consumer: true,
  sub: true,
  app: true,
  key: true,
  account: true,
  ip: true,
}

/** Scratch memory of one call: fixed part and sections, the same packed, and the list of the sections. */
const body = new Uint8Array(MAX_BODY_BYTES)
const packed = new Uint8Array(packedBound(MAX_BODY_BYTES))
const entries = new Uint8Array(MAX_ENTRIES_BYTES)

/** Where a section lies in the bytes of {@link Contents}. */
interface Place {
  readonly name: string
  readonly version: number
  readonly from: number
  readonly to: number
}

/** What a blob holds. `bytes` is the blob or the scratch memory, good until the next call. */
interface Contents {
  readonly owner: Uint8Array
  readonly bytes: Uint8Array
  /** Where the fixed part begins. */
  readonly fixed: number
  readonly sections: readonly Place[]
}

/**
 * Throws a `RangeError`, naming section and size, unless all of them can be stored: sizes are multiples of 8, or fields
 * of the section behind would lie where they cannot be read; and a profile with all of them stays within
 * {@link MAX_BLOB_BYTES} whatever it holds.
 */
export function checkSections(sections: readonly StoredSection[]): void {
  let size = FIXED_BYTES
  let listed = 0
  for (const { name, bytes } of sections) {
    if (!Number.isInteger(bytes) || bytes < 0 || bytes % 8 !== 0)
      throw new RangeError(`section ${name} has ${bytes} bytes, which is not a multiple of 8`)
    size += bytes
    listed += ENTRY_BYTES + text.encode(name).length
    if (size > MAX_BODY_BYTES || listed > MAX_ENTRIES_BYTES)
      throw new RangeError(
        `section ${name} of ${bytes} bytes makes profiles ${size} bytes large and the list of sections ${listed}; ` +
          `there is room for ${MAX_BODY_BYTES} and ${MAX_ENTRIES_BYTES}`,
      )
  }
}

/**
 * Header (magic u16, layout u16, crc32 u32 of what follows with the layout as its start, owner length u32, section
 * count u16), owner as JSON, the list of sections as (name length u8, name, version u16, length u16), then the fixed part and the
 * sections' data in the order of the list, as {@link pack} writes them. Unknown sections without room are left out, those
 * carried longest first.
 */
export function encodeProfile(
  view: ProfileView,
  { tenant, principal }: ProfileOwner,
  sections: readonly StoredSection[],
  unknown: readonly UnknownSection[],
): Uint8Array {
  const owner = text.encode(
    JSON.stringify([tenant, principal.kind, principal.id, principal.label, principal.verified]),
  )
  let to = view.base + FIXED_BYTES
  body.set(view.bytes.subarray(view.base, to))
  let size = FIXED_BYTES
  let listed = 0
  let count = 0
  for (const s of sections) {
    const from = to
    to += s.bytes
    // A section in which nothing is noted is what a profile without it has.
    if (isZero(view, from, to)) continue
    listed = putEntry(listed, s.name, s.version, s.bytes)
    body.set(view.bytes.subarray(from, to), size)
    size += s.bytes
    count++
  }
  for (const { name, version, data } of unknown) {
    const isTooMuch = listed + ENTRY_BYTES + text.encode(name).length > MAX_ENTRIES_BYTES
    if (isTooMuch || size + data.length > MAX_BODY_BYTES) break
    listed = putEntry(listed, name, version, data.length)
    body.set(data, size)
    size += data.length
    count++
  }
  body.fill(0, size, size + 8)
  return assemble(owner, count, listed, pack(body, size, packed, 0))
}

function isZero({ u32 }: ProfileView, from: number, to: number): boolean {
  for (let i = from >> 2; i < to >> 2; i++) if (u32[i] !== 0) return false
  return true
}

function putEntry(at: number, name: string, version: number, bytes: number): number {
  const { written } = text.encodeInto(name, entries.subarray(at + 1))
  entries[at] = written
  at += 1 + written
  entries[at] = version & 255
  entries[at + 1] = version >> 8
  entries[at + 2] = bytes & 255
  entries[at + 3] = bytes >> 8
  return at + 4
}

/** A blob of an owner, the list of so many sections and so many packed bytes. */
function assemble(owner: Uint8Array, count: number, listed: number, packedBytes: number): Uint8Array {
  const out = new Uint8Array(HEADER_BYTES + owner.length + listed + packedBytes)
  const data = new DataView(out.buffer)
  data.setUint16(0, MAGIC, true)
  data.setUint16(2, LAYOUT_VERSION, true)
  data.setUint32(8, owner.length, true)
  data.setUint16(12, count, true)
  out.set(owner, HEADER_BYTES)
  out.set(entries.subarray(0, listed), HEADER_BYTES + owner.length)
  out.set(packed.subarray(0, packedBytes), HEADER_BYTES + owner.length + listed)
  data.setUint32(4, crc32(out.subarray(8), LAYOUT_VERSION), true)
  return out
}

/** Reads the owner of a blob and checks it whole; call {@link copyProfile} with a slot for the rest. */
export function decodeProfile(blob: Uint8Array, sections: readonly StoredSection[]): Decoded {
  if (blob.length < HEADER_BYTES) return { kind: 'corrupt', detail: `${blob.length} bytes are too few` }
  const data = new DataView(blob.buffer, blob.byteOffset, blob.length)
  if (data.getUint16(0, true) !== MAGIC) return { kind: 'corrupt', detail: 'no profile header' }
  const version = data.getUint16(2, true)
  if (version > LAYOUT_VERSION) return { kind: 'newer', version }
  // There never was a layout 0.
  if (version === 0) return { kind: 'corrupt', detail: 'layout version 0' }
  // The checksum of layout 1 does not cover the version.
  if (data.getUint32(4, true) !== crc32(blob.subarray(8), version === 1 ? 0 : version))
    return { kind: 'corrupt', detail: 'checksum differs' }
  const contents = contentsOf(blob)
  const owner = contents === null ? null : ownerOf(contents.owner)
  if (contents === null || owner === null)
    return { kind: 'corrupt', detail: 'the checksum is right but the contents are not' }
  const unknown: UnknownSection[] = []
  for (const place of contents.sections) {
    const { name, version, from, to } = place
    if (!sections.some((known) => isOf(place, known)))
      // A copy; `slice` of a Buffer is a view into a larger one.
      unknown.push({ name, version, data: new Uint8Array(contents.bytes.subarray(from, to)) })
  }
  return { kind: 'profile', owner, unknown }
}

/** Copies a checked blob into a profile of the slab; sections this build lacks stay zero. */
export function copyProfile(blob: Uint8Array, view: ProfileView, sections: readonly StoredSection[]): void {
  const contents = contentsOf(blob)
  if (contents === null) throw new Error('a profile was copied that is not whole')
  const { bytes, fixed } = contents
  view.bytes.set(bytes.subarray(fixed, fixed + FIXED_BYTES), view.base)
  let to = view.base + FIXED_BYTES
  for (const s of sections) {
    if (s.bytes === 0) continue
    const found = contents.sections.find((stored) => isOf(stored, s))
    if (found !== undefined) view.bytes.set(bytes.subarray(found.from, found.to), to)
    to += s.bytes
  }
}

function isOf(stored: Place, { name, version, bytes }: StoredSection): boolean {
  return stored.to - stored.from === bytes && stored.version === version && stored.name === name
}

/** Null where lengths lead beyond the blob or the bounds; a checksum is no proof that this program wrote it. */
function contentsOf(blob: Uint8Array): Contents | null {
  const data = new DataView(blob.buffer, blob.byteOffset, blob.length)
  return data.getUint16(2, true) === 1 ? contentsOf1(blob, data) : contentsOf2(blob, data)
}

function contentsOf2(blob: Uint8Array, data: DataView): Contents | null {
  const ownerEnd = HEADER_BYTES + data.getUint32(8, true)
  const sections: Place[] = []
  let at = ownerEnd
  let size = FIXED_BYTES
  for (let i = data.getUint16(12, true); i > 0; i--) {
    const nameEnd = at + 1 + (blob[at] ?? 0)
    const name = nameEnd + 4 > blob.length ? null : textOf(blob, at + 1, nameEnd)
    if (name === null) return null
    const from = size
    size += data.getUint16(nameEnd + 2, true)
    if (size > MAX_BODY_BYTES) return null
    sections.push({ name, version: data.getUint16(nameEnd, true), from, to: size })
    at = nameEnd + 4
  }
  if (!unpack(blob, at, body, size)) return null
  return { owner: blob.subarray(HEADER_BYTES, ownerEnd), bytes: body, fixed: 0, sections }
}

/** Layout 1: owner length u16 and section count u16, fixed part, each section behind its entry, owner at the end. */
function contentsOf1(blob: Uint8Array, data: DataView): Contents | null {
  const sections: Place[] = []
  let at = HEADER_BYTES_1 + FIXED_BYTES
  for (let i = data.getUint16(10, true); i > 0; i--) {
    const nameEnd = at + 1 + (blob[at] ?? 0)
    const name = nameEnd + 4 > blob.length ? null : textOf(blob, at + 1, nameEnd)
    if (name === null) return null
    const from = nameEnd + 4
    at = from + data.getUint16(nameEnd + 2, true)
    sections.push({ name, version: data.getUint16(nameEnd, true), from, to: at })
  }
  if (at + data.getUint16(8, true) !== blob.length) return null
  return { owner: blob.subarray(at), bytes: blob, fixed: HEADER_BYTES_1, sections }
}

/** Null where the bytes are no UTF-8. */
function textOf(bytes: Uint8Array, from: number, to: number): string | null {
  try {
    return utf8.decode(bytes.subarray(from, to))
  } catch {
    return null
  }
}

function ownerOf(bytes: Uint8Array): ProfileOwner | null {
  const json = textOf(bytes, 0, bytes.length)
  if (json === null) return null
  let parsed: unknown
  try {
    parsed = JSON.parse(json)
  } catch {
    return null
  }
  if (!Array.isArray(parsed) || parsed.length !== 5) return null
  const [tenant, kind, id, label, verified] = parsed as readonly unknown[]
  if (typeof tenant !== 'string' || typeof id !== 'string' || typeof label !== 'string') return null
  if (!isKind(kind) || typeof verified !== 'boolean') return null
  return { tenant, principal: { kind, id, label, verified } }
}

function isKind(value: unknown): value is Principal['kind'] {
  return typeof value === 'string' && Object.hasOwn(KINDS, value)
}
