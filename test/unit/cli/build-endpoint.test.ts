import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { describe, expect, it } from 'vitest'
import { claimsVerified, openEndpoint } from '../../../cli/build-endpoint.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import type { Config } from '../../../cli/config/schema.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { freePort } from '../../services/free-port.ts'
import { grpcClient } from '../../services/grpc-client.ts'

const clock = { now: () => wallTime(1_790_000_000_000) }
const TOKEN = 'a-token-of-the-gateway-0123456789'

function config(endpoint: string): Config {
  const text = `enforcement: { gateways: [{ name: deny, kind: decision }] }\ndecisionEndpoint: { ${endpoint} }`
  const loaded = loadConfig(text, { env: () => TOKEN, file: () => '' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  return loaded.config
}

function memoryList(): DenyList {
  return new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
}

function open(endpoint: string, denyList = memoryList()) {
  return openEndpoint({ config: config(endpoint), clock, answered: () => undefined }, denyList)
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

const LISTEN = 'listen: "127.0.0.1:0"'

describe('the decision endpoint as configured', () => {
  it('serves gRPC only where it is configured', async () => {
    const endpoint = await open(LISTEN)
    expect(endpoint?.grpc).toBeNull()
    await endpoint?.close()
  })

  it('serves gRPC with its token and its domain, and ends both ways', async () => {
    const endpoint = await open(`${LISTEN}, grpc: { ${LISTEN}, tokenEnv: T, rateLimitDomain: api }`)
    const ports = [endpoint?.port ?? 0, endpoint?.grpc?.port ?? 0]
    const client = await grpcClient(ports[1] ?? 0, `Bearer ${TOKEN}`)
    const limit = async (domain: string) => (await client.limit({ domain })).responseHeadersToAdd?.[1]?.value
    expect([await limit('api'), await limit('curfew')]).toEqual(['no-identity', 'unknown-domain'])
    client.close()
    const stranger = await grpcClient(ports[1] ?? 0)
    await expect(stranger.limit({ domain: 'api' })).rejects.toMatchObject({ code: 16 })
    stranger.close()
    await endpoint?.close()
    expect(await Promise.all(ports.map(listens))).toEqual([false, false])
  })

  it('leaves nothing behind when gRPC cannot listen, and names the setting', async () => {
    const taken = await open(LISTEN)
    const port = taken?.port ?? 0
    const own = await freePort()
    const failing = open(`listen: "127.0.0.1:${own}", grpc: { listen: "127.0.0.1:${port}" }`)
    await expect(failing).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `decisionEndpoint.grpc.listen: cannot listen on 127.0.0.1:${port}: another process has that port (EADDRINUSE)`,
    })
    expect(await listens(own)).toBe(false)
    await taken?.close()
  })

  it('looks at API keys only in the header that is configured, whatever its case', async () => {
    const id = createHash('sha256').update('k-secret').digest('hex')
    const principal = { kind: 'key', id, label: 'k', verified: true } as const
    const rule: Rule = {
      ...{ id: 'r-1', action: 'block', scope: { kind: 'principal', principal }, limit: null },
      until: wallTime(clock.now() + 60_000),
    }
    for (const [setting, statuses] of [
      ['apiKeyHeader: X-Api-Key', [403, 200, 401]],
      ['apiKeyHeader: X-Other', [401, 401, 401]],
      ['requireIdentity: true', [401, 401, 401]],
    ] as const) {
      const denyList = memoryList()
      await denyList.put(rule, new AbortController().signal)
      const endpoint = await open(`${LISTEN}, ${setting}`, denyList)
      const answers = [{ 'x-api-key': 'k-secret' }, { 'X-API-KEY': 'another' }, {}].map(
        async (headers) => (await fetch(`http://127.0.0.1:${endpoint?.port}/decide`, { headers })).status,
      )
      expect(await Promise.all(answers)).toEqual(statuses)
      await endpoint?.close()
    }
  })

  it('refuses the name of a header that is none', () => {
    expect(() => config('apiKeyHeader: "X Api Key"')).toThrow(/apiKeyHeader.*name of an HTTP header/)
  })

  it('verifies tokens by its keys or by what Envoy verified', () => {
    expect(claimsVerified(config('keys: []'))).toBe(false)
    expect(claimsVerified(config('grpc: {}'))).toBe(false)
    expect(claimsVerified(config('grpc: { verifiedClaims: claims }'))).toBe(true)
    expect(claimsVerified(config('keys: [{ kind: hs, alg: HS256, secretEnv: S }]'))).toBe(true)
  })
})
