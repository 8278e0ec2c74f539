import type { Metric } from '../report/result.ts'
import { DELAYS } from './judge-log.ts'
import { attackFigures, type Outcome } from './outcomes.ts'
import type { Point, Pool } from './pool.ts'
import { type OracleCurve, partialArea } from './pool.ts'
import { MAIN_BUDGET, OPERATING_POINTS } from './rules.ts'
import { isMain, wrongActions } from './tables.ts'

/** Metrics by name, in the order in which they are printed. */
export type Metrics = { [name: string]: Metric }

interface Aims {
  readonly floor?: number
  readonly goal?: number
}

const LEVEL_AIMS: Readonly<Record<string, Aims>> = {
  D1: { floor: 0.97, goal: 1 },
  D2: { floor: 0.9, goal: 0.97 },
  D3: { floor: 0.6, goal: 0.8 },
  D4: { floor: 0.3, goal: 0.5 },
  D5: { floor: 0.12, goal: 0.3 },
}
const EVENT_AIMS: Readonly<Record<string, Aims>> = {
  D1: { floor: 10, goal: 5 },
  D2: { floor: 40, goal: 20 },
  D3: { floor: 200, goal: 100 },
}
/** Kinds of attack, by the start of their name, whose saved records have a floor. */
const SAVED_AIMS: Readonly<Record<string, Aims>> = {
  'bulk-export': { floor: 0.92, goal: 0.98 },
  'bola-': { floor: 0.92, goal: 0.97 },
}
const SHARE_TOLERANCE = 0.02
const DELAY_NAMES = Object.keys(DELAYS)

/** Of one scorer with thresholds chosen with the labels in hand. */
export function oracleMetrics(curve: OracleCurve): Metrics {
  const metrics: Metrics = {}
  for (const target of OPERATING_POINTS) {
    const main = curve.points.get(target)!.outcomes.filter(isMain)
    metrics[`${curve.scorer}/oracle/detected-at-${target}`] = detected(main, {})
  }
  const { area, interval } = partialArea(curve, isMain)
  const bounds = interval === null ? {} : { interval }
  metrics[`${curve.scorer}/oracle/partial-area`] = { ...share(area), ...bounds }
  return metrics
}

/** Of the engine at one of its own budgets: what an installation gets. */
export function budgetMetrics(pool: Pool, point: Point, budget: number): Metrics {
  const prefix = `curfew/budget-${budget}`
  const { rate, interval } = pool.rate(point.falseAlarms)
  const main = point.outcomes.filter(isMain)
  const metrics: Metrics = {
    [`${prefix}/false-alarm-days`]: {
      value: rate,
      unit: 'perThousandDays',
      better: 'neither',
      tolerance: budget / 10,
      ...(interval === null ? {} : { interval }),
    },
    [`${prefix}/detected`]: detected(main, budget === 1 ? { floor: 0.55, goal: 0.75 } : {}),
  }
  return budget === MAIN_BUDGET ? { ...metrics, ...mainMetrics(pool, prefix, main) } : metrics
}

function mainMetrics(pool: Pool, prefix: string, main: readonly Outcome[]): Metrics {
  const metrics: Metrics = {}
  for (const [level, aims] of Object.entries(LEVEL_AIMS)) {
    const own = main.filter((o) => o.attack.episode.level === level)
    metrics[`${prefix}/detected-${level}`] = detected(own, aims)
  }
  for (const [level, aims] of Object.entries(EVENT_AIMS)) {
    const own = main.filter((o) => o.attack.episode.level === level)
    const { medianEvents, medianEventsInterval } = attackFigures(own, 0)
    metrics[`${prefix}/median-events-${level}`] = {
      value: medianEvents,
      unit: 'events',
      better: 'lower',
      tolerance: 2,
      ...(medianEventsInterval === null ? {} : { interval: medianEventsInterval }),
      ...aims,
    }
  }
  for (const [kind, aims] of Object.entries(SAVED_AIMS)) {
    const own = main.filter((o) => o.attack.episode.type.startsWith(kind))
    const { saved, savedIntervals } = attackFigures(own, DELAY_NAMES.length)
    for (const [i, delay] of DELAY_NAMES.entries()) {
      const interval = savedIntervals[i] ?? null
      const bounds = interval === null ? {} : { interval }
      metrics[`${prefix}/saved-${kind.replace(/-$/, '')}-${delay}`] = {
        ...share(saved[i]!),
        ...bounds,
        ...aims,
      }
    }
  }
  for (const kind of ['throttle', 'revoke'] as const) {
    const { upper } = wrongActions(pool, MAIN_BUDGET, kind)
    const aims = kind === 'revoke' ? { floor: 1, goal: 0.3 } : {}
    metrics[`${prefix}/wrong-${kind}s-upper-per-100000-days`] = {
      value: upper,
      unit: 'ratio',
      better: 'lower',
      tolerance: 0.1,
      ...aims,
    }
  }
  return metrics
}

function detected(outcomes: readonly Outcome[], aims: Aims): Metric {
  const { share: value, interval } = attackFigures(outcomes, 0)
  return { ...share(value), interval, ...aims }
}

function share(value: number | null): Metric {
  return { value, unit: 'share', better: 'higher', tolerance: SHARE_TOLERANCE }
}
