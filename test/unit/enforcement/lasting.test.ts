import { describe, expect, it } from 'vitest'
import type { Capability } from '../../../enforcement/gateway.ts'
import { becomes, decision, START, started, TestGateway } from './enforcer-rig.ts'

const scope = { kind: 'subject', iss: null, sub: 'alice', notBefore: null } as const
const revoke = (id: string) => decision({ id, action: 'revoke-token', scope, limit: null })
const provider: Capability = {
  action: 'revoke-token',
  scope: 'subject',
  worstCaseDelayMs: 300_000,
  refusesCalls: false,
  lasting: 'sessions stay ended\n; the user may log in again',
}

describe('an identity provider beside a gateway', () => {
  it('says in its receipt what cannot be undone, and the gateway says nothing', async () => {
    const gateways = [new TestGateway('edge'), new TestGateway('login', [provider])]
    const { enforcer } = await started({ gateways })
    await enforcer.accept(revoke('dec_1'))
    await becomes(enforcer, 'dec_1', 'in-force')
    const view = enforcer.view('dec_1')
    const said = (name: string) =>
      view!.receipts
        .filter((one) => one.gateway === name && one.operation === 'put')
        .map(({ detail }) => detail)
    expect(said('login')).toContain('cannot be undone: sessions stay ended ; the user may log in again')
    expect(said('edge').join('')).toBe('')
  })

  it('does not put off when a leak is one: whoever refuses calls is what counts', async () => {
    const both = await started({ gateways: [new TestGateway('edge'), new TestGateway('login', [provider])] })
    await both.enforcer.accept(revoke('dec_1'))
    await becomes(both.enforcer, 'dec_1', 'in-force')
    expect(both.enforcer.view('dec_1')!.effectiveBy).toBe(new Date(START + 50).toISOString())
    const alone = await started({ gateways: [new TestGateway('login', [provider])] })
    await alone.enforcer.accept(revoke('dec_2'))
    await becomes(alone.enforcer, 'dec_2', 'in-force')
    expect(alone.enforcer.view('dec_2')!.effectiveBy).toBe(new Date(START + 300_000).toISOString())
  })
})
