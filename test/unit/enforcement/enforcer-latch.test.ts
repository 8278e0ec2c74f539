import { describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { eventually } from '../../services/decision-ledger.ts'
import { becomes, decision, START, started, TestGateway } from './enforcer-rig.ts'

describe('a latch', () => {
  const LATCHED = 'latched to observe by curfew panic'

  it("lets nothing new act, not even with a person's approval, until it is gone", async () => {
    let latched: string | null = null
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway], latched: () => latched })
    await enforcer.accept(decision({ id: 'dec_waits', mode: 'approve' }))
    latched = LATCHED
    await enforcer.accept(decision())
    expect(enforcer.view('dec_1')).toMatchObject({ status: 'observed', statusReason: LATCHED, proof: null })
    expect(await enforcer.approve('dec_waits')).toMatchObject({ ok: false, detail: LATCHED })
    latched = null
    expect(await enforcer.approve('dec_waits')).toMatchObject({ ok: true })
    await becomes(enforcer, 'dec_waits', 'in-force')
    expect(gateway.calls).toEqual(['put dec_waits'])
  })

  it('that falls while a gateway is away withholds what has not started, and keeps what has', async () => {
    let latched: string | null = null
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway], latched: () => latched })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    gateway.failure = async () => {
      throw new CurfewError('GATEWAY_UNREACHABLE', 'away', { retriable: true })
    }
    const scope = { kind: 'token', iss: null, jti: 'x' } as const
    await enforcer.accept(decision({ id: 'dec_2', action: 'revoke-token', scope, limit: null }))
    await becomes(enforcer, 'dec_2', 'failed')
    latched = LATCHED
    gateway.failure = null
    await becomes(enforcer, 'dec_2', 'withheld')
    expect(enforcer.view('dec_2')?.statusReason).toBe(LATCHED)
    expect([...gateway.rules.keys()]).toEqual(['dec_1'])
  })

  it('that lifts everything ends what stands although the ledger cannot be written', async () => {
    let latched: string | null = null
    const gateway = new TestGateway('a')
    const lifting = { latched: () => latched, liftsAll: () => latched !== null }
    const { enforcer, ledger } = await started({ gateways: [gateway], ...lifting })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    ledger.failing = true
    latched = LATCHED
    await eventually(() => gateway.rules.size === 0, 'the rule to go')
    expect(enforcer.view('dec_1')).toMatchObject({ status: 'withheld', statusReason: LATCHED })
  })

  it('after the loss of the state leaves rules that nobody knows until they expire', async () => {
    const gateway = new TestGateway('a')
    const until = START + 60_000
    const scope = { kind: 'token', iss: null, jti: 'x' } as const
    gateway.rules.set('dec_lost', {
      id: 'dec_lost',
      action: 'revoke-token',
      scope,
      limit: null,
      until: until as Rule['until'],
    })
    const { clock, enforcer } = await started({ gateways: [gateway], keepsUnknownRules: () => true })
    await eventually(() => enforcer.troubles().length === 0, 'a pass')
    expect([...gateway.rules.keys()]).toEqual(['dec_lost'])
    clock.advance(60_000)
    await eventually(() => gateway.rules.size === 0, 'the rule to go at its end')
  })
})

describe('proof of hold', () => {
  it('is shown, and a leak is told once', async () => {
    const leaks: string[] = []
    const { enforcer } = await started({
      gateways: [new TestGateway('a')],
      onLeak: ({ decision: { id }, proof }) => leaks.push(`${id} ${proof?.state}`),
    })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    expect(enforcer.view('dec_1')?.proof).toEqual({ state: 'untested', at: null })
    enforcer.noteProof({ decision: 'dec_1', proof: 'held', at: START + 70 })
    expect(enforcer.view('dec_1')?.proof?.state).toBe('held')
    enforcer.noteProof({ decision: 'dec_1', proof: 'leaking', at: START + 10_050 })
    expect(leaks).toEqual([])
    enforcer.noteProof({ decision: 'dec_1', proof: 'leaking', at: START + 10_051 })
    enforcer.noteProof({ decision: 'dec_1', proof: 'leaking', at: START + 20_051 })
    enforcer.noteProof({ decision: 'dec_unknown', proof: 'held', at: START })
    expect(leaks).toEqual(['dec_1 leaking'])
  })
})
