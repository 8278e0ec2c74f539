import { MAX_DEPTH } from '../format.ts'

export const QUOTE = 0x22
export const COMMA = 0x2c
export const COLON = 0x3a
export const BACKSLASH = 0x5c
export const OPEN_ARRAY = 0x5b
export const CLOSE_ARRAY = 0x5d
export const OPEN_OBJECT = 0x7b
export const CLOSE_OBJECT = 0x7d
const MINUS = 0x2d
const DOT = 0x2e
const ZERO = 0x30

/** 1 for bytes that stand for themselves inside a JSON string: ASCII but quote, backslash and controls. */
const PLAIN = Uint8Array.from({ length: 256 }, (_, byte) =>
  byte >= 0x20 && byte < 0x80 && byte !== QUOTE && byte !== BACKSLASH ? 1 : 0,
)

/** Four bytes at a time are read through this view of the buffer that the current line lies in. */
let view = new DataView<ArrayBufferLike>(new ArrayBuffer(0))
let base = 0

/**
 * Makes `b` the line that the functions of this file look at, and gives the view of the buffer that it lies
 * in. Lines mostly share few large buffers.
 */
export function openBytes(b: Uint8Array): DataView {
  if (view.buffer !== b.buffer) view = new DataView(b.buffer)
  base = b.byteOffset
  return view
}

/**
 * Position of the first byte at or behind `from` that is not plain. Looks at four bytes at once (S. E.
 * Anderson, Bit Twiddling Hacks, "haszero" and "hasless"): of the bytes that this flags, the lowest is
 * flagged rightly, since a borrow only ever reaches higher ones.
 */
export function plainEnd(b: Uint8Array, from: number): number {
  let p = from
  const end = b.length
  const words = view
  const offset = base
  while (p + 4 <= end) {
    const w = words.getInt32(offset + p, true)
    const quote = w ^ 0x22222222
    const backslash = w ^ 0x5c5c5c5c
    const flags =
      (w | (w - 0x20202020) | ((quote - 0x01010101) & ~quote) | ((backslash - 0x01010101) & ~backslash)) &
      0x80808080
    if (flags !== 0) return p + ((31 - Math.clz32(flags & -flags)) >> 3)
    p += 4
  }
  while (p < end && PLAIN[b[p]!] === 1) p++
  return p
}

const HEX = Uint8Array.from({ length: 256 }, (_, byte) =>
  /[0-9a-fA-F]/.test(String.fromCharCode(byte)) ? 1 : 0,
)
const SHORT_ESCAPES = Uint8Array.from({ length: 256 }, (_, byte) =>
  '"\\/bfnrt'.includes(String.fromCharCode(byte)) ? 1 : 0,
)

/** Position of the first byte at or behind `from` that is not white space. Mostly there is none to skip. */
export function skipSpace(b: Uint8Array, from: number): number {
  return from < b.length && b[from]! > 0x20 ? from : skipSpaces(b, from)
}

function skipSpaces(b: Uint8Array, from: number): number {
  let p = from
  while (p < b.length) {
    const c = b[p]!
    if (c !== 0x20 && c !== 0x0a && c !== 0x0d && c !== 0x09) return p
    p++
  }
  return p
}

/**
 * Position behind the closing quote of the string whose content starts at `from`; -1 when it is not closed
 * or holds anything but ASCII and valid escapes.
 */
export function skipString(b: Uint8Array, from: number): number {
  const p = plainEnd(b, from)
  return p < b.length && b[p] === QUOTE ? p + 1 : skipOddString(b, p)
}

function skipOddString(b: Uint8Array, from: number): number {
  let p = from
  for (;;) {
    p = plainEnd(b, p)
    if (p >= b.length) return -1
    const c = b[p]!
    if (c === QUOTE) return p + 1
    if (c !== BACKSLASH) return -1
    p = skipEscape(b, p + 1)
    if (p < 0) return -1
  }
}

function skipEscape(b: Uint8Array, p: number): number {
  if (p >= b.length) return -1
  const c = b[p]!
  if (SHORT_ESCAPES[c] === 1) return p + 1
  if (c !== 0x75 || p + 4 >= b.length) return -1
  for (let i = 1; i <= 4; i++) if (HEX[b[p + i]!] !== 1) return -1
  return p + 5
}

function isDigit(c: number | undefined): boolean {
  return c !== undefined && c >= ZERO && c <= 0x39
}

/** Position behind the number (RFC 8259 section 6) that starts at `from`; -1 when there is none. */
export function skipNumber(b: Uint8Array, from: number): number {
  let p = b[from] === MINUS ? from + 1 : from
  if (b[p] === ZERO) p++
  else if (isDigit(b[p])) p = skipDigits(b, p)
  else return -1
  if (b[p] === DOT) {
    if (!isDigit(b[p + 1])) return -1
    p = skipDigits(b, p + 1)
  }
  if (b[p] === 0x65 || b[p] === 0x45) {
    p++
    if (b[p] === 0x2b || b[p] === MINUS) p++
    if (!isDigit(b[p])) return -1
    p = skipDigits(b, p)
  }
  return p
}

function skipDigits(b: Uint8Array, from: number): number {
  let p = from
  while (p < b.length && b[p]! >= ZERO && b[p]! <= 0x39) p++
  return p
}

const TRUE = [0x74, 0x72, 0x75, 0x65] as const
const FALSE = [0x66, 0x61, 0x6c, 0x73, 0x65] as const
const NULL = [0x6e, 0x75, 0x6c, 0x6c] as const

/** Position behind `true`, `false` or `null`; -1 when none of them stands at `from`. */
export function skipLiteral(b: Uint8Array, from: number): number {
  const word = b[from] === 0x74 ? TRUE : b[from] === 0x66 ? FALSE : NULL
  for (let i = 0; i < word.length; i++) if (b[from + i] !== word[i]) return -1
  return from + word.length
}

/** Position behind the JSON value that starts at `from`, checked to the last byte; -1 when it is odd. */
export function skipValue(b: Uint8Array, from: number, depth: number): number {
  const c = b[from]
  if (c === QUOTE) return skipString(b, from + 1)
  if (c === OPEN_OBJECT) return skipObject(b, from + 1, depth + 1)
  if (c === OPEN_ARRAY) return skipArray(b, from + 1, depth + 1)
  if (c === MINUS || isDigit(c)) return skipNumber(b, from)
  return skipLiteral(b, from)
}

function skipObject(b: Uint8Array, from: number, depth: number): number {
  if (depth > MAX_DEPTH) return -1
  let p = skipSpace(b, from)
  if (b[p] === CLOSE_OBJECT) return p + 1
  for (;;) {
    if (b[p] !== QUOTE) return -1
    p = skipString(b, p + 1)
    if (p < 0) return -1
    p = skipSpace(b, p)
    if (b[p] !== COLON) return -1
    p = skipValue(b, skipSpace(b, p + 1), depth)
    if (p < 0) return -1
    p = skipSpace(b, p)
    if (b[p] === CLOSE_OBJECT) return p + 1
    if (b[p] !== COMMA) return -1
    p = skipSpace(b, p + 1)
  }
}

function skipArray(b: Uint8Array, from: number, depth: number): number {
  if (depth > MAX_DEPTH) return -1
  let p = skipSpace(b, from)
  if (b[p] === CLOSE_ARRAY) return p + 1
  for (;;) {
    p = skipValue(b, p, depth)
    if (p < 0) return -1
    p = skipSpace(b, p)
    if (b[p] === CLOSE_ARRAY) return p + 1
    if (b[p] !== COMMA) return -1
    p = skipSpace(b, p + 1)
  }
}
