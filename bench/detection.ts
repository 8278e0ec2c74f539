import { DETECTORS } from '../detectors/catalog.ts'
import { DELAYS } from './judging/judge-log.ts'
import type { Metrics } from './judging/metrics.ts'
import { type JudgingOptions, judgingOptions } from './judging/options.ts'
import { BUDGETS } from './judging/rules.ts'
import type { SeedRecord } from './judging/seed-record.ts'
import { judgedWorld } from './judging/seeds.ts'
import { findings, type Judgement, judged } from './judging/traffic-judgement.ts'
import type { PlotFrame } from './report/plot.ts'
import { publish } from './report/publish.ts'
import { BENCHMARK_VERSION, type BenchmarkResult, type Json, metricLines } from './report/result.ts'

/**
 * `detection`: the engine over generated traffic, beside three controls. `--size small|full|light`,
 * `--seeds 101-105` (reported), `--tuning 1-20|none`, `--data DIR`, `--out DIR`, `--fresh`.
 */
export async function run(args: readonly string[]): Promise<void> {
  const options = judgingOptions(args)
  const tuning = options.tuning.length === 0 ? null : judged(recordsOf(options, options.tuning))
  const reporting = judged(recordsOf(options, options.seeds))
  const found = findings(reporting.metrics, tuning?.metrics ?? null)
  if (tuning !== null) {
    process.stdout.write(`tuning seeds ${options.tuning.join(' ')}\n`)
    for (const line of metricLines(resultOf(options, tuning, null, []))) process.stdout.write(`  ${line}\n`)
  }
  process.stdout.write(`reporting seeds ${options.seeds.join(' ')}\n`)
  const result = resultOf(options, reporting, tuning, found)
  publish(result, ['--out', options.out], { detection: frameOf(options, reporting.metrics) })
  for (const line of found) process.stderr.write(`finding: ${line}\n`)
}

function recordsOf({ size, source }: JudgingOptions, seeds: readonly number[]): readonly SeedRecord[] {
  return seeds.map((seed) => judgedWorld({ size, seed, faults: false }, source))
}

function resultOf(
  options: JudgingOptions,
  reporting: Judgement,
  tuning: Judgement | null,
  found: readonly string[],
): BenchmarkResult {
  return {
    benchmark: `detection-${options.size}`,
    version: BENCHMARK_VERSION,
    settings: judgingSettings(options),
    metrics: reporting.metrics,
    curves: { detection: reporting.curves },
    details: {
      findings: found,
      ...reporting.details,
      ...(tuning === null ? {} : { tuning: { metrics: valuesOf(tuning.metrics), ...tuning.details } }),
    },
  }
}

/** What was run, in the words of a result. */
export function judgingSettings(options: JudgingOptions): { [name: string]: Json } {
  return {
    size: options.size,
    seeds: options.seeds,
    tuning: options.tuning,
    detectors: DETECTORS.map(({ name, version }) => `${name}/${version}`),
    budgets: BUDGETS,
    gatewayDelaysMs: { ...DELAYS },
    modes: 'enforce, in a log that does not react',
  }
}

function valuesOf(metrics: Metrics): Json {
  return Object.fromEntries(
    Object.entries(metrics).map(([name, { value, interval }]) => [
      name,
      interval === undefined ? value : [value, ...interval],
    ]),
  )
}

function frameOf(options: JudgingOptions, metrics: Metrics): PlotFrame {
  const marks = BUDGETS.flatMap((budget) => {
    const x = metrics[`curfew/budget-${budget}/false-alarm-days`]?.value ?? null
    const y = metrics[`curfew/budget-${budget}/detected`]?.value ?? null
    return x === null || y === null ? [] : [{ name: `curfew, budget ${budget}`, x, y }]
  })
  return {
    title: 'Attacks detected against false alarms',
    subtitle: `${BENCHMARK_VERSION} ${options.size}, seeds ${options.seeds.join(' ')}; curves with oracle threshold`,
    xLabel: 'false-alarm principal-days per 1,000',
    yLabel: 'attacks detected',
    x: [0.5, 20],
    y: [0, 1],
    percent: true,
    marks,
  }
}
