import { afterEach, describe, expect, it } from 'vitest'
import { CurfewError } from '../../../core/errors.ts'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { plan } from '../../../enforcement/plan.ts'
import { ApigeeDescription } from '../../services/apigee-description.ts'
import type { FakeApigee } from '../../services/apigee-fake.ts'
import { FAKE_APPS, FAKE_CREDENTIALS, fakeApigee, fakeApigeeGateways } from '../../services/apigee-rig.ts'
import type { Fault } from '../../services/injected-faults.ts'

const never = new AbortController().signal
const NOW = wallTime(1_780_000_000_000)
const open: FakeApigee[] = []
afterEach(async () => {
  for (const apigee of open.splice(0)) await apigee.stop()
})

function rule(
  id: string,
  action: Rule['action'],
  kind: Principal['kind'],
  of: string,
  limit: Rule['limit'] = null,
): Rule {
  const principal = { kind, id: of, label: 'svc', verified: kind !== 'ip' }
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_000) }
}
const throttle = rule('dec_t', 'throttle', 'app', FAKE_APPS[0]!, { requests: 10, windowSeconds: 10 })
const callerRules = [
  throttle,
  rule('dec_b', 'block', 'app', FAKE_APPS[1]!),
  rule('dec_k', 'revoke-credential', 'key', FAKE_CREDENTIALS[2]!),
]
const actionRules = [
  rule('dec_a', 'block', 'ip', '203.0.113.9'),
  rule('dec_c', 'block', 'ip', '203.0.113.10'),
]

/** Rounds of a reconciler until a look finds nothing to do. */
async function converge(gateway: GatewayAdapter, desired: readonly Rule[]): Promise<void> {
  for (let round = 1; round <= 12; round++) {
    try {
      const next = plan(desired, await gateway.list(never), NOW)
      if (next.put.length + next.remove.length === 0) return
      for (const one of next.put) await gateway.put(one, never)
      for (const id of next.remove) await gateway.remove(id, never)
    } catch (error) {
      // Every failure is one that a reconciler knows how to take.
      if (!(error instanceof CurfewError) || !error.retriable) throw error
    }
  }
  throw new Error('did not converge')
}

async function organisation(): Promise<FakeApigee> {
  const apigee = await fakeApigee(2)
  open.push(apigee)
  const { state } = apigee
  state.entries.set('quota__dev-0__orders', '700')
  state.entries.set('theirs', 'x')
  state.apps.push({ name: 'theirs', developerId: 'dev-9', status: 'revoked', credentials: [] })
  const name = 'organizations/acme/environments/prod/securityActions/theirs'
  state.actions.set('theirs', { name, state: 'ENABLED', deny: { responseCode: 403 } })
  return apigee
}

const CALLER_FAULTS: readonly (readonly [RegExp, Fault, number])[] = [
  [/GET .*entries/, 'too-many-requests', 2],
  [/GET .*entries/, 'garbage', 1],
  [/GET .*entries/, 'server-error', 2],
  [/GET .*developers/, 'cut-connection', 2],
  [/GET .*acme\/apps/, 'server-error', 2],
  [/PUT .*entries/, 'too-many-requests', 2],
  [/PUT .*entries/, 'lost-answer', 1],
  [/PUT .*entries/, 'ignored', 1],
  [/POST .*entries/, 'conflict', 2],
  [/POST .*entries/, 'cut-connection', 1],
  [/POST .*entries/, 'lost-answer', 1],
  [/POST .*entries/, 'ignored', 1],
  [/POST .*entries/, 'late', 1],
  [/DELETE .*entries/, 'server-error', 1],
  [/DELETE .*entries/, 'lost-answer', 1],
  [/DELETE .*entries/, 'ignored', 1],
  [/DELETE .*entries/, 'late', 1],
  [/POST .*developers/, 'too-many-requests', 2],
  [/POST .*developers/, 'conflict', 1],
  [/POST .*developers/, 'cut-connection', 1],
  [/POST .*developers/, 'lost-answer', 1],
  [/POST .*developers/, 'ignored', 2],
  [/POST .*developers/, 'late', 1],
]

const ACTION_FAULTS: readonly (readonly [RegExp, Fault, number])[] = [
  [/GET .*securityActions$/, 'too-many-requests', 2],
  [/GET .*securityActions$/, 'garbage', 1],
  [/GET .*securityActionsConfig/, 'server-error', 1],
  [/GET .*securityActions$/, 'cut-connection', 2],
  [/POST .*securityActions$/, 'too-many-requests', 2],
  [/POST .*securityActions$/, 'conflict', 2],
  [/POST .*securityActions$/, 'server-error', 1],
  [/POST .*securityActions$/, 'cut-connection', 1],
  [/POST .*securityActions$/, 'lost-answer', 1],
  [/POST .*securityActions$/, 'ignored', 1],
  [/POST .*securityActions$/, 'late', 1],
  [/POST .*:disable/, 'server-error', 2],
  [/POST .*:disable/, 'lost-answer', 1],
  [/POST .*:disable/, 'ignored', 1],
]

async function faulted(
  apigee: FakeApigee,
  gateway: GatewayAdapter,
  rules: readonly Rule[],
  operation: RegExp,
  fault: Fault,
  times: number,
): Promise<void> {
  const before = JSON.stringify(apigee.state.content())
  for (const desired of [rules, rules.slice(1), []]) {
    apigee.faults.inject(operation, fault, times)
    await converge(gateway, desired)
  }
  expect(JSON.stringify(apigee.state.content())).toBe(before)
  expect(apigee.violations).toEqual([])
  if (ApigeeDescription.open() !== null) expect(apigee.validated).toBe(apigee.answered)
  expect(apigee.faults.unmet, 'faults that nothing ran into').toBeLessThan(times * 3)
}

describe('faults of the control plane', { timeout: 60_000 }, () => {
  it.each(CALLER_FAULTS)('Apigee: %s, %s, %i times', async (operation, fault, times) => {
    const apigee = await organisation()
    await faulted(apigee, fakeApigeeGateways(apigee, 'apigee')[0]!, callerRules, operation, fault, times)
  })

  it.each(ACTION_FAULTS)('security actions: %s, %s, %i times', async (operation, fault, times) => {
    const apigee = await organisation()
    await faulted(apigee, fakeApigeeGateways(apigee, 'apigee')[1]!, actionRules, operation, fault, times)
  })
})

describe('Apigee', () => {
  it('tightens a quota that somebody else had set, and gives it back', async () => {
    const apigee = await organisation()
    const [gateway] = fakeApigeeGateways(apigee, 'apigee')
    await gateway!.put(throttle, never)
    expect(apigee.state.entries.get('quota__dev-0__orders')).toBe('10')
    await gateway!.remove('dec_t', never)
    expect(apigee.state.entries.get('quota__dev-0__orders')).toBe('700')
    apigee.state.entries.set('quota__dev-0__orders', '3')
    await gateway!.put(throttle, never)
    expect(apigee.state.entries.get('quota__dev-0__orders')).toBe('3')
  })

  it('has shut a status once it is told so, also where a change was accepted and ignored', async () => {
    const apigee = await organisation()
    apigee.faults.inject(/POST .*developers/, 'ignored')
    await fakeApigeeGateways(apigee, 'apigee')[0]!.put(callerRules[1]!, never)
    expect(apigee.state.apps[1]!.status).toBe('revoked')
  })

  it('leaves a status that was shut before us shut', async () => {
    const apigee = await organisation()
    const [gateway] = fakeApigeeGateways(apigee, 'apigee')
    apigee.state.apps[1]!.status = 'revoked'
    await gateway!.put(callerRules[1]!, never)
    await gateway!.remove('dec_b', never)
    expect(apigee.state.apps[1]!.status).toBe('revoked')
  })

  it.each([
    [401, 'GATEWAY_REFUSED', false],
    [405, 'GATEWAY_UNSUPPORTED', false],
    [429, 'GATEWAY_UNREACHABLE', true],
    [503, 'GATEWAY_UNREACHABLE', true],
  ])('turns status %i into %s', async (status, code, retriable) => {
    const apigee = await organisation()
    apigee.status = status
    await expect(fakeApigeeGateways(apigee, 'a')[0]!.list(never)).rejects.toMatchObject({ code, retriable })
  })

  it('keeps keys and tokens out of what it says', async () => {
    const apigee = await organisation()
    const [gateway] = fakeApigeeGateways(apigee, 'apigee')
    for (const fault of ['server-error', 'conflict', 'cut-connection'] as const) {
      apigee.faults.inject(/POST .*developers/, fault, 9)
      const error: unknown = await gateway!.put(callerRules[2]!, never).catch((thrown: unknown) => thrown)
      expect(String(error)).not.toMatch(/canary/)
      expect(error).toBeInstanceOf(CurfewError)
    }
  })

  it('says that security actions are switched off instead of promising them', async () => {
    const apigee = await organisation()
    apigee.state.actionsEnabled = false
    const [, actions] = fakeApigeeGateways(apigee, 'apigee')
    const put = actions!.put(actionRules[0]!, never)
    await expect(put).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    await expect(actions!.check(never)).rejects.toThrow(/switched off/)
  })

  it.each([
    ['a name that is no app of a developer', 'app', 'orders'],
    ['a key in clear', 'key', 'canaryKEY1'],
    ['a path', 'app', JSON.stringify(['..', '../../x'])],
  ] as const)('refuses %s before any call', async (_what, kind, id) => {
    const apigee = await organisation()
    const put = fakeApigeeGateways(apigee, 'apigee')[0]!.put(rule('dec_x', 'block', kind, id), never)
    await expect(put).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    expect(apigee.calls).toBe(0)
  })
})
