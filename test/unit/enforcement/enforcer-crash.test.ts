import { describe, expect, it } from 'vitest'
import { eventually, MemoryLedger } from '../../services/decision-ledger.ts'
import { becomes, decision, started, TestGateway } from './enforcer-rig.ts'

describe('a crash around a release', () => {
  it('lifts at the next start what a crash kept a release from lifting', async () => {
    const gateway = new TestGateway('a')
    const first = await started({ gateways: [gateway] })
    await first.enforcer.accept(decision())
    await becomes(first.enforcer, 'dec_1', 'in-force')
    const release = decision({ id: 'dec_9', action: 'release', limit: null, reason: 'quiet for 1 h' })
    const ledger = new MemoryLedger()
    for (const entry of await first.ledger.load()) await ledger.save(entry)
    const noted = { statusReason: 'quiet for 1 h', issuedAt: null, until: null, approved: false }
    await ledger.save({ decision: release, status: 'released', ...noted, startedAt: [], receipts: [] })
    const { enforcer } = await started({ gateways: [gateway], ledger })
    expect(enforcer.view('dec_1')).toMatchObject({ status: 'released', statusReason: 'quiet for 1 h' })
    await eventually(() => gateway.calls.includes('remove dec_1'), 'the rule to go')
  })

  it('holds a caller that goes on while its release is being saved', async () => {
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway] })
    await enforcer.accept(decision({ action: 'block', limit: null }))
    await becomes(enforcer, 'dec_1', 'in-force')
    await Promise.all([
      enforcer.accept(decision({ id: 'dec_9', action: 'release', limit: null, reason: 'quiet for 1 h' })),
      enforcer.accept(decision({ id: 'dec_2', incident: 'inc_2' })),
    ])
    await becomes(enforcer, 'dec_2', 'in-force')
    expect(enforcer.view('dec_1')?.status).toBe('released')
  })

  it('keeps what was released as released, however close a change of its end', async () => {
    const gateway = new TestGateway('a')
    const { enforcer, ledger } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    const [lifted, extended] = await Promise.all([
      enforcer.release('dec_1', 'a mistake'),
      enforcer.extend('dec_1', 7_200),
    ])
    expect([lifted.ok, extended.ok]).toEqual([true, false])
    expect((await ledger.load()).map(({ status }) => status)).toEqual(['released'])
  })

  it('does not start what its release overtook', async () => {
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway] })
    await enforcer.accept(decision({ id: 'dec_9', action: 'release', limit: null, reason: 'quiet for 1 h' }))
    await enforcer.accept(decision())
    await enforcer.accept(decision({ id: 'dec_2', incident: 'inc_2' }))
    await becomes(enforcer, 'dec_2', 'in-force')
    expect(enforcer.view('dec_1')).toMatchObject({ status: 'released', statusReason: 'quiet for 1 h' })
    expect(gateway.calls).toEqual(['put dec_2'])
  })
})
