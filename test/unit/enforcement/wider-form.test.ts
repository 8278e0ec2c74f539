import { describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import type { LedgerEntry } from '../../../enforcement/ledger.ts'
import { Placement } from '../../../enforcement/placement.ts'
import { sampleDecision } from '../../services/decision-ledger.ts'

const clock = { now: () => wallTime(0) }
const list = (name: string, knowsAddress: boolean) =>
  new DenyList({ name, store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0, knowsAddress })

describe('a decision about one network', () => {
  const base = sampleDecision({ evidenceAt: 0 })
  const { principal } = base
  const limit = { requests: 6, windowSeconds: 60 }
  const wider = { action: 'throttle', scope: { kind: 'principal', principal }, limit } as const
  const scope = { kind: 'network', network: '203.0.113.0', principal } as const
  const decision = { ...base, action: 'block', scope, limit: null, wider } as const
  const [able, unable] = [list('able', true), list('unable', false)]
  const placement = new Placement([able, unable])
  const entry = (of: LedgerEntry['decision']): LedgerEntry => ({
    decision: of,
    status: 'pending',
    statusReason: null,
    issuedAt: 0,
    until: 1_000,
    approved: false,
    startedAt: [],
    receipts: [],
  })

  it('is held as it is where the gateway can tell networks, and in its wider form elsewhere', () => {
    expect(placement.targets(decision)).toEqual([able, unable])
    expect(placement.rulesAt(able, entry(decision))).toMatchObject([{ action: 'block', scope, limit: null }])
    expect(placement.rulesAt(unable, entry(decision))).toMatchObject([wider])
  })

  it('is not held where neither form can be', () => {
    const { wider: _, ...alone } = decision
    expect(placement.targets(alone)).toEqual([able])
  })
})
