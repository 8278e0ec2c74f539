import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'
import { readToken } from '../../../enforcement/decision-endpoint-tokens.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyIndex } from '../../../enforcement/gateways/deny-list-index.ts'
import { parseRule } from '../../../enforcement/gateways/deny-list-store.ts'
import { SlidingThrottle } from '../../../enforcement/gateways/deny-list-throttle.ts'

const UNTIL = wallTime(2_000_000)
const text = fc.string({ unit: 'binary', maxLength: 12 })
const issuer = fc.option(text, { nil: null })
const principal = fc.record({
  kind: fc.constantFrom('consumer', 'sub', 'app', 'key', 'account', 'ip'),
  id: text,
  label: text,
  verified: fc.boolean(),
})
const scope: fc.Arbitrary<Rule['scope']> = fc.oneof(
  fc.record({ kind: fc.constant('token' as const), iss: issuer, jti: text }),
  fc.record({ kind: fc.constant('token-issue' as const), iss: issuer, sub: text, iat: fc.integer() }),
  fc.record({
    kind: fc.constant('subject' as const),
    iss: issuer,
    sub: text,
    notBefore: fc.option(fc.integer(), { nil: null }),
  }),
  fc.record({ kind: fc.constant('credential' as const), credential: text, principal }),
  fc.record({ kind: fc.constant('principal' as const), principal }),
)
const rule: fc.Arbitrary<Rule> = fc.record({
  id: fc.string({ minLength: 1, maxLength: 4 }),
  action: fc.constantFrom('block', 'revoke-token', 'revoke-credential'),
  scope,
  limit: fc.constant(null),
  until: fc.constant(UNTIL),
})

/** The question of exactly the caller that a scope names. */
function caller({ scope: of }: Rule) {
  const token = { iss: null, sub: null, jti: null, iat: null, exp: 1, malformed: false }
  const none = { token: null, principals: [], credentials: [] }
  if (of.kind === 'token') return { ...none, token: { ...token, iss: of.iss, jti: of.jti } }
  if (of.kind === 'token-issue')
    return { ...none, token: { ...token, iss: of.iss, sub: of.sub, iat: of.iat } }
  if (of.kind === 'subject') return { ...none, token: { ...token, iss: of.iss, sub: of.sub } }
  if (of.kind === 'credential') return { ...none, credentials: [of.credential] }
  return { ...none, principals: [of.principal] }
}

describe('the deny list', () => {
  it('refuses whoever a live rule names, and nobody once all are removed or expired', () => {
    fc.assert(
      fc.property(fc.uniqueArray(rule, { selector: (one) => one.id, maxLength: 6 }), (rules) => {
        const index = new DenyIndex()
        for (const one of rules) index.put(one)
        for (const one of rules) expect(index.refusal(caller(one), wallTime(UNTIL - 1))).not.toBeNull()
        for (const one of rules) expect(index.refusal(caller(one), UNTIL)).toBeNull()
        for (const one of rules) index.remove(one.id)
        for (const one of rules) expect(index.refusal(caller(one), wallTime(0))).toBeNull()
        expect(index.size).toBe(0)
      }),
    )
  })

  it('keeps every rule through its store', () => {
    fc.assert(
      fc.property(rule, (one) => {
        expect(parseRule(one.id, JSON.stringify({ layout: 1, ...one }))).toEqual(one)
      }),
    )
  })

  it('reads any stored text or says what is wrong', () => {
    fc.assert(
      fc.property(fc.oneof(fc.json(), text), (stored) => {
        try {
          parseRule('x', stored)
        } catch (error) {
          expect(error).toBeInstanceOf(CurfewError)
        }
      }),
    )
  })

  it('reads any token text without failing', () => {
    const part = (value: string): string => Buffer.from(value).toString('base64url')
    const token = fc.tuple(fc.json(), fc.json(), text).map((parts) => parts.map(part).join('.'))
    fc.assert(
      fc.property(fc.oneof(token, text), (one) => {
        expect(() => readToken(one)).not.toThrow()
      }),
    )
  })
})

describe('a sliding throttle', () => {
  it('never admits more than its limit in any window', () => {
    const gaps = fc.array(fc.integer({ min: 0, max: 3_000 }), { maxLength: 200 })
    const limit = fc.record({
      requests: fc.integer({ min: 0, max: 5 }),
      windowSeconds: fc.integer({ min: 1, max: 10 }),
    })
    fc.assert(
      fc.property(limit, gaps, (of, waits) => {
        const throttle = new SlidingThrottle(of)
        const admitted: number[] = []
        let now = 1_000_000
        for (const wait of waits) {
          now += wait
          if (throttle.waitMs(now) > 0) continue
          throttle.admit(now)
          admitted.push(now)
        }
        for (const start of admitted) {
          const within = admitted.filter((time) => time >= start && time < start + of.windowSeconds * 1_000)
          expect(within.length).toBeLessThanOrEqual(of.requests)
        }
      }),
    )
  })
})
