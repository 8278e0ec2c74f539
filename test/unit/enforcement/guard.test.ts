import { describe, expect, it } from 'vitest'
import { DEFAULT_GUARD, guardReason } from '../../../enforcement/guard.ts'

const NOW = 10_000_000
const restricted = (count: number, at = NOW) =>
  new Map(Array.from({ length: count }, (_, i) => [`p${i}`, at]))
const question = { now: NOW, principal: 'new', restricted: restricted(0), knownPrincipals: 100, liveRules: 0 }

describe('guardReason', () => {
  it('lets 20 principals per 10 minutes pass and stops the 21st', () => {
    expect(guardReason(DEFAULT_GUARD, { ...question, restricted: restricted(19) })).toBeNull()
    expect(guardReason(DEFAULT_GUARD, { ...question, restricted: restricted(20) })).toMatch(
      /20 principals .*bound 20/,
    )
  })

  it('takes 1 % of the known principals when that is more', () => {
    const many = { ...question, knownPrincipals: 3_000 }
    expect(guardReason(DEFAULT_GUARD, { ...many, restricted: restricted(29) })).toBeNull()
    expect(guardReason(DEFAULT_GUARD, { ...many, restricted: restricted(30) })).toMatch(/bound 30/)
  })

  it('does not count what lies outside the window, nor a further rung for the same principal', () => {
    const old = restricted(50, NOW - DEFAULT_GUARD.windowMs)
    expect(guardReason(DEFAULT_GUARD, { ...question, restricted: old })).toBeNull()
    expect(
      guardReason(DEFAULT_GUARD, { ...question, principal: 'p3', restricted: restricted(50) }),
    ).toBeNull()
  })

  it('stops at the number of rules that may stand, whoever is meant', () => {
    expect(guardReason(DEFAULT_GUARD, { ...question, liveRules: 1_000 })).toMatch(/1000 rules/)
    expect(guardReason(DEFAULT_GUARD, { ...question, liveRules: 999 })).toBeNull()
  })
})
