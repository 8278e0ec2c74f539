import type { RecordsFrom } from '../core/event.ts'

/** More records than one response can hold; a larger claim is not believed. */
const MAX_RECORDS = 1_000_000_000

export interface RecordsCount {
  readonly records: number | null
  readonly recordsFrom: RecordsFrom
}

export const NO_RECORDS: RecordsCount = { records: null, recordsFrom: 'none' }

/** A count as headers and fields state it: a non-negative integer, as number or digits. Else null. */
export function countOf(value: unknown): number | null {
  const first = Array.isArray(value) ? value[0] : value
  if (typeof first === 'string' && !/^\s{0,8}\d{1,10}\s{0,8}$/.test(first)) return null
  const count = typeof first === 'string' ? Number(first) : first
  if (typeof count !== 'number' || !Number.isInteger(count) || count < 0 || count > MAX_RECORDS) return null
  return count
}

/** Items in `Content-Range: items 0-24/319` (RFC 9110 section 14.4); null for byte ranges and anything else. */
export function contentRangeCount(value: unknown): number | null {
  const first = Array.isArray(value) ? value[0] : value
  if (typeof first !== 'string' || first.length > 128) return null
  const match = /^\s*([!#$%&'*+.^_`|~\w-]+)\s+(\d{1,15})-(\d{1,15})\/(?:\d{1,15}|\*)\s*$/.exec(first)
  if (match === null || match[1]?.toLowerCase() === 'bytes') return null
  const count = Number(match[3]) - Number(match[2]) + 1
  return count >= 1 && count <= MAX_RECORDS ? count : null
}

/** What the size of a successful response suggests, when nothing else says. */
export function estimatedCount(
  responseBytes: number | null,
  status: number | null,
  bytesPerRecord: number | null,
): RecordsCount {
  const served = status === null || (status >= 200 && status < 300)
  if (responseBytes === null || bytesPerRecord === null || !(bytesPerRecord > 0) || !served) return NO_RECORDS
  return {
    records: Math.min(MAX_RECORDS, Math.ceil(responseBytes / bytesPerRecord)),
    recordsFrom: 'estimate',
  }
}
