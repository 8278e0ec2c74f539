import { controls } from '../judging/controls.ts'
import type { Curve } from '../report/result.ts'
import { type Call, CallJudge } from './call-judge.ts'

/** Scores that one judge gave to the calls of a log, in arrival order; 0 for no opinion. */
export interface Scored {
  readonly name: string
  readonly kind: Curve['kind']
  readonly scores: Float64Array
}

/** The engine's surprise of every call: scored first, then learnt, in one pass. */
export function engineScores(calls: readonly Call[]): Scored {
  const engine = new CallJudge()
  return { name: 'curfew', kind: 'own', scores: Float64Array.from(calls, (c) => engine.judge(c).surprise) }
}

/** The three controls of every benchmark over the same calls. Public sets state no records: they count as 0. */
export function controlScores(calls: readonly Call[]): readonly Scored[] {
  const numbers = new Map<string, number>()
  const callers = calls.map(({ principal }) => {
    const number = numbers.get(principal) ?? numbers.size
    numbers.set(principal, number)
    return number
  })
  return controls().map((control) => ({
    name: control.name,
    kind: 'control' as const,
    scores: Float64Array.from(calls, ({ time }, i) =>
      Math.max(0, control.score({ id: String(i), caller: callers[i]!, time, records: 0 }) ?? 0),
    ),
  }))
}
