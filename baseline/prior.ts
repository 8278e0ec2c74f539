import { BURST_BINS, cutBursts, cutSurges, type PeakCounts, type SurgeCounts } from './bursts.ts'
import { CELLS } from './layout.ts'
import { OPERATIONS } from './operations.ts'
import { OWNER_BUCKETS } from './owners.ts'

/**
 * What is known about the callers of all tenants: how the means of principals spread, how
 * one principal's windows spread around its mean, and when people are active. Immutable once cut; the
 * prior of every newcomer and the anchor of everybody else.
 */
export interface Prior {
  readonly version: number
  /** Mean of principals' means of ln(1 + total), per cell. */
  readonly center: Float64Array
  /** Variance of principals' means, per cell. */
  readonly between: Float64Array
  /** Variance of one principal's windows around its own mean, per cell. */
  readonly within: Float64Array
  /** Share of active hours per hour of the week; adds up to 1. */
  readonly hours: Float64Array
  /** Share of calls per operation bucket, each principal-day weighing the same; adds up to 1. */
  readonly operations: Float64Array
  /** -log10 of the share of principal-days with a peak this large, per bin; see {@link cutBursts}. */
  readonly peaks: Readonly<Record<PeakName, Float64Array>>
  /** -log10 of the share of days of settled callers with a surge this large, per bin; see {@link cutSurges}. */
  readonly surges: Readonly<Record<SurgeName, Float64Array>>
  /** The same of callers with few former days. */
  readonly earlySurges: Readonly<Record<SurgeName, Float64Array>>
}

/**
 * Peaks of which the largest per principal-day are counted: calls within ten seconds, refusals within an hour, steps from
 * id to id and turns between two places within an hour. In the order in which they are encoded; new ones go last.
 */
export const PEAKS = ['bursts', 'refusals', 'steps', 'turns'] as const
export type PeakName = (typeof PEAKS)[number]

/**
 * What is counted by the hour and held against the largest hour of former days. In the order in which it is encoded, behind
 * everything else; new ones go last.
 */
export const SURGES = ['calls', 'records', 'writes', 'objects'] as const
export type SurgeName = (typeof SURGES)[number]

/** How fast the built-in tail of surges falls: in generated traffic with the third power, in a caller's first days with the first. */
const SETTLED_POWER = 2
const EARLY_POWER = 1

/** Means count in steps of 1/1024 nat, so that sums are integers and merge exactly in any order. */
const STEPS = 1024
/** Closed windows a principal needs before it counts in what is known about all: newcomers weigh nothing. */
export const MIN_WINDOWS_IN_PRIOR = 5
/** Principals that the built-in prior is worth, so that three early callers do not define normal. */
const BUILT_IN_WEIGHT = 8
const HOURS_WEIGHT = 336
/** Units of calls (1,024 per principal-day) that equal shares of all operations are worth. */
const OPERATIONS_WEIGHT = 8 * 1024
const MIN_BETWEEN = 1
const MIN_WITHIN = 0.15
const MAX_WITHIN = 4
/** Built-in prior: a few to a few hundred calls, wide enough to accuse nobody. Order of the cells. */
const BUILT_IN_CENTER = [1.2, 1.8, 2.4, 3.5, 2, 2.8, 3.6, 5, 8, 9, 10, 11.5]
const BUILT_IN_BETWEEN = 6
const BUILT_IN_WITHIN = 0.8

/** Integer sums over principals, kept up to date window by window. Order of additions does not matter. */
export interface PriorSums {
  /** Principals counted, per cell. */
  readonly count: Float64Array
  readonly sum: Float64Array
  readonly squares: Float64Array
  readonly within: Float64Array
  /** Active hours, per hour of the week. */
  readonly hours: Float64Array
  /** Units of calls, per operation bucket. */
  readonly operations: Float64Array
  readonly peaks: Readonly<Record<PeakName, PeakCounts>>
  /** Principals that count, per bucket of owners; not part of what is cut. */
  readonly owners: Float64Array
  readonly surges: Readonly<Record<SurgeName, SurgeCounts>>
}

export function emptyPriorSums(): PriorSums {
  return {
    count: new Float64Array(CELLS),
    sum: new Float64Array(CELLS),
    squares: new Float64Array(CELLS),
    within: new Float64Array(CELLS),
    hours: new Float64Array(168),
    operations: new Float64Array(OPERATIONS),
    peaks: perPeak(() => ({ known: new Float64Array(BURST_BINS), newcomers: new Float64Array(BURST_BINS) })),
    owners: new Float64Array(OWNER_BUCKETS),
    surges: perSurge(() => ({ settled: new Float64Array(BURST_BINS), early: new Float64Array(BURST_BINS) })),
  }
}

function perPeak<T>(of: (name: PeakName, index: number) => T): Record<PeakName, T> {
  return Object.fromEntries(PEAKS.map((name, i) => [name, of(name, i)])) as Record<PeakName, T>
}

function perSurge<T>(of: (name: SurgeName, index: number) => T): Record<SurgeName, T> {
  return Object.fromEntries(SURGES.map((name, i) => [name, of(name, i)])) as Record<SurgeName, T>
}

/**
 * Adds (`sign` 1) or takes out (-1) one principal's statistics of a cell: windows seen, their mean and sum
 * of squared deviations. Those of a newcomer weigh nothing.
 */
export function weighInPrior(
  sums: PriorSums,
  cell: number,
  seen: number,
  mean: number,
  m2: number,
  sign: 1 | -1,
): void {
  if (seen < MIN_WINDOWS_IN_PRIOR) return
  const steps = Math.round(mean * STEPS)
  sums.count[cell]! += sign
  sums.sum[cell]! += sign * steps
  sums.squares[cell]! += sign * steps * steps
  sums.within[cell]! += sign * Math.round(Math.min(MAX_WITHIN, m2 / Math.max(1, seen - 1)) * STEPS)
}

/** Cuts an immutable prior from the sums, shrunk to the built-in one. */
export function cutPrior(sums: PriorSums, version: number): Prior {
  const center = new Float64Array(CELLS)
  const between = new Float64Array(CELLS)
  const within = new Float64Array(CELLS)
  for (let cell = 0; cell < CELLS; cell++) {
    const n = sums.count[cell]!
    const mean = n === 0 ? 0 : sums.sum[cell]! / n / STEPS
    const spread = n === 0 ? 0 : Math.max(0, sums.squares[cell]! / n / STEPS / STEPS - mean * mean)
    const k = n / (n + BUILT_IN_WEIGHT)
    const builtIn = BUILT_IN_CENTER[cell]!
    center[cell] = k * mean + (1 - k) * builtIn
    const disagreement = k * (1 - k) * (mean - builtIn) * (mean - builtIn)
    between[cell] = Math.max(
      MIN_BETWEEN,
      k * spread + (1 - k) * BUILT_IN_BETWEEN + (n === 0 ? 0 : disagreement),
    )
    const own = n === 0 ? 0 : sums.within[cell]! / n / STEPS
    within[cell] = Math.max(MIN_WITHIN, k * own + (1 - k) * BUILT_IN_WITHIN)
  }
  const hours = cutShares(sums.hours, HOURS_WEIGHT)
  return {
    version,
    center,
    between,
    within,
    hours,
    operations: cutShares(sums.operations, OPERATIONS_WEIGHT),
    peaks: perPeak((name) => cutBursts(sums.peaks[name], sums.peaks.bursts)),
    surges: perSurge((name) => cutSurges(sums.surges[name].settled, SETTLED_POWER)),
    earlySurges: perSurge((name) => cutSurges(sums.surges[name].early, EARLY_POWER)),
  }
}

/** Shares of counts, mixed with equal shares of this weight. */
function cutShares(counts: Float64Array, weight: number): Float64Array {
  let total = 0
  for (const c of counts) total += c
  const equal = weight / counts.length
  return counts.map((c) => (c + equal) / (total + weight))
}

/** Number of Float64 values in {@link encodePriorSums}. */
const FIRST_PEAK = 4 * CELLS + 168 + OPERATIONS
const FIRST_OWNER = FIRST_PEAK + PEAKS.length * 2 * BURST_BINS
const FIRST_SURGE = FIRST_OWNER + OWNER_BUCKETS
export const PRIOR_SUMS_LENGTH = FIRST_SURGE + SURGES.length * 2 * BURST_BINS

export function encodePriorSums(sums: PriorSums): Float64Array {
  const out = new Float64Array(PRIOR_SUMS_LENGTH)
  out.set(sums.count, 0)
  out.set(sums.sum, CELLS)
  out.set(sums.squares, 2 * CELLS)
  out.set(sums.within, 3 * CELLS)
  out.set(sums.hours, 4 * CELLS)
  out.set(sums.operations, 4 * CELLS + 168)
  for (const [i, name] of PEAKS.entries()) {
    out.set(sums.peaks[name].known, FIRST_PEAK + 2 * i * BURST_BINS)
    out.set(sums.peaks[name].newcomers, FIRST_PEAK + (2 * i + 1) * BURST_BINS)
  }
  out.set(sums.owners, FIRST_OWNER)
  for (const [i, name] of SURGES.entries()) {
    out.set(sums.surges[name].settled, FIRST_SURGE + 2 * i * BURST_BINS)
    out.set(sums.surges[name].early, FIRST_SURGE + (2 * i + 1) * BURST_BINS)
  }
  return out
}

export function decodePriorSums(values: Float64Array): PriorSums {
  return {
    count: values.slice(0, CELLS),
    sum: values.slice(CELLS, 2 * CELLS),
    squares: values.slice(2 * CELLS, 3 * CELLS),
    within: values.slice(3 * CELLS, 4 * CELLS),
    hours: values.slice(4 * CELLS, 4 * CELLS + 168),
    operations: values.slice(4 * CELLS + 168, FIRST_PEAK),
    peaks: perPeak((_, i) => {
      const at = FIRST_PEAK + 2 * i * BURST_BINS
      return {
        known: values.slice(at, at + BURST_BINS),
        newcomers: values.slice(at + BURST_BINS, at + 2 * BURST_BINS),
      }
    }),
    owners: values.slice(FIRST_OWNER, FIRST_SURGE),
    surges: perSurge((_, i) => {
      const at = FIRST_SURGE + 2 * i * BURST_BINS
      return {
        settled: values.slice(at, at + BURST_BINS),
        early: values.slice(at + BURST_BINS, at + 2 * BURST_BINS),
      }
    }),
  }
}
