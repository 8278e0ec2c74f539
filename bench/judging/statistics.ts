import { seededRandom } from '../seeded-random.ts'

/** A 95 % interval. */
export type Interval = readonly [low: number, high: number]

/** Two-sided 95 % point of the standard normal distribution. */
const Z95 = 1.959963984540054
const RESAMPLES = 2_000
const ROUNDED = 1e6

/** Wilson's score interval of `hits` in `trials` (Wilson, JASA 22 (1927) 209); the whole range when nothing was tried. */
export function wilson(hits: number, trials: number): Interval {
  if (trials === 0) return [0, 1]
  const p = hits / trials
  const z2 = Z95 * Z95
  const middle = (p + z2 / (2 * trials)) / (1 + z2 / trials)
  const half = (Z95 / (1 + z2 / trials)) * Math.sqrt((p * (1 - p)) / trials + z2 / (4 * trials * trials))
  return [hits === 0 ? 0 : rounded(middle - half), hits === trials ? 1 : rounded(middle + half)]
}

/**
 * Percentile bootstrap: the statistic of `RESAMPLES` resamples of the units with replacement. Units are attacks
 * or principals, never events, because events of one unit are not independent. Null for no units.
 */
export function bootstrap<Unit>(
  units: readonly Unit[],
  statistic: (sample: readonly Unit[]) => number | null,
  seed: number,
): Interval | null {
  if (units.length === 0) return null
  const random = seededRandom(seed)
  const values: number[] = []
  const sample = new Array<Unit>(units.length)
  for (let i = 0; i < RESAMPLES; i++) {
    for (let k = 0; k < sample.length; k++) sample[k] = units[(random() * units.length) | 0]!
    const value = statistic(sample)
    if (value !== null) values.push(value)
  }
  if (values.length === 0) return null
  values.sort((a, b) => a - b)
  return [rounded(quantile(values, 0.025)), rounded(quantile(values, 0.975))]
}

/** The quantile of sorted values, linear between neighbours. */
export function quantile(sorted: readonly number[], q: number): number {
  const at = (sorted.length - 1) * q
  const low = Math.floor(at)
  const high = Math.min(sorted.length - 1, low + 1)
  return sorted[low]! + (sorted[high]! - sorted[low]!) * (at - low)
}

/** Null of nothing. */
export function median(values: readonly number[]): number | null {
  return values.length === 0
    ? null
    : quantile(
        values.toSorted((a, b) => a - b),
        0.5,
      )
}

/** Null of nothing. */
export function mean(values: readonly number[]): number | null {
  return values.length === 0 ? null : values.reduce((sum, v) => sum + v, 0) / values.length
}

/** The largest expectation under which `count` or fewer still happen with a probability of 5 % (Garwood 1936, one side). */
export function poissonUpper(count: number): number {
  let low = count
  let high = count + 10 + 5 * Math.sqrt(count + 1)
  for (let i = 0; i < 100; i++) {
    const middle = (low + high) / 2
    if (poissonAtMost(count, middle) > 0.05) low = middle
    else high = middle
  }
  return rounded(high)
}

function poissonAtMost(count: number, expectation: number): number {
  let logTerm = -expectation
  let sum = Math.exp(logTerm)
  for (let k = 1; k <= count; k++) {
    logTerm += Math.log(expectation / k)
    sum += Math.exp(logTerm)
  }
  return sum
}

/** Six decimals, so that results do not end in noise. */
export function rounded(value: number): number {
  return Math.round(value * ROUNDED) / ROUNDED
}
