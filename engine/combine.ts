import { MAX_SURPRISE, normalSurprise, zOfSurprise } from '../baseline/tail.ts'
import type { VerdictPart } from '../core/opinion.ts'

/** Correlation assumed between detectors: they watch the same caller, so their evidence is not independent. */
const CORRELATION = 0.2

/** Share of the harmonic mean in the mean of the two p-values. */
const HARMONIC_WEIGHT = 0.8
/** Share of the error kept for the harmonic mean alone: a lone strong signal pays a decade for the others' silence. */
const ALONE_SHARE = 0.1

/**
 * Combines detectors into one surprise. The harmonic mean p-value holds under any dependence (Wilson 2019);
 * weighted Stouffer with correlation rewards agreement (Strube 1985). Their weighted mean is valid because each of
 * them is, but it is never much below the larger, so silent detectors would outvote a loud one. Hence the stronger
 * of the mean and the harmonic p-value alone counts, each paying for its share of the error (weighted
 * Bonferroni, Genovese, Roeder, Wasserman, Biometrika 93 (2006) 509).
 * Null when every detector abstained. Recomputing from the parts gives the identical number.
 */
export function combine(parts: readonly VerdictPart[]): number | null {
  if (parts.length === 0) return null
  if (parts.length === 1) return parts[0]!.surprise
  let weights = 0
  let inverse = 0
  let zSum = 0
  let squares = 0
  let weakest = MAX_SURPRISE
  for (const part of parts) {
    weights += part.weight
    inverse += part.weight * 10 ** part.surprise
    zSum += part.weight * zOfSurprise(part.surprise)
    squares += part.weight * part.weight
    if (part.surprise < weakest) weakest = part.surprise
  }
  const harmonic = Math.log10(inverse / weights)
  const variance = squares + CORRELATION * (weights * weights - squares)
  const stouffer = normalSurprise(zSum / Math.sqrt(variance))
  const weaker = Math.min(harmonic, stouffer)
  // In decades above the larger p-value, so that nothing underflows.
  const mean = HARMONIC_WEIGHT * 10 ** (weaker - harmonic) + (1 - HARMONIC_WEIGHT) * 10 ** (weaker - stouffer)
  const together = weaker - Math.log10(mean) + Math.log10(1 - ALONE_SHARE)
  const combined = Math.max(together, harmonic + Math.log10(ALONE_SHARE))
  // Next to the cap of a surprise the parts are cut, and their combination with them.
  return Math.max(weakest, Math.min(MAX_SURPRISE, combined))
}
