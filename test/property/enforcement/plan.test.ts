import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Scope, strengthOf } from '../../../core/decision.ts'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { covers, effectiveRules, plan, scopeKey } from '../../../enforcement/plan.ts'

const NOW = wallTime(1_000_000)
const principal = (name: string): Principal => ({
  kind: 'sub',
  id: JSON.stringify(['iss', name]),
  label: name,
  verified: true,
})
const name = fc.constantFrom('a', 'b')

const scope: fc.Arbitrary<Scope> = fc.oneof(
  fc.record({ kind: fc.constant('token' as const), iss: fc.constant('iss'), jti: name }),
  fc.record({
    kind: fc.constant('token-issue' as const),
    iss: fc.constant('iss'),
    sub: name,
    iat: fc.constantFrom(5, 15),
  }),
  fc.record({
    kind: fc.constant('subject' as const),
    iss: fc.constant('iss'),
    sub: name,
    notBefore: fc.constantFrom(null, 10, 20),
  }),
  fc.record({ kind: fc.constant('principal' as const), principal: name.map(principal) }),
)

const rule: fc.Arbitrary<Rule> = fc
  .record({
    id: fc.integer({ min: 0, max: 30 }).map((n) => `dec_${n}`),
    action: fc.constantFrom('throttle' as const, 'block' as const, 'revoke-token' as const),
    scope,
    requests: fc.integer({ min: 1, max: 3 }),
    until: fc.integer({ min: 990, max: 1_050 }).map((s) => wallTime(s * 1_000)),
  })
  .map(({ requests, ...rest }) => ({
    ...rest,
    limit: rest.action === 'throttle' ? { requests, windowSeconds: 10 } : null,
  }))

const distinct = fc.uniqueArray(rule, { selector: (r) => r.id, maxLength: 12 })

/** What a gateway holds after the puts and removes of a plan. */
function apply(actual: readonly Rule[], next: ReturnType<typeof plan>): Rule[] {
  const held = actual.filter((r) => !next.put.some((p) => p.id === r.id))
  return [...held, ...next.put].filter((r) => !next.remove.includes(r.id))
}

const byId = (rules: readonly Rule[]) => [...rules].sort((a, b) => (a.id < b.id ? -1 : 1))

describe('plan', () => {
  it('makes the gateway hold exactly the effective rules, and asks for nothing more', () => {
    fc.assert(
      fc.property(distinct, fc.array(rule, { maxLength: 12 }), (desired, actual) => {
        const after = apply(actual, plan(desired, actual, NOW))
        const close = (r: Rule) => ({ ...r, scope: scopeKey(r.scope), until: null })
        expect(byId(after).map(close)).toEqual(byId(effectiveRules(desired, NOW)).map(close))
        expect(plan(desired, after, NOW)).toMatchObject({ put: [], remove: [] })
      }),
    )
  })

  it('never leaves a desired restriction without a rule at least as wide and as strong', () => {
    fc.assert(
      fc.property(distinct, (desired) => {
        const effective = effectiveRules(desired, NOW)
        for (const wanted of desired.filter((r) => r.until > NOW)) {
          const kept = effective.some(
            (r) => covers(r.scope, wanted.scope) && strengthOf(r.action) >= strengthOf(wanted.action),
          )
          expect(kept).toBe(true)
        }
      }),
    )
  })

  it('never keeps what has ended, and wakes at the first end', () => {
    fc.assert(
      fc.property(distinct, distinct, (desired, actual) => {
        const next = plan(desired, actual, NOW)
        const after = apply(actual, next)
        expect(after.every((r) => r.until + 1_000 > NOW)).toBe(true)
        const ends = effectiveRules(desired, NOW).map((r) => r.until as number)
        expect(next.wakeAt).toBe(ends.length === 0 ? null : Math.min(...ends))
      }),
    )
  })

  it('does not depend on the order of what it is given', () => {
    fc.assert(
      fc.property(distinct, (desired) => {
        const forwards = byId(effectiveRules(desired, NOW))
        expect(byId(effectiveRules([...desired].reverse(), NOW))).toEqual(forwards)
      }),
    )
  })
})
