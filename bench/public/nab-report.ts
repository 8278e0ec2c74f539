import type { BenchmarkResult, Curve, Metric } from '../report/result.ts'
import { NabScorer, PROFILES, type ProfileName, probationRows, type Scores } from './nab-scoring.ts'
import type { Series } from './nab-series.ts'

/** Floors and goals of the leave-one-category-out score. */
const BOUNDS: Partial<Record<ProfileName, { readonly floor: number; readonly goal: number }>> = {
  standard: { floor: 50, goal: 62 },
  reward_low_FP_rate: { floor: 40, goal: 55 },
}
/** A change of half a point is not worth reading about. */
const TOLERANCE = 0.5

/** Scores of one judge over all series. */
export interface Judge {
  readonly name: string
  readonly kind: Curve['kind']
  readonly scores: Scores
}

/** NAB scores of one judge: the threshold left one category out, and the one tuned on all labels ("oracle"). */
export function nabMetrics(series: readonly Series[], judge: Judge): Record<string, Metric> {
  const scorer = new NabScorer(series, judge.scores)
  const metrics: Record<string, Metric> = {}
  for (const [name, profile] of Object.entries(PROFILES) as [ProfileName, (typeof PROFILES)[ProfileName]][]) {
    const score = (total: number): Metric => ({
      value: Number(scorer.normalised(profile, total).toFixed(6)),
      unit: 'points',
      better: judge.kind === 'own' ? 'higher' : 'neither',
      tolerance: TOLERANCE,
    })
    const bounds = judge.kind === 'own' ? BOUNDS[name] : undefined
    const loco = scorer.leaveOneCategoryOut(profile).total
    metrics[`${judge.name}/loco/${name}`] = { ...score(loco), ...bounds }
    metrics[`${judge.name}/oracle-threshold/${name}`] = score(scorer.best(profile).total)
  }
  return metrics
}

/** Thresholds that each category was given, and the totals per file at them: where points come from. */
export function nabDetails(series: readonly Series[], judge: Judge): BenchmarkResult['details'] {
  const scorer = new NabScorer(series, judge.scores)
  const { thresholds } = scorer.leaveOneCategoryOut(PROFILES.standard)
  const finite = Object.entries(thresholds).map(([category, threshold]) => [
    category,
    Number.isFinite(threshold) ? threshold : null,
  ])
  const perFile: Record<string, number> = {}
  for (const [category, threshold] of Object.entries(thresholds)) {
    const totals = scorer.perFile(PROFILES.standard, threshold)
    for (const [f, { name, category: own }] of series.entries()) {
      if (own === category) perFile[name] = Number(totals[f]!.toFixed(6))
    }
  }
  return { locoThresholds: Object.fromEntries(finite), locoTotalsPerFile: perFile }
}

/** Share of the windows found against detected rows outside of them per 1,000 such rows, over thresholds. */
export function windowCurve(series: readonly Series[], { name, kind, scores }: Judge): Curve {
  const rows = series.flatMap(({ windows, values }, f) => {
    const start = probationRows(values.length)
    return Array.from(values.subarray(start), (_, i) => {
      const at = start + i
      const window = windows.findIndex(([first, last]) => at >= first && at <= last)
      return { score: scores[f]![at]!, window: window < 0 ? null : `${f}/${window}` }
    })
  })
  rows.sort((a, b) => b.score - a.score)
  const outside = rows.filter((row) => row.window === null).length
  const windows = series.reduce((sum, s) => sum + s.windows.length, 0)
  const found = new Set<string>()
  let falseRows = 0
  const points: [number, number][] = []
  for (const [i, { score, window }] of rows.entries()) {
    if (score === 0) break
    if (window === null) falseRows++
    else found.add(window)
    if (rows[i + 1]?.score === score) continue
    const point: [number, number] = [round((1000 * falseRows) / outside), round(found.size / windows)]
    // One point per step of the curve: the cheapest threshold that finds so many.
    if (point[1] !== points.at(-1)?.[1]) points.push(point)
  }
  return { name, kind, points }
}

function round(value: number): number {
  return Number(value.toFixed(6))
}
