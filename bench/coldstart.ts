import { judgingSettings } from './detection.ts'
import type { Metrics } from './judging/metrics.ts'
import { judgingOptions } from './judging/options.ts'
import { attackFigures } from './judging/outcomes.ts'
import { Pool } from './judging/pool.ts'
import { MAIN_BUDGET } from './judging/rules.ts'
import { judgedWorld } from './judging/seeds.ts'
import { attackRow, byName, coldStartTables, isColdStart } from './judging/tables.ts'
import { publish } from './report/publish.ts'
import { BENCHMARK_VERSION } from './report/result.ts'

/**
 * `coldstart`: callers and installations that nothing is known about. Attacks that begin in the warm-up of
 * their caller, false alarms on newcomers, and the days until a new installation keeps its budget. Options as
 * for `detection`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = judgingOptions(args, 'none')
  const records = options.seeds.map((seed) =>
    judgedWorld({ size: options.size, seed, faults: false }, options.source),
  )
  const pool = new Pool(records)
  const cold = pool.atBudget(MAIN_BUDGET).outcomes.filter(isColdStart)
  const figures = attackFigures(cold, 0)
  const tables = coldStartTables(pool, MAIN_BUDGET)
  const { newcomers, daysUntilNormal } = tables
  const prefix = `curfew/budget-${MAIN_BUDGET}`
  const metrics: Metrics = {
    [`${prefix}/cold-start-detected`]: {
      value: figures.share,
      unit: 'share',
      better: 'higher',
      tolerance: 0.02,
      interval: figures.interval,
    },
    [`${prefix}/newcomer-false-alarm-days`]: {
      value: newcomers.perThousand,
      unit: 'perThousandDays',
      better: 'lower',
      tolerance: 0.5,
    },
    [`${prefix}/days-until-normal`]: { value: daysUntilNormal, unit: 'count', better: 'lower', tolerance: 1 },
  }
  publish(
    {
      benchmark: `coldstart-${options.size}`,
      version: BENCHMARK_VERSION,
      settings: judgingSettings(options),
      metrics,
      curves: {},
      details: {
        coldStart: attackRow(cold),
        byAttack: byName(cold, (o) => o.attack.episode.type),
        newcomers: { ...newcomers },
        daily: tables.daily,
      },
    },
    ['--out', options.out],
    {},
  )
}
