import type { Curve, Json } from '../report/result.ts'
import { budgetMetrics, type Metrics, oracleMetrics } from './metrics.ts'
import { type OracleCurve, Pool } from './pool.ts'
import { AREA_POINTS, BUDGETS, MAIN_BUDGET, OPERATING_POINTS } from './rules.ts'
import type { SeedRecord } from './seed-record.ts'
import {
  attackTables,
  coldStartTables,
  falseAlarmTables,
  heldOutKinds,
  isMain,
  lookalikeTables,
  pairRow,
  precisionTable,
  wrongActions,
} from './tables.ts'

/** All figures of one pool of seeds. */
export interface Judgement {
  readonly metrics: Metrics
  readonly curves: readonly Curve[]
  readonly details: { readonly [name: string]: Json }
}

/** Judges records of one set of seeds together: the engine at its budgets, and every scorer over all thresholds. */
export function judged(records: readonly SeedRecord[]): Judgement {
  const pool = new Pool(records)
  const curves = pool.scorers.map((_, scorer) => pool.oracle(scorer))
  const points = new Map(BUDGETS.map((budget) => [budget, pool.atBudget(budget)]))
  const metrics: Metrics = {}
  for (const [budget, point] of points) Object.assign(metrics, budgetMetrics(pool, point, budget))
  for (const curve of curves) Object.assign(metrics, oracleMetrics(curve))
  const main = points.get(MAIN_BUDGET)!
  return {
    metrics,
    curves: curves.map(plotted),
    details: {
      worlds: records.map(({ header, logEvents, attacks }) => ({
        seed: header.seed,
        events: logEvents,
        attacks: attacks.length,
        attackEvents: attacks.reduce((sum, a) => sum + a.calls.times.length, 0),
      })),
      principalDays: pool.days,
      heldOutKinds: heldOutKinds(pool),
      attacksAtBudget: Object.fromEntries([...points].map(([budget, p]) => [budget, attackTables(p)])),
      attacksAtOracle5: Object.fromEntries(
        curves.map((curve) => [curve.scorer, attackTables(curve.points.get(5)!)]),
      ),
      oracleThresholds: Object.fromEntries(curves.map((curve) => [curve.scorer, thresholds(curve)])),
      falseAlarms: falseAlarmTables(pool, main.falseAlarms),
      lookalikes: lookalikeTables(pool, MAIN_BUDGET),
      pairs: pairRow(pool, MAIN_BUDGET),
      dailyPrecision: precisionTable(pool),
      wrongActions: {
        throttles: wrongActions(pool, MAIN_BUDGET, 'throttle'),
        revokes: wrongActions(pool, MAIN_BUDGET, 'revoke'),
      },
      coldStart: coldStartTables(pool, MAIN_BUDGET),
    },
  }
}

function thresholds(curve: OracleCurve): Json {
  return Object.fromEntries(
    OPERATING_POINTS.map((target) => {
      const { threshold, falseAlarms } = curve.points.get(target)!
      return [target, { threshold: threshold!, falseAlarmDays: falseAlarms.length }]
    }),
  )
}

function plotted(curve: OracleCurve): Curve {
  const points = AREA_POINTS.map((target) => {
    const main = curve.points.get(target)!.outcomes.filter(isMain)
    const found = main.filter((o) => o.call !== null).length
    return [target, main.length === 0 ? 0 : found / main.length] as const
  })
  return { name: curve.scorer, kind: curve.scorer === 'curfew' ? 'own' : 'control', points }
}

/** Detection that differs by more than this between the two sets of seeds is a finding. */
const GAP = 0.05

/** What a reader must not overlook: gaps between tuning and reporting seeds, and realised rates off their budget. */
export function findings(reporting: Metrics, tuning: Metrics | null): readonly string[] {
  const found: string[] = []
  for (const [name, metric] of Object.entries(reporting)) {
    const other = tuning?.[name]?.value ?? null
    if (
      metric.unit === 'share' &&
      metric.value !== null &&
      other !== null &&
      Math.abs(metric.value - other) > GAP
    ) {
      const points = (100 * (metric.value - other)).toFixed(1)
      found.push(`${name}: reporting seeds differ from tuning seeds by ${points} points`)
    }
    const budget = Number(/^curfew\/budget-(\d+)\/false-alarm-days$/.exec(name)?.[1])
    if (
      !Number.isNaN(budget) &&
      metric.value !== null &&
      (metric.value > 2 * budget || metric.value < budget / 2)
    ) {
      found.push(
        `${name}: realised ${metric.value.toFixed(2)} at a budget of ${budget}, beyond a factor of 2`,
      )
    }
  }
  return found
}
