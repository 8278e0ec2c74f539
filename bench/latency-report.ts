import { quantileSorted } from 'simple-statistics'
import type { Pair, Trip } from './latency-trips.ts'

/** Median and 99th percentile, milliseconds. */
export interface Spread {
  readonly median: number
  readonly p99: number
}

/** What one phase came to. */
export interface PhaseResult {
  readonly phase: string
  readonly trips: number
  readonly bare: Spread
  readonly ours: Spread
  /** Differences of the percentiles: what the goal is about. */
  readonly added: Spread
  /** Percentiles of the differences within pairs, which carry the noise of both. */
  readonly pairwise: Spread
  /** Median time between two requests of the polling client: a trip ends up to so much late. */
  readonly pollMs: number
  readonly verdict: Verdict
}

export type Verdict = 'goal' | 'floor' | 'missed'

export const GOAL: Spread = { median: 5, p99: 50 }
export const FLOOR: Spread = { median: 10, p99: 100 }

export function spreadOf(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  return { median: rounded(quantileSorted(sorted, 0.5)), p99: rounded(quantileSorted(sorted, 0.99)) }
}

function rounded(value: number): number {
  return Number(value.toFixed(2))
}

export function verdictOf(added: Spread): Verdict {
  const within = (bound: Spread) => added.median <= bound.median && added.p99 <= bound.p99
  return within(GOAL) ? 'goal' : within(FLOOR) ? 'floor' : 'missed'
}

/** Sums a phase up. */
export function phaseResult(phase: string, pairs: readonly Pair[]): PhaseResult {
  const times = (pick: (pair: Pair) => Trip) => pairs.map((pair) => pick(pair).ms)
  const bare = spreadOf(times((pair) => pair.bare))
  const ours = spreadOf(times((pair) => pair.ours))
  const added = { median: rounded(ours.median - bare.median), p99: rounded(ours.p99 - bare.p99) }
  const polls = pairs.flatMap((pair) => [pair.ours.pollMs, pair.bare.pollMs])
  return {
    phase,
    trips: pairs.length,
    bare,
    ours,
    added,
    pairwise: spreadOf(pairs.map((pair) => pair.ours.ms - pair.bare.ms)),
    pollMs: spreadOf(polls).median,
    verdict: verdictOf(added),
  }
}

const WORDS: Readonly<Record<Verdict, string>> = {
  goal: `within the goal (${GOAL.median} / ${GOAL.p99} ms)`,
  floor: `within the floor (${FLOOR.median} / ${FLOOR.p99} ms), not the goal`,
  missed: `beyond the floor (${FLOOR.median} / ${FLOOR.p99} ms)`,
}

/** A phase in words; all times are milliseconds, median / 99th percentile. */
export function phaseText(result: PhaseResult): string {
  const show = ({ median, p99 }: Spread) => `${median.toFixed(1)} / ${p99.toFixed(1)}`
  return [
    `${result.phase}: ${result.trips} round trips through each chain, median / p99 in ms`,
    `  bare chain ${show(result.bare)}, Curfew ${show(result.ours)}`,
    `  added ${show(result.added)} (pair by pair ${show(result.pairwise)}), one request each ${result.pollMs.toFixed(1)} ms`,
    `  ${WORDS[result.verdict]}`,
  ].join('\n')
}
