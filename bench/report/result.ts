/** Version of the benchmark's rules and data; figures of different versions are not comparable. */
export const BENCHMARK_VERSION = 'bench-v1'

/** What a result file can hold: plain JSON without the numbers that JSON cannot write. */
export type Json = null | boolean | number | string | readonly Json[] | { readonly [name: string]: Json }

/**
 * How a value is counted. `share` is 0..1 and printed as a percentage; `points` are score points;
 * `perThousandDays` is per 1,000 principal-days; `ratio` has no unit.
 */
export type Unit = 'share' | 'points' | 'count' | 'events' | 'seconds' | 'perThousandDays' | 'ratio'

/** One figure of a benchmark. */
export interface Metric {
  /** Null when the figure does not exist, such as the median of nothing. */
  readonly value: number | null
  readonly unit: Unit
  /** Which direction is an improvement; `neither` is printed for information only. */
  readonly better: 'higher' | 'lower' | 'neither'
  /** A change up to this, in the metric's own unit, is not worth a reviewer's time. */
  readonly tolerance: number
  /** 95 % interval. */
  readonly interval?: readonly [low: number, high: number]
  /** Below it the work is not done. */
  readonly floor?: number
  readonly goal?: number
}

/** A line of a plot: pairs of x and y, in plotting order. */
export interface Curve {
  readonly name: string
  /** Controls are drawn dashed and peers dotted; `own` is Curfew. */
  readonly kind: 'own' | 'control' | 'peer'
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** Everything that one run of one benchmark says. Carries no time and no commit: equal code, equal bytes. */
export interface BenchmarkResult {
  /** Name of the benchmark and of its file: lower-case words with hyphens. */
  readonly benchmark: string
  readonly version: typeof BENCHMARK_VERSION
  /** What was run: seeds, data sets with their SHA-256, detectors, options. */
  readonly settings: { readonly [name: string]: Json }
  /** By name, such as `curfew/oracle/detected-at-10`. */
  readonly metrics: { readonly [name: string]: Metric }
  readonly curves: { readonly [plot: string]: readonly Curve[] }
  /** Further figures for readers, not compared: tables by level, by kind, by file. */
  readonly details: { readonly [name: string]: Json }
}

/** How a metric stands against its floor and goal. */
export type Standing = 'goal' | 'floor' | 'missed' | 'none'

/** An interval may reach this far below a floor. */
const SLACK: Partial<Record<Unit, number>> = { share: 0.05, points: 5 }

/**
 * A floor is met when the estimate reaches it and the weaker end of the interval is within five points of
 * it; a goal counts by its estimate once the floor is met.
 */
export function standingOf(metric: Metric): Standing {
  const { value, floor, goal, better, interval } = metric
  if (floor === undefined && goal === undefined) return 'none'
  if (value === null || better === 'neither') return 'missed'
  const sign = better === 'higher' ? 1 : -1
  const slack = SLACK[metric.unit] ?? Number.POSITIVE_INFINITY
  if (floor !== undefined) {
    const weaker = interval === undefined ? value : better === 'higher' ? interval[0] : interval[1]
    if (sign * (value - floor) < 0 || sign * (weaker - floor) < -slack) return 'missed'
  }
  if (goal !== undefined && sign * (value - goal) >= 0) return 'goal'
  return floor === undefined ? 'missed' : 'floor'
}

/** A value in the words of its unit. */
export function shown(value: number | null, unit: Unit): string {
  if (value === null) return '-'
  if (unit === 'share') return `${(100 * value).toFixed(1)} %`
  if (unit === 'count') return String(value)
  if (unit === 'ratio') return value.toFixed(4)
  return String(Number(value.toFixed(unit === 'points' ? 2 : 1)))
}

/** All metrics as lines of text: name, value, interval, floor and goal with how it stands. */
export function metricLines(result: BenchmarkResult): readonly string[] {
  const width = Math.max(0, ...Object.keys(result.metrics).map((name) => name.length))
  return Object.entries(result.metrics).map(([name, metric]) => {
    const { value, unit, interval, floor, goal } = metric
    const parts = [name.padEnd(width), shown(value, unit).padStart(9)]
    if (interval !== undefined) parts.push(`[${shown(interval[0], unit)}, ${shown(interval[1], unit)}]`)
    if (floor !== undefined) parts.push(`floor ${shown(floor, unit)}`)
    if (goal !== undefined) parts.push(`goal ${shown(goal, unit)}`)
    const standing = standingOf(metric)
    if (standing !== 'none') parts.push(standing === 'missed' ? 'MISSED' : `${standing} met`)
    return parts.join('  ')
  })
}
