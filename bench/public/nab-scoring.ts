import type { Series } from './nab-series.ts'

/** Weights of one application profile of the benchmark. */
export interface Profile {
  readonly truePositive: number
  readonly falseNegative: number
  readonly falsePositive: number
}

/** The profiles of NAB 1.1, config/profiles.json. */
export const PROFILES = {
  standard: { truePositive: 1, falseNegative: 1, falsePositive: 0.11 },
  reward_low_FP_rate: { truePositive: 1, falseNegative: 1, falsePositive: 0.22 },
  reward_low_FN_rate: { truePositive: 1, falseNegative: 2, falsePositive: 0.11 },
} as const satisfies Record<string, Profile>

/** Name of an application profile. */
export type ProfileName = keyof typeof PROFILES

/** One anomaly score per row, in the order of the series. */
export type Scores = readonly Float64Array[]

/** A threshold with what it scores: rows at or above it are detections. */
export interface ThresholdScore {
  readonly threshold: number
  readonly total: number
}

const PROBATION_SHARE = 0.15
const PROBATION_ROWS = 5000
const NO_WINDOW = -1
/** Above every anomaly score: nothing is detected. */
const NOTHING = Number.POSITIVE_INFINITY

/** First row that is scored. */
export function probationRows(rows: number): number {
  return Math.floor(Math.min(PROBATION_SHARE * rows, PROBATION_SHARE * PROBATION_ROWS))
}

/**
 * Scores anomaly scores as NAB 1.1 does (Lavin and Ahmad, ICMLA 2015): a scaled sigmoid rewards early
 * detection inside a labelled window and charges each detected row outside, less just behind a window.
 */
export class NabScorer {
  private readonly series: readonly Series[]
  private readonly categories: readonly string[]
  private readonly windowCount: number
  /** By scored row, all series in one list. */
  private readonly score: Float64Array
  private readonly window: Int32Array
  private readonly place: Float64Array
  private readonly file: Int32Array
  private readonly order: Uint32Array
  private readonly firstWindow: readonly number[]

  constructor(series: readonly Series[], scores: Scores) {
    this.series = series
    this.categories = [...new Set(series.map((s) => s.category))]
    const counts = series.map((s) => s.values.length - probationRows(s.values.length))
    const rows = counts.reduce((a, b) => a + b, 0)
    this.score = new Float64Array(rows)
    this.window = new Int32Array(rows).fill(NO_WINDOW)
    this.place = new Float64Array(rows)
    this.file = new Int32Array(rows)
    this.firstWindow = prefixSums(series.map((s) => s.windows.length))
    this.windowCount = this.firstWindow.at(-1)!
    let at = 0
    for (let f = 0; f < series.length; f++) at = this.addFile(f, scores[f]!, at)
    this.order = new Uint32Array(rows).map((_, i) => i)
    this.order.sort((a, b) => this.score[b]! - this.score[a]!)
  }

  private addFile(f: number, scores: Float64Array, start: number): number {
    const { values, windows, name } = this.series[f]!
    if (scores.length !== values.length)
      throw new Error(`${name}: ${scores.length} scores of ${values.length} rows`)
    let at = start
    for (let row = probationRows(values.length); row < values.length; row++, at++) {
      this.score[at] = scores[row]!
      this.file[at] = f
      const inside = windows.findIndex(([first, last]) => row >= first && row <= last)
      if (inside >= 0) this.window[at] = this.firstWindow[f]! + inside
      this.place[at] = placeOf(row, windows, inside)
    }
    return at
  }

  /** The threshold with the largest total over the files of these categories; the highest of equal ones. */
  best(profile: Profile, isIn: (category: string) => boolean = () => true): ThresholdScore {
    const chosen = this.series.map((s) => isIn(s.category))
    const best = new Float64Array(this.windowCount).fill(Number.NaN)
    let total = this.nullTotal(profile, isIn)
    let found: ThresholdScore = { threshold: NOTHING, total }
    const { order, score } = this
    for (let i = 0; i < order.length; i++) {
      const row = order[i]!
      if (chosen[this.file[row]!]) total += this.gain(row, profile, best)
      const isLastOfScore = i + 1 === order.length || score[order[i + 1]!] !== score[row]
      if (isLastOfScore && total > found.total) found = { threshold: score[row]!, total }
    }
    return found
  }

  /** Totals of every file at one threshold. */
  perFile(profile: Profile, threshold: number): Float64Array {
    const totals = Float64Array.from(this.series, (s) => -profile.falseNegative * s.windows.length)
    const best = new Float64Array(this.windowCount).fill(Number.NaN)
    for (let row = 0; row < this.score.length; row++) {
      if (this.score[row]! >= threshold) totals[this.file[row]!]! += this.gain(row, profile, best)
    }
    return totals
  }

  /** Total at the threshold that each category is given by all others (leave one category out). */
  leaveOneCategoryOut(profile: Profile): { total: number; thresholds: Record<string, number> } {
    const thresholds: Record<string, number> = {}
    let total = 0
    for (const category of this.categories) {
      const { threshold } = this.best(profile, (c) => c !== category)
      thresholds[category] = threshold
      const totals = this.perFile(profile, threshold)
      for (let f = 0; f < totals.length; f++) if (this.series[f]!.category === category) total += totals[f]!
    }
    return { total, thresholds }
  }

  /** 0 for detecting nothing, 100 for detecting every window at its first row and nothing else. */
  normalised(profile: Profile, total: number): number {
    const nothing = this.nullTotal(profile)
    return (100 * (total - nothing)) / (profile.truePositive * this.windowCount - nothing)
  }

  nullTotal(profile: Profile, isIn: (category: string) => boolean = () => true): number {
    let windows = 0
    for (const s of this.series) if (isIn(s.category)) windows += s.windows.length
    return -profile.falseNegative * windows
  }

  /** What one more detected row adds; `best` holds what each window has earned so far, NaN for nothing. */
  private gain(row: number, profile: Profile, best: Float64Array): number {
    const window = this.window[row]!
    if (window === NO_WINDOW) return profile.falsePositive * this.place[row]!
    const value = profile.truePositive * this.place[row]!
    const before = best[window]!
    if (Number.isNaN(before)) {
      best[window] = value
      return value + profile.falseNegative
    }
    if (value <= before) return 0
    best[window] = value
    return value - before
  }
}

/** The row's value in units of the weight: 1 at the first row of a window, -1 far behind all windows. */
function placeOf(row: number, windows: Series['windows'], inside: number): number {
  if (inside >= 0) {
    const [first, last] = windows[inside]!
    return sigmoid(-(last - row + 1) / (last - first + 1)) / sigmoid(-1)
  }
  const previous = windows.findLast(([, last]) => last < row)
  if (previous === undefined) return -1
  const [first, last] = previous
  return sigmoid((row - last) / (last - first))
}

function sigmoid(x: number): number {
  return x > 3 ? -1 : 2 / (1 + Math.exp(5 * x)) - 1
}

/** Sums of all earlier numbers, and of all at the end. */
function prefixSums(numbers: readonly number[]): readonly number[] {
  const sums = [0]
  for (const n of numbers) sums.push(sums.at(-1)! + n)
  return sums
}
