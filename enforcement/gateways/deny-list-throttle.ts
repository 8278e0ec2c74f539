import type { Limit } from '../../core/decision.ts'

/** Admissions remembered per throttle; a larger limit is cut in proportion, requests and window alike. */
export const MAX_REMEMBERED_ADMISSIONS = 1_024

/**
 * An exact sliding window: never more than `requests` admissions in any `windowSeconds`. Refused calls do
 * not count, so a caller that keeps knocking gets its share and no more.
 */
export class SlidingThrottle {
  private readonly admissions: Float64Array
  private readonly windowMs: number
  private next = 0

  constructor(limit: Limit) {
    const kept = Math.min(Math.floor(limit.requests), MAX_REMEMBERED_ADMISSIONS)
    this.admissions = new Float64Array(kept).fill(Number.NEGATIVE_INFINITY)
    this.windowMs = limit.windowSeconds * 1_000 * (kept === 0 ? 1 : kept / Math.floor(limit.requests))
  }

  /** Milliseconds until a call is admitted; 0 when one would be now. */
  waitMs(now: number): number {
    if (this.admissions.length === 0) return this.windowMs
    return Math.max(0, this.admissions[this.next]! + this.windowMs - now)
  }

  /** Counts an admitted call. */
  admit(now: number): void {
    if (this.admissions.length === 0) return
    this.admissions[this.next] = now
    this.next = (this.next + 1) % this.admissions.length
  }
}
