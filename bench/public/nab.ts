import { controls } from '../judging/controls.ts'
import { publish } from '../report/publish.ts'
import { BENCHMARK_VERSION, type BenchmarkResult } from '../report/result.ts'
import { detectorNames } from './call-judge.ts'
import { PublicData } from './data.ts'
import { controlScores, gaussianScores, pulses, readWithEngine } from './nab-adapter.ts'
import { type Judge, nabDetails, nabMetrics, windowCurve } from './nab-report.ts'
import { readSeries, type Series } from './nab-series.ts'

/**
 * `npm run bench -- nab [--data FOLDER] [--out FOLDER]`: the Numenta Anomaly Benchmark 1.1 as a regression
 * check of baseline and calibration, with the threshold left one category out.
 */
export async function run(args: readonly string[]): Promise<void> {
  const data = new PublicData(args)
  const series = readSeries(data)
  const judges = judgesOf(series)
  const own = judges[0]!
  const result: BenchmarkResult = {
    benchmark: 'nab',
    version: BENCHMARK_VERSION,
    settings: {
      data: data.fingerprint(),
      detectors: detectorNames(),
      reading: 'one row = one call of that size (1 unit = 1,000 bytes); one alarm per series and 24 h',
    },
    metrics: Object.assign({}, ...judges.map((judge) => nabMetrics(series, judge))),
    curves: {
      windows: judges.filter((j) => j.name !== OWN_INCIDENTS).map((judge) => windowCurve(series, judge)),
    },
    details: { ...nabDetails(series, own), published: PUBLISHED },
  }
  publish(result, args, {
    windows: {
      title: 'NAB 1.1: labelled windows found against false alarms',
      subtitle: `${BENCHMARK_VERSION}, 58 series, 116 windows, thresholds over all series (oracle threshold)`,
      xLabel: 'detected rows outside of windows per 1,000 such rows',
      yLabel: 'windows found',
      x: [0.1, 20],
      y: [0, 1],
      percent: true,
    },
  })
}

const OWN_INCIDENTS = 'curfew-incidents'

/** Leave-one-category-out standard / low-FP scores of published detectors on the same data, for scale. */
const PUBLISHED = {
  'windowed Gaussian': [39.13, 20.87],
  'random cut forest (Kinesis)': [37.68, 24.42],
  'earthgecko Skyline': [58.2, 46.2],
  'CAD OSE': [68.81, 66.12],
  'Numenta HTM': [69.29, 60.57],
  ARTime: [73.07, 62.07],
}

/** Curfew first. Every judge pulses alike: one alarm per series and 24 h. */
function judgesOf(series: readonly Series[]): readonly Judge[] {
  const engine = readWithEngine(series)
  const pulsing = (name: string, kind: Judge['kind'], scores: Judge['scores']): Judge => ({
    name,
    kind,
    scores: pulses(series, scores),
  })
  return [
    pulsing('curfew', 'own', engine.surprise),
    { name: OWN_INCIDENTS, kind: 'peer', scores: engine.opened },
    ...controls().map(({ name }, i) =>
      pulsing(
        name,
        'control',
        controlScores(series, () => controls()[i]!),
      ),
    ),
    pulsing('windowed-gaussian', 'peer', gaussianScores(series)),
  ]
}
