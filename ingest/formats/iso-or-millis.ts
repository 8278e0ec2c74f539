import { type EventTimeMs, eventTime } from '../../core/time.ts'
import { parseIsoTime, timeIsPlausible } from './event-time.ts'
import { ABSENT, type Fields, NULL, NUMBER, TEXT } from './json-fields.ts'
import type { Line } from './line.ts'

/**
 * A member that is ISO 8601 text or epoch milliseconds, within the bounds of plausible event times. Where it
 * was stated twice or cut off, the time of receipt when that is known.
 */
export function readTime(f: Fields, slot: number, field: string, line: Line): EventTimeMs | null {
  const { receivedAt } = line.record
  if (line.duplicates.includes(field) && Number.isFinite(receivedAt)) return eventTime(receivedAt)
  const kind = f.kind(slot)
  if (kind === ABSENT && line.salvaged && Number.isFinite(receivedAt)) return eventTime(receivedAt)
  if (kind === ABSENT || kind === NULL) return line.nothing('missing-field', field)
  if (kind !== TEXT && kind !== NUMBER) return line.nothing('wrong-type', field, f.value(slot))
  const value = kind === TEXT ? parseIsoTime(f.text(slot)) : f.number(slot)
  if (!Number.isFinite(value))
    return line.nothing(kind === TEXT ? 'bad-time' : 'bad-number', field, f.value(slot))
  const time = Math.round(value)
  return timeIsPlausible(time, receivedAt)
    ? eventTime(time)
    : line.nothing('time-out-of-bounds', field, f.value(slot))
}
