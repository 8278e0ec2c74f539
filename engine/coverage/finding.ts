import type { CoverageField } from './slots.ts'

/** What can be missing: lines of a source or gateway, or one field of them. */
export type Aspect = 'lines' | CoverageField

/**
 * Something is missing. `silent`: no line at all; `low`: far fewer than in the same hours of earlier weeks;
 * `uncounted`: fewer than the gateway itself counted; `field`: lines without a field that they usually have.
 */
export interface Finding {
  readonly kind: 'silent' | 'low' | 'uncounted' | 'field'
  readonly aspect: Aspect
  readonly observed: number
  readonly expected: number
  /** Since when something has been missing as far as is known, event time, epoch ms. */
  readonly since: number
  /** Over how long it was counted. */
  readonly windowMs: number
}

/** -log10 of the Poisson probability of `observed` or fewer where `expected` were due, from the Chernoff bound. */
export function shortfallSurprise(observed: number, expected: number): number {
  if (!(expected > 0) || observed >= expected) return 0
  const nats = expected - observed + (observed > 0 ? observed * Math.log(observed / expected) : 0)
  return nats / Math.LN10
}
