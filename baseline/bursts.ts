/** Principal-days per bin of their largest peak. */
export interface PeakCounts {
  /** Days of known callers. */
  readonly known: Float64Array
  /** First days of newcomers. */
  readonly newcomers: Float64Array
}

/** Sizes of peaks (calls within ten seconds and the like), in quarter octaves: a bin each. */
export const BURST_BINS = 64
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
 * -log10 of the share of principal-days whose largest peak reaches each bin, from two histograms of integers: days of
 * known callers, and the first days of newcomers. Newcomers count only while too few days of known callers say
 * anything, on the first days of an installation: then everybody is new, and there is nobody else to compare with.
 * `all` is the histogram of which every principal-day is a part, where days without any peak are left out of the two.
 */
export function cutBursts(counts: PeakCounts, all: PeakCounts = counts): Float64Array {
  let days = daysIn(all.known)
  const isYoung = days < ENOUGH_DAYS
  if (isYoung) days += daysIn(all.newcomers)
  const out = new Float64Array(BURST_BINS)
  let above = 0
  for (let bin = BURST_BINS - 1; bin >= 0; bin--) {
    above += counts.known[bin]! + (isYoung ? counts.newcomers[bin]! : 0)
    const builtIn = BUILT_IN_DAYS / 2 ** (bin / BINS_PER_OCTAVE)
    out[bin] = -Math.log10((above + builtIn) / (Math.max(days, above) + BUILT_IN_DAYS))
  }
  return out
}

/** Principal-days per bin of how many times over an hour exceeds the largest of former days; the lowest bin holds the others. */
export interface SurgeCounts {
  /** Days of callers with many former days. */
  readonly settled: Float64Array
  /** Days of callers with few, whose largest hour still grows. */
  readonly early: Float64Array
}

/**
 * -log10 of the share of principal-days on which an hour exceeds the largest of former days so many times, per bin of
 * {@link burstBin}. The built-in tail falls with this power of the ratio.
 */
export function cutSurges(counts: Float64Array, power: number): Float64Array {
  const days = daysIn(counts)
  const out = new Float64Array(BURST_BINS)
  let above = 0
  for (let bin = BURST_BINS - 1; bin >= 0; bin--) {
    above += counts[bin]!
    const builtIn = ENOUGH_DAYS * 2 ** ((-power * bin) / BINS_PER_OCTAVE)
    out[bin] = -Math.log10((above + builtIn) / (days + ENOUGH_DAYS))
  }
  return out
}

function daysIn(counts: Float64Array): number {
  let days = 0
  for (const count of counts) days += count
  return days
}
