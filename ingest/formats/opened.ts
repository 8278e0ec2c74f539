import { gunzipSync } from 'node:zlib'
import { MAX_ELEMENTS } from '../envelope.ts'
import { MAX_LINE_BYTES } from '../format.ts'
import type { Opened } from './json-format.ts'

/** Most bytes that come out of one compressed message. */
const MAX_OPENED_BYTES = 8 * MAX_LINE_BYTES
/** Longest prefix of a syslog line that is looked for. */
const MAX_PREFIX_BYTES = 256
const OPEN_OBJECT = 0x7b
const LF = 0x0a
/**
 * What syslog daemons put in front of a message: `<134>`, a version, a time, host and program (RFC 3164 and RFC
 * 5424), or only some of these. No quote, and nothing that a client chose.
 */
const SYSLOG_PREFIX = /^(?:<\d{1,3}>)?[\w :.,+/@[\]()-]{0,250}$/

/** Takes a line that stands behind a syslog prefix; null when it has none. */
export function withoutSyslogPrefix(bytes: Buffer): Opened | null {
  if (bytes.length === 0 || bytes[0] === OPEN_OBJECT) return null
  const start = bytes.subarray(0, MAX_PREFIX_BYTES).indexOf(OPEN_OBJECT)
  if (start <= 0 || !SYSLOG_PREFIX.test(bytes.toString('latin1', 0, start))) return null
  if (/^\s*\[?\s*$/.test(bytes.toString('latin1', 0, start))) return null
  return { calls: [bytes.subarray(start)], fault: null }
}

/** Decompressed when it is gzip; null when it is not; a fault when it is damaged or grows beyond 8 MiB. */
export function gunzipped(bytes: Buffer): Buffer | Opened | null {
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return null
  try {
    return gunzipSync(bytes, { maxOutputLength: MAX_OPENED_BYTES })
  } catch (error) {
    const grown = error instanceof RangeError
    const detail = grown ? `more than ${MAX_OPENED_BYTES} bytes of gzip` : 'damaged gzip'
    return { calls: [], fault: { reason: grown ? 'too-long' : 'truncated', detail } }
  }
}

/** The lines of a text, views of it, without empty ones. */
export function linesIn(bytes: Buffer): readonly Buffer[] {
  const lines: Buffer[] = []
  for (let start = 0; start < bytes.length && lines.length <= MAX_ELEMENTS; ) {
    const end = bytes.indexOf(LF, start)
    const line = bytes.subarray(start, end < 0 ? bytes.length : end)
    if (line.length > 0) lines.push(line)
    start = end < 0 ? bytes.length : end + 1
  }
  return lines
}
