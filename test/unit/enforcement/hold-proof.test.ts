import { describe, expect, it } from 'vitest'
import { firstEnd } from '../../../enforcement/enforcer-judgement.ts'
import { proofOf, withProof } from '../../../enforcement/hold-proof.ts'
import type { LedgerEntry } from '../../../enforcement/ledger.ts'
import { sampleDecision } from '../../services/decision-ledger.ts'

const NOW = Date.parse('2026-11-23T03:00:00Z')
const BY = NOW + 10_000

function entry(changes: Partial<LedgerEntry> = {}): LedgerEntry {
  return {
    decision: sampleDecision({ evidenceAt: NOW }),
    status: 'in-force',
    statusReason: null,
    issuedAt: NOW,
    until: NOW + 3_600_000,
    approved: false,
    startedAt: ['a'],
    receipts: [],
    ...changes,
  }
}

const seen = (proof: 'held' | 'leaking', at: number) => ({ decision: 'dec_1', proof, at })

describe('proof of hold', () => {
  it('is untested until the traffic shows something, and nothing where nothing acts', () => {
    expect(proofOf(entry())).toEqual({ state: 'untested', at: null })
    expect(proofOf(entry({ status: 'observed', issuedAt: null }))).toBeNull()
  })

  it('is held from the first refusal on', () => {
    const held = withProof(entry(), seen('held', NOW + 50), BY)
    expect(proofOf(held!)).toEqual({ state: 'held', at: '2026-11-23T03:00:00.050Z' })
    expect(withProof(held!, seen('held', NOW + 90), BY)).toBeNull()
  })

  it('is leaking only for a call later than the slowest gateway plus 10 s, and a refusal does not heal it', () => {
    expect(withProof(entry(), seen('leaking', BY + 10_000), BY)).toBeNull()
    const leaking = withProof(entry(), seen('leaking', BY + 10_001), BY)
    expect(proofOf(leaking!)?.state).toBe('leaking')
    expect(withProof(leaking!, seen('leaking', BY + 30_000), BY)).toBeNull()
    expect(proofOf(withProof(leaking!, seen('held', BY + 30_000), BY)!)?.state).toBe('leaking')
  })

  it('says nothing about a decision that no longer stands or that no gateway is meant to hold', () => {
    expect(withProof(entry({ status: 'superseded' }), seen('leaking', BY + 60_000), BY)).toBeNull()
    expect(withProof(entry(), seen('held', NOW), null)).toBeNull()
  })
})

describe('the end of a revocation', () => {
  const scope = { kind: 'token', iss: null, jti: 'x' } as const
  const end = (changes: Parameters<typeof sampleDecision>[0]) =>
    firstEnd(sampleDecision(changes), NOW, 86_400)

  it('of a token with unknown exp is the longest life of a token, not the hold', () => {
    const unknown = { evidenceAt: NOW, action: 'revoke-token', scope, limit: null } as const
    expect(end(unknown)).toBe(NOW + 86_400_000)
    expect(end({ ...unknown, scope: { kind: 'token-issue', iss: null, sub: 's', iat: 1 } })).toBe(
      NOW + 86_400_000,
    )
    expect(end({ ...unknown, tokenExp: NOW / 1_000 + 60 })).toBe(NOW + 60_000)
    expect(end({ ...unknown, action: 'block' })).toBe(NOW + 3_600_000)
    expect(end({ ...unknown, scope: { kind: 'subject', iss: null, sub: 's', notBefore: null } })).toBe(
      NOW + 3_600_000,
    )
  })
})
