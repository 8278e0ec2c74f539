import { hashOfRoute, operationAt } from '../baseline/operations.ts'
import type { ProfileView } from '../baseline/slab.ts'
import type { AccessEvent } from '../core/event.ts'
import { hash32 } from '../core/hash.ts'

/** Part of what is stored: the same in every process and build. */
const SEED = 0x6e6f_7665
/** Known objects are forgotten in eighths. */
const PARTS = 8
const SLASH = 0x2f
const ZERO = 0x30
const NINE = 0x39

/** What of a call is compared with what its caller did before. 0 stands for what the log does not tell. */
export interface Marks {
  /** Hash of the route. */
  route: number
  /** Bucket of the operation. */
  operation: number
  /** 16 bits of the network that it came from: IPv4 /24, of IPv6 the first half. */
  network: number
  /** 16 bits of the client program: its user agent up to the version, which changes by itself. */
  agent: number
  /** 32 bits of the first object that it names. Ids of one route are one space. */
  object: number
}

const marks: Marks = { route: 0, operation: 0, network: 0, agent: 0, object: 0 }
let marked: AccessEvent | null = null

/** The marks of a call; valid until the next call. A call is asked about several times in a row, so they are kept. */
export function marksOf(event: AccessEvent): Marks {
  if (event === marked) return marks
  marked = event
  const { clientIp, userAgent, objectIds } = event
  const ofRoute = hashOfRoute(event.route)
  marks.route = ofRoute
  marks.operation = operationAt(ofRoute, event.method)
  marks.network = clientIp === null ? 0 : short(hashUpTo(clientIp, endOfNetwork(clientIp)))
  marks.agent = userAgent === null ? 0 : short(hashUpTo(userAgent, endOfName(userAgent)))
  marks.object = objectIds.length === 0 ? 0 : hash32(objectIds[0]!, ofRoute) || 1
  return marks
}

function endOfNetwork(address: string): number {
  const dot = address.lastIndexOf('.')
  if (dot > 0) return dot
  let end = -1
  for (let part = 0; part < 4; part++) {
    end = address.indexOf(':', end + 1)
    if (end < 0) return address.length
  }
  return end
}

function endOfName(userAgent: string): number {
  for (let i = 0; i < userAgent.length; i++) {
    const unit = userAgent.charCodeAt(i)
    if (unit === SLASH || (unit >= ZERO && unit <= NINE)) return i
  }
  return userAgent.length
}

/** FNV-1a of the first characters, so that no part of the text is copied. */
function hashUpTo(text: string, end: number): number {
  let h = SEED
  for (let i = 0; i < end; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x0100_0193)
  return h ^ (h >>> 16)
}

function short(hash: number): number {
  return hash & 0xffff || 1
}

/** Whether a mark is in the list of `length` u16 at byte `list`. */
export function isKnownMark(mark: number, profile: ProfileView, list: number, length: number): boolean {
  return placeOf(mark, profile, list / 2, length) < length
}

/** A list beside one of marks: what is noted, once, when a mark is new. */
export interface Notes {
  /** Byte at which the list lies, as long as the other one. */
  readonly list: number
  readonly note: number
}

/** Puts a mark in front of the list, whose last falls out; true when it was not in it. */
export function rememberMark(
  mark: number,
  profile: ProfileView,
  list: number,
  length: number,
  beside?: Notes,
): boolean {
  const first = list / 2
  if (mark === 0 || profile.u16[first] === mark) return false
  const place = placeOf(mark, profile, first, length)
  const isNew = place === length
  const from = isNew ? length - 1 : place
  moveToFront(profile, first, from, mark)
  if (beside !== undefined) {
    const notes = beside.list / 2
    moveToFront(profile, notes, from, isNew ? beside.note : profile.u16[notes + from]!)
  }
  return isNew
}

function moveToFront(profile: ProfileView, first: number, from: number, value: number): void {
  for (let i = from; i > 0; i--) profile.u16[first + i] = profile.u16[first + i - 1]!
  profile.u16[first] = value
}

/** Place of a mark in a list of so many u16; the length when it is not in it. */
export function placeOf(mark: number, profile: ProfileView, first: number, length: number): number {
  for (let i = 0; i < length; i++) if (profile.u16[first + i] === mark) return i
  return length
}

/**
 * From which bits of a mark the hashes of an object are taken: with half of the filter set, one in eight unused objects seems
 * used. A mark has 32 bits, so with 2,048 bits to set two hashes share one of them.
 */
const HASH_SHIFTS = [0, 10, 21] as const

/** Whether the caller may have used an object: certain when it has not, as bits are shared. `bits` as below. */
export function isKnownObject(mark: number, profile: ProfileView, start: number, bits: number): boolean {
  for (const shift of HASH_SHIFTS) {
    const bit = (mark >>> shift) & (bits - 1)
    if ((profile.bytes[start + (bit >> 3)]! & (1 << (bit & 7))) === 0) return false
  }
  return true
}

/**
 * Remembers an object in `bits` (a power of two, at most 2,048) from byte `start` on; true when it was not known. `turn` is
 * where two u16 lie: the eighth that is forgotten next, and how many bits are set. When more than half are, that eighth goes.
 */
export function rememberObject(
  mark: number,
  profile: ProfileView,
  start: number,
  bits: number,
  turn: number,
): boolean {
  const u = turn / 2
  let isNew = false
  for (const shift of HASH_SHIFTS) {
    const bit = (mark >>> shift) & (bits - 1)
    const flag = 1 << (bit & 7)
    if ((profile.bytes[start + (bit >> 3)]! & flag) !== 0) continue
    profile.bytes[start + (bit >> 3)]! |= flag
    profile.u16[u + 1]! += 1
    isNew = true
  }
  if (profile.u16[u + 1]! > bits / 2) forgetPart(profile, start, bits / 8 / PARTS, u)
  return isNew
}

function forgetPart(profile: ProfileView, start: number, bytes: number, u: number): void {
  const from = start + profile.u16[u]! * bytes
  for (let i = from; i < from + bytes; i++) {
    for (let b = profile.bytes[i]!; b !== 0; b &= b - 1) profile.u16[u + 1]! -= 1
    profile.bytes[i] = 0
  }
  profile.u16[u] = (profile.u16[u]! + 1) % PARTS
}
