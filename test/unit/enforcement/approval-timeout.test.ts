import { describe, expect, it } from 'vitest'
import type { ApprovalTimeout, OnTimeout } from '../../../core/decision.ts'
import { becomes, decision, START, started, TestGateway } from './enforcer-rig.ts'

const BY = START + 900_000
const iso = (time: number) => new Date(time).toISOString()
const asked = (onTimeout: OnTimeout) =>
  decision({ mode: 'approve', approval: { by: iso(BY), onTimeout, because: null } })
const timeout = (outcome: OnTimeout, changes: Partial<ApprovalTimeout> = {}): ApprovalTimeout => ({
  decision: 'dec_1',
  outcome,
  at: BY,
  by: null,
  evidenceAt: BY - 1_000,
  reason: 'nobody agreed',
  ...changes,
})

async function waiting(onTimeout: OnTimeout, changes: Parameters<typeof started>[0] = { gateways: [] }) {
  const gateway = new TestGateway('a')
  const { enforcer, clock, ledger } = await started({ ...changes, gateways: [gateway] })
  await enforcer.accept(asked(onTimeout))
  clock.advance(BY - START)
  return { enforcer, clock, gateway, ledger }
}

describe('a decision that nobody agreed to in time', () => {
  it('shows until when it waits and what happens then, and waits although the wall clock is later', async () => {
    const { enforcer, clock, gateway } = await waiting('drop')
    clock.advance(3_600_000)
    expect(enforcer.view('dec_1')).toMatchObject({
      status: 'awaiting-approval',
      approval: { by: iso(BY), onTimeout: 'drop' },
    })
    expect(gateway.calls).toEqual([])
  })

  it('ends when the engine drops it, and cannot be agreed to any more', async () => {
    const { enforcer, gateway } = await waiting('drop')
    await enforcer.noteTimeout(timeout('drop'))
    expect(enforcer.view('dec_1')).toMatchObject({
      status: 'expired',
      statusReason: 'nobody agreed',
      approval: null,
    })
    expect(await enforcer.approve('dec_1')).toMatchObject({ ok: false, why: 'conflict' })
    expect(gateway.calls).toEqual([])
  })

  it('waits on when it is asked anew, also after a restart', async () => {
    const { enforcer, ledger } = await waiting('extend')
    await enforcer.noteTimeout(timeout('extend', { by: BY + 900_000 }))
    expect(enforcer.view('dec_1')!.approval).toEqual({ by: iso(BY + 900_000), onTimeout: 'extend' })
    const again = await started({ gateways: [], ledger })
    expect(again.enforcer.view('dec_1')!.approval!.by).toBe(iso(BY + 900_000))
  })

  it('acts when silence means yes, on fresh evidence', async () => {
    const { enforcer, gateway } = await waiting('act')
    await enforcer.noteTimeout(timeout('act'))
    await becomes(enforcer, 'dec_1', 'in-force')
    expect(gateway.calls).toEqual(['put dec_1'])
    expect(enforcer.view('dec_1')!.issuedAt).toBe(iso(BY))
    await enforcer.noteTimeout(timeout('act'))
    await enforcer.noteTimeout(timeout('drop'))
    expect(enforcer.view('dec_1')!.status).toBe('in-force')
  })

  it.each([
    ['stale evidence', {}, { evidenceAt: BY - 300_001 }, /stale evidence/],
    ['the allow list', { isAllowed: () => 'nightly backup' }, {}, /allow list/],
    [
      'the mass-action guard',
      { guard: { windowMs: 600_000, newPrincipals: 0, shareOfPrincipals: 0, maxLiveRules: 10 } },
      {},
      /mass-action guard/,
    ],
  ] as const)('does not act against %s', async (_, options, changes, reason) => {
    const { enforcer, gateway } = await waiting('act', { gateways: [], ...options })
    await enforcer.noteTimeout(timeout('act', changes))
    const view = enforcer.view('dec_1')!
    expect(view.status).toBe('withheld')
    expect(view.statusReason).toMatch(reason)
    expect(gateway.calls).toEqual([])
  })

  it('does nothing to one that a person agreed to or lifted, or that is not known', async () => {
    const { enforcer } = await waiting('drop')
    await enforcer.approve('dec_1')
    await enforcer.noteTimeout(timeout('drop'))
    await becomes(enforcer, 'dec_1', 'in-force')
    await enforcer.noteTimeout(timeout('act', { decision: 'dec_none' }))
    expect(enforcer.views()).toHaveLength(1)
  })

  it('is forgotten when the engine says nothing about it for a week', async () => {
    const { enforcer, clock } = await waiting('act')
    clock.advance(7 * 86_400_000)
    expect(enforcer.view('dec_1')!.status).toBe('expired')
  })
})
