import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../core/time.ts'

/** Retrying ends this long after an alert was accepted. */
export const RETRY_FOR_MS = DAY_MS

const FIRST_PAUSE_MS = SECOND_MS
const LONGEST_PAUSE_MS = 10 * MINUTE_MS

/**
 * Pause before the next try after `failures` in a row: doubles up to 10 minutes, of which a random half is
 * left out so that many senders do not come back together. `random` is in [0, 1).
 */
export function backoffMs(failures: number, random: () => number): number {
  const full = Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(20, Math.max(0, failures - 1)))
  return full / 2 + (random() * full) / 2
}

/** When messages went out during the last hour. */
export class SentTimes {
  #times: number[] = []

  add(now: number): void {
    this.#times.push(now)
  }

  /** Messages sent less than `spanMs` (at most an hour) before `now`. */
  within(spanMs: number, now: number): number {
    this.#times = this.#times.filter((time) => now - time < HOUR_MS)
    return this.#times.filter((time) => now - time < spanMs).length
  }

  last(): number {
    return this.#times.at(-1) ?? Number.NEGATIVE_INFINITY
  }
}
