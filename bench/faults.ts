import { judgingSettings } from './detection.ts'
import type { Metrics } from './judging/metrics.ts'
import { type JudgingOptions, judgingOptions } from './judging/options.ts'
import { judgedWorld } from './judging/seeds.ts'
import { rounded } from './judging/statistics.ts'
import { type Judgement, judged } from './judging/traffic-judgement.ts'
import { publish } from './report/publish.ts'
import { BENCHMARK_VERSION, type Metric } from './report/result.ts'

/** Transport faults may cost this much detection. */
const MAX_FALL = 0.02

/**
 * `faults`: every figure with and without late, repeated and damaged log lines; the calls are the same.
 * Options as for `detection`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = judgingOptions(args, 'none')
  const [without, within] = [false, true].map((faults) => judgementOf(options, faults)) as [
    Judgement,
    Judgement,
  ]
  publish(
    {
      benchmark: `faults-${options.size}`,
      version: BENCHMARK_VERSION,
      settings: judgingSettings(options),
      metrics: compared(without.metrics, within.metrics),
      curves: {},
      details: { without: without.details, with: within.details },
    },
    ['--out', options.out],
    {},
  )
}

function judgementOf({ size, seeds, source }: JudgingOptions, faults: boolean): Judgement {
  return judged(seeds.map((seed) => judgedWorld({ size, seed, faults }, source)))
}

/** Both values of every figure, and for detection how much of it the faults cost. */
export function compared(without: Metrics, within: Metrics): Metrics {
  const metrics: Metrics = {}
  for (const [name, metric] of Object.entries(without)) {
    const other = within[name]!
    metrics[`${name}/without`] = plain(metric)
    metrics[`${name}/with`] = plain(other)
    if (metric.unit !== 'share' || metric.value === null || other.value === null) continue
    if (!/\/detected/.test(name) || !name.startsWith('curfew/')) continue
    const fall = rounded(metric.value - other.value)
    metrics[`${name}/fall`] = {
      value: fall,
      unit: 'share',
      better: 'lower',
      tolerance: 0.01,
      floor: MAX_FALL,
    }
  }
  return metrics
}

function plain({ floor: _, goal: __, ...metric }: Metric): Metric {
  return metric
}
