import { MAX_FUTURE_MS, MAX_PAST_MS } from '../format.ts'

const DAY_MS = 86_400_000
/** 2000-01-01 and 2100-01-01: the bounds of what a log can be about when its arrival is unknown. */
const EARLIEST_MS = 946_684_800_000
const LATEST_MS = 4_102_444_800_000

const ISO_TIME =
  /^(\d{4})-(\d{2})-(\d{2})[Tt ](\d{2}):(\d{2}):(\d{2})(?:[.,](\d{1,9}))?(?:([Zz])|([+-])(\d{2}):?(\d{2}))$/

/**
 * Whether an event time is plausible: within 7 days before and 2 minutes after its receipt. A receipt time
 * of NaN means that none is known (replay of a file); then only the years 2000 to 2099 are required.
 */
export function timeIsPlausible(time: number, receivedAt: number): boolean {
  if (!(time >= EARLIEST_MS && time < LATEST_MS)) return false
  if (Number.isNaN(receivedAt)) return true
  return time >= receivedAt - MAX_PAST_MS && time <= receivedAt + MAX_FUTURE_MS
}

/** Epoch milliseconds of an ISO 8601 date-time with an offset (RFC 3339); NaN when it is none. */
export function parseIsoTime(text: string): number {
  const quick = parseUtcMillis(text)
  if (!Number.isNaN(quick)) return quick
  const m = text.length <= 40 ? ISO_TIME.exec(text) : null
  if (m === null) return Number.NaN
  const part = (i: number): number => Number(m[i] ?? 0)
  const millis = m[7] === undefined ? 0 : Math.floor(Number(`0.${m[7]}`) * 1_000)
  const utc = utcMillis(part(1), part(2), part(3), part(4), part(5), part(6), millis)
  if (m[8] !== undefined) return utc
  if (part(10) > 23 || part(11) > 59) return Number.NaN
  const offset = (part(10) * 60 + part(11)) * 60_000
  return m[9] === '-' ? utc + offset : utc - offset
}

/** The form that most lines have, `2026-11-23T03:00:00.000Z`, without a regular expression. */
function parseUtcMillis(text: string): number {
  if (text.length !== 24 || text[23] !== 'Z' || text[19] !== '.' || text[10] !== 'T') return Number.NaN
  if (text[4] !== '-' || text[7] !== '-' || text[13] !== ':' || text[16] !== ':') return Number.NaN
  const year = digits(text, 0, 2) * 100 + digits(text, 2, 2)
  const hour = digits(text, 11, 2)
  return utcMillis(
    year,
    digits(text, 5, 2),
    digits(text, 8, 2),
    hour,
    digits(text, 14, 2),
    digits(text, 17, 2),
    digits(text, 20, 3),
  )
}

function digits(text: string, from: number, count: number): number {
  let n = 0
  for (let i = from; i < from + count; i++) {
    const d = text.charCodeAt(i) - 48
    if (d < 0 || d > 9) return Number.NaN
    n = n * 10 + d
  }
  return n
}

function utcMillis(
  year: number,
  month: number,
  day: number,
  h: number,
  min: number,
  s: number,
  ms: number,
): number {
  const valid =
    month >= 1 && month <= 12 && day >= 1 && day <= daysIn(year, month) && h <= 23 && min <= 59 && s <= 59
  if (!valid || Number.isNaN(ms)) return Number.NaN
  return daysBefore(year, month, day) * DAY_MS + ((h * 60 + min) * 60 + s) * 1_000 + ms
}

function daysIn(year: number, month: number): number {
  if (month === 2) return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0 ? 29 : 28
  return month === 4 || month === 6 || month === 9 || month === 11 ? 30 : 31
}

/** Days from 1970-01-01 in the proleptic Gregorian calendar, years counted from March. */
function daysBefore(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const yearOfEra = y - era * 400
  const dayOfYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  const dayOfEra = yearOfEra * 365 + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100) + dayOfYear
  return era * 146_097 + dayOfEra - 719_468
}
