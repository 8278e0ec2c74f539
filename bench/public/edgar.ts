import { bootstrap, rounded } from '../judging/statistics.ts'
import { publish } from '../report/publish.ts'
import { BENCHMARK_VERSION, type BenchmarkResult, type Curve, type Metric } from '../report/result.ts'
import { detectorNames } from './call-judge.ts'
import { PublicData } from './data.ts'
import { rankClients, readEdgar } from './edgar-day.ts'
import { byScore, partialRocArea, positivesInTop, type Ranked, rocArea } from './ranking.ts'
import { controlScores, engineScores, type Scored } from './scorers.ts'

const TOPS = [50, 100] as const
const BOUNDS = { 50: { floor: 15, goal: 20 }, 100: { floor: 22, goal: 26 } } as const
const CURVE_END = 1000
const BOOTSTRAP_SEED = 17
/** One client more or less among 31 is noise. */
const TOLERANCE = 1

/**
 * `npm run bench -- edgar [--data FOLDER] [--out FOLDER]`: how many of the clients that the SEC refused on
 * one day stand in the engine's top 50 and 100. Status and size are the label: no row carries them.
 */
export async function run(args: readonly string[]): Promise<void> {
  const data = new PublicData(args)
  const day = readEdgar(data)
  const judges = [engineScores(day.calls), ...controlScores(day.calls)]
  const ranked = judges.map((judge) => ({ ...judge, clients: rankClients(day, judge.scores) }))
  const result: BenchmarkResult = {
    benchmark: 'edgar',
    version: BENCHMARK_VERSION,
    settings: {
      data: data.fingerprint(),
      detectors: detectorNames(),
      calls: day.calls.length,
      clients: ranked[0]!.clients.length,
      refusedClients: day.refused.size,
    },
    metrics: Object.assign({}, ...ranked.map((judge) => metricsOf(judge, judge.clients))),
    curves: { ranking: ranked.map((judge) => rankingCurve(judge, judge.clients)) },
    details: { note: 'development figure, no held-out half' },
  }
  publish(result, args, {
    ranking: {
      title: 'EDGAR: refused clients among the most surprising',
      subtitle: `${BENCHMARK_VERSION}, ${day.refused.size} of ${ranked[0]!.clients.length} clients were refused by the SEC on 2017-01-01`,
      xLabel: 'clients looked at, most surprising first',
      yLabel: 'refused clients among them',
      x: [5, CURVE_END],
      y: [0, 5 * Math.ceil(day.refused.size / 5)],
      percent: false,
    },
  })
}

function metricsOf({ name, kind }: Scored, clients: readonly Ranked[]): Record<string, Metric> {
  const isOwn = kind === 'own'
  const better = isOwn ? 'higher' : 'neither'
  const metrics: Record<string, Metric> = {}
  for (const top of TOPS) {
    metrics[`${name}/refused-in-top-${top}`] = {
      value: positivesInTop(clients, top),
      unit: 'count',
      better,
      tolerance: TOLERANCE,
      ...(isOwn ? BOUNDS[top] : {}),
    }
  }
  const about = { better, tolerance: 0.005 } as const
  metrics[`${name}/roc-auc`] = { ...areaOf(clients, rocArea), unit: 'ratio', ...about }
  metrics[`${name}/partial-auc`] = { ...areaOf(clients, partialRocArea), unit: 'share', ...about }
  return metrics
}

/** An area with its bootstrap over clients. */
function areaOf(
  clients: readonly Ranked[],
  area: (ranking: readonly Ranked[]) => number | null,
): Pick<Metric, 'value' | 'interval'> {
  const value = area(clients)
  const interval = bootstrap(clients, (sample) => area(byScore(sample)), BOOTSTRAP_SEED)
  if (value === null || interval === null) return { value: null }
  return { value: rounded(value), interval }
}

function rankingCurve({ name, kind }: Scored, clients: readonly Ranked[]): Curve {
  const points: [number, number][] = []
  for (let top = 5; top <= Math.min(CURVE_END, clients.length); top += top < 100 ? 5 : 50) {
    points.push([top, positivesInTop(clients, top)])
  }
  return { name, kind, points }
}
