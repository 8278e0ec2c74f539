import { publish } from '../report/publish.ts'
import { BENCHMARK_VERSION, type BenchmarkResult, type Metric } from '../report/result.ts'
import { CallJudge, detectorNames, type Judged } from './call-judge.ts'
import { PublicData } from './data.ts'
import { callOf, readTakeovers, type TakeoverLog } from './github-log.ts'
import { budgetMetrics, byLevel, oracleReport, POINTS } from './github-report.ts'
import { controlScores, engineScores } from './scorers.ts'
import { medianEvents, type Reading, shareDetected, TakeoverJudging } from './takeover-judging.ts'

/** The smallest that can be configured; the default (3.5) keeps a budget from being spent on small surprises. */
const LOWEST_INCIDENT_SURPRISE = 1

/**
 * `npm run bench -- github [--data FOLDER] [--out FOLDER]`: account takeovers among real GitHub users, at
 * oracle thresholds and at the engine's own budgets.
 */
export async function run(args: readonly string[]): Promise<void> {
  const data = new PublicData(args)
  const log = readTakeovers(data)
  const judging = new TakeoverJudging(log.calls, log.takeovers)
  const calls = log.calls.map(callOf)
  const reports = [engineScores(calls), ...controlScores(calls)].map((s) => oracleReport(judging, s))
  const budgets = POINTS.flatMap((budget) => ownBudgets(judging, log, budget))
  const result: BenchmarkResult = {
    benchmark: 'github',
    version: BENCHMARK_VERSION,
    settings: {
      data: data.fingerprint(),
      detectors: detectorNames(),
      calls: calls.length,
      principalDays: judging.principalDays,
      takeovers: judging.judged.length,
      coldStarts: judging.coldStarts.length,
    },
    metrics: Object.assign({}, ...reports.map((r) => r.metrics), ...budgets.map((b) => b.metrics)),
    curves: { detection: reports.map((r) => r.curve) },
    details: {
      curfew: reports[0]!.details,
      ...Object.fromEntries(budgets.map(({ name, details }) => [name, details])),
      reference: 'simple CUSUM: 30 % at 10 and 54 % at 50 false alarms per 1,000 principal-days',
    },
  }
  publish(result, args, {
    detection: {
      title: 'GitHub takeovers: detection against false alarms',
      subtitle: `${BENCHMARK_VERSION}, development half, ${judging.judged.length} takeovers, ${judging.principalDays} principal-days, oracle threshold`,
      xLabel: 'false-alarm principal-days per 1,000',
      yLabel: 'takeovers detected',
      x: [0.5, 200],
      y: [0, 1],
      percent: true,
      marks: budgets.map(({ name, reading }) => ({
        name: name.replace('curfew/', ''),
        x: reading.falseAlarms,
        y: shareDetected(reading).value,
      })),
    },
  })
}

interface BudgetRun {
  readonly name: string
  readonly reading: Reading
  readonly metrics: Record<string, Metric>
  readonly details: BenchmarkResult['details']
}

/** The engine at its own threshold for a budget: as configured by default, and with no lower bound on surprise. */
function ownBudgets(
  judging: TakeoverJudging,
  log: TakeoverLog,
  budget: (typeof POINTS)[number],
): readonly BudgetRun[] {
  return [
    { name: `curfew/own-budget-${budget}`, isJudged: true, values: { falseAlarmBudget: budget } },
    {
      name: `curfew/own-budget-${budget}-unbounded`,
      isJudged: false,
      values: { falseAlarmBudget: budget, minIncidentSurprise: LOWEST_INCIDENT_SURPRISE },
    },
  ].map(({ name, values, isJudged }) => {
    const engine = new CallJudge(values)
    const judged: readonly Judged[] = log.calls.map((call) => engine.judge(callOf(call)))
    const hostile = (index: number) => judged[index]!.hostile
    const reading = {
      falseAlarms: judging.falseAlarms((index) => judged[index]!.opened),
      eventsToDetect: judging.detections(hostile),
    }
    const cold = judging.detections(hostile, judging.coldStarts)
    return {
      name,
      reading,
      metrics: budgetMetrics(name, budget, reading, isJudged),
      details: {
        byLevel: byLevel(judging, reading),
        medianEvents: medianEvents(reading),
        coldStarts: { detected: cold.filter((c) => c !== null).length, of: cold.length },
      },
    }
  })
}
