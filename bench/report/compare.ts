import { CurfewError } from '../../core/errors.ts'
import type { BenchmarkResult, Metric } from './result.ts'
import { shown } from './result.ts'
import { readResult } from './result-file.ts'

/** What became of one metric from one result to the other. */
export interface Change {
  readonly metric: string
  readonly verdict: 'same' | 'within' | 'better' | 'worse' | 'changed' | 'added' | 'removed'
  readonly before: Metric | null
  readonly after: Metric | null
  readonly delta: number | null
}

/**
 * Compares two results metric by metric with the tolerances of the first. `within` moved less than the
 * tolerance; `changed` moved more but has no better direction. `USAGE` when they are of different benchmarks.
 */
export function compareResults(before: BenchmarkResult, after: BenchmarkResult): readonly Change[] {
  if (before.benchmark !== after.benchmark) {
    throw new CurfewError(
      'USAGE',
      `a result of ${before.benchmark} cannot be compared with one of ${after.benchmark}`,
    )
  }
  const names = new Set([...Object.keys(before.metrics), ...Object.keys(after.metrics)])
  return [...names].map((metric) =>
    changeOf(metric, before.metrics[metric] ?? null, after.metrics[metric] ?? null),
  )
}

/** Settings that differ, one line each. */
export function changedSettings(before: BenchmarkResult, after: BenchmarkResult): readonly string[] {
  const names = new Set([...Object.keys(before.settings), ...Object.keys(after.settings)])
  return [...names].flatMap((name) => {
    const [a, b] = [JSON.stringify(before.settings[name]), JSON.stringify(after.settings[name])]
    return a === b ? [] : [`${name}: ${a} -> ${b}`]
  })
}

/**
 * `npm run bench -- compare A.json B.json`: what a reviewer reads. Sets exit code 1 when a metric got worse
 * beyond its tolerance or went away.
 */
export async function run(args: readonly string[]): Promise<void> {
  const [first, second, ...rest] = args
  if (first === undefined || second === undefined || rest.length > 0) {
    throw new CurfewError('USAGE', 'compare needs two result files: compare A.json B.json')
  }
  const [before, after] = [readResult(first), readResult(second)]
  const changes = compareResults(before, after)
  for (const line of changedSettings(before, after)) process.stdout.write(`setting ${line}\n`)
  for (const change of changes) process.stdout.write(`${changeLine(change)}\n`)
  const count = (verdict: Change['verdict']) => changes.filter((c) => c.verdict === verdict).length
  const verdicts = ['better', 'worse', 'changed', 'within', 'same', 'added', 'removed'] as const
  const summary = Object.fromEntries(verdicts.map((verdict) => [verdict, count(verdict)]))
  process.stdout.write(`${JSON.stringify({ benchmark: before.benchmark, ...summary })}\n`)
  if (count('worse') + count('removed') > 0) process.exitCode = 1
}

function changeOf(metric: string, before: Metric | null, after: Metric | null): Change {
  const change = { metric, before, after }
  if (before === null) return { ...change, verdict: 'added', delta: null }
  if (after === null) return { ...change, verdict: 'removed', delta: null }
  if (before.value === after.value) return { ...change, verdict: 'same', delta: 0 }
  if (before.value === null) return { ...change, verdict: 'better', delta: null }
  if (after.value === null) return { ...change, verdict: 'worse', delta: null }
  const delta = after.value - before.value
  if (Math.abs(delta) <= before.tolerance) return { ...change, verdict: 'within', delta }
  if (before.better === 'neither') return { ...change, verdict: 'changed', delta }
  return { ...change, verdict: delta > 0 === (before.better === 'higher') ? 'better' : 'worse', delta }
}

function changeLine({ metric, verdict, before, after, delta }: Change): string {
  const { unit } = (before ?? after)!
  const show = (m: Metric | null) => (m === null ? 'absent' : shown(m.value, unit))
  const moved = delta === null || delta === 0 ? '' : ` (${delta > 0 ? '+' : ''}${shown(delta, unit)})`
  const bound = before === null ? '' : `, tolerance ${shown(before.tolerance, unit)}`
  return `${verdict.padEnd(7)}  ${metric}  ${show(before)} -> ${show(after)}${moved}${bound}`
}
