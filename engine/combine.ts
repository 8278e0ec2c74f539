import { MAX_SURPRISE } from '../baseline/tail.ts'
import type { VerdictPart } from '../core/opinion.ts'

/**
 * Decades by which the largest of a day's surprises usually exceeds one surprise: a day of a caller holds about 30
 * independent looks. What stays below is what every day brings.
 */
export const DAY_LOOKS = 1.5
/** Share of the second strongest: detectors watch the same caller, so they repeat one another in part. */
const SECOND = 0.5

/**
 * Combines detectors into one surprise: the strongest, and half of what the second has beyond an ordinary day. A truncated
 * product of p-values of rank 2 (Dudbridge, Koeleman, Genet. Epidemiol. 25 (2003) 360) with the second tempered for
 * dependence: most ways of misusing a credential show in one or two features, so detectors that see nothing must not outvote the
 * one that does. What a combined surprise means is measured, not derived: the calibration of day maxima sets the
 * threshold. Beyond an ordinary day a part counts by its weight, in relation to the heaviest. Null when every detector
 * abstained. Recomputing from the parts gives the identical number.
 */
export function combine(parts: readonly VerdictPart[]): number | null {
  if (parts.length === 0) return null
  let heaviest = 0
  for (const { weight } of parts) if (weight > heaviest) heaviest = weight
  let first = 0
  let second = 0
  for (const { surprise, weight } of parts) {
    const beyond = surprise - DAY_LOOKS
    const own = beyond > 0 ? DAY_LOOKS + (beyond * weight) / heaviest : surprise
    if (own > first) {
      second = first
      first = own
    } else if (own > second) second = own
  }
  const together = second > DAY_LOOKS ? first + SECOND * (second - DAY_LOOKS) : first
  return together < MAX_SURPRISE ? together : MAX_SURPRISE
}
