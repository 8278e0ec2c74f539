const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d

/** More elements in one message are not looked at; the rest is one dead letter. */
export const MAX_ELEMENTS = 20_000

/** Index of the first byte that is not JSON white space. */
export function contentStart(bytes: Uint8Array): number {
  let p = 0
  while (p < bytes.length && isSpace(bytes[p]!)) p++
  return p
}

function isSpace(byte: number): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09
}

/** Whether a message holds several calls: its first byte that counts is `[`. */
export function isArrayMessage(bytes: Uint8Array): boolean {
  return bytes[contentStart(bytes)] === OPEN_ARRAY
}

export type OnElement = (element: Uint8Array, index: number) => void

/** Why a message was not an array of values from end to end; null when it was. */
export type EnvelopeFault = 'truncated' | 'not-json' | 'too-long' | null

/**
 * Hands over each element of a JSON array as a view, judged by brackets and strings only: whoever parses
 * an element says whether it is valid. What remains after a fault is handed over as a last element.
 */
export function eachElement(bytes: Uint8Array, onElement: OnElement): EnvelopeFault {
  let p = contentStart(bytes) + 1
  let index = 0
  for (;;) {
    while (p < bytes.length && isSpace(bytes[p]!)) p++
    if (p >= bytes.length) return 'truncated'
    if (bytes[p] === CLOSE_ARRAY) return index === 0 && onlySpace(bytes, p + 1) ? null : 'not-json'
    if (index >= MAX_ELEMENTS) return 'too-long'
    const end = elementEnd(bytes, p)
    onElement(bytes.subarray(p, end), index++)
    if (end >= bytes.length) return 'truncated'
    if (bytes[end] === CLOSE_ARRAY) return onlySpace(bytes, end + 1) ? null : 'not-json'
    p = end + 1
  }
}

function onlySpace(bytes: Uint8Array, from: number): boolean {
  for (let p = from; p < bytes.length; p++) if (!isSpace(bytes[p]!)) return false
  return true
}

/** Index of the comma or bracket behind the element that starts at `from`, or the length. */
function elementEnd(bytes: Uint8Array, from: number): number {
  let depth = 0
  for (let p = from; p < bytes.length; p++) {
    const c = bytes[p]!
    if (c === QUOTE) {
      p = closingQuote(bytes, p + 1)
    } else if (c === OPEN_OBJECT || c === OPEN_ARRAY) {
      depth++
    } else if (c === CLOSE_OBJECT || c === CLOSE_ARRAY) {
      if (depth === 0) return p
      depth--
    } else if (c === COMMA && depth === 0) {
      return p
    }
  }
  return bytes.length
}

function closingQuote(bytes: Uint8Array, from: number): number {
  let p = from
  while (p < bytes.length && bytes[p] !== QUOTE) p += bytes[p] === BACKSLASH ? 2 : 1
  return p
}
