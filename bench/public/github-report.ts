import { rounded, wilson } from '../judging/statistics.ts'
import type { Curve, Json, Metric } from '../report/result.ts'
import { rocArea } from './ranking.ts'
import type { Scored } from './scorers.ts'
import {
  medianEvents,
  partialArea,
  type Reading,
  readingAt,
  shareDetected,
  sharesWithin,
  type TakeoverJudging,
} from './takeover-judging.ts'

/** False-alarm principal-days per 1,000 at which detection is told. */
export const POINTS = [10, 50] as const
/** Curves end here. */
const CURVE_END = 200
/** A takeover more or less of some fifty is noise. */
const TOLERANCE = 0.02

const DETECTED = { 10: { floor: 0.45, goal: 0.6 }, 50: { floor: 0.65, goal: 0.8 } } as const
const WITHIN: Readonly<Record<number, { floor: number; goal: number }>> = {
  5: { floor: 0.15, goal: 0.3 },
  20: { floor: 0.3, goal: 0.5 },
  100: { floor: 0.45, goal: 0.6 },
}

/** Everything that an oracle threshold says of one judge. */
export interface OracleReport {
  readonly metrics: Record<string, Metric>
  readonly curve: Curve
  readonly details: { readonly [name: string]: Json }
}

/** Detection at oracle thresholds, with floors for Curfew only. */
export function oracleReport(judging: TakeoverJudging, scored: Scored): OracleReport {
  const { name, kind } = scored
  const isOwn = kind === 'own'
  const count = judging.judged.length
  const readings = judging.curve(scored.scores, CURVE_END)
  const metrics: Record<string, Metric> = {}
  const details: Record<string, Json> = {}
  for (const point of POINTS) {
    const at = readingAt(readings, point, count)
    metrics[`${name}/oracle-threshold/detected-at-${point}`] = {
      ...detected(at),
      better: isOwn ? 'higher' : 'neither',
      ...(isOwn ? DETECTED[point] : {}),
    }
    details[`by-level-at-${point}`] = byLevel(judging, at)
    details[`median-events-at-${point}`] = medianEvents(at)
  }
  const strict = readingAt(readings, 10, count)
  for (const { limit, hits } of sharesWithin(strict)) {
    metrics[`${name}/oracle-threshold/detected-within-${limit}-events-at-10`] = {
      ...share(hits, count),
      better: isOwn ? 'higher' : 'neither',
      ...(isOwn ? WITHIN[limit] : {}),
    }
  }
  const area = partialArea(readings, count)
  const better = isOwn ? 'higher' : 'neither'
  metrics[`${name}/partial-auc`] = { ...area, ...SHARE, better }
  metrics[`${name}/roc-auc`] = {
    value: roundedOrNull(rocArea(judging.rankedDays(scored.scores))),
    unit: 'ratio',
    tolerance: 0.005,
    better,
  }
  const points = readings.map((r) => [rounded(r.falseAlarms), shareDetected(r).value] as const)
  return { metrics, details, curve: { name, kind, points: steps(points) } }
}

/**
 * Detection at the engine's own threshold for a budget, with the rate that came of it, which should lie
 * within a factor of two. `isJudged` gives it floors.
 */
export function budgetMetrics(
  name: string,
  budget: (typeof POINTS)[number],
  reading: Reading,
  isJudged: boolean,
): Record<string, Metric> {
  const metrics: Record<string, Metric> = {
    [`${name}/realised-rate`]: {
      value: rounded(reading.falseAlarms),
      unit: 'perThousandDays',
      better: 'neither',
      tolerance: budget / 10,
    },
    [`${name}/rate-off-by-factor`]: {
      value: reading.falseAlarms === 0 ? null : rounded(offBy(reading.falseAlarms / budget)),
      unit: 'ratio',
      better: 'lower',
      tolerance: 0.1,
      ...(isJudged ? { floor: 2 } : {}),
    },
    [`${name}/detected`]: {
      ...detected(reading),
      better: 'higher',
      ...(isJudged ? DETECTED[budget] : {}),
    },
  }
  for (const { limit, hits } of sharesWithin(reading)) {
    metrics[`${name}/detected-within-${limit}-events`] = {
      ...share(hits, reading.eventsToDetect.length),
      better: 'higher',
    }
  }
  return metrics
}

function offBy(ratio: number): number {
  return Math.max(ratio, 1 / ratio)
}

function roundedOrNull(value: number | null): number | null {
  return value === null ? null : rounded(value)
}

const SHARE = { unit: 'share', tolerance: TOLERANCE } as const

function detected(reading: Reading): Omit<Metric, 'better'> {
  return { ...shareDetected(reading), ...SHARE }
}

function share(hits: number, of: number): Omit<Metric, 'better'> {
  return { value: rounded(hits / of), interval: wilson(hits, of), ...SHARE }
}

/** Detected of all, per level. */
export function byLevel(judging: TakeoverJudging, { eventsToDetect }: Reading): Json {
  const levels: Record<string, { detected: number; of: number }> = {}
  for (const [i, { level }] of judging.judged.entries()) {
    const own = levels[level] ?? { detected: 0, of: 0 }
    levels[level] = own
    own.of++
    if (eventsToDetect[i] !== null) own.detected++
  }
  return levels
}

/** One point per step of a rising curve: the fewest false alarms that detect so many. */
function steps(points: readonly (readonly [number, number])[]): readonly (readonly [number, number])[] {
  return points.filter(([, y], i) => i === 0 || i === points.length - 1 || y !== points[i - 1]![1])
}
