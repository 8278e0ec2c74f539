import { isIPv6 } from 'node:net'
import type { Principal } from '../core/event.ts'
import { BoundedCache } from './bounded-cache.ts'

/** A client address in canonical form, and the principal that a call without identity is booked on. */
export interface Address {
  /** IPv4 dotted, or IPv6 as in RFC 5952; an IPv4-mapped IPv6 address is given as IPv4. */
  readonly ip: string
  /** The address itself for IPv4; its /64 for IPv6, since one host may use all of it. */
  readonly principal: Principal
}

const MAX_CACHED_ADDRESSES = 32_768
/** Longest text form: a full IPv6 address with an embedded IPv4 one, and a zone. */
const MAX_ADDRESS_CHARS = 64

const cache = new BoundedCache<Address>(MAX_CACHED_ADDRESSES)

/** The address that a text states, or null when it is none. A zone (`%eth0`) is dropped. */
export function addressOf(text: string): Address | null {
  if (isDottedQuad(text)) return ofIp(text, text)
  const known = cache.get(text)
  if (known !== undefined) return known
  if (text.length > MAX_ADDRESS_CHARS) return null
  const address = parseAddress(text)
  if (address !== null) cache.set(text, address)
  return address
}

/** Whether a text is an IPv4 address as `isIPv4` sees it: four numbers to 255, no leading zeros. */
function isDottedQuad(text: string): boolean {
  if (text.length < 7 || text.length > 15) return false
  let dots = 0
  let digits = 0
  let octet = 0
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i)
    if (c === 0x2e) {
      if (digits === 0 || ++dots > 3) return false
      digits = 0
      octet = 0
    } else {
      if (c < 0x30 || c > 0x39 || (digits > 0 && octet === 0)) return false
      digits++
      octet = octet * 10 + c - 0x30
      if (octet > 255) return false
    }
  }
  return dots === 3 && digits > 0
}

function parseAddress(text: string): Address | null {
  if (!isIPv6(text)) return null
  const groups = groupsOf(text.split('%', 1)[0] ?? '')
  if (groups.slice(0, 5).every((g) => g === 0) && groups[5] === 0xffff) {
    const ip = dotted(groups[6] ?? 0, groups[7] ?? 0)
    return ofIp(ip, ip)
  }
  return ofIp(compressed(groups), `${compressed([...groups.slice(0, 4), 0, 0, 0, 0])}/64`)
}

function ofIp(ip: string, name: string): Address {
  return { ip, principal: { kind: 'ip', id: name, label: name, verified: false } }
}

function dotted(high: number, low: number): string {
  return `${high >> 8}.${high & 255}.${low >> 8}.${low & 255}`
}

/** The eight 16-bit groups of a valid IPv6 text. */
function groupsOf(text: string): number[] {
  const embedded = /^(.*:)(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(text)
  let hex = text
  if (embedded !== null) {
    const [a, b, c, d] = embedded.slice(2).map(Number)
    hex = `${embedded[1]}${(((a ?? 0) << 8) | (b ?? 0)).toString(16)}:${(((c ?? 0) << 8) | (d ?? 0)).toString(16)}`
  }
  const [head = '', tail] = hex.split('::')
  const left = head === '' ? [] : head.split(':')
  if (tail === undefined) return left.map((g) => Number.parseInt(g, 16))
  const right = tail === '' ? [] : tail.split(':')
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => '0')
  return [...left, ...zeros, ...right].map((g) => Number.parseInt(g, 16))
}

/** RFC 5952 section 4: lower case, no leading zeros, the first longest run of two or more zeros as `::`. */
function compressed(groups: readonly number[]): string {
  let bestStart = -1
  let bestLength = 1
  for (let i = 0; i < 8; i++) {
    let j = i
    while (j < 8 && groups[j] === 0) j++
    if (j - i > bestLength) {
      bestStart = i
      bestLength = j - i
    }
    if (j > i) i = j
  }
  const text = groups.map((g) => g.toString(16))
  if (bestStart < 0) return text.join(':')
  return `${text.slice(0, bestStart).join(':')}::${text.slice(bestStart + bestLength).join(':')}`
}
