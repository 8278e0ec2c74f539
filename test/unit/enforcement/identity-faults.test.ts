import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import type { FakeAws } from '../../services/aws-fake.ts'
import { FAKE_POOL_ISSUER, FAKE_SUBS, fakeAws, fakeAwsGateways } from '../../services/aws-rig.ts'
import { converge, HOSTILE_IDS } from '../../services/convergence.ts'
import type { Fault } from '../../services/injected-faults.ts'
import type { FakeKeycloak } from '../../services/keycloak-fake.ts'
import { FAKE_USERS, fakeKeycloak, fakeKeycloakGateway } from '../../services/keycloak-rig.ts'

const never = new AbortController().signal
const UNTIL = wallTime(1_790_000_000_000)
const open: { stop(): Promise<void> }[] = []
afterEach(async () => {
  for (const one of open.splice(0)) await one.stop()
})

const subject = (id: string, sub: string, iss: string | null = null): Rule => ({
  id,
  action: 'revoke-token',
  scope: { kind: 'subject', iss, sub, notBefore: null },
  limit: null,
  until: UNTIL,
})

const KEYCLOAK_FAULTS: readonly (readonly [RegExp, Fault, number])[] = [
  [/GetGroups/, 'too-many-requests', 2],
  [/GetGroups/, 'server-error', 2],
  [/GetGroups/, 'garbage', 1],
  [/GetGroups/, 'cut-connection', 2],
  [/CreateGroup/, 'conflict', 2],
  [/CreateGroup/, 'lost-answer', 1],
  [/CreateGroup/, 'ignored', 1],
  [/CreateGroup/, 'late', 1],
  [/UpdateGroup/, 'server-error', 1],
  [/UpdateGroup/, 'ignored', 1],
  [/UpdateGroup/, 'lost-answer', 1],
  [/DeleteGroup/, 'cut-connection', 1],
  [/DeleteGroup/, 'ignored', 1],
  [/DeleteGroup/, 'late', 1],
  [/GetUser/, 'server-error', 2],
  [/UpdateUser/, 'too-many-requests', 1],
  [/UpdateUser/, 'ignored', 1],
  [/UpdateUser/, 'lost-answer', 1],
  [/UpdateUser/, 'late', 1],
  [/Logout/, 'too-many-requests', 2],
  [/Logout/, 'cut-connection', 1],
  [/Logout/, 'lost-answer', 1],
  [/Logout/, 'ignored', 1],
  [/Logout/, 'late', 1],
  [/DeleteSession/, 'ignored', 1],
  [/DeleteSession/, 'server-error', 1],
  [/GetConsents/, 'garbage', 1],
  [/./, 'server-error', 9],
]

async function realm(): Promise<FakeKeycloak> {
  const keycloak = await fakeKeycloak()
  open.push(keycloak)
  keycloak.state.groups.set('theirs', { name: 'curfew-rule-theirs', attributes: { team: ['a'] } })
  return keycloak
}

const enabled = ({ state }: FakeKeycloak) => [...state.users].map(([id, user]) => [id, user.enabled])

describe('faults of Keycloak', { timeout: 60_000 }, () => {
  it.each(KEYCLOAK_FAULTS)('%s, %s, %i times', async (operation, fault, times) => {
    const keycloak = await realm()
    const gateway = fakeKeycloakGateway(keycloak, 'login', true)
    const rules = [
      subject('dec_0', FAKE_USERS[0]),
      subject('dec_1', FAKE_USERS[1]),
      subject('dec_2', FAKE_USERS[2]),
    ]
    const before = enabled(keycloak)
    for (const desired of [rules, rules.slice(1), []]) {
      keycloak.faults.inject(operation, fault, times)
      await converge(gateway, desired)
      for (const { scope } of desired) {
        const user = scope.kind === 'subject' ? keycloak.state.users.get(scope.sub) : undefined
        expect(user).toMatchObject({ enabled: false, sessions: [] })
        expect(Object.values(user!.offline).flat()).toEqual([])
        expect(user!.notBefore).toBeGreaterThan(0)
      }
      const theirs = JSON.stringify(keycloak.state.groups.get('theirs'))
      expect(theirs).toBe(JSON.stringify({ name: 'curfew-rule-theirs', attributes: { team: ['a'] } }))
    }
    expect(enabled(keycloak)).toEqual(before)
    expect([...keycloak.state.groups.keys()]).toEqual(['theirs'])
    expect(keycloak.state.users.get(FAKE_USERS[3])).toMatchObject({ notBefore: 0, enabled: true })
    expect(keycloak.violations).toEqual([])
    expect(keycloak.faults.unmet, 'faults that nothing ran into').toBeLessThan(times * 3)
  })

  it('notices a logout that was not done where there is no session to tell it by', async () => {
    const keycloak = await realm()
    const user = keycloak.state.users.get(FAKE_USERS[0])!
    keycloak.state.users.set(FAKE_USERS[0], { ...user, sessions: [], offline: {} })
    keycloak.faults.inject(/Logout/, 'ignored', 2)
    await fakeKeycloakGateway(keycloak, 'login', false).put(subject('dec_0', FAKE_USERS[0]), never)
    expect(keycloak.state.users.get(FAKE_USERS[0])!.notBefore).toBeGreaterThan(0)
  })

  it('asks for a new token when its own is refused', async () => {
    const keycloak = await realm()
    const gateway = fakeKeycloakGateway(keycloak, 'login', false)
    await gateway.put(subject('dec_0', FAKE_USERS[0]), never)
    keycloak.tokensRevoked = true
    expect(await gateway.list(never)).toHaveLength(1)
  })
})

describe('an account that is switched off', () => {
  it('stays off for the second rule, and is given back with the last', async () => {
    const keycloak = await realm()
    const gateway = fakeKeycloakGateway(keycloak, 'login', true)
    const sweeper = fakeKeycloakGateway(keycloak, 'sweep', false)
    const user = FAKE_USERS[0]
    await gateway.put(subject('dec_a', user), never)
    await gateway.put({ ...subject('dec_b', user), until: wallTime(UNTIL + 1_000) }, never)
    await sweeper.remove('dec_a', never)
    expect(keycloak.state.users.get(user)?.enabled).toBe(false)
    await sweeper.remove('dec_b', never)
    expect(keycloak.state.users.get(user)?.enabled).toBe(true)
  })

  it('is switched off again when somebody switches it on, and left on when that was meant', async () => {
    const keycloak = await realm()
    const gateway = fakeKeycloakGateway(keycloak, 'login', true)
    const [user, rule] = [FAKE_USERS[0], subject('dec_a', FAKE_USERS[0])]
    await gateway.put(rule, never)
    keycloak.state.users.set(user, { ...keycloak.state.users.get(user)!, enabled: true })
    expect(await gateway.list(never)).toEqual([{ ...rule, until: 0 }])
    await converge(gateway, [rule])
    expect(keycloak.state.users.get(user)?.enabled).toBe(false)
  })

  it('was off before: it stays off afterwards', async () => {
    const keycloak = await realm()
    const gateway = fakeKeycloakGateway(keycloak, 'login', true)
    await gateway.put(subject('dec_a', FAKE_USERS[2]), never)
    await gateway.remove('dec_a', never)
    expect(keycloak.state.users.get(FAKE_USERS[2])?.enabled).toBe(false)
  })
})

describe('a mark that somebody edited', () => {
  it('is told, and nothing is guessed from it', async () => {
    const keycloak = await realm()
    const gateway = fakeKeycloakGateway(keycloak, 'login', true)
    await gateway.put(subject('dec_a', FAKE_USERS[0]), never)
    const [id, group] = [...keycloak.state.groups].find(([, { name }]) => name === 'curfew-rule-dec_a')!
    keycloak.state.groups.set(id, { ...group, attributes: { ...group.attributes, 'curfew.0': ['eyJ4'] } })
    await expect(gateway.list(never)).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT', retriable: false })
    await expect(gateway.remove('dec_a', never)).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT' })
    expect(keycloak.state.users.get(FAKE_USERS[0])?.enabled).toBe(false)
  })
})

const COGNITO_FAULTS: readonly (readonly [RegExp, Fault, number])[] = [
  [/Query/, 'too-many-requests', 2],
  [/Query/, 'server-error', 2],
  [/Query/, 'garbage', 1],
  [/Query/, 'cut-connection', 3],
  [/PutItem/, 'too-many-requests', 2],
  [/PutItem/, 'conflict', 1],
  [/PutItem/, 'lost-answer', 1],
  [/PutItem/, 'ignored', 1],
  [/PutItem/, 'late', 1],
  [/DeleteItem/, 'server-error', 2],
  [/DeleteItem/, 'ignored', 1],
  [/DeleteItem/, 'late', 1],
  [/AdminUserGlobalSignOut/, 'too-many-requests', 2],
  [/AdminUserGlobalSignOut/, 'server-error', 2],
  [/AdminUserGlobalSignOut/, 'cut-connection', 1],
  [/AdminUserGlobalSignOut/, 'lost-answer', 1],
  [/./, 'server-error', 9],
]

describe('faults of Cognito', { timeout: 60_000 }, () => {
  it.each(COGNITO_FAULTS)('%s, %s, %i times', async (operation, fault, times) => {
    const aws = await fakeAws(2)
    open.push(aws)
    aws.state.items.set('x', { pk: { S: 'cognito#a' }, sk: { S: 'theirs' }, owner: { S: 'team' } })
    const gateway = fakeAwsGateways(aws, 'aws')[3]!
    const rules = FAKE_SUBS.slice(0, 2).map((sub, i) => subject(`dec_${i}`, sub, FAKE_POOL_ISSUER))
    const before = JSON.stringify(aws.state.content())
    for (const desired of [rules, rules.slice(1), []]) {
      aws.faults.inject(operation, fault, times)
      await converge(gateway, desired)
      for (const { scope } of desired)
        expect(scope.kind === 'subject' && aws.state.users.get(scope.sub)).toBeGreaterThan(0)
    }
    expect(JSON.stringify(aws.state.content())).toBe(before)
    expect(aws.state.users.get(FAKE_SUBS[2]!)).toBe(0)
    expect(aws.violations).toEqual([])
  })

  it('signs out once, and not again for a longer hold', async () => {
    const aws: FakeAws = await fakeAws()
    open.push(aws)
    const gateway = fakeAwsGateways(aws, 'aws')[3]!
    const rule = subject('dec_a', FAKE_SUBS[0]!)
    await gateway.put(rule, never)
    await gateway.put(rule, never)
    await gateway.put({ ...rule, until: wallTime(UNTIL + 60_000) }, never)
    expect(aws.state.users.get(FAKE_SUBS[0]!)).toBe(1)
  })
})

describe('hostile subjects', () => {
  const refusedUnseen = async (gateway: GatewayAdapter, calls: () => number) => {
    for (const sub of HOSTILE_IDS) {
      const put = gateway.put(subject('dec_a', sub), never)
      await expect(put, JSON.stringify(sub.slice(0, 20))).rejects.toMatchObject({
        code: 'GATEWAY_UNSUPPORTED',
      })
    }
    for (const id of HOSTILE_IDS)
      await expect(gateway.put(subject(id, FAKE_USERS[0]), never)).rejects.toMatchObject({
        code: 'GATEWAY_UNSUPPORTED',
      })
    expect(calls()).toBe(0)
  }

  it('never reach Keycloak', async () => {
    const keycloak = await realm()
    await refusedUnseen(fakeKeycloakGateway(keycloak, 'login', true), () => keycloak.calls)
  })

  it('never reach Cognito', async () => {
    const aws = await fakeAws()
    open.push(aws)
    await refusedUnseen(fakeAwsGateways(aws, 'aws')[3]!, () => aws.calls)
  })
})
