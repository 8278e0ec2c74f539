import { afterAll, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { keycloakOperation } from '../../services/keycloak-description.ts'
import type { FakeKeycloak } from '../../services/keycloak-fake.ts'
import { KEYCLOAK_URL, RealKeycloak } from '../../services/keycloak-real.ts'
import { FAKE_USERS, fakeKeycloak, fakeKeycloakGateway } from '../../services/keycloak-rig.ts'
import type { GatewayBench } from './gateway-contract.ts'
import { gatewayContract } from './gateway-contract.ts'

const violations: string[] = []
const figures = { answered: 0, validated: 0 }
const UNTIL = wallTime(1_790_000_000_500)
const ISSUER = 'https://login.example.org/realms/acme'

const rule = (id: string, user: number, iss: string | null = ISSUER): Rule => ({
  id,
  action: 'revoke-token',
  scope: { kind: 'subject', iss, sub: FAKE_USERS[user]!, notBefore: null },
  limit: null,
  until: UNTIL,
})

const fakes = new WeakMap<GatewayBench, FakeKeycloak>()

async function make(disablesUsers: boolean): Promise<GatewayBench> {
  const keycloak = await fakeKeycloak()
  const bench: GatewayBench = {
    adapter: fakeKeycloakGateway(keycloak, 'login', disablesUsers),
    other: fakeKeycloakGateway(keycloak, 'login-2', disablesUsers),
    calls: () => keycloak.calls,
    failures: ['refused', 'status-500', 'garbage', 'hang'],
    fail: (failure) => keycloak.fail(failure),
    // Sessions that were ended and the time of the logout stay: that is what the adapter says cannot be undone.
    state: async () => {
      const users = [...keycloak.state.users].map(([id, { enabled, attributes }]) => [
        id,
        enabled,
        attributes,
      ])
      return structuredClone([users, [...keycloak.state.groups.values()]])
    },
    close: async () => {
      violations.push(...keycloak.violations)
      figures.answered += keycloak.answered
      figures.validated += keycloak.validated
      await keycloak.stop()
    },
  }
  fakes.set(bench, keycloak)
  return bench
}

const shared = {
  rules: [rule('dec_a', 0), rule('dec_b', 1), rule('dec_off', 2, null), rule('dec_f', 3)],
  changed: { ...rule('dec_a', 0), until: wallTime(UNTIL + 60_000) },
  unsupported: { ...rule('dec_no', 0), scope: { kind: 'token', iss: ISSUER, jti: 'j' } } as Rule,
  foreign: async (bench: GatewayBench) => {
    const { groups } = fakes.get(bench)!.state
    groups.set('g1', { name: 'curfew-rule-dec_a2', attributes: { team: ['a'] } })
    groups.set('g2', { name: 'staff', attributes: { 'curfew.0': ['x'] } })
  },
  foreignState: async (bench: GatewayBench) => {
    const { groups } = fakes.get(bench)!.state
    return structuredClone([groups.get('g1'), groups.get('g2')])
  },
}

gatewayContract({ name: 'Keycloak, ending sessions', make: () => make(false), ...shared })
gatewayContract({ name: 'Keycloak, switching accounts off', make: () => make(true), ...shared })

describe('the stand-in for Keycloak', () => {
  it('keeps to the description', () => {
    const none = new URLSearchParams()
    expect(keycloakOperation('GET', 'nowhere', none, null)).toBeNull()
    expect(keycloakOperation('GET', 'groups', new URLSearchParams('a=1'), null)?.fault).toMatch(/query a/)
    expect(keycloakOperation('PUT', 'users/x', none, { enabled: 'no' })?.fault).toMatch(/no flag/)
    expect(keycloakOperation('PUT', 'users/x', none, { notBefore: 0 })?.fault).toMatch(/unknown field/)
    const long = { name: 'a', attributes: { a: ['x'.repeat(256)] } }
    expect(keycloakOperation('POST', 'groups', none, long)?.fault).toMatch(/no map of lists/)
  })

  afterAll(() => {
    expect(violations).toEqual([])
    expect(figures.validated).toBe(figures.answered)
    console.log(`Keycloak contract: ${figures.validated} of ${figures.answered} requests checked`)
  })
})

if (KEYCLOAK_URL !== undefined) {
  const url = KEYCLOAK_URL
  const never = new AbortController().signal
  const reals = new WeakMap<GatewayBench, RealKeycloak>()
  const started = async () => {
    const keycloak = new RealKeycloak(url)
    await keycloak.start()
    return keycloak
  }
  /** Users have new ids in each realm: the rules of the case name them by place. */
  const placed = (keycloak: RealKeycloak, adapter: GatewayAdapter): GatewayAdapter => {
    const swap = (one: Rule, from: readonly string[], to: readonly string[]): Rule => {
      const place = one.scope.kind === 'subject' ? from.indexOf(one.scope.sub) : -1
      return place < 0 ? one : ({ ...one, scope: { ...one.scope, iss: null, sub: to[place]! } } as Rule)
    }
    return {
      name: adapter.name,
      kind: adapter.kind,
      can: adapter.can,
      check: (stop) => adapter.check(stop),
      remove: (id, stop) => adapter.remove(id, stop),
      put: (one, stop) => adapter.put(swap(one, FAKE_USERS, keycloak.users), stop),
      list: async (stop) => (await adapter.list(stop)).map((one) => swap(one, keycloak.users, FAKE_USERS)),
    }
  }
  const real = async (disablesUsers: boolean): Promise<GatewayBench> => {
    const keycloak = await started()
    const bench: GatewayBench = {
      adapter: placed(keycloak, keycloak.gateway('login', disablesUsers)),
      other: placed(keycloak, keycloak.gateway('login-2', disablesUsers)),
      calls: () => keycloak.calls,
      failures: ['refused'],
      fail: async (failure) => {
        keycloak.isDown = failure !== null
      },
      state: () => keycloak.state(),
      close: () => keycloak.stop(),
    }
    reals.set(bench, keycloak)
    return bench
  }
  const case_ = {
    ...shared,
    rules: shared.rules.map((one) => ({ ...one, scope: { ...one.scope, iss: null } }) as Rule),
    changed: { ...shared.changed, scope: { ...shared.changed.scope, iss: null } } as Rule,
    foreign: async (bench: GatewayBench) => {
      await reals.get(bench)!.addGroup('curfew-rule-dec_a2')
      await reals.get(bench)!.addGroup('staff')
    },
    foreignState: async () => null,
  }
  gatewayContract({ name: 'a real Keycloak, ending sessions', make: () => real(false), ...case_ })
  gatewayContract({ name: 'a real Keycloak, switching accounts off', make: () => real(true), ...case_ })

  describe('a revoked subject at a real Keycloak', () => {
    it.each([false, true])('has neither session nor refresh token; account switched off: %s', async (off) => {
      const keycloak = await started()
      const gateway = keycloak.gateway('login', off)
      const [online, offline] = [await keycloak.logIn(0), await keycloak.logIn(0, 'openid offline_access')]
      const other = await keycloak.logIn(1)
      expect(await keycloak.refreshes(offline!.refresh)).toBe(true)
      expect(await keycloak.takes(online!.access)).toBe(true)
      const revoke = {
        ...rule('dec_a', 0),
        scope: { kind: 'subject', iss: null, sub: keycloak.users[0]!, notBefore: null },
      } as Rule
      await gateway.put(revoke, never)
      expect(await keycloak.refreshes(online!.refresh)).toBe(false)
      expect(await keycloak.refreshes(offline!.refresh)).toBe(false)
      expect(await keycloak.takes(online!.access)).toBe(false)
      expect(await keycloak.refreshes(other!.refresh)).toBe(true)
      expect((await keycloak.logIn(0)) !== null).toBe(!off)
      await gateway.remove('dec_a', never)
      expect(await keycloak.logIn(0)).not.toBeNull()
      expect(await keycloak.refreshes(offline!.refresh)).toBe(false)
      await keycloak.stop()
    })
  })
}
