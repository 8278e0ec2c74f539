import { gunzipSync } from 'node:zlib'
import { MAX_LINE_BYTES, type SourceSettings } from './format.ts'
import { ABOUT } from './formats/about.ts'
import { combined } from './formats/combined.ts'
import { withoutSyslogPrefix } from './formats/opened.ts'

/** What the first lines of a log look like. */
export interface Detection {
  /** Null when no format, or more than one, fits. */
  readonly format: string | null
  /** Lines per format that fits at least one, most first. */
  readonly fitting: readonly (readonly [string, number])[]
  readonly lines: number
}

/** The share of the lines that must fit a format; the others may be damaged. */
const ENOUGH = 0.8

const ANY_SOURCE: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'gateway', id: 'gateway' },
  principal: { order: [], issuers: new Map() },
  records: { headers: [], contentRange: false, field: null, bytesPerRecord: null },
}

/** Which format some lines have, by the members that they state. Sure only when most lines fit exactly one. */
export function detectFormat(lines: readonly Uint8Array[]): Detection {
  const counts = new Map<string, number>()
  for (const line of lines) for (const name of fits(line)) counts.set(name, (counts.get(name) ?? 0) + 1)
  const fitting = [...counts].sort((a, b) => b[1] - a[1])
  const [best, second] = fitting
  const isSure =
    best !== undefined &&
    best[1] >= ENOUGH * lines.length &&
    (second === undefined || second[1] < best[1] / 2)
  return { format: isSure ? best[0] : null, fitting, lines: lines.length }
}

/** Says in one sentence why no format could be told. */
export function whyUnsure(detection: Detection): string {
  const { fitting, lines } = detection
  if (lines === 0) return 'there are no lines to tell the format by'
  if (fitting.length === 0) return `none of the first ${lines} lines has the members of a known format`
  const names = fitting.map(([name, count]) => `${name} ${count}`).join(', ')
  return `the first ${lines} lines fit no single format (${names})`
}

function fits(line: Uint8Array): readonly string[] {
  if (line.length > MAX_LINE_BYTES) return []
  const value = callIn(line)
  if (value === null) return isCombined(line) ? ['combined'] : []
  return Object.entries(ABOUT)
    .filter(([, { signature }]) => signature?.every((path) => states(value, path)) === true)
    .map(([name]) => name)
}

function isCombined(line: Uint8Array): boolean {
  let calls = 0
  const record = { bytes: line, receivedAt: Number.NaN, topic: 'line', partition: 0, offset: 0 }
  combined.parse(record, ANY_SOURCE, { event: () => void calls++, rejected: () => undefined })
  return calls > 0
}

/** The first call in a message, out of whatever it came in; null when it is no JSON object. */
function callIn(bytes: Uint8Array): object | null {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  try {
    const plain =
      buffer[0] === 0x1f && buffer[1] === 0x8b ? gunzipSync(buffer, { maxOutputLength: 8 << 20 }) : buffer
    return unwrapped(JSON.parse((withoutSyslogPrefix(plain)?.calls[0] ?? plain).toString('utf8')))
  } catch {
    return null
  }
}

function unwrapped(value: unknown): object | null {
  if (Array.isArray(value)) return unwrapped(value[0])
  if (typeof value !== 'object' || value === null) return null
  const { jsonPayload, Records, logEvents } = value as Record<string, unknown>
  if (typeof jsonPayload === 'object' && jsonPayload !== null) return jsonPayload
  if (Array.isArray(Records)) return unwrapped(Records[0])
  if (Array.isArray(logEvents)) return callIn(Buffer.from(String(logEvents[0]?.message)))
  return value
}

function states(value: object, path: string): boolean {
  let at: unknown = value
  for (const key of path.split('.')) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return false
    at = Reflect.get(at, key)
  }
  return true
}
