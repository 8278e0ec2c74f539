/**
 * Two kinds of time that must not be mixed. The pure middle of the engine sees event time only, so a
 * replay of a log is the same computation as the live run; wall time belongs to the edges.
 */
declare const unit: unique symbol

/** When a call completed, as its log line states it. Milliseconds since the Unix epoch, UTC. */
export type EventTimeMs = number & { readonly [unit]: 'event-time' }

/** When this process acts. Milliseconds since the Unix epoch, UTC. Never an input of detection. */
export type WallTimeMs = number & { readonly [unit]: 'wall-time' }

/** The only way to ask what time it is; passed in by the composition root, replaced by tests. */
export interface Clock {
  now(): WallTimeMs
}

/** Milliseconds of a second. */
export const SECOND_MS = 1_000
/** Milliseconds of a minute. */
export const MINUTE_MS = 60_000
/** Milliseconds of an hour. */
export const HOUR_MS = 3_600_000
/** Milliseconds of a day of 24 hours. */
export const DAY_MS = 86_400_000
/** Milliseconds of a week. */
export const WEEK_MS = 604_800_000

/** Marks a number as event time; the caller vouches that it comes from a log line or a control record. */
export function eventTime(ms: number): EventTimeMs {
  return ms as EventTimeMs
}

/** Marks a number as wall time. */
export function wallTime(ms: number): WallTimeMs {
  return ms as WallTimeMs
}

/** ISO 8601 in UTC with milliseconds, the form of every time in an output. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString()
}
