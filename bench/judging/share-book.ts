import type { Call } from './call-book.ts'

const SHARES = [0.1, 0.01, 0.001, 0.0001] as const
/** Calls that a caller needs in the judged period before its share says something. */
const MIN_CALLS = 100

/**
 * Whether a score means what it promises: on ordinary traffic about a share q of calls, each caller
 * weighing the same, scores above 1 - q.
 */
export class ShareBook {
  private readonly callers = new Map<number, { calls: number; readonly above: number[] }>()

  add(call: Call, score: number | null): void {
    if (!call.judged || call.kind !== 'ordinary' || score === null) return
    const counts = this.callers.get(call.caller) ?? { calls: 0, above: SHARES.map(() => 0) }
    this.callers.set(call.caller, counts)
    counts.calls++
    for (const [i, q] of SHARES.entries()) if (score > 1 - q) counts.above[i]! += 1
  }

  shares(): readonly { readonly q: number; readonly share: number; readonly callers: number }[] {
    const known = [...this.callers.values()].filter(({ calls }) => calls >= MIN_CALLS)
    return SHARES.map((q, i) => {
      const sum = known.reduce((total, { calls, above }) => total + above[i]! / calls, 0)
      return { q, share: known.length === 0 ? 0 : sum / known.length, callers: known.length }
    })
  }
}
