import { describe, expect, it } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import { CurfewError } from '../../../core/errors.ts'
import type { Principal } from '../../../core/event.ts'
import type { Alias } from '../../../enforcement/aliases.ts'
import { decisionIdOf, ruleIdAs } from '../../../enforcement/aliases.ts'
import type { Capability, GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { DEFAULT_GUARD } from '../../../enforcement/guard.ts'
import { Placement } from '../../../enforcement/placement.ts'
import { eventually } from '../../services/decision-ledger.ts'
import { CONSUMER, KEY, member, ORDERS, SUBJECT } from './alias-rig.ts'
import { becomes, decision, EVERYTHING, started, TestGateway } from './enforcer-rig.ts'

const WHOLE: readonly Capability[] = [
  ...EVERYTHING,
  { action: 'revoke-credential', scope: 'principal', worstCaseDelayMs: 50 },
  { action: 'revoke-credential', scope: 'credential', worstCaseDelayMs: 50 },
]
const about = (principal: Principal, changes: Partial<Decision> = {}) =>
  decision({ principal, scope: { kind: 'principal', principal }, ...changes })
const AS_SUBJECT = ruleIdAs('dec_1', SUBJECT)

/** A gateway that refuses whom it does not know. */
class KnowingGateway extends TestGateway {
  readonly #known: readonly string[]
  constructor(name: string, known: readonly Principal[]) {
    super(name, WHOLE)
    this.#known = known.map(({ id }) => id)
  }
  override async put(rule: Rule): Promise<void> {
    const { scope } = rule
    if (scope.kind === 'principal' && !this.#known.includes(scope.principal.id))
      throw new CurfewError('GATEWAY_REFUSED', `${this.name}: no such caller`)
    return super.put(rule)
  }
}

const kong = () => new TestGateway('kong', WHOLE)
const edge = () => new TestGateway('edge', WHOLE)
const held = (gateway: TestGateway) =>
  [...gateway.rules.values()].map(({ id, scope }) =>
    scope.kind === 'principal' ? [id, `${scope.principal.kind}:${scope.principal.label}`] : [id, scope.kind],
  )

describe('a caller with a name at each gateway', () => {
  it('is held at each under its name there, is told so, and is free at both when released', async () => {
    const gateways = [kong(), edge()] as const
    const { enforcer } = await started({ gateways, aliases: [ORDERS] })
    await enforcer.accept(about(CONSUMER))
    await becomes(enforcer, 'dec_1', 'in-force')
    expect(gateways.map(held)).toEqual([[['dec_1', 'consumer:orders']], [[AS_SUBJECT, 'sub:orders-svc']]])
    expect(enforcer.view('dec_1')).toMatchObject({
      aliases: [{ gateway: 'edge', principal: 'sub:orders-svc', state: 'held' }],
      receipts: [
        { gateway: 'kong', operation: 'put', outcome: 'done', detail: '' },
        { gateway: 'edge', operation: 'put', outcome: 'done', detail: 'as sub:orders-svc' },
      ],
    })
    expect(enforcer.view(AS_SUBJECT)?.decision.id).toBe('dec_1')
    await enforcer.release('dec_1', 'a planned export')
    await eventually(() => gateways.every((g) => g.rules.size === 0), 'both gateways to let go')
    expect(enforcer.view('dec_1')?.aliases).toEqual([])
  })

  it('is held on after a restart, without another call', async () => {
    const gateways = [kong(), edge()] as const
    const first = await started({ gateways, aliases: [ORDERS] })
    await first.enforcer.accept(about(SUBJECT))
    await becomes(first.enforcer, 'dec_1', 'in-force')
    const calls = gateways.map((g) => g.calls.length)
    const again = await started({ gateways, aliases: [ORDERS], ledger: first.ledger })
    await eventually(
      () => again.enforcer.view('dec_1')?.aliases[0]?.state === 'held',
      'the new enforcer to find it held',
    )
    expect(gateways.map((g) => g.calls.length)).toEqual(calls)
  })

  it('goes free under a name that the configuration no longer gives it', async () => {
    const gateways = [kong(), edge()] as const
    const first = await started({ gateways, aliases: [ORDERS] })
    await first.enforcer.accept(about(CONSUMER, { gateway: { kind: 'kong', id: 'kong' } }))
    await becomes(first.enforcer, 'dec_1', 'in-force')
    await started({ gateways, ledger: first.ledger, onlyFor: new Map([['edge', ['edge']]]) })
    await eventually(() => gateways[1].rules.has(AS_SUBJECT) === false, 'the edge to let go')
    expect(gateways[0].rules.has('dec_1')).toBe(true)
  })

  it('keeps the weaker rule where the stronger one cannot be held under that name', async () => {
    const throttles = new TestGateway(
      'edge',
      WHOLE.filter(({ action }) => action === 'throttle'),
    )
    const gateways = [kong(), throttles]
    const { enforcer } = await started({ gateways, aliases: [ORDERS] })
    await enforcer.accept(about(CONSUMER))
    await becomes(enforcer, 'dec_1', 'in-force')
    await enforcer.accept(about(CONSUMER, { id: 'dec_2', action: 'block', limit: null }))
    await becomes(enforcer, 'dec_2', 'in-force')
    expect(enforcer.view('dec_1')?.status).toBe('in-force')
    expect(held(throttles)).toEqual([[AS_SUBJECT, 'sub:orders-svc']])
  })

  it('keeps the weaker rule of one name where the stronger is held under the other only', async () => {
    const tokens = new TestGateway(
      'edge',
      EVERYTHING.filter(({ action, scope }) => action === 'throttle' || scope === 'subject'),
    )
    const members = [member(CONSUMER), member(SUBJECT)]
    const { enforcer } = await started({ gateways: [tokens], aliases: [{ ...ORDERS, members }] })
    await enforcer.accept(about(SUBJECT))
    await becomes(enforcer, 'dec_1', 'in-force')
    const scope = {
      kind: 'subject',
      iss: 'https://idp.test/realm',
      sub: 'orders-svc',
      notBefore: null,
    } as const
    await enforcer.accept(about(SUBJECT, { id: 'dec_2', action: 'revoke-token', limit: null, scope }))
    await becomes(enforcer, 'dec_2', 'in-force')
    await eventually(() => !tokens.rules.has('dec_1'), 'the throttle of the revoked subject to go')
    expect(held(tokens).sort()).toEqual([
      [ruleIdAs('dec_1', CONSUMER), 'consumer:orders'],
      ['dec_2', 'subject'],
    ])
    expect(enforcer.view('dec_1')?.status).toBe('in-force')
  })

  it('takes the stronger of two holds that came in under different names, and falls back to the other', async () => {
    const gateway = edge()
    const { enforcer } = await started({ gateways: [gateway], aliases: [ORDERS] })
    await enforcer.accept(about(SUBJECT))
    await enforcer.accept(about(CONSUMER, { id: 'dec_2', incident: 'inc_2', action: 'block', limit: null }))
    const other = ruleIdAs('dec_2', SUBJECT)
    await eventually(() => held(gateway).length === 1 && gateway.rules.has(other), 'the block alone')
    await enforcer.release('dec_2', 'looked at')
    await eventually(() => held(gateway).length === 1 && gateway.rules.has('dec_1'), 'the throttle again')
  })
})

describe('nobody is pulled in who should not be', () => {
  const nothing = async (alias: Alias, changes: Partial<Decision>, who: Principal = CONSUMER) => {
    const gateways = [kong(), edge()] as const
    const { enforcer } = await started({ gateways, aliases: [alias] })
    await enforcer.accept(about(who, changes))
    await becomes(enforcer, 'dec_1', 'in-force')
    expect(gateways.flatMap(held).filter(([, name]) => name === 'sub:orders-svc')).toEqual([])
    expect(enforcer.view('dec_1')?.aliases).toEqual([])
  }

  it('by a name that no gateway verified', () => nothing(ORDERS, {}, { ...CONSUMER, verified: false }))
  it('by an equal name of another tenant', () => nothing(ORDERS, { tenant: 'globex' }))
  it('by an equal label with another id', () =>
    nothing(ORDERS, {}, { ...CONSUMER, id: '6f1c2b3a-0000-4000-8000-000000000002' }))
  it('by the word of a gateway that is not the one of the name', () => {
    const members = [member(CONSUMER, { adapters: ['kong'], evidenceFrom: ['kong-eu'] }), member(SUBJECT)]
    return nothing({ ...ORDERS, members }, { gateway: { kind: 'kong', id: 'staging' } })
  })
  it('by a single token, which is the same string everywhere', () =>
    nothing(ORDERS, { action: 'revoke-token', scope: { kind: 'token', iss: null, jti: 'x' }, limit: null }))
})

describe('a name that its gateway does not know', () => {
  it('is on the receipt, and the others are held', async () => {
    const gateways = [new KnowingGateway('kong', [CONSUMER]), new KnowingGateway('edge', [])] as const
    const { enforcer } = await started({ gateways, aliases: [ORDERS] })
    await enforcer.accept(about(CONSUMER))
    await becomes(enforcer, 'dec_1', 'failed')
    const view = enforcer.view('dec_1')
    expect(view?.statusReason).toMatch(/^not in force at edge: as sub:orders-svc: GATEWAY_REFUSED/)
    expect(view?.aliases).toEqual([{ gateway: 'edge', principal: 'sub:orders-svc', state: 'failed' }])
    expect(view?.receipts).toContainEqual(
      expect.objectContaining({
        gateway: 'edge',
        outcome: 'refused',
        detail: expect.stringContaining('no such caller'),
      }),
    )
    expect(held(gateways[0])).toEqual([['dec_1', 'consumer:orders']])
  })
})

describe('what holds nobody back under one name holds nobody back under any', () => {
  it.each([
    [
      'withheld',
      /^allow list: backup/,
      { isAllowed: (_: string, name: string) => (name === 'sub:orders-svc' ? 'backup' : null) },
    ],
    [
      'withheld',
      /^move/,
      { planned: (_: string, name: string) => (name === 'sub:orders-svc' ? 'move' : null) },
    ],
    [
      'awaiting-approval',
      /^sub:orders-svc makes 30 %/,
      {
        tooWide: (_: string, { label }: Principal) =>
          label === 'orders-svc' ? 'sub:orders-svc makes 30 %' : null,
      },
    ],
  ] as const)('%s: %s', async (status, reason, changes) => {
    const gateways = [kong(), edge()] as const
    const { enforcer } = await started({ gateways, aliases: [ORDERS], ...changes })
    await enforcer.accept(about(CONSUMER))
    expect(enforcer.view('dec_1')).toMatchObject({ status, statusReason: expect.stringMatching(reason) })
    expect(gateways.flatMap((g) => g.calls)).toEqual([])
  })

  it('is one caller although two gateways call it alike, and two where nobody says so', async () => {
    const twin = { ...CONSUMER, id: '6f1c2b3a-0000-4000-8000-000000000002' }
    const twins: Alias = { ...ORDERS, members: [member(CONSUMER), member(twin)] }
    const statuses = async (aliases: readonly Alias[]) => {
      const { enforcer } = await started({ gateways: [edge()], aliases })
      await enforcer.accept(about(CONSUMER))
      await enforcer.accept(about(twin, { id: 'dec_2', incident: 'inc_2' }))
      return enforcer.view('dec_2')?.status === 'awaiting-approval'
    }
    expect([await statuses([twins]), await statuses([])]).toEqual([false, true])
  })

  it('counts as one caller for the mass-action guard', async () => {
    const guard = { ...DEFAULT_GUARD, newPrincipals: 1, shareOfPrincipals: 0 }
    const { enforcer } = await started({ gateways: [edge()], aliases: [ORDERS], guard })
    await enforcer.accept(about(CONSUMER))
    await enforcer.accept(about(SUBJECT, { id: 'dec_2', incident: 'inc_2' }))
    await enforcer.accept(about({ ...KEY, id: 'other', label: 'other' }, { id: 'dec_3', incident: 'inc_3' }))
    const statuses = ['dec_1', 'dec_2', 'dec_3'].map((id) => enforcer.view(id)?.status)
    expect(statuses.slice(0, 2)).not.toContain('awaiting-approval')
    expect(statuses[2]).toBe('awaiting-approval')
  })
})

describe('where and how', () => {
  const [a, b] = [kong(), edge()]
  const forms = (
    gateway: GatewayAdapter,
    of: Decision,
    alias: Alias = ORDERS,
    onlyFor = new Map<string, string[]>(),
  ) =>
    new Placement([a, b], onlyFor, [alias]).formsAt(gateway, of).map(({ action, scope }) => [action, scope])

  it('ends the ability of the caller under a name without tokens, and its tokens under one with', () => {
    const subject = {
      kind: 'subject',
      iss: 'https://idp.test/realm',
      sub: 'orders-svc',
      notBefore: null,
    } as const
    const revoke = about(SUBJECT, { action: 'revoke-token', limit: null, scope: subject })
    const principal = { kind: 'principal', principal: CONSUMER }
    expect(forms(a, revoke)).toEqual([['revoke-credential', principal]])
    expect(forms(new TestGateway('kong'), revoke)).toEqual([['block', principal]])
    expect(forms(a, { ...revoke, scope: { ...subject, notBefore: 5 } })).toEqual([])
    const disable = about(CONSUMER, {
      action: 'revoke-credential',
      limit: null,
      scope: { kind: 'credential', credential: 'row', principal: CONSUMER },
    })
    expect(forms(b, disable)).toEqual([['revoke-token', subject]])
  })

  it('holds one network under every name, or what stands in for that', () => {
    const scope = { kind: 'network', network: '203.0.113.0', principal: CONSUMER } as const
    const limit = { requests: 6, windowSeconds: 60 }
    const wider = { action: 'throttle', scope: { kind: 'principal', principal: CONSUMER }, limit } as const
    const block = about(CONSUMER, { action: 'block', limit: null, scope, wider })
    expect(forms(b, block)).toEqual([['throttle', { kind: 'principal', principal: SUBJECT }]])
    const able = new TestGateway('edge', [{ action: 'block', scope: 'network', worstCaseDelayMs: 0 }])
    expect(forms(able, block)).toEqual([['block', { ...scope, principal: SUBJECT }]])
  })

  it('is meant at a gateway that an entry names, whatever evidence that gateway acts on by itself', () => {
    const onlyFor = new Map([
      ['kong', ['elsewhere']],
      ['edge', ['elsewhere']],
    ])
    const names = (gateway: GatewayAdapter, alias: Alias) =>
      new Placement([a, b], onlyFor, [alias]).formsAt(gateway, about(CONSUMER)).map(({ as }) => as?.label)
    expect(names(b, ORDERS)).toEqual(['orders-svc'])
    expect(names(b, { ...ORDERS, members: [member(CONSUMER), member(SUBJECT)] })).toEqual([])
  })

  it('leaves a single token as it is at every gateway, whatever the names', () => {
    const scope = { kind: 'token', iss: null, jti: 'x' } as const
    const revoke = about(CONSUMER, { action: 'revoke-token', limit: null, scope })
    expect([forms(a, revoke), forms(b, revoke)]).toEqual([
      [['revoke-token', scope]],
      [['revoke-token', scope]],
    ])
  })

  it('takes equal names of two tenants for two callers', () => {
    const globex: Alias = { ...ORDERS, tenant: 'globex', members: [member(CONSUMER), member(KEY)] }
    const names = (tenant: string) =>
      new Placement([a, b], new Map(), [ORDERS, globex])
        .otherNames(about(CONSUMER, { tenant }))
        .map(({ principal }) => principal.label)
    expect([names('default'), names('globex'), names('acme')]).toEqual([
      ['k3y1d', 'orders-svc'],
      ['k3y1d'],
      [],
    ])
  })

  it('reads the decision back from the id of each rule', () => {
    expect([AS_SUBJECT, 'dec_1', 'dec_as_1'].map(decisionIdOf)).toEqual(['dec_1', 'dec_1', 'dec_as_1'])
    expect(ruleIdAs(`dec_${'f'.repeat(20)}`, SUBJECT)).toMatch(/^[A-Za-z0-9_-]{1,64}$/)
  })
})
