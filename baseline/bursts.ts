/** Numbers of calls within ten seconds, in quarter octaves: a bin each. */
export const BURST_BINS = 64
/** Length of what counts as one burst, ms. */
export const SLOT_MS = 10_000
const BINS_PER_OCTAVE = 4
/** Principal-days that the built-in tail is worth: one day in x has x calls at a time, wide enough to accuse nobody. */
const BUILT_IN_DAYS = 8
/** Principal-days of known callers that make newcomers superfluous. */
const ENOUGH_DAYS = 50

/** The bin of a number of calls, at least 1. */
export function burstBin(calls: number): number {
  const bin = Math.floor(BINS_PER_OCTAVE * Math.log2(calls))
  return bin < BURST_BINS ? bin : BURST_BINS - 1
}

/** The smallest number of calls of a bin. */
export function callsOfBin(bin: number): number {
  return Math.ceil(2 ** (bin / BINS_PER_OCTAVE))
}

/**
 * -log10 of the share of principal-days whose busiest ten seconds reach each bin, from two histograms of integers: days of
 * known callers, and the first days of newcomers. Newcomers count only while too few days of known callers say
 * anything, on the first days of an installation: then everybody is new, and there is nobody else to compare with.
 */
export function cutBursts(known: Float64Array, newcomers: Float64Array): Float64Array {
  let days = 0
  for (const count of known) days += count
  const isYoung = days < ENOUGH_DAYS
  if (isYoung) for (const count of newcomers) days += count
  const out = new Float64Array(BURST_BINS)
  let above = 0
  for (let bin = BURST_BINS - 1; bin >= 0; bin--) {
    above += known[bin]! + (isYoung ? newcomers[bin]! : 0)
    const builtIn = BUILT_IN_DAYS / 2 ** (bin / BINS_PER_OCTAVE)
    out[bin] = -Math.log10((above + builtIn) / (days + BUILT_IN_DAYS))
  }
  return out
}
