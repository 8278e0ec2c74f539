import { describe, expect, it } from 'vitest'
import { phaseResult, phaseText, verdictOf } from '../../../bench/latency-report.ts'
import type { Pair, Trip } from '../../../bench/latency-trips.ts'

function trip(ms: number): Trip {
  return { caller: 'caller', startedAt: 0, ms, polls: 4, pollMs: 1.5 }
}

/** Our chain is slower by `added(i)` than a bare chain that takes 10 ms, 11 ms, ... */
function pairs(count: number, added: (i: number) => number): readonly Pair[] {
  return Array.from({ length: count }, (_, i) => ({ bare: trip(10 + i), ours: trip(10 + i + added(i)) }))
}

describe('result of a phase', () => {
  it('tells the percentiles of both chains and what lies between them', () => {
    const result = phaseResult(
      'idle',
      pairs(101, () => 4),
    )
    expect(result).toEqual({
      phase: 'idle',
      trips: 101,
      bare: { median: 60, p99: 109 },
      ours: { median: 64, p99: 113 },
      added: { median: 4, p99: 4 },
      pairwise: { median: 4, p99: 4 },
      pollMs: 1.5,
      verdict: 'goal',
    })
  })

  it('keeps the two ways to subtract apart', () => {
    const result = phaseResult(
      'idle',
      pairs(1_000, (i) => (i === 0 ? 500 : 0)),
    )
    expect(result.added.p99).toBeLessThan(2)
    expect(result.pairwise).toEqual({ median: 0, p99: 0 })
    expect(
      phaseResult(
        'idle',
        pairs(100, (i) => (i < 3 ? 60 : 0)),
      ).pairwise.p99,
    ).toBe(60)
  })

  it('holds median and tail against goal and floor, bounds included', () => {
    expect(verdictOf({ median: 5, p99: 50 })).toBe('goal')
    expect(verdictOf({ median: 5.01, p99: 50 })).toBe('floor')
    expect(verdictOf({ median: 5, p99: 50.01 })).toBe('floor')
    expect(verdictOf({ median: 10, p99: 100 })).toBe('floor')
    expect(verdictOf({ median: 10.01, p99: 1 })).toBe('missed')
    expect(verdictOf({ median: 1, p99: 100.01 })).toBe('missed')
  })

  it('says in words what was missed', () => {
    const text = phaseText(
      phaseResult(
        'load 0.5',
        pairs(101, () => 20),
      ),
    )
    expect(text).toContain('bare chain 60.0 / 109.0, Curfew 80.0 / 129.0')
    expect(text).toContain('beyond the floor (10 / 100 ms)')
  })
})
