import { rounded } from '../judging/statistics.ts'
import { detectorNames } from '../public/call-judge.ts'
import { PublicData } from '../public/data.ts'
import { rankClients, readEdgar } from '../public/edgar-day.ts'
import { callOf, readTakeovers } from '../public/github-log.ts'
import { partialRocArea, type Ranked, rocArea } from '../public/ranking.ts'
import { engineScores, type Scored } from '../public/scorers.ts'
import { partialArea, TakeoverJudging } from '../public/takeover-judging.ts'
import { publish } from '../report/publish.ts'
import { BENCHMARK_VERSION, type BenchmarkResult, type Curve, type Metric } from '../report/result.ts'
import { FEATURES, type FeatureCall, FeatureRows } from './features.ts'
import { PEERS, scoresOf } from './programs.ts'

/** One public set: how scores of its calls are judged, and the rows of the peers. */
interface Arena {
  readonly name: string
  readonly rows: readonly (readonly number[])[]
  readonly own: Scored
  judge(scored: Scored): { readonly metrics: Record<string, Metric>; readonly curve: Curve }
}

const AREA_LIMIT = 20

/**
 * `npm run bench -- peers [--data FOLDER] [--out FOLDER]`: half-space trees and a random cut forest, run for
 * real, on identical rows of features, beside Curfew on the calls that the rows were made from.
 */
export async function run(args: readonly string[]): Promise<void> {
  const data = new PublicData(args)
  const arenas = [githubArena(data), edgarArena(data)]
  const metrics: Record<string, Metric> = {}
  const curves: Record<string, Curve[]> = {}
  const missing: Record<string, string> = {}
  const add = (arena: Arena, scored: Scored) => {
    const judged = arena.judge(scored)
    for (const [name, metric] of Object.entries(judged.metrics)) {
      metrics[`${arena.name}/${scored.name}/${name}`] = metric
    }
    curves[arena.name] = [...(curves[arena.name] ?? []), judged.curve]
  }
  for (const arena of arenas) add(arena, arena.own)
  for (const peer of PEERS) {
    const ready = peer.prepare()
    if ('absent' in ready) {
      missing[peer.name] = ready.absent
      process.stderr.write(`${peer.name} is left out: ${ready.absent}\n`)
      continue
    }
    for (const arena of arenas) {
      add(arena, { name: peer.name, kind: 'peer', scores: scoresOf(ready.command, arena.rows) })
    }
  }
  const result: BenchmarkResult = {
    benchmark: 'peers',
    version: BENCHMARK_VERSION,
    settings: {
      data: data.fingerprint(),
      detectors: detectorNames(),
      features: [...FEATURES],
      peers: Object.fromEntries(PEERS.map((p) => [p.name, p.version])),
      missing: Object.keys(missing),
    },
    metrics,
    curves,
    details: {},
  }
  publish(result, args, {
    github: {
      title: 'GitHub takeovers: Curfew and peers',
      subtitle: `${BENCHMARK_VERSION}, development half, oracle threshold; peers see ten features per call`,
      xLabel: 'false-alarm principal-days per 1,000',
      yLabel: 'takeovers detected',
      x: [0.5, AREA_LIMIT],
      y: [0, 1],
      percent: true,
    },
  })
}

function githubArena(data: PublicData): Arena {
  const log = readTakeovers(data)
  const judging = new TakeoverJudging(log.calls, log.takeovers)
  const count = judging.judged.length
  return {
    name: 'github',
    rows: rowsOf(log.calls.map((c) => ({ ...c, kind: c.operation, object: c.resource }))),
    own: engineScores(log.calls.map(callOf)),
    judge(scored) {
      const readings = judging.curve(scored.scores, AREA_LIMIT)
      const points = readings.map(
        (r) => [r.falseAlarms, r.eventsToDetect.filter((e) => e !== null).length / count] as const,
      )
      const { name, kind } = scored
      return {
        metrics: {
          'roc-auc': areaMetric(scored, rocArea(judging.rankedDays(scored.scores))),
          'partial-auc': { ...areaMetric(scored, null), ...partialArea(readings, count), unit: 'share' },
        },
        curve: { name, kind, points: points.map(([x, y]) => [rounded(x), rounded(y)] as const) },
      }
    },
  }
}

function edgarArena(data: PublicData): Arena {
  const day = readEdgar(data)
  const rows = day.calls.map(({ time, principal, path }) => {
    const company = path.split('/')[4]!
    return { time, principal, kind: path.slice(path.lastIndexOf('.')), object: company }
  })
  return {
    name: 'edgar',
    rows: rowsOf(rows),
    own: engineScores(day.calls),
    judge(scored) {
      const ranking = rankClients(day, scored.scores)
      const { name, kind } = scored
      return {
        metrics: {
          'roc-auc': areaMetric(scored, rocArea(ranking)),
          'partial-auc': { ...areaMetric(scored, partialRocArea(ranking)), unit: 'share' },
        },
        curve: { name, kind, points: rocPoints(ranking) },
      }
    },
  }
}

function rowsOf(calls: readonly FeatureCall[]): readonly (readonly number[])[] {
  const rows = new FeatureRows()
  return calls.map((call) => rows.next(call))
}

function areaMetric({ kind }: Scored, value: number | null): Metric {
  return {
    value: value === null ? null : rounded(value),
    unit: 'ratio',
    better: kind === 'own' ? 'higher' : 'neither',
    tolerance: 0.005,
  }
}

/** Refused clients found against others per 1,000, where the ranking meets a refused one. */
function rocPoints(ranking: readonly Ranked[]): Curve['points'] {
  const total = ranking.filter((c) => c.positive).length
  const points: [number, number][] = []
  let found = 0
  let others = 0
  for (const { positive } of ranking) {
    if (!positive) others++
    else points.push([rounded((1000 * others) / (ranking.length - total)), rounded(++found / total)])
  }
  return points
}
