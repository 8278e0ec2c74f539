import type { Scope } from '../../../core/decision.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import type { DenyStore, TextMap } from '../../../enforcement/gateways/deny-list-store.ts'
import { MemoryDenyStore, textMapDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import type { Failure, GatewayBench } from './gateway-contract.ts'
import { gatewayContract } from './gateway-contract.ts'

const UNTIL = wallTime(1_790_000_000_000)
const principal = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const

function rule(id: string, action: Rule['action'], scope: Scope): Rule {
  const limit = action === 'throttle' ? { requests: 1, windowSeconds: 10 } : null
  return { id, action, scope, limit, until: UNTIL }
}

const rules = [
  rule('dec_1', 'throttle', { kind: 'principal', principal }),
  rule('dec_2', 'block', { kind: 'principal', principal }),
  rule('dec_3', 'revoke-token', { kind: 'token', iss: 'https://id.example', jti: 'a/b,c"\u0000' }),
  rule('dec_4', 'revoke-token', { kind: 'token-issue', iss: null, sub: 'bob', iat: 1_789_000_000 }),
  rule('dec_5', 'revoke-token', { kind: 'subject', iss: null, sub: 'bob', notBefore: 1_789_000_000 }),
  rule('dec_7', 'block', { kind: 'network', network: '203.0.113.0', principal }),
  rule('dec_6', 'revoke-credential', { kind: 'credential', credential: 'k-1', principal }),
]

/** A text map over a network that can be told to fail. */
class FlakyMap implements TextMap {
  readonly fields = new Map<string, string>()
  calls = 0
  failure: Failure | null = null

  async entries(stop: AbortSignal): Promise<Iterable<readonly [string, string]>> {
    await this.call(stop)
    return this.failure === 'garbage' ? [['dec_1', '{"action":"bl']] : this.fields
  }
  async set(field: string, text: string, stop: AbortSignal): Promise<void> {
    await this.call(stop)
    this.fields.set(field, text)
  }
  async delete(field: string, stop: AbortSignal): Promise<void> {
    await this.call(stop)
    this.fields.delete(field)
  }
  async ping(stop: AbortSignal): Promise<void> {
    await this.call(stop)
  }
  private async call(stop: AbortSignal): Promise<void> {
    this.calls++
    await new Promise((resolve) => setImmediate(resolve))
    if (this.failure === 'hang') await new Promise((resolve) => stop.addEventListener('abort', resolve))
    if (this.failure === 'refused') throw new Error('connect ECONNREFUSED')
  }
}

function bench(store: DenyStore, map: FlakyMap | null): GatewayBench {
  const options = {
    name: 'deny',
    store,
    clock: { now: () => wallTime(0) },
    worstCaseDelayMs: 0,
    knowsAddress: true,
  }
  return {
    adapter: new DenyList(options),
    other: new DenyList({ ...options, name: 'other' }),
    calls: () => map?.calls ?? 0,
    failures: map === null ? [] : ['refused', 'hang'],
    fail: async (failure) => {
      if (map) map.failure = failure
    },
    state: async () => (map ? [...map.fields].sort() : await store.load(new AbortController().signal)),
    close: async () => undefined,
  }
}

const shared = {
  rules,
  changed: { ...rules[0]!, limit: { requests: 5, windowSeconds: 60 } },
  unsupported: rule('dec_9', 'revoke-token', { kind: 'principal', principal }),
}

gatewayContract({
  name: 'deny list in memory',
  make: async () => bench(new MemoryDenyStore(), null),
  ...shared,
})

gatewayContract({
  name: 'deny list in a shared map',
  make: async () => {
    const map = new FlakyMap()
    return bench(textMapDenyStore(map), map)
  },
  ...shared,
})
