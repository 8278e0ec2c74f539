import { afterAll, describe, expect, it } from 'vitest'
import type { Scope } from '../../../core/decision.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { FakeAws } from '../../services/aws-fake.ts'
import {
  awsDescriptions,
  FAKE_KEYS,
  FAKE_POOL_ISSUER,
  FAKE_SUBS,
  fakeAws,
  fakeAwsGateways,
} from '../../services/aws-rig.ts'
import type { GatewayBench } from './gateway-contract.ts'
import { gatewayContract } from './gateway-contract.ts'

const violations: string[] = []
const figures = { calls: 0, validated: 0 }
const UNTIL = wallTime(1_790_000_000_500)

function rule(id: string, action: Rule['action'], key: number, limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'key', id: FAKE_KEYS[key]!, label: `svc ${key}:/],ü`, verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: UNTIL }
}

const credential = rule('dec_cred', 'revoke-credential', 2)
const keyRules: readonly Rule[] = [
  rule('dec_throttle', 'throttle', 0, { requests: 10, windowSeconds: 10 }),
  rule('dec_block', 'block', 0),
  rule('dec_throttle2', 'throttle', 1, { requests: 100, windowSeconds: 60 }),
  rule('dec_block2', 'block', 3),
  { ...credential, scope: { ...credential.scope, kind: 'credential', credential: FAKE_KEYS[2]! } as Scope },
]

const alice = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const
const denied = (id: string, action: Rule['action'], scope: Scope): Rule => ({
  id,
  action,
  scope,
  limit: null,
  until: UNTIL,
})
const denyRules: readonly Rule[] = [
  {
    ...denied('dec_1', 'revoke-token', { kind: 'token', iss: 'https://id.example', jti: 'a/b,c"\u0000#' }),
    holder: { kind: 'sub', id: 'alice' },
  },
  denied('dec_2', 'block', { kind: 'principal', principal: alice }),
  denied('dec_3', 'revoke-token', { kind: 'subject', iss: null, sub: 'bob', notBefore: 1_789_000_000 }),
  denied('dec_4', 'revoke-token', { kind: 'token-issue', iss: null, sub: 'bob', iat: 1_789_000_000 }),
  denied('dec_5', 'revoke-credential', { kind: 'credential', credential: 'k-1', principal: alice }),
]

const fakes = new WeakMap<GatewayBench, FakeAws>()

async function make(which: 0 | 1 | 2 | 3, pageSize: number): Promise<GatewayBench> {
  const aws = await fakeAws(pageSize)
  const bench: GatewayBench = {
    adapter: fakeAwsGateways(aws, 'aws')[which]!,
    other: fakeAwsGateways(aws, 'aws-2')[which]!,
    calls: () => aws.calls,
    failures: ['refused', 'status-500', 'garbage', 'hang'],
    fail: (failure) => aws.fail(failure),
    state: async () => structuredClone(aws.state.content()),
    close: async () => {
      violations.push(...aws.violations)
      figures.calls += aws.log.length
      figures.validated += aws.validated
      await aws.stop()
    },
  }
  fakes.set(bench, aws)
  return bench
}

/** Keys of others, a key that a person put into quarantine, and texts that look like our mark. */
async function foreignKeys(bench: GatewayBench): Promise<void> {
  const { state } = fakes.get(bench)!
  const forged = `[curfew:1:${Buffer.from('[[],true,["plan1"],"quarant1"]').toString('base64url')}:${'0'.repeat(32)}]`
  state.keys.set('foreign001', { id: 'foreign001', name: 'theirs', enabled: false, description: forged })
  state.keys.set('foreign002', { id: 'foreign002', name: 'by hand', enabled: true })
  state.members.get('quarant1')!.add('foreign002')
  state.keys.get(FAKE_KEYS[0]!)!.description = `orders ${forged}`
  state.keys.get(FAKE_KEYS[3]!)!.enabled = false
}

const keyCase = {
  rules: keyRules,
  changed: rule('dec_throttle', 'throttle', 0, { requests: 20, windowSeconds: 10 }),
  unsupported: denied('dec_no', 'revoke-token', { kind: 'token', iss: null, jti: 'j' }),
  foreign: foreignKeys,
  foreignState: async (bench: GatewayBench) =>
    structuredClone([...fakes.get(bench)!.state.keys.values()].filter(({ id }) => id.startsWith('foreign'))),
}

const denyCase = {
  rules: denyRules,
  changed: { ...denyRules[0]!, until: wallTime(UNTIL + 60_000) },
  unsupported: { ...rule('dec_no', 'throttle', 0, { requests: 1, windowSeconds: 1 }) },
  foreign: async (bench: GatewayBench) => {
    fakes.get(bench)!.state.items.set('x', { pk: { S: 'deny#a' }, sk: { S: 'theirs' }, owner: { S: 'team' } })
  },
}

const blocked = (id: string, address: string): Rule => {
  const principal = { kind: 'ip', id: address, label: address, verified: false } as const
  return denied(id, 'block', { kind: 'principal', principal })
}
const wafCase = {
  rules: [
    blocked('dec_a', '203.0.113.9'),
    blocked('dec_b', '203.0.113.10'),
    blocked('dec_c', '2001:db8:1:2::/64'),
  ],
  changed: { ...blocked('dec_a', '203.0.113.9'), until: wallTime(UNTIL + 60_000) },
  unsupported: denied('dec_no', 'block', { kind: 'principal', principal: alice }),
  // One of our addresses had been blocked by somebody else, who must find it blocked afterwards.
  foreign: async (bench: GatewayBench) => {
    const { ipSets } = fakes.get(bench)!.state
    for (const [id, set] of ipSets)
      if (set.name === 'blocked')
        ipSets.set(id, { ...set, addresses: ['198.51.100.1/32', '203.0.113.10/32'] })
  },
  foreignState: async (bench: GatewayBench) =>
    [...fakes.get(bench)!.state.ipSets.values()].map(({ name, description, addresses }) => [
      name,
      description,
      addresses.filter((one) => one.startsWith('198.') || one === '203.0.113.10/32'),
    ]),
}

gatewayContract({ name: 'AWS API keys', make: () => make(0, 500), ...keyCase })
gatewayContract({ name: 'AWS API keys with pages of two', make: () => make(0, 2), ...keyCase })
gatewayContract({ name: 'AWS deny table', make: () => make(1, 500), ...denyCase })
gatewayContract({ name: 'AWS deny table with pages of one', make: () => make(1, 1), ...denyCase })

gatewayContract({ name: 'AWS WAF', make: () => make(2, 500), ...wafCase })

const signedOut = (id: string, user: number, iss: string | null = FAKE_POOL_ISSUER): Rule =>
  denied(id, 'revoke-token', { kind: 'subject', iss, sub: FAKE_SUBS[user]!, notBefore: null })
gatewayContract({
  name: 'AWS Cognito',
  make: () => make(3, 500),
  rules: [signedOut('dec_a', 0), signedOut('dec_b', 1, null), signedOut('dec_c', 2)],
  changed: { ...signedOut('dec_a', 0), until: wallTime(UNTIL + 60_000) },
  unsupported: signedOut('dec_no', 0, 'https://other.example'),
  foreign: denyCase.foreign,
})

describe('the stand-in for AWS', () => {
  it.skipIf(awsDescriptions().apigateway === null && process.env.CI !== 'true')(
    'has the official models',
    () => {
      const { apigateway, dynamodb } = awsDescriptions()
      expect([apigateway, dynamodb], 'shared/gateways/specs/aws is missing').not.toContain(null)
      expect(apigateway!.request('DeleteApiKey', wire('GET', '/apikeys/a'))).toMatch(/method/)
      expect(apigateway!.request('UpdateApiKey', wire('PATCH', '/apikeys/a', { patch: [] }))).toMatch(/patch/)
      const patch = { patchOperations: [{ op: 'set', path: '/enabled', value: 'false' }] }
      expect(apigateway!.request('UpdateApiKey', wire('PATCH', '/apikeys/a', patch))).toMatch(/none of/)
      expect(apigateway!.request('GetApiKeys', wire('GET', '/apikeys?limit=x'))).toMatch(/whole number/)
      expect(dynamodb!.request('PutItem', wire('POST', '/', { TableName: 't' }))).toMatch(/Item is missing/)
    },
  )

  afterAll(() => {
    // Collected over all checks above: each request and each answer kept to the official models.
    expect(violations).toEqual([])
    if (awsDescriptions().apigateway !== null) expect(figures.validated).toBe(figures.calls)
    console.log(`AWS contract: ${figures.validated} of ${figures.calls} requests checked against the models`)
  })
})

function wire(method: string, path: string, body: unknown = null) {
  return { method, url: new URL(path, 'http://aws'), headers: {}, body }
}
