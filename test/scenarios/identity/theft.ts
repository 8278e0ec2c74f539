import type { Decision } from '../../../core/decision.ts'
import type { AccessEvent, Principal } from '../../../core/event.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  officeHabit,
  partition,
  play,
  renumber,
  routine,
} from '../engine/traffic.ts'
import type { LineFeed } from './engine-lines.ts'

/** Where in the weeks of {@link learntServices} the night begins, from their start. */
export const NIGHT_AFTER = 14 * DAY_MS + 3 * HOUR_MS
/** Records that each call of the download returns. */
export const RECORDS_PER_CALL = 25

/** Two weeks of twelve services that read about 50 records a day; `thief` is one of them. */
export function learntServices(thief: Principal, start = MONDAY): Partition {
  renumber()
  const engine = partition()
  const habits = [thief, ...Array.from({ length: 11 }, (_, i) => officeHabit(`svc-${i}`).principal)].map(
    (principal) => ({ ...officeHabit('x'), principal }),
  )
  // Weekdays are counted from MONDAY, so the weeks are moved as a whole.
  const events = inOrder(...habits.map((habit, i) => routine(habit, MONDAY, 14, 100 + i)))
  play(
    engine,
    events.map((event) => moved(event, start - MONDAY)),
  )
  return engine
}

function moved(event: AccessEvent, by: number): AccessEvent {
  return { ...event, time: (event.time + by) as AccessEvent['time'], receivedAt: event.receivedAt + by }
}

/** A log line and when it arrived. */
export interface TheftLine {
  readonly bytes: Uint8Array
  /** NaN in a file that says nothing about it. */
  readonly receivedAt: number
}

/** How a download went. */
export interface Theft {
  /** Records that had left when the first restriction was decided; all of them when there was none. */
  readonly recordsLeft: number
  readonly opened: AlertRecord[]
  readonly restricted: Decision | null
  readonly deadLetters: number
  readonly scored: number
}

/** Feeds the lines of a download; each call returns {@link RECORDS_PER_CALL} records, readable or not. */
export function download(feed: LineFeed, lines: readonly TheftLine[]): Theft {
  const opened: AlertRecord[] = []
  let restricted: Decision | null = null
  let recordsLeft = 0
  let deadLetters = 0
  let scored = 0
  for (const { bytes, receivedAt } of lines) {
    const { events, rejected, outputs } = feed.line(bytes, receivedAt)
    if (restricted === null) recordsLeft += RECORDS_PER_CALL
    if (rejected !== null) deadLetters++
    scored += events.length
    for (const output of outputs) {
      if (output.kind === 'alert' && output.alert.transition === 'opened') opened.push(output.alert)
      if (output.kind === 'decision' && output.decision.mode === 'enforce') restricted ??= output.decision
    }
  }
  return { recordsLeft, opened, restricted, deadLetters, scored }
}

/** The figures of a download on one line. */
export function figures(name: string, theft: Theft, plain: Theft): string {
  const { recordsLeft, opened, restricted, deadLetters } = theft
  const incidents = opened.map((a) => a.entity.id).join(', ')
  const ratio = (recordsLeft / plain.recordsLeft).toFixed(2)
  return `${name}: ${recordsLeft} records left before ${restricted?.action ?? 'nothing'} (${ratio}x plain), ${deadLetters} dead letters, incidents: ${incidents}`
}
