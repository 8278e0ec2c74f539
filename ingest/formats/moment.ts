import { parseIsoTime } from './event-time.ts'

const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec']
/** `23/Nov/2026:17:00:00 +0000`, the time of the Common Log Format. */
const COMMON_TIME = /^(\d{2})\/([A-Z][a-z]{2})\/(\d{4}):(\d{2}:\d{2}:\d{2}) ([+-]\d{2})(\d{2})$/
const EPOCH = /^\d{1,19}(?:\.\d{1,9})?$/
/** Epoch numbers below these are seconds (to the year 5138), milliseconds, microseconds; others nanoseconds. */
const SECONDS_BELOW = 1e11
const MILLIS_BELOW = 1e14
const MICROS_BELOW = 1e17

/**
 * Epoch milliseconds of a time as gateways write it: ISO 8601, the Common Log Format, or a number since the
 * epoch, in text or not, whose unit (s, ms, us, ns) is told by its size. NaN when it is none of these.
 */
export function momentOf(value: unknown): number {
  if (typeof value === 'number') return epochMillis(value)
  if (typeof value !== 'string' || value.length > 40) return Number.NaN
  if (EPOCH.test(value)) return epochMillis(Number(value))
  const common = COMMON_TIME.exec(value)
  if (common === null) return parseIsoTime(value)
  const month = MONTHS.indexOf(common[2] ?? '') + 1
  const date = `${common[3]}-${String(month).padStart(2, '0')}-${common[1]}`
  return parseIsoTime(`${date}T${common[4]}${common[5]}:${common[6]}`)
}

function epochMillis(n: number): number {
  if (!(n >= 0)) return Number.NaN
  if (n < SECONDS_BELOW) return n * 1_000
  if (n < MILLIS_BELOW) return n
  return n < MICROS_BELOW ? n / 1_000 : n / 1_000_000
}
