import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import { CurfewError } from '../../../core/errors.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { eventually, MemoryLedger } from '../../services/decision-ledger.ts'
import { becomes, decision, EVERYTHING, START, started, stops, TestGateway } from './enforcer-rig.ts'

/** Counts how often it is read. */
class LookedAtGateway extends TestGateway {
  looks = 0
  override async list(): Promise<readonly Rule[]> {
    this.looks++
    return await super.list()
  }
}

describe('accepting', () => {
  it('puts a rule at once, is done when it is durable, and each id once', async () => {
    const gateway = new TestGateway('a')
    const { enforcer, ledger } = await started({ gateways: [gateway] })
    const answers = await Promise.all([enforcer.accept(decision()), enforcer.accept(decision())])
    expect(answers).toEqual(['new', 'known'])
    expect(ledger.history[0]).toBe('dec_1 pending')
    await becomes(enforcer, 'dec_1', 'in-force')
    expect(gateway.calls).toEqual(['put dec_1'])
    expect(enforcer.view('dec_1')).toMatchObject({
      issuedAt: '2026-11-23T03:00:00.000Z',
      until: '2026-11-23T04:00:00.000Z',
      effectiveBy: '2026-11-23T03:00:00.050Z',
      receipts: [{ gateway: 'a', operation: 'put', outcome: 'done' }],
    })
  })

  it('acts although the ledger cannot save, and can be asked again to save', async () => {
    const gateway = new TestGateway('a')
    const { enforcer, ledger } = await started({ gateways: [gateway] })
    ledger.failing = true
    await expect(enforcer.accept(decision())).rejects.toThrow('the store is away')
    await becomes(enforcer, 'dec_1', 'in-force')
    expect(gateway.calls).toEqual(['put dec_1'])
    ledger.failing = false
    expect(await enforcer.accept(decision())).toBe('new')
    expect(ledger.history.at(-1)).toBe('dec_1 in-force')
    expect(await enforcer.accept(decision())).toBe('known')
    expect(gateway.calls).toEqual(['put dec_1'])
  })

  it.each([
    ['observed', { mode: 'observe' }, null],
    ['awaiting-approval', { mode: 'approve' }, /approve/],
    ['withheld', { evidenceAt: START - 300_001 }, /stale evidence/],
    ['withheld', { entity: { type: 'principal', id: 'sub:backup' } }, /allow list: nightly backup/],
    ['withheld', { action: 'revoke-credential' }, /no gateway can revoke-credential/],
    [
      'withheld',
      { scope: { kind: 'token', iss: null, jti: 'x' }, tokenExp: START / 1_000 },
      /expired already/,
    ],
  ] as const)('%s: %o', async (status, changes, reason) => {
    const gateway = new TestGateway('a')
    const isAllowed = (_: string, entity: string) => (entity === 'sub:backup' ? 'nightly backup' : null)
    const { enforcer } = await started({ gateways: [gateway], isAllowed })
    await enforcer.accept(decision(changes as Partial<Decision>))
    const view = enforcer.view('dec_1')
    expect(view?.status).toBe(status)
    if (reason !== null) expect(view?.statusReason).toMatch(reason)
    expect(gateway.calls).toEqual([])
  })

  it('ends a token rule no later than the token', async () => {
    const { enforcer } = await started({ gateways: [new TestGateway('a')] })
    const scope = { kind: 'token', iss: null, jti: 'x' } as const
    await enforcer.accept(decision({ scope, action: 'revoke-token', tokenExp: START / 1_000 + 60 }))
    await enforcer.accept(
      decision({ id: 'dec_2', scope: { ...scope, jti: 'y' }, action: 'revoke-token', holdSeconds: 604_800 }),
    )
    expect(enforcer.view('dec_1')?.until).toBe('2026-11-23T03:01:00.000Z')
    expect(enforcer.view('dec_2')?.until).toBe('2026-11-24T03:00:00.000Z')
  })

  it('stops a mass action: the 21st caller waits for a person', async () => {
    const { enforcer } = await started({ gateways: [new TestGateway('a')] })
    const caller = (i: number) => ({ kind: 'sub', id: `s${i}`, label: `s${i}`, verified: true }) as const
    const all = Array.from({ length: 21 }, (_, i) =>
      decision({ id: `dec_${i}`, principal: caller(i), scope: { kind: 'principal', principal: caller(i) } }),
    )
    await Promise.all(all.map((d) => enforcer.accept(d)))
    const waiting = enforcer.views().filter((view) => view.status === 'awaiting-approval')
    expect(waiting.map((view) => view.statusReason)).toEqual([expect.stringMatching(/mass-action guard/)])
    expect(await enforcer.approve(waiting[0]?.decision.id ?? '')).toMatchObject({ ok: true })
    await becomes(enforcer, waiting[0]?.decision.id ?? '', 'in-force')
  })
})

describe('the ladder', () => {
  const block = { id: 'dec_2', action: 'block', limit: null } as const

  it('puts the stronger rule before the weaker goes, and does not loosen for a weaker one', async () => {
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    await enforcer.accept(decision(block))
    await becomes(enforcer, 'dec_1', 'superseded')
    await eventually(() => gateway.calls.includes('remove dec_1'), 'the weaker rule to go')
    expect(gateway.calls).toEqual(['put dec_1', 'put dec_2', 'remove dec_1'])
    await enforcer.accept(decision({ id: 'dec_3' }))
    expect(enforcer.view('dec_3')?.status).toBe('superseded')
    expect([...gateway.rules.keys()]).toEqual(['dec_2'])
  })

  it('looks once for rules that come one by one', async () => {
    const gateway = new LookedAtGateway('a')
    const { enforcer } = await started({ gateways: [gateway], intervalMs: 3_600_000 })
    await eventually(() => gateway.looks === 1, 'the first look')
    for (let i = 0; i < 8; i++) {
      const principal = { kind: 'sub', id: `s${i}`, label: `s${i}`, verified: true } as const
      const id = `dec_${i}`
      await enforcer.accept(decision({ id, principal, scope: { kind: 'principal', principal } }))
      await becomes(enforcer, id, 'in-force')
      await sleep(5)
    }
    expect(gateway.looks).toBeLessThan(4)
    const before = gateway.looks
    await eventually(() => gateway.looks > before, 'the look behind the last rule')
    expect(gateway.rules.size).toBe(8)
  })

  it('keeps the weaker rule where the stronger one cannot be held', async () => {
    const able = new TestGateway('able')
    const throttleOnly = new TestGateway(
      'weak',
      EVERYTHING.filter((c) => c.action === 'throttle'),
    )
    const { enforcer } = await started({ gateways: [able, throttleOnly] })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    await enforcer.accept(decision(block))
    await eventually(() => able.rules.size === 1 && able.rules.has('dec_2'), 'the block at the able gateway')
    expect([...throttleOnly.rules.keys()]).toEqual(['dec_1'])
    expect(enforcer.view('dec_1')?.status).toBe('in-force')
  })

  it('lifts what an incident left behind when it is released', async () => {
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await enforcer.accept(decision({ id: 'dec_9', action: 'release', limit: null, reason: 'quiet for 1 h' }))
    await eventually(
      () => gateway.rules.size === 0 && enforcer.view('dec_1')?.status === 'released',
      'the release',
    )
    expect(enforcer.view('dec_1')?.statusReason).toBe('quiet for 1 h')
  })
})

describe('gateways in trouble', () => {
  it('is not held up by one that hangs, and tells which one fails', async () => {
    const hanging = new TestGateway('hanging')
    hanging.failure = () => new Promise<never>(() => undefined)
    const healthy = new TestGateway('healthy')
    const { enforcer } = await started({ gateways: [hanging, healthy] })
    await enforcer.accept(decision())
    await eventually(() => healthy.rules.has('dec_1'), 'the healthy gateway')
    await becomes(enforcer, 'dec_1', 'failed')
    expect(enforcer.view('dec_1')?.statusReason).toMatch(/not in force at hanging: GATEWAY_UNREACHABLE/)
    hanging.failure = null
    await becomes(enforcer, 'dec_1', 'in-force')
  })

  it('does not repeat what a gateway refuses', async () => {
    const gateway = new TestGateway('a')
    gateway.put = (rule) => {
      gateway.calls.push(`put ${rule.id}`)
      return Promise.reject(new CurfewError('GATEWAY_CONFLICT', 'somebody else edited it\u0007'))
    }
    const { enforcer } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'failed')
    await new Promise((resolve) => setTimeout(resolve, 80))
    expect(gateway.calls).toEqual(['put dec_1'])
    expect(enforcer.view('dec_1')?.receipts).toMatchObject([
      { outcome: 'refused', detail: 'GATEWAY_CONFLICT: somebody else edited it ' },
    ])
  })

  it('puts back what got lost and removes what nobody asked for', async () => {
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    const rule = gateway.rules.get('dec_1')
    gateway.rules.clear()
    if (rule !== undefined) gateway.rules.set('dec_stray', { ...rule, id: 'dec_stray' })
    await eventually(() => gateway.rules.has('dec_1') && !gateway.rules.has('dec_stray'), 'agreement')
  })

  it('asks the ledger before it removes a rule that another worker may have decided', async () => {
    const gateway = new TestGateway('a')
    const ledger = new MemoryLedger()
    const first = await started({ gateways: [gateway], ledger })
    const second = await started({ gateways: [gateway], ledger })
    await first.enforcer.accept(decision())
    await becomes(second.enforcer, 'dec_1', 'in-force')
    expect(gateway.calls).not.toContain('remove dec_1')
  })
})

describe('time and people', () => {
  it('removes a rule at its end and after a restart goes on with what stands', async () => {
    const gateway = new TestGateway('a')
    const { enforcer, clock, ledger } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    for (const stop of stops.splice(0)) await stop()
    gateway.rules.clear()
    clock.advance(600_000)
    const again = await started({ gateways: [gateway], ledger, clock })
    await eventually(() => gateway.rules.has('dec_1'), 'the rule after the restart')
    clock.advance(3_000_000)
    await becomes(again.enforcer, 'dec_1', 'expired')
    await eventually(() => gateway.rules.size === 0, 'the end')
  })

  it('does not start on evidence that went stale while the gateway was away', async () => {
    const gateway = new TestGateway('a')
    gateway.failure = () =>
      Promise.reject(new CurfewError('GATEWAY_UNREACHABLE', 'down', { retriable: true }))
    const { enforcer, clock } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    clock.advance(300_001)
    gateway.failure = null
    await becomes(enforcer, 'dec_1', 'withheld')
    expect(gateway.rules.size).toBe(0)
  })

  it('lifts a rule whose caller a person put on the allow list', async () => {
    const gateway = new TestGateway('a')
    let allowed: string | null = null
    const { enforcer } = await started({ gateways: [gateway], isAllowed: () => allowed })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    allowed = 'planned migration'
    await eventually(() => gateway.rules.size === 0, 'the lift')
    expect(enforcer.view('dec_1')).toMatchObject({
      status: 'withheld',
      statusReason: 'allow list: planned migration',
    })
  })

  it('extends, releases and says no to what cannot be', async () => {
    const gateway = new TestGateway('a')
    const { enforcer, ledger } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await becomes(enforcer, 'dec_1', 'in-force')
    await enforcer.extend('dec_1', 30 * 86_400)
    expect(enforcer.view('dec_1')?.until).toBe('2026-11-30T03:00:00.000Z')
    await eventually(
      () => gateway.rules.get('dec_1')?.until === START + 7 * 86_400_000,
      'the new end at the gateway',
    )
    expect(await enforcer.approve('dec_1')).toMatchObject({ ok: false, why: 'conflict' })
    expect(await enforcer.release('dec_0', 'x')).toMatchObject({ ok: false, why: 'not-found' })
    expect(await enforcer.release('dec_1', 'false alarm')).toMatchObject({
      ok: true,
      value: { status: 'released' },
    })
    await eventually(() => gateway.rules.size === 0, 'the release')
    expect(await enforcer.release('dec_1', 'again')).toMatchObject({ ok: false, why: 'conflict' })
    expect((await ledger.load())[0]?.status).toBe('released')
  })

  it('lifts everything on request', async () => {
    const gateway = new TestGateway('a')
    const { enforcer } = await started({ gateways: [gateway] })
    await enforcer.accept(decision())
    await enforcer.accept(decision({ id: 'dec_2', mode: 'approve', incident: 'inc_2' }))
    await becomes(enforcer, 'dec_1', 'in-force')
    expect(await enforcer.liftAll('panic')).toEqual([])
    expect(gateway.rules.size).toBe(0)
    expect(enforcer.views().map((view) => view.status)).toEqual(['released', 'released'])
  })
})
