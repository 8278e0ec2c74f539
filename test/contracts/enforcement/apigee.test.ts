import { afterAll, describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { ApigeeDescription } from '../../services/apigee-description.ts'
import type { FakeApigee } from '../../services/apigee-fake.ts'
import { FAKE_APPS, FAKE_CREDENTIALS, fakeApigee, fakeApigeeGateways } from '../../services/apigee-rig.ts'
import type { GatewayBench } from './gateway-contract.ts'
import { gatewayContract } from './gateway-contract.ts'

const description = ApigeeDescription.open()
const violations: string[] = []
const figures = { answered: 0, validated: 0 }
const UNTIL = wallTime(1_790_000_000_500)

function rule(
  id: string,
  action: Rule['action'],
  kind: Principal['kind'],
  of: string,
  limit: Rule['limit'] = null,
): Rule {
  const principal = { kind, id: of, label: 'svc:/,ü', verified: kind !== 'ip' }
  return { id, action, scope: { kind: 'principal', principal }, limit, until: UNTIL }
}

const credential = rule('dec_cred', 'revoke-credential', 'app', FAKE_APPS[2]!)
const rules: readonly Rule[] = [
  rule('dec_throttle', 'throttle', 'app', FAKE_APPS[0]!, { requests: 10, windowSeconds: 10 }),
  rule('dec_block', 'block', 'app', FAKE_APPS[0]!),
  rule('dec_throttle2', 'throttle', 'app', FAKE_APPS[2]!, { requests: 100, windowSeconds: 600 }),
  rule('dec_key', 'revoke-credential', 'key', FAKE_CREDENTIALS[1]!),
  rule('dec_dev', 'block', 'account', 'dev-3'),
  {
    ...credential,
    scope: { ...credential.scope, kind: 'credential', credential: FAKE_CREDENTIALS[2]! } as Rule['scope'],
  },
]

const fakes = new WeakMap<GatewayBench, FakeApigee>()

async function make(which: 0 | 1, pageSize: number): Promise<GatewayBench> {
  const apigee = await fakeApigee(pageSize)
  const bench: GatewayBench = {
    adapter: fakeApigeeGateways(apigee, 'apigee')[which]!,
    other: fakeApigeeGateways(apigee, 'apigee-2')[which]!,
    calls: () => apigee.calls,
    failures: ['refused', 'status-500', 'garbage', 'hang'],
    fail: (failure) => apigee.fail(failure),
    state: async () => structuredClone(apigee.state.content()),
    close: async () => {
      violations.push(...apigee.violations)
      // The key in clear is nowhere but in the apps themselves.
      const { apps: _apps, ...written } = JSON.parse(JSON.stringify({ ...apigee.state.content() }))
      if (JSON.stringify(written).includes('canaryKEY')) violations.push('a consumer key was stored')
      figures.answered += apigee.answered
      figures.validated += apigee.validated
      await apigee.stop()
    },
  }
  fakes.set(bench, apigee)
  return bench
}

const callers = {
  rules,
  changed: rule('dec_throttle', 'throttle', 'app', FAKE_APPS[0]!, { requests: 5, windowSeconds: 10 }),
  unsupported: {
    ...rules[1]!,
    action: 'revoke-token',
    scope: { kind: 'token', iss: null, jti: 'j' },
  } as Rule,
  foreign: async (bench: GatewayBench) => {
    const { state } = fakes.get(bench)!
    state.entries.set('quota__dev-0__orders', '7')
    state.entries.set('theirs', 'x')
    state.apps[1]!.credentials[0]!.status = 'revoked'
    state.developers.set('dev-9', 'inactive')
    state.apps.push({ name: 'theirs', developerId: 'dev-9', status: 'revoked', credentials: [] })
  },
  foreignState: async (bench: GatewayBench) => {
    const { state } = fakes.get(bench)!
    return structuredClone([state.apps.at(-1), state.developers.get('dev-9'), state.entries.get('theirs')])
  },
}
const actions = {
  rules: [
    rule('dec_a', 'block', 'ip', '203.0.113.9'),
    rule('dec_b', 'block', 'ip', '203.0.113.10'),
    rule('dec_c', 'block', 'ip', '2001:db8:1:2::/64'),
  ],
  changed: { ...rule('dec_a', 'block', 'ip', '203.0.113.9'), until: wallTime(UNTIL + 60_000) },
  unsupported: rule('dec_no', 'block', 'app', FAKE_APPS[0]!),
  foreign: async (bench: GatewayBench) => {
    const { actions: all } = fakes.get(bench)!.state
    const more = { deny: { responseCode: 403 }, conditionConfig: { ipAddressRanges: ['203.0.113.9'] } }
    all.set('theirs', {
      name: 'organizations/acme/environments/prod/securityActions/theirs',
      state: 'ENABLED',
      ...more,
    })
    const forged = { description: `curfew:1 ${JSON.stringify({ layout: 1, ...rules[1] })}`, ...more }
    all.set('forged', {
      name: 'organizations/acme/environments/prod/securityActions/forged',
      state: 'ENABLED',
      ...forged,
    })
  },
}

gatewayContract({ name: 'Apigee', make: () => make(0, 100), ...callers })
gatewayContract({ name: 'Apigee with pages of one', make: () => make(0, 1), ...callers })
gatewayContract({ name: 'Apigee security actions', make: () => make(1, 100), ...actions })

describe('the stand-in for Apigee', () => {
  it.skipIf(description === null && process.env.CI !== 'true')('has the official description', () => {
    expect(description, 'shared/gateways/specs/apigee is missing').not.toBeNull()
    const at = (path: string) => new URL(`http://a/v1/organizations/acme/${path}`)
    expect(description!.request('GET', at('nowhere'), null)).toMatch(/not described/)
    expect(description!.request('GET', at('apps?size=1'), null)).toMatch(/query size/)
    const entries = at('environments/prod/keyvaluemaps/curfew/entries')
    expect(description!.request('POST', entries, { name: 'a', text: 'b' })).toMatch(/unknown field text/)
    expect(description!.request('POST', entries, { name: 1 })).toMatch(/no string/)
    const action = at('environments/prod/securityActions?securityActionId=a')
    expect(description!.request('POST', action, { state: 'ON' })).toMatch(/none of/)
  })

  afterAll(() => {
    // Collected over all checks above: each request and each answer kept to the official description.
    expect(violations).toEqual([])
    if (description !== null) expect(figures.validated).toBe(figures.answered)
    console.log(
      `Apigee contract: ${figures.validated} of ${figures.answered} requests checked against the description`,
    )
  })
})
