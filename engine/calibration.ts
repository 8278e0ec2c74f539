import { DAY_LOOKS } from './combine.ts'
import { cutLevels, LEVEL_BINS, LEVEL_PLACES, type Levels } from './levels.ts'

/**
 * What surprises mean in this population. Two histograms of integers: of events, each principal-day
 * weighing the same, and of the largest surprise of each principal-day. Integer sums merge exactly.
 */
export interface CalibrationCounts {
  readonly events: Float64Array
  readonly dayMaxima: Float64Array
  /** Of each detector, the largest surprise of each principal-day; see {@link LEVEL_BINS}. */
  readonly levels: Float64Array
}

/** Bins of 1/16 decade from 0 to 32 decades; the last bin takes everything above. */
export const BINS = 512
const BINS_PER_DECADE = 16

/** Numbers in the day maxima of all detectors. */
export const LEVELS_LENGTH = LEVEL_PLACES * LEVEL_BINS

/** Each principal-day shares this many units among its events. */
export const UNITS_PER_DAY = 1024

/** Principal-days that the built-in model (the detectors' tails are exact) is worth. */
const BUILT_IN_DAYS = 50
const BUILT_IN_DAY_MAXIMA = 200
/** How much slower than the model the tail beyond the data may fall, and how much faster. */
const MIN_SLOPE = 0.4
const MAX_SLOPE = 1
/** Observations that must lie beyond the point from which the tail is extrapolated. */
const OBSERVATIONS_BEYOND = 5
const MAX_THRESHOLD = 14

/** Share at or above each bin under the built-in model, after a shift of so many decades. */
function builtInModel(shift: number): Float64Array {
  return Float64Array.from({ length: BINS }, (_, bin) => Math.min(1, 10 ** (shift - bin / BINS_PER_DECADE)))
}

const EVENT_MODEL = builtInModel(0)
const DAY_MODEL = builtInModel(DAY_LOOKS)

export function emptyCalibration(): CalibrationCounts {
  return {
    events: new Float64Array(BINS),
    dayMaxima: new Float64Array(BINS),
    levels: new Float64Array(LEVELS_LENGTH),
  }
}

export function binOf(surprise: number): number {
  const bin = (surprise * BINS_PER_DECADE) | 0
  return bin < BINS ? bin : BINS - 1
}

/** Frozen answers; cut together with the prior. */
export interface Calibration {
  /** Principal-days whose largest surprise was counted. */
  readonly days: number
  /** What the surprises of each detector are worth. */
  readonly levels: Levels
  /**
   * Surprise above which an incident opens, per false-alarm budget. Never below what a perfect detector needs for the
   * budget: where nothing happens, a budget is not there to be used up by trifles.
   */
  threshold(budgetPerThousandDays: number, minimum: number): number
  /** 1 - the share of normal events at least this surprising. */
  score(surprise: number): number
}

/** Cuts the calibration from the counts. */
export function cutCalibration(counts: CalibrationCounts): Calibration {
  const events = tailOf(counts.events, BUILT_IN_DAYS * UNITS_PER_DAY, EVENT_MODEL)
  const maxima = tailOf(counts.dayMaxima, BUILT_IN_DAY_MAXIMA, DAY_MODEL)
  const days = counts.dayMaxima.reduce((sum, count) => sum + count, 0)
  return {
    days,
    levels: cutLevels(counts.levels, days),
    threshold(budget, minimum) {
      const wanted = budget / 1000
      let bin = 0
      while (bin < BINS - 1 && 10 ** -maxima[bin]! > wanted) bin++
      const perfect = DAY_LOOKS - Math.log10(wanted)
      return Math.min(MAX_THRESHOLD, Math.max(minimum, perfect, bin / BINS_PER_DECADE))
    },
    score(surprise) {
      const x = Math.min(BINS - 2, surprise * BINS_PER_DECADE)
      const bin = x | 0
      const tail = events[bin]! + (events[bin + 1]! - events[bin]!) * (x - bin)
      return 1 - 10 ** -tail
    },
  }
}

/**
 * -log10 of the share at or above each bin: data and the built-in model mixed by their weights; beyond
 * the last well-filled bin a straight line with the slope of the last filled decade, as an exponential
 * tail (peaks over threshold with shape 0).
 */
function tailOf(counts: Float64Array, builtInWeight: number, model: Float64Array): Float64Array {
  let total = 0
  for (const c of counts) total += c
  const out = new Float64Array(BINS)
  let above = total
  const cut = Math.max(1e-3, OBSERVATIONS_BEYOND * (total === 0 ? 1 : unitOf(builtInWeight) / total))
  let anchor = BINS
  for (let bin = 0; bin < BINS && anchor === BINS; bin++) {
    const share = (above + builtInWeight * model[bin]!) / (total + builtInWeight)
    out[bin] = -Math.log10(share)
    // What lies beyond is drawn from the bin before, so its logarithms are not worth taking. Not from this one: what was
    // counted at a bound lies in one heap, and the share behind a heap is unknown, not small.
    if (cut <= 1 && total > 0 && above / total < cut) anchor = Math.max(0, bin - 1)
    above -= counts[bin]!
  }
  if (anchor === BINS) return out
  const reach = Math.min(anchor, BINS_PER_DECADE)
  const slope = Math.max(
    MIN_SLOPE,
    Math.min(MAX_SLOPE, (out[anchor]! - out[anchor - reach]!) / (reach / BINS_PER_DECADE)),
  )
  for (let bin = anchor + 1; bin < BINS; bin++) {
    const line = out[anchor]! + (slope * (bin - anchor)) / BINS_PER_DECADE
    out[bin] = Math.max(out[bin - 1]!, line)
  }
  return out
}

/** One observation in the unit of the histogram. */
function unitOf(builtInWeight: number): number {
  return builtInWeight > BUILT_IN_DAY_MAXIMA ? UNITS_PER_DAY / 16 : 1
}
