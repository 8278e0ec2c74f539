import { crc32 } from 'node:zlib'
import type { Principal } from '../core/event.ts'
import { FIXED_BYTES, LAYOUT_VERSION } from './layout.ts'
import type { ProfileView } from './slab.ts'

/** Who a stored profile belongs to; the readable id is inside the blob, its key in the store is a hash. */
export interface ProfileOwner {
  readonly tenant: string
  readonly principal: Principal
}

/** One detector's bytes within a blob. */
export interface StoredSection {
  readonly name: string
  readonly version: number
  readonly bytes: number
}

/** What a blob turned out to be. `newer` must stop the worker; `corrupt` is set aside and counted. */
export type Decoded =
  | { readonly kind: 'profile'; readonly owner: ProfileOwner; readonly unknown: readonly UnknownSection[] }
  | { readonly kind: 'corrupt'; readonly detail: string }
  | { readonly kind: 'newer'; readonly version: number }

/** A section of a detector that this build does not have; carried along unchanged. */
export interface UnknownSection {
  readonly name: string
  readonly version: number
  readonly data: Uint8Array
}

const MAGIC = 0x4643 // "CF"
const HEADER_BYTES = 16
const text = new TextEncoder()
const utf8 = new TextDecoder('utf-8', { fatal: true })

/**
 * Header (magic u16, layout u16, crc32 u32 of what follows, owner length u16, section count u16, reserved
 * u32), fixed part, sections as (name length u8, name, version u16, length u16, data), owner as JSON.
 */
export function encodeProfile(
  view: ProfileView,
  owner: ProfileOwner,
  sections: readonly StoredSection[],
  unknown: readonly UnknownSection[],
): Uint8Array {
  const { tenant, principal } = owner
  const ownerBytes = text.encode(
    JSON.stringify([tenant, principal.kind, principal.id, principal.label, principal.verified]),
  )
  // A section in which nothing is noted is what a profile without it has.
  const known = placesOf(view, sections).filter(({ from, to }) =>
    view.bytes.subarray(from, to).some((byte) => byte !== 0),
  )
  let size = HEADER_BYTES + FIXED_BYTES + ownerBytes.length
  for (const s of known) size += 5 + s.name.length + s.bytes
  for (const s of unknown) size += 5 + s.name.length + s.data.length
  const out = new Uint8Array(size)
  const data = new DataView(out.buffer)
  data.setUint16(0, MAGIC, true)
  data.setUint16(2, LAYOUT_VERSION, true)
  data.setUint16(8, ownerBytes.length, true)
  data.setUint16(10, known.length + unknown.length, true)
  out.set(view.bytes.subarray(view.base, view.base + FIXED_BYTES), HEADER_BYTES)
  let at = HEADER_BYTES + FIXED_BYTES
  for (const s of known) at = putSection(out, data, at, s.name, s.version, view.bytes.subarray(s.from, s.to))
  for (const s of unknown) at = putSection(out, data, at, s.name, s.version, s.data)
  out.set(ownerBytes, at)
  data.setUint32(4, crc32(out.subarray(8)), true)
  return out
}

/** Sections with the bytes of the slab that they lie in. */
function placesOf(view: ProfileView, sections: readonly StoredSection[]) {
  let to = view.base + FIXED_BYTES
  return sections.map((s) => {
    to += s.bytes
    return { ...s, from: to - s.bytes, to }
  })
}

function putSection(
  out: Uint8Array,
  data: DataView,
  at: number,
  name: string,
  version: number,
  bytes: Uint8Array,
): number {
  out[at] = name.length
  out.set(text.encode(name), at + 1)
  at += 1 + name.length
  data.setUint16(at, version, true)
  data.setUint16(at + 2, bytes.length, true)
  out.set(bytes, at + 4)
  return at + 4 + bytes.length
}

/** Reads the owner of a blob and checks it; call {@link copyProfile} with a slot for the rest. */
export function decodeProfile(blob: Uint8Array, sections: readonly StoredSection[]): Decoded {
  if (blob.length < HEADER_BYTES + FIXED_BYTES)
    return { kind: 'corrupt', detail: `${blob.length} bytes are too few` }
  const data = new DataView(blob.buffer, blob.byteOffset, blob.length)
  if (data.getUint16(0, true) !== MAGIC) return { kind: 'corrupt', detail: 'no profile header' }
  const version = data.getUint16(2, true)
  if (version > LAYOUT_VERSION) return { kind: 'newer', version }
  // The checksum does not cover the version, and there never was a layout 0.
  if (version === 0) return { kind: 'corrupt', detail: 'layout version 0' }
  if (data.getUint32(4, true) !== crc32(blob.subarray(8)))
    return { kind: 'corrupt', detail: 'checksum differs' }
  const unknown: UnknownSection[] = []
  for (const s of sectionsOf(blob, data)) {
    if (!sections.some((k) => k.name === s.name && k.version === s.version && k.bytes === s.data.length))
      unknown.push(s)
  }
  const ownerLength = data.getUint16(8, true)
  const [tenant, kind, id, label, verified] = JSON.parse(
    utf8.decode(blob.subarray(blob.length - ownerLength)),
  ) as [string, Principal['kind'], string, string, boolean]
  return { kind: 'profile', owner: { tenant, principal: { kind, id, label, verified } }, unknown }
}

/** Copies a checked blob into a profile of the slab; sections this build lacks stay zero. */
export function copyProfile(blob: Uint8Array, view: ProfileView, sections: readonly StoredSection[]): void {
  view.bytes.set(blob.subarray(HEADER_BYTES, HEADER_BYTES + FIXED_BYTES), view.base)
  const data = new DataView(blob.buffer, blob.byteOffset, blob.length)
  const stored = sectionsOf(blob, data)
  let to = view.base + FIXED_BYTES
  for (const s of sections) {
    if (s.bytes === 0) continue
    const found = stored.find(
      (x) => x.name === s.name && x.version === s.version && x.data.length === s.bytes,
    )
    if (found !== undefined) view.bytes.set(found.data, to)
    to += s.bytes
  }
}

function sectionsOf(blob: Uint8Array, data: DataView): UnknownSection[] {
  const out: UnknownSection[] = []
  let at = HEADER_BYTES + FIXED_BYTES
  for (let i = data.getUint16(10, true); i > 0; i--) {
    const nameLength = blob[at]!
    const name = utf8.decode(blob.subarray(at + 1, at + 1 + nameLength))
    at += 1 + nameLength
    const length = data.getUint16(at + 2, true)
    out.push({ name, version: data.getUint16(at, true), data: blob.slice(at + 4, at + 4 + length) })
    at += 4 + length
  }
  return out
}
