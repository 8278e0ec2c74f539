import { describe, expect, it } from 'vitest'
import { CallBook } from '../../../../bench/judging/call-book.ts'
import { type DecisionLine, HoldBook } from '../../../../bench/judging/hold-book.ts'
import { Truth } from '../../../../bench/judging/truth.ts'
import type { Scope } from '../../../../core/decision.ts'
import type { Token } from '../../../../core/event.ts'
import { accessEvent, episode, HOUR, JUDGE, labels, principal, settled } from './tiny-world.ts'

const WHOLE: Scope = {
  kind: 'principal',
  principal: { kind: 'consumer', id: 'ann', label: 'ann', verified: true },
}
const SECOND = 1 / 3600

/** An attack of 100 calls, one a second, ten records each; `decision` is made at the call of that number. */
function left(
  decision: Partial<DecisionLine> & { readonly at: number },
  delays = [0, 10_000],
  token?: Token,
): readonly number[] {
  const ids = Array.from({ length: 100 }, (_, i) => `x${i}`)
  const world = labels([principal('ann')], [[episode('a1', 'ann', [10, 11]), ids]])
  const calls = new CallBook(new Truth(world))
  const holds = new HoldBook(delays)
  for (const call of settled('ann')) calls.next(accessEvent(call))
  for (const [i, id] of ids.entries()) {
    const tiny = {
      id,
      who: 'ann',
      hours: 10 + i * SECOND,
      records: 10,
      ...(token === undefined ? {} : { token }),
    }
    const call = calls.next(accessEvent(tiny))
    holds.before(call)
    if (i !== decision.at) continue
    const time = new Date(JUDGE + 10 * HOUR + i * 1000).toISOString()
    const line = { action: 'block' as const, scope: WHOLE, limit: null, holdSeconds: 3600 }
    holds.decide({ ...line, time, incident: 'i1', mode: 'enforce', ...decision }, call)
  }
  return holds.left.get('a1')!
}

describe('what a decision keeps back', () => {
  it('is everything behind a block, once it is in force', () => {
    expect(left({ at: 4 })).toEqual([50, 140])
  })

  it('is nothing without a decision', () => {
    expect(left({ at: 1_000 })).toEqual([1_000, 1_000])
  })

  it('ends when the hold does', () => {
    // Calls 5 to 14 are refused.
    expect(left({ at: 4, holdSeconds: 11 }, [0])).toEqual([900])
  })

  it('is what exceeds the rate of a throttle', () => {
    // Two calls in each ten seconds; windows begin with the hold at call 4: 0-4 pass, then two of 5-13 and of each ten.
    const limit = { requests: 2, windowSeconds: 10 }
    expect(left({ at: 4, action: 'throttle', limit }, [0])).toEqual([(5 + 2 * 10) * 10])
  })

  it('is only what the scope covers', () => {
    const own: Token = { iss: 'i', sub: 'ann', jti: 't1', iat: 1, exp: null, scopes: [] }
    const token = (jti: string): Scope => ({ kind: 'token', iss: 'i', jti })
    expect(left({ at: 4, action: 'revoke-token', scope: token('t1') }, [0], own)).toEqual([50])
    expect(left({ at: 4, action: 'revoke-token', scope: token('t2') }, [0], own)).toEqual([1_000])
    expect(left({ at: 4, action: 'revoke-token', scope: token('t1') }, [0])).toEqual([1_000])
  })

  it('counts an incident once, however often its hold is renewed', () => {
    const calls = new CallBook(new Truth(labels([principal('ann')], [])))
    const holds = new HoldBook([0])
    const call = calls.next(accessEvent({ id: 'b', who: 'ann', hours: 1 }))
    const line = { scope: WHOLE, limit: null, holdSeconds: 60, incident: 'i1', mode: 'enforce' as const }
    for (const action of ['throttle', 'block', 'throttle', 'revoke-token', 'release'] as const) {
      holds.decide({ ...line, action, time: new Date(JUDGE).toISOString() }, call)
    }
    expect(holds.actions.map((a) => a.kind)).toEqual(['throttle', 'revoke'])
  })
})
