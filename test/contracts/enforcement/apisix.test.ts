import { afterAll, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { ApisixGateway } from '../../../enforcement/gateways/apisix.ts'
import { consumerFault } from '../../services/apisix-description.ts'
import { FAKE_ADMIN_KEY, FakeApisix, type FakeApisixOptions } from '../../services/apisix-fake.ts'
import { APISIX_ADMIN_URL, RealApisix } from '../../services/apisix-real.ts'
import type { GatewayBench } from './gateway-contract.ts'
import { gatewayContract } from './gateway-contract.ts'

const violations: string[] = []
const CONSUMERS = ['orders_svc', 'billing_svc', 'x', 'Partner3']

function rule(id: string, action: Rule['action'], consumer: number, limit: Rule['limit'] = null): Rule {
  const principal = {
    kind: 'consumer',
    id: CONSUMERS[consumer]!,
    label: `svc ${consumer}:/,ü "\\u`,
    verified: true,
  } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_500) }
}

const credential = rule('dec_cred', 'revoke-credential', 2)
const rules: Rule[] = [
  rule('dec_throttle', 'throttle', 0, { requests: 1, windowSeconds: 10 }),
  rule('dec_block', 'block', 0),
  rule('dec_throttle2', 'throttle', 1, { requests: 100, windowSeconds: 60 }),
  rule('dec_block2', 'block', 3),
  {
    ...credential,
    scope: { ...credential.scope, kind: 'credential', credential: 'cred/1 x' } as Rule['scope'],
  },
]

const UPSTREAM = { type: 'roundrobin', nodes: { '127.0.0.1:9': 1 } }

const fakes = new WeakMap<GatewayBench, FakeApisix>()

async function make(options: FakeApisixOptions): Promise<GatewayBench> {
  const apisix = new FakeApisix(options)
  for (const username of CONSUMERS)
    apisix.plant('consumers', username, { username, plugins: { 'key-auth': { key: `k-${username}` } } })
  await apisix.start()
  const adapter = (name: string) =>
    new ApisixGateway({ name, adminUrl: apisix.url, adminKey: FAKE_ADMIN_KEY })
  const bench: GatewayBench = {
    adapter: adapter('apisix'),
    other: adapter('apisix-2'),
    calls: () => apisix.calls,
    failures: ['refused', 'status-500', 'garbage', 'hang'],
    fail: (failure) => apisix.fail(failure),
    state: async () => structuredClone(apisix.state()),
    close: async () => {
      violations.push(...apisix.violations)
      await apisix.stop()
    },
  }
  fakes.set(bench, apisix)
  return bench
}

type Plant = (
  kind: 'consumers' | 'consumer_groups' | 'routes' | 'services' | 'plugin_configs',
  id: string,
  value: Readonly<Record<string, unknown>>,
) => void | Promise<void>

/** A plugin in every place that hides another, on the callers that rules are about. */
async function plantForeign(plant: Plant): Promise<void> {
  const limit = (count: number, seconds: number, more: object = {}) => ({
    'limit-count': { count, time_window: seconds, ...more },
  })
  await plant('consumer_groups', 'partners', { plugins: limit(30, 60) })
  await plant('routes', 'r1', { uri: '/a', upstream: UPSTREAM, plugins: limit(4, 1) })
  await plant('services', 's1', { plugins: { 'key-auth': {}, ...limit(500, 3_600) } })
  await plant('plugin_configs', 'p1', { plugins: limit(40, 60, { _meta: { disable: true } }) })
  await plant('consumers', CONSUMERS[0]!, {
    username: CONSUMERS[0]!,
    desc: 'orders',
    labels: { team: 'a', custom_id: '17' },
    plugins: {
      'key-auth': { key: 'k' },
      ...limit(40, 60, { policy: 'redis', redis_host: 'redis.test', redis_password: 'canary', group: 'g' }),
      'consumer-restriction': { type: 'route_id', whitelist: ['r1', 'r 2'], _meta: { priority: 3 } },
    },
  })
  await plant('consumers', CONSUMERS[1]!, { username: CONSUMERS[1]!, group_id: 'partners', labels: {} })
  await plant('consumers', CONSUMERS[2]!, {
    username: CONSUMERS[2]!,
    plugins: {
      'consumer-restriction': {
        blacklist: ['x', 'y'],
        _meta: { disable: true, filter: [['arg_a', '==', 'b c']] },
      },
    },
  })
  await plant('consumers', CONSUMERS[3]!, { username: CONSUMERS[3]!, plugins: {} })
  await plant('consumers', 'bystander', {
    username: 'bystander',
    labels: { 'curfew-ui': 'x', curfewish: 'y' },
  })
}

const shared = {
  rules,
  changed: rule('dec_throttle', 'throttle', 0, { requests: 3, windowSeconds: 60 }),
  unsupported: {
    ...rule('dec_no', 'revoke-token', 0),
    scope: { kind: 'token', iss: null, jti: 'j' } as const,
  },
  foreign: async (bench: GatewayBench) => {
    const apisix = fakes.get(bench)!
    await plantForeign((kind, id, value) => apisix.plant(kind, id, value))
  },
  foreignState: async (bench: GatewayBench) =>
    ((await bench.state()) as readonly (readonly [string, unknown])[]).filter(
      ([key]) => !CONSUMERS.some((name) => key === `/apisix/consumers/${name}`),
    ),
}

gatewayContract({ name: 'APISIX', make: () => make({}), ...shared })
gatewayContract({
  name: 'an older APISIX, which stores defaults',
  make: () => make({ isOld: true }),
  ...shared,
})

if (APISIX_ADMIN_URL !== undefined) {
  const url = APISIX_ADMIN_URL
  const reals = new WeakMap<GatewayBench, RealApisix>()
  gatewayContract({
    name: 'a real APISIX',
    ...shared,
    make: async () => {
      const apisix = new RealApisix(url)
      await apisix.start()
      for (const username of CONSUMERS)
        await apisix.plant('consumers', username, {
          username,
          plugins: { 'key-auth': { key: `k-${username}` } },
        })
      const bench: GatewayBench = {
        adapter: apisix.gateway('apisix'),
        other: apisix.gateway('apisix-2'),
        calls: () => apisix.calls,
        failures: ['refused'],
        fail: async (failure) => {
          apisix.isDown = failure !== null
        },
        state: () => apisix.state(),
        close: () => apisix.stop(),
      }
      reals.set(bench, apisix)
      return bench
    },
    foreign: async (bench) => {
      const apisix = reals.get(bench)!
      // Before 3.11 a consumer that has plugins has to have one that authenticates.
      await plantForeign((kind, id, value) => {
        if (kind !== 'consumers') return apisix.plant(kind, id, value)
        return apisix.plant(kind, id, {
          ...value,
          plugins: { 'key-auth': { key: `k-${id}` }, ...(value.plugins as object) },
        })
      })
    },
  })
}

describe('the stand-in for APISIX', () => {
  it.each([
    [{ username: 'a/b' }, /username/],
    [{ username: 'a', create_time: 1 }, /additional/],
    [{ username: 'a', labels: { a: 'with space' } }, /pattern/],
    [{ username: 'a', labels: { a: 'x'.repeat(257) } }, /256/],
    [{ username: 'a', plugins: { 'limit-count': { count: 0, time_window: 1 } } }, /count/],
    [{ username: 'a', plugins: { 'limit-count': { count: 1, time_window: 1, rules: [] } } }, /exactly one/],
    [{ username: 'a', plugins: { 'consumer-restriction': { type: 'consumer_name' } } }, /blacklist/],
    [
      { username: 'a', plugins: { 'limit-count': { count: 1, time_window: 1, _meta: { curfew: 1 } } } },
      /_meta/,
    ],
    [{ username: 'a', plugins: { 'no-such': {} } }, /additional/],
  ])('refuses %j', (body, why) => {
    expect(consumerFault(body)).toMatch(why)
  })

  afterAll(() => {
    // Collected over all checks above: each request kept to the schemas of APISIX.
    expect(violations).toEqual([])
  })
})
