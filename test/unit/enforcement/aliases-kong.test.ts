import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { KongGateway } from '../../../enforcement/gateways/kong.ts'
import { liftGateway } from '../../../enforcement/reconcile-lift.ts'
import { eventually } from '../../services/decision-ledger.ts'
import { kongDescription } from '../../services/kong-description.ts'
import { FakeKong } from '../../services/kong-fake.ts'
import { CONSUMER, member, SUBJECT } from './alias-rig.ts'
import { becomes, decision, START, started, stops } from './enforcer-rig.ts'

const never = new AbortController().signal

describe('a caller known to Kong and to the deny list', () => {
  let kong: FakeKong
  let gateway: KongGateway
  let denyList: DenyList

  beforeEach(async () => {
    kong = new FakeKong({ description: kongDescription() })
    await kong.start()
    gateway = new KongGateway({ name: 'kong', adminUrl: kong.url, adminToken: null })
    const clock = { now: () => wallTime(START) }
    denyList = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
  })
  afterEach(async () => {
    for (const stop of stops.splice(0)) await stop()
    expect(kong.violations).toEqual([])
    await kong.stop()
  })

  async function decided() {
    const members = [member(CONSUMER, { adapters: ['kong'] }), member(SUBJECT, { adapters: ['deny'] })]
    const aliases = [{ name: 'orders', tenant: 'default', members }]
    const { enforcer } = await started({ gateways: [gateway, denyList], aliases, callTimeoutMs: 5_000 })
    const scope = { kind: 'principal', principal: SUBJECT } as const
    await enforcer.accept(decision({ principal: SUBJECT, scope, action: 'block', limit: null }))
    return enforcer
  }

  it('is refused at both, and Kong is as it was after the release', async () => {
    kong.consumers.add(CONSUMER.id)
    const before = kong.state()
    const enforcer = await decided()
    await becomes(enforcer, 'dec_1', 'in-force')
    expect([...kong.plugins.values()].map(({ name, consumer }) => [name, consumer?.id])).toEqual([
      ['request-termination', CONSUMER.id],
    ])
    expect((await denyList.list(never)).map(({ scope }) => scope)).toEqual([
      { kind: 'principal', principal: SUBJECT },
    ])
    await enforcer.release('dec_1', 'looked at')
    await eventually(async () => kong.plugins.size === 0 && (await denyList.list(never)).length === 0, 'both')
    expect(kong.state()).toEqual(before)
  })

  it('is lifted with nothing but the gateway at hand', async () => {
    kong.consumers.add(CONSUMER.id)
    await becomes(await decided(), 'dec_1', 'in-force')
    for (const stop of stops.splice(0)) await stop()
    const report = await liftGateway(gateway, { endedBy: null, stop: never, callTimeoutMs: 5_000 })
    expect(report.failed).toEqual([])
    expect(kong.plugins.size).toBe(0)
  })

  it('is refused where it is known although Kong has no such consumer, and the receipt says so', async () => {
    const enforcer = await decided()
    await becomes(enforcer, 'dec_1', 'failed')
    expect(enforcer.view('dec_1')).toMatchObject({
      statusReason: expect.stringMatching(/^not in force at kong: as consumer:orders: GATEWAY_REFUSED/),
      aliases: [{ gateway: 'kong', principal: 'consumer:orders', state: 'failed' }],
    })
    expect(await denyList.list(never)).toHaveLength(1)
  })
})
