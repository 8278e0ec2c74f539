import { MAX_SURPRISE, normalSurprise, zOfSurprise } from '../baseline/tail.ts'
import type { VerdictPart } from '../core/opinion.ts'

/** Correlation assumed between detectors: they watch the same caller, so their evidence is not independent. */
const CORRELATION = 0.2

/**
 * Combines detectors into one surprise. Half is the harmonic mean p-value, which keeps a single strong
 * signal and holds under any dependence (Wilson 2019); half is weighted Stouffer with correlation, which
 * rewards agreement (Strube 1985). Their average as p-values is valid because each of them is.
 * Null when every detector abstained. Recomputing from the parts gives the identical number.
 */
export function combine(parts: readonly VerdictPart[]): number | null {
  if (parts.length === 0) return null
  if (parts.length === 1) return parts[0]!.surprise
  let weights = 0
  let inverse = 0
  let zSum = 0
  let squares = 0
  for (const part of parts) {
    weights += part.weight
    inverse += part.weight * 10 ** part.surprise
    zSum += part.weight * zOfSurprise(part.surprise)
    squares += part.weight * part.weight
  }
  const harmonic = Math.log10(inverse / weights)
  const variance = squares + CORRELATION * (weights * weights - squares)
  const stouffer = normalSurprise(zSum / Math.sqrt(variance))
  const weaker = Math.min(harmonic, stouffer)
  const stronger = Math.max(harmonic, stouffer)
  const combined = weaker + Math.log10(2 / (1 + 10 ** (weaker - stronger)))
  return Math.max(0, Math.min(MAX_SURPRISE, combined))
}
