import { afterAll, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { TykGateway } from '../../../enforcement/gateways/tyk.ts'
import { tykKeyId } from '../../../enforcement/gateways/tyk-client.ts'
import { tykDescription } from '../../services/tyk-description.ts'
import { FAKE_TYK_SECRET, FakeTyk, type FakeTykOptions } from '../../services/tyk-fake.ts'
import type { GatewayBench } from './gateway-contract.ts'
import { gatewayContract, runGatewayCheck } from './gateway-contract.ts'

const violations: string[] = []
const KEYS = ['orders', 'billing', 'x', 'partner/3 ü']

function ruleOn(id: string, action: Rule['action'], name: string, limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'key', id: tykKeyId(name), label: 'svc :/,ü "\\u', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_500) }
}

const fakes = new WeakMap<GatewayBench, FakeTyk>()

interface Twin {
  readonly list?: TykGateway['list']
  readonly put?: (real: TykGateway, ...args: Parameters<TykGateway['put']>) => Promise<void>
  readonly remove?: (
    real: TykGateway,
    fake: FakeTyk,
    ...args: Parameters<TykGateway['remove']>
  ) => Promise<void>
}

function caseOf(options: FakeTykOptions, twin: Twin = {}) {
  const named = new FakeTyk(options)
  const rule = (id: string, action: Rule['action'], key: number, limit: Rule['limit'] = null) =>
    ruleOn(
      id,
      action,
      named.nameOf(options.hashKeys === false ? KEYS[key]!.replace('/', '') : KEYS[key]!),
      limit,
    )
  const credential = rule('dec_cred', 'revoke-credential', 2)
  const { principal } = credential.scope as Extract<Rule['scope'], { kind: 'principal' }>
  const keys = KEYS.map((key) => (options.hashKeys === false ? key.replace('/', '') : key))
  const make = async (): Promise<GatewayBench> => {
    const tyk = new FakeTyk(options)
    for (const key of keys) tyk.plant(key, { rate: 1_000, per: 60, access_rights: { a1: { api_id: 'a1' } } })
    await tyk.start()
    const adapter = (name: string) => {
      const real = new TykGateway({
        name,
        adminUrl: tyk.url,
        secret: FAKE_TYK_SECRET,
        hashedKeys: options.hashKeys ?? true,
        countsInRedis: options.countsInRedis ?? false,
        sessionCacheSeconds: 10,
      })
      const { list, put, remove } = twin
      return Object.assign(Object.create(real) as TykGateway, {
        ...(list === undefined ? {} : { list }),
        ...(put === undefined ? {} : { put: (...args: Parameters<TykGateway['put']>) => put(real, ...args) }),
        ...(remove === undefined
          ? {}
          : { remove: (...args: Parameters<TykGateway['remove']>) => remove(real, tyk, ...args) }),
      })
    }
    const bench: GatewayBench = {
      adapter: adapter('tyk'),
      other: adapter('tyk-2'),
      calls: () => tyk.calls,
      failures: ['refused', 'status-500', 'garbage', 'hang'],
      fail: (failure) => tyk.fail(failure),
      state: async () => structuredClone(tyk.state()),
      close: async () => {
        violations.push(...tyk.violations)
        await tyk.stop()
      },
    }
    fakes.set(bench, tyk)
    return bench
  }
  return {
    make,
    rules: [
      rule('dec_throttle', 'throttle', 0, { requests: 100, windowSeconds: 10 }),
      rule('dec_block', 'block', 0),
      rule('dec_throttle2', 'throttle', 1, { requests: 100, windowSeconds: 60 }),
      rule('dec_block2', 'block', 3),
      { ...credential, scope: { kind: 'credential', principal, credential: principal.id } } as Rule,
    ],
    changed: rule('dec_throttle', 'throttle', 0, { requests: 30, windowSeconds: 60 }),
    unsupported: {
      ...rule('dec_no', 'revoke-token', 0),
      scope: { kind: 'token', iss: null, jti: 'j' },
    } as Rule,
    foreign: async (bench: GatewayBench) => plantForeign(fakes.get(bench)!, keys),
    foreignState: async (bench: GatewayBench) => {
      const tyk = fakes.get(bench)!
      const ours = keys.map((key) => tyk.nameOf(key))
      return ((await bench.state()) as readonly (readonly [string, unknown])[]).filter(
        ([name]) => !ours.includes(name),
      )
    },
  }
}

/** Sessions as owners have them: limits of APIs and endpoints, secrets, data of their own. */
function plantForeign(tyk: FakeTyk, keys: readonly string[]): void {
  const limit = { rate: 40, per: 60 }
  tyk.plant(keys[0]!, {
    rate: 500,
    per: 60,
    alias: 'orders',
    meta_data: { tyk_developer_id: '62b3', curfewish: 'x' },
    tags: ['edge'],
    access_rights: {
      a1: { api_id: 'a1', limit, allowance_scope: 'a1', versions: ['Default'] },
      a2: {
        api_id: 'a2',
        allowed_urls: [{ url: '/x', methods: ['GET'] }],
        endpoints: [{ path: '/y', methods: [{ name: 'GET', limit: { rate: 2, per: 1 } }] }],
      },
    },
  })
  tyk.plant(keys[1]!, {
    rate: -1,
    per: -1,
    basic_auth_data: { password: '$2a$10$canary', hash_type: 'bcrypt' },
  })
  tyk.plant(keys[2]!, {
    is_inactive: true,
    quota_max: 100,
    hmac_string: 'canary',
    jwt_data: { secret: 'canary' },
  })
  tyk.plant(keys[3]!, { apply_policies: ['p1'], expires: 1_999_999_999 })
  tyk.plant('bystander', { rate: 3, per: 1, meta_data: { 'curfew-ui': 'x' }, tags: ['curfew'] })
}

gatewayContract({ name: 'Tyk', ...caseOf({}) })
gatewayContract({ name: 'Tyk without hashed keys', ...caseOf({ hashKeys: false }) })
gatewayContract({ name: 'a Tyk that states what is empty', ...caseOf({ isOld: true }) })
gatewayContract({ name: 'a Tyk that counts in Redis', ...caseOf({ countsInRedis: true }) })

const never = new AbortController().signal
describe('the contract rejects an adapter of Tyk that', () => {
  const twins: readonly (readonly [string, Parameters<typeof runGatewayCheck>[0], Twin])[] = [
    ['says that nothing is there when it fails', 'list-throws', { list: async () => [] }],
    [
      'deletes the key',
      'remove-restores',
      {
        remove: async (real, fake, id) => {
          await real.remove(id, never)
          fake.keys.delete([...fake.keys.keys()][0]!)
        },
      },
    ],
    ['does not lift', 'remove-absent', { remove: async () => undefined }],
    [
      'puts what it cannot hold',
      'unsupported-refused',
      {
        put: (real, rule, stop) =>
          rule.action === 'revoke-token' ? Promise.resolve() : real.put(rule, stop),
      },
    ],
    [
      'ends each rule at once',
      'put-then-list',
      {
        put: (real, rule, stop) => real.put({ ...rule, until: wallTime(1_000) }, stop),
      },
    ],
    [
      'forgets the owner of what it lifts',
      'foreign-untouched',
      {
        remove: async (real, fake, id) => {
          await real.remove(id, never)
          fake.plant('bystander', { rate: 1, per: 1 })
        },
      },
    ],
  ]
  it.each(twins)('%s', async (_name, check, twin) => {
    await expect(runGatewayCheck(check, { name: 'twin', ...caseOf({}, twin) })).rejects.toThrow()
  })
})

describe('the stand-in for Tyk', () => {
  const url = (text: string) => new URL(text, 'http://tyk')
  it.each([
    ['PUT', '/tyk/keys/a', { rate: 'x' }, /rate/],
    ['PUT', '/tyk/keys/a', { isInactive: true }, /additional/],
    ['PUT', '/tyk/keys/a', { access_rights: { a: { limit: { rate: '1' } } } }, /rate/],
    ['PUT', '/tyk/keys/a?suppress_reset=true', {}, /suppress_reset/],
    ['GET', '/tyk/keys/a?hash=1', null, /query hash/],
    ['GET', '/tyk/keys/a?hashed=1', null, /hashed/],
    ['PATCH', '/tyk/keys/a', {}, /not described/],
    ['GET', '/tyk/keys', {}, /with a body/],
  ])('refuses %s %s %j', (method, path, body, why) => {
    expect(tykDescription()?.request(method, url(path), body)).toMatch(why)
  })

  afterAll(() => {
    // Collected over all checks above: each request kept to the official description.
    expect(violations).toEqual([])
  })
})
