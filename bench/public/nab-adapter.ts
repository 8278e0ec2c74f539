import type { Control } from '../judging/controls.ts'
import { CallJudge } from './call-judge.ts'
import type { Scores } from './nab-scoring.ts'
import type { Series } from './nab-series.ts'

/** Sizes are whole bytes: one unit of a series is this many, the same for all series. */
const BYTES_PER_UNIT = 1_000
const DAY_MS = 86_400_000
/** Windowed Gaussian of NAB 1.1: rows in the window. */
const GAUSSIAN_ROWS = 6_400
const GAUSSIAN_STEP = 100

/** How a series was read: the surprise of each row, and the rows at which the engine opened an incident. */
export interface EngineReading {
  readonly surprise: Scores
  readonly opened: Scores
}

function bytesOf(value: number): number {
  return Math.max(0, Math.round(value * BYTES_PER_UNIT))
}

/** Each series is one caller whose every row is a call of that size; state is new for each series. */
export function readWithEngine(series: readonly Series[]): EngineReading {
  const surprise: Float64Array[] = []
  const opened: Float64Array[] = []
  for (const { times, values } of series) {
    const engine = new CallJudge()
    const judged = Array.from(times, (time, row) =>
      engine.judge({
        time,
        principal: 'series',
        method: 'GET',
        path: '/series',
        responseBytes: bytesOf(values[row]!),
      }),
    )
    surprise.push(Float64Array.from(judged, (j) => j.surprise))
    opened.push(Float64Array.from(judged, (j) => (j.opened ? 1 : 0)))
  }
  return { surprise, opened }
}

/**
 * One alarm per caller and 24 h, for any threshold: a row keeps its score when it exceeds all scores of the
 * 24 h before it, and has 0 otherwise. Whatever the threshold, the first row above it after a quiet day
 * stays, and a plateau behind it goes.
 */
export function pulses(series: readonly Series[], scores: Scores): Scores {
  return series.map(({ times }, f) => {
    const own = scores[f]!
    const out = new Float64Array(own.length)
    /** Rows of the last 24 h with falling scores: the first is the largest. */
    const highs: number[] = []
    let newest = Number.NEGATIVE_INFINITY
    for (let row = 0; row < own.length; row++) {
      // A series that steps back in time is read as standing still.
      newest = Math.max(newest, times[row]!)
      while (highs.length > 0 && times[highs[0]!]! <= newest - DAY_MS) highs.shift()
      if (highs.length === 0 || own[row]! > own[highs[0]!]!) out[row] = own[row]!
      while (highs.length > 0 && own[highs.at(-1)!]! <= own[row]!) highs.pop()
      highs.push(row)
    }
    return out
  })
}

/** The controls of every benchmark, read like the engine: one caller per series, records are the sizes. */
export function controlScores(series: readonly Series[], make: () => Control): Scores {
  return series.map(({ name, times, values }) => {
    const control = make()
    return Float64Array.from(times, (time, row) => {
      const score = control.score({ id: `${name}:${row}`, caller: 0, time, records: bytesOf(values[row]!) })
      return score ?? 0
    })
  })
}

/**
 * A control that knows no hours and no prior: two-sided surprise of a row under the mean and deviation of
 * the rows before it (at most 6,400, renewed every 100 rows), as in the windowed Gaussian of NAB.
 */
export function gaussianScores(series: readonly Series[]): Scores {
  return series.map(({ values }) => {
    let mean = 0
    let deviation = 0
    return values.map((value, row) => {
      if (row > 0 && (row < GAUSSIAN_STEP || row % GAUSSIAN_STEP === 0)) {
        const past = values.subarray(Math.max(0, row - GAUSSIAN_ROWS), row)
        mean = past.reduce((a, b) => a + b, 0) / past.length
        deviation = Math.sqrt(past.reduce((a, b) => a + (b - mean) ** 2, 0) / past.length)
      }
      if (row === 0) return 0
      return Math.abs(value - mean) / (deviation === 0 ? 1e-6 : deviation)
    })
  })
}
