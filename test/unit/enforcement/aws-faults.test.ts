import { afterEach, describe, expect, it } from 'vitest'
import type { Scope } from '../../../core/decision.ts'
import { CurfewError } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { plan } from '../../../enforcement/plan.ts'
import type { FakeAws } from '../../services/aws-fake.ts'
import { awsDescriptions, FAKE_KEYS, fakeAws, fakeAwsGateways } from '../../services/aws-rig.ts'
import type { Fault } from '../../services/injected-faults.ts'

const never = new AbortController().signal
const NOW = wallTime(1_780_000_000_000)
const UNTIL = wallTime(1_790_000_000_000)
const open: FakeAws[] = []
afterEach(async () => {
  for (const aws of open.splice(0)) await aws.stop()
})

const principal = (key: number) =>
  ({ kind: 'key', id: FAKE_KEYS[key]!, label: 'svc', verified: true }) as const
const rule = (id: string, action: Rule['action'], scope: Scope, limit: Rule['limit'] = null): Rule => ({
  id,
  action,
  scope,
  limit,
  until: UNTIL,
})
const limit = { requests: 10, windowSeconds: 10 }
const throttles = [
  rule('dec_t0', 'throttle', { kind: 'principal', principal: principal(0) }, limit),
  rule('dec_t1', 'throttle', { kind: 'principal', principal: principal(1) }, limit),
]
const keyRules = [...throttles, rule('dec_b2', 'block', { kind: 'principal', principal: principal(2) })]
const token = rule('dec_1', 'revoke-token', { kind: 'token', iss: null, jti: 'j' })
const denyRules: readonly Rule[] = [
  { ...token, holder: { kind: 'sub', id: 'alice' } },
  rule('dec_2', 'revoke-token', { kind: 'subject', iss: null, sub: 'bob', notBefore: 1_789_000_000 }),
]

/** Rounds of a reconciler until a look finds nothing to do; says how many it took. */
async function converge(gateway: GatewayAdapter, desired: readonly Rule[]): Promise<number> {
  for (let round = 1; round <= 12; round++) {
    try {
      const next = plan(desired, await gateway.list(never), NOW)
      if (next.put.length + next.remove.length === 0) return round
      for (const one of next.put) await gateway.put(one, never)
      for (const id of next.remove) await gateway.remove(id, never)
    } catch (error) {
      // Every failure is one that a reconciler knows how to take.
      if (!(error instanceof CurfewError) || !error.retriable) throw error
    }
  }
  throw new Error('did not converge')
}

/** Each key is in a plan, and in no two of one stage. */
function expectPlanned({ state }: FakeAws): void {
  for (const key of FAKE_KEYS.slice(0, 3)) {
    const stages = state
      .plansOf(key)
      .flatMap((id) => state.plans.get(id)!.apiStages.map(({ apiId }) => apiId))
    expect(stages.length, `${key} is in a plan`).toBeGreaterThan(0)
    expect(new Set(stages).size, `${key} is in one plan per stage`).toBe(stages.length)
  }
}

async function account(): Promise<FakeAws> {
  const aws = await fakeAws(2)
  open.push(aws)
  const { state } = aws
  state.keys.set('foreign001', { id: 'foreign001', name: 'a', enabled: false, description: '[curfew:1:x:y]' })
  state.keys.set('foreign002', { id: 'foreign002', name: 'b', enabled: true, tags: { team: 'a' } })
  state.members.get('quarant1')!.add('foreign002')
  state.items.set('x', { pk: { S: 'deny#a' }, sk: { S: 'theirs' }, owner: { S: 'team' } })
  return aws
}

const KEY_FAULTS: readonly (readonly [RegExp, Fault, number])[] = [
  [/GetApiKeys/, 'too-many-requests', 2],
  [/GetApiKeys/, 'garbage', 1],
  [/GetApiKey$/, 'server-error', 2],
  [/UpdateApiKey/, 'too-many-requests', 2],
  [/UpdateApiKey/, 'conflict', 2],
  [/UpdateApiKey/, 'cut-connection', 2],
  [/UpdateApiKey/, 'lost-answer', 2],
  [/UpdateApiKey/, 'ignored', 3],
  [/UpdateApiKey/, 'late', 1],
  [/DeleteUsagePlanKey/, 'too-many-requests', 2],
  [/DeleteUsagePlanKey/, 'cut-connection', 1],
  [/DeleteUsagePlanKey/, 'lost-answer', 1],
  [/DeleteUsagePlanKey/, 'ignored', 1],
  [/DeleteUsagePlanKey/, 'late', 1],
  [/CreateUsagePlanKey/, 'too-many-requests', 6],
  [/CreateUsagePlanKey/, 'conflict', 6],
  [/CreateUsagePlanKey/, 'server-error', 5],
  [/CreateUsagePlanKey/, 'cut-connection', 12],
  [/CreateUsagePlanKey/, 'lost-answer', 2],
  [/CreateUsagePlanKey/, 'ignored', 1],
  [/CreateUsagePlanKey/, 'late', 1],
  [/GetUsagePlan/, 'garbage', 2],
  [/./, 'server-error', 9],
]

const DENY_FAULTS: readonly (readonly [RegExp, Fault, number])[] = [
  [/Query/, 'too-many-requests', 2],
  [/Query/, 'server-error', 2],
  [/Query/, 'garbage', 1],
  [/Query/, 'cut-connection', 3],
  [/PutItem/, 'too-many-requests', 2],
  [/PutItem/, 'conflict', 1],
  [/PutItem/, 'cut-connection', 1],
  [/PutItem/, 'lost-answer', 1],
  [/PutItem/, 'ignored', 1],
  [/PutItem/, 'late', 1],
  [/DeleteItem/, 'server-error', 2],
  [/DeleteItem/, 'lost-answer', 1],
  [/DeleteItem/, 'ignored', 1],
  [/DeleteItem/, 'late', 1],
  [/FlushStage/, 'too-many-requests', 2],
  [/FlushStage/, 'cut-connection', 1],
  [/FlushStage/, 'conflict', 1],
]

const address = (id: string, ip: string): Rule =>
  rule(id, 'block', {
    kind: 'principal',
    principal: { kind: 'ip', id: ip, label: ip, verified: false },
  })
const wafRules = [address('dec_a', '203.0.113.9'), address('dec_b', '2001:db8:1:2::/64')]
const WAF_FAULTS: readonly (readonly [RegExp, Fault, number])[] = [
  [/GetIPSet/, 'server-error', 2],
  [/GetIPSet/, 'garbage', 1],
  [/GetIPSet/, 'cut-connection', 1],
  [/UpdateIPSet/, 'conflict', 3],
  [/UpdateIPSet/, 'too-many-requests', 2],
  [/UpdateIPSet/, 'server-error', 1],
  [/UpdateIPSet/, 'cut-connection', 1],
  [/UpdateIPSet/, 'lost-answer', 1],
  [/UpdateIPSet/, 'ignored', 1],
  [/UpdateIPSet/, 'late', 1],
  [/PutItem/, 'ignored', 1],
  [/PutItem/, 'lost-answer', 1],
  [/DeleteItem/, 'server-error', 1],
  [/Query/, 'too-many-requests', 2],
]

describe('faults of the control plane', { timeout: 60_000 }, () => {
  it.each(KEY_FAULTS)('API keys: %s, %s, %i times', async (operation, fault, times) => {
    const aws = await account()
    const [gateway] = fakeAwsGateways(aws, 'aws')
    await faulted(aws, gateway!, keyRules, operation, fault, times)
  })

  it.each(DENY_FAULTS)('deny table: %s, %s, %i times', async (operation, fault, times) => {
    const aws = await account()
    const [, gateway] = fakeAwsGateways(aws, 'aws')
    await faulted(aws, gateway!, denyRules, operation, fault, times)
  })

  it.each(WAF_FAULTS)('addresses: %s, %s, %i times', async (operation, fault, times) => {
    const aws = await account()
    const [, , gateway] = fakeAwsGateways(aws, 'aws')
    await faulted(aws, gateway!, wafRules, operation, fault, times)
  })
})

/** The fault meets us while we put, while a rule is exchanged and while we lift. */
async function faulted(
  aws: FakeAws,
  gateway: GatewayAdapter,
  rules: readonly Rule[],
  operation: RegExp,
  fault: Fault,
  times: number,
): Promise<void> {
  const before = structuredClone(aws.state.content())
  const foreign = () => JSON.stringify([...aws.state.keys].filter(([id]) => id.startsWith('foreign')))
  const theirs = foreign()
  for (const desired of [rules, rules.slice(1), []]) {
    aws.faults.inject(operation, fault, times)
    await converge(gateway, desired)
    expectPlanned(aws)
    expect(foreign()).toBe(theirs)
  }
  expect(JSON.stringify(aws.state.content())).toBe(JSON.stringify(before))
  expect(aws.violations).toEqual([])
  if (awsDescriptions().apigateway !== null) expect(aws.validated).toBe(aws.log.length)
  expect(aws.faults.unmet, 'faults that nothing ran into').toBeLessThan(times * 3)
}

describe('a key on the move', { timeout: 60_000 }, () => {
  it('goes back to its plans at once when it cannot join quarantine', async () => {
    const aws = await account()
    const [gateway] = fakeAwsGateways(aws, 'aws')
    aws.faults.inject(/CreateUsagePlanKey/, 'too-many-requests', 4)
    await expect(gateway!.put(throttles[0]!, never)).rejects.toMatchObject({ retriable: true })
    expect(aws.state.plansOf(FAKE_KEYS[0])).toEqual(['plan1', 'plan2'])
    expect(await gateway!.list(never)).toEqual([{ ...throttles[0], until: 0 }])
    await gateway!.put(throttles[0]!, never)
    expect(aws.state.plansOf(FAKE_KEYS[0])).toEqual(['quarant1'])
  })

  it.each(['ignored', 'late'] as const)(
    'has arrived once it is told so, also where joining was %s',
    async (fault) => {
      const aws = await account()
      const [gateway] = fakeAwsGateways(aws, 'aws')
      aws.faults.inject(/CreateUsagePlanKey/, fault)
      await gateway!.put(throttles[0]!, never)
      expect(aws.state.plansOf(FAKE_KEYS[0])).toEqual(['quarant1'])
    },
  )

  it('is finished although its caller gave up half-way', async () => {
    const aws = await account()
    const [gateway] = fakeAwsGateways(aws, 'aws')
    const stop = new AbortController()
    const left = aws.state.answer.bind(aws.state)
    aws.state.answer = (operation, ...rest) => {
      if (operation === 'DeleteUsagePlanKey') stop.abort()
      return left(operation, ...rest)
    }
    await gateway!.put(throttles[0]!, stop.signal).catch(() => undefined)
    expectPlanned(aws)
  })

  it('left without a plan by a dead process is given its own back by whoever sweeps', async () => {
    const aws = await account()
    const [gateway] = fakeAwsGateways(aws, 'aws')
    await gateway!.put(throttles[0]!, never)
    aws.state.members.get('quarant1')!.delete(FAKE_KEYS[0])
    expect(await gateway!.list(never)).toEqual([{ ...throttles[0], until: 0 }])
    await fakeAwsGateways(aws, 'sweep')[0]!.remove('dec_t0', never)
    expect(aws.state.plansOf(FAKE_KEYS[0])).toEqual(['plan1', 'plan2'])
  })

  it('that somebody else moved meanwhile stays where they put it', async () => {
    const aws = await account()
    const [gateway] = fakeAwsGateways(aws, 'aws')
    await gateway!.put(throttles[1]!, never)
    const stage = { apiId: 'api1', stage: 'prod' }
    aws.state.addPlan({ id: 'plan9', name: 'theirs', apiStages: [stage] }, [FAKE_KEYS[1]])
    aws.state.members.get('quarant3')!.delete(FAKE_KEYS[1])
    await gateway!.remove('dec_t1', never)
    expect(aws.state.plansOf(FAKE_KEYS[1])).toEqual(['plan9'])
    expect(aws.state.keys.get(FAKE_KEYS[1])?.description).toBe('of team b')
  })

  it('stays in quarantine, in words, when its own plans are gone', async () => {
    const aws = await account()
    const [gateway] = fakeAwsGateways(aws, 'aws')
    await gateway!.put(throttles[1]!, never)
    aws.state.plans.delete('plan1')
    aws.state.members.delete('plan1')
    const lifted = gateway!.remove('dec_t1', never)
    await expect(lifted).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT', retriable: false })
    expect(aws.state.plansOf(FAKE_KEYS[1])).toEqual(['quarant3'])
  })

  it.each([
    ['no plan is tight enough', { requests: 1, windowSeconds: 3_600 }, 0, /lets out more/],
    ['it would take or give a stage', limit, 2, /lacks stage api2|would open stage api1/],
    ['the key has no plan', limit, 3, /in no usage plan/],
  ])('is refused where %s', async (_why, asked, key, message) => {
    const aws = await account()
    const [gateway] = fakeAwsGateways(aws, 'aws')
    const one = rule('dec_x', 'throttle', { kind: 'principal', principal: principal(key) }, asked)
    const before = structuredClone(aws.state.content())
    await expect(gateway!.put(one, never)).rejects.toMatchObject({
      code: 'GATEWAY_REFUSED',
      message: expect.stringMatching(message),
    })
    expect(aws.state.content()).toEqual(before)
  })

  it.each([
    { rateLimit: 0.5, burstLimit: 2 },
    { rateLimit: 1, burstLimit: 1 },
  ])('is refused where its own plan is stricter: %j', async (throttle) => {
    const aws = await account()
    const own = aws.state.plans.get('plan1')!
    aws.state.plans.set('plan1', { ...own, throttle })
    const [gateway] = fakeAwsGateways(aws, 'aws')
    await expect(gateway!.put(throttles[1]!, never)).rejects.toThrow(/looser than plan plan1/)
  })
})
