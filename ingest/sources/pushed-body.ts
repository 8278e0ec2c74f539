import { LineSplitter } from '../line-splitter.ts'

const QUOTE = 0x22
const BACKSLASH = 0x5c
const COMMA = 0x2c
const OPEN_ARRAY = 0x5b
const CLOSE_ARRAY = 0x5d
const OPEN_OBJECT = 0x7b
const CLOSE_OBJECT = 0x7d
const LF = 0x0a

/** More messages than this in one body are refused: each costs memory however short it is. */
export const MAX_MESSAGES = 100_000

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === LF || byte === 0x0d || byte === 0x09
}

function firstByte(body: Uint8Array): number {
  let at = 0
  while (at < body.length && isSpace(body[at])) at += 1
  return at
}

/** `bytes` without white space around it; null when nothing else is left. */
function trimmed(bytes: Uint8Array): Uint8Array | null {
  const start = firstByte(bytes)
  let end = bytes.length
  while (end > start && isSpace(bytes[end - 1])) end -= 1
  return end > start ? bytes.subarray(start, end) : null
}

/**
 * The elements of a JSON array as they stand in the body, so that nothing about them (such as duplicate
 * keys) gets lost by parsing them here. Null when the brackets do not match; elements are not checked.
 */
function arrayElements(body: Uint8Array, open: number): Uint8Array[] | null {
  const elements: Uint8Array[] = []
  let depth = 0
  let start = open + 1
  let inString = false
  const take = (end: number) => {
    const element = trimmed(body.subarray(start, end))
    if (element !== null && elements.length <= MAX_MESSAGES) elements.push(element)
    start = end + 1
  }
  for (let at = open; at < body.length; at += 1) {
    const byte = body[at]
    if (inString) {
      if (byte === BACKSLASH) at += 1
      else if (byte === QUOTE) inString = false
    } else if (byte === QUOTE) inString = true
    else if (byte === OPEN_ARRAY || byte === OPEN_OBJECT) depth += 1
    else if (byte === CLOSE_ARRAY || byte === CLOSE_OBJECT) {
      depth -= 1
      if (depth > 0) continue
      if (byte !== CLOSE_ARRAY || trimmed(body.subarray(at + 1)) !== null) return null
      take(at)
      return elements
    } else if (byte === COMMA && depth === 1) take(at)
  }
  return null
}

function isJson(bytes: Uint8Array): boolean {
  try {
    JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
    return true
  } catch {
    return false
  }
}

/**
 * The messages in a pushed body: the elements of a JSON array, one JSON object over several lines, or
 * else each line. A body that is none of these is still handed on, for the format to reject with a reason.
 * At most one more than {@link MAX_MESSAGES} are returned.
 */
export function pushedMessages(body: Uint8Array): Uint8Array[] {
  const start = firstByte(body)
  if (start === body.length) return []
  if (body[start] === OPEN_ARRAY) {
    const elements = arrayElements(body, start)
    if (elements !== null) return elements
  }
  if (body[start] === OPEN_OBJECT) {
    const lineEnd = body.indexOf(LF, start)
    const firstLine = lineEnd < 0 ? body : body.subarray(start, lineEnd)
    if (lineEnd >= 0 && !isJson(firstLine) && isJson(body)) return [body]
  }
  const lines: Uint8Array[] = []
  const splitter = new LineSplitter()
  const take = (line: Uint8Array) => {
    if (lines.length <= MAX_MESSAGES) lines.push(line)
  }
  splitter.push(body, take)
  splitter.end(take)
  return lines
}
