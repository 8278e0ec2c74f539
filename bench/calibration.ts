import { judgingSettings } from './detection.ts'
import type { Metrics } from './judging/metrics.ts'
import { judgingOptions } from './judging/options.ts'
import { Pool } from './judging/pool.ts'
import { BUDGETS } from './judging/rules.ts'
import { judgedWorld } from './judging/seeds.ts'
import { mean, rounded } from './judging/statistics.ts'
import { publish } from './report/publish.ts'
import { BENCHMARK_VERSION, type Json } from './report/result.ts'

/**
 * `calibration`: whether the engine's own words hold. Realised false alarms against each budget, pooled and
 * per seed and tenant; and of ordinary calls, the share that score above 1 - q. Options as for `detection`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = judgingOptions(args, 'none')
  const records = options.seeds.map((seed) =>
    judgedWorld({ size: options.size, seed, faults: false }, options.source),
  )
  const pool = new Pool(records)
  const metrics: Metrics = {}
  const budgets: { [budget: string]: Json } = {}
  for (const budget of BUDGETS) {
    const { falseAlarms } = pool.atBudget(budget)
    const { rate, interval } = pool.rate(falseAlarms)
    const bounds = interval === null ? {} : { interval }
    const unit = { unit: 'perThousandDays', better: 'neither', tolerance: budget / 10 } as const
    metrics[`budget-${budget}/realised`] = { value: rate, ...unit, ...bounds }
    budgets[budget] = Object.fromEntries(
      records.map((record) => {
        const one = new Pool([record])
        return [record.header.seed, one.rate(one.atBudget(budget).falseAlarms).rate]
      }),
    )
  }
  for (const [i, { q }] of (records[0]?.scoreShares ?? []).entries()) {
    const shares = records.map((record) => record.scoreShares[i]!.share)
    metrics[`score-above-${rounded(1 - q)}`] = {
      value: rounded(mean(shares)!),
      unit: 'ratio',
      better: 'neither',
      tolerance: q / 5,
    }
  }
  publish(
    {
      benchmark: `calibration-${options.size}`,
      version: BENCHMARK_VERSION,
      settings: judgingSettings(options),
      metrics,
      curves: {},
      details: { principalDays: pool.days, realisedBySeed: budgets },
    },
    ['--out', options.out],
    {},
  )
}
