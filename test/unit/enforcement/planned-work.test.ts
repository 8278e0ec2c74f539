import { describe, expect, it } from 'vitest'
import { becomes, decision, started, TestGateway } from './enforcer-rig.ts'

describe('planned work, in the last step before a gateway', () => {
  const during = (groups: readonly string[]) =>
    groups.includes('org:acme') ? 'planned work until 05:00: migration' : null

  it('keeps a decision from starting', async () => {
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway], planned: (_, __, groups) => during(groups) })
    await enforcer.accept(decision({ groups: ['org:acme'] }))
    expect(enforcer.view('dec_1')).toMatchObject({
      status: 'withheld',
      statusReason: expect.stringMatching(/planned work/),
    })
    expect(gateway.calls).toEqual([])
    await enforcer.accept(decision({ id: 'dec_2', groups: ['org:other'] }))
    await becomes(enforcer, 'dec_2', 'in-force')
  })

  it('is asked again right before the call: work that was planned meanwhile counts', async () => {
    let planned: string | null = null
    const gateway = new TestGateway('a')
    gateway.failure = async () => {
      throw new Error('away')
    }
    const { enforcer } = await started({ gateways: [gateway], planned: () => planned })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'failed')
    planned = 'planned work until 05:00: migration'
    const tried = gateway.calls.length
    gateway.failure = null
    enforcer.recheck()
    await becomes(enforcer, 'dec_1', 'withheld')
    expect(gateway.calls).toHaveLength(tried)
    expect(gateway.rules.size).toBe(0)
  })

  it('lifts nothing that stands, and leaves a person free to agree', async () => {
    let planned: string | null = null
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway], planned: () => planned })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    planned = 'planned work until 05:00: migration'
    const other = { kind: 'sub', id: 'other', label: 'other', verified: true } as const
    await enforcer.accept(
      decision({
        id: 'dec_2',
        mode: 'approve',
        principal: other,
        scope: { kind: 'principal', principal: other },
      }),
    )
    expect(await enforcer.approve('dec_2')).toMatchObject({ ok: true })
    await becomes(enforcer, 'dec_2', 'in-force')
    enforcer.recheck()
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(enforcer.view('dec_1')!.status).toBe('in-force')
    expect(gateway.rules.size).toBe(2)
  })
})
