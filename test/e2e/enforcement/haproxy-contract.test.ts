import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { createConnection, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { createHaproxyGateway } from '../../../enforcement/gateways/haproxy.ts'
import { HAPROXY_MAPS } from '../../../enforcement/gateways/haproxy-keys.ts'
import {
  type Failure,
  type GatewayBench,
  gatewayContract,
} from '../../contracts/enforcement/gateway-contract.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'

const issuer = 'https://idp.test/realm'
const until = wallTime(Date.parse('2027-01-01T00:00:00Z'))

function subject(name: string): Principal {
  return { kind: 'sub', id: JSON.stringify([issuer, name]), label: name, verified: true }
}

const limit = { requests: 3, windowSeconds: 10 }
const throttle: Rule = {
  id: 'dec_throttle',
  action: 'throttle',
  scope: { kind: 'principal', principal: subject('alice') },
  limit,
  until,
}
const rules: readonly Rule[] = [
  {
    id: 'dec_network',
    action: 'block',
    scope: { kind: 'network', network: '2001:db8:0:7::', principal: subject('frank') },
    limit: null,
    until,
  },
  throttle,
  {
    id: 'dec_block',
    action: 'block',
    scope: { kind: 'principal', principal: subject('bob; show info') },
    limit: null,
    until,
  },
  {
    id: 'dec_token',
    action: 'revoke-token',
    scope: { kind: 'token', iss: issuer, jti: 'j;1 \n"x"' },
    limit: null,
    until,
  },
  {
    id: 'dec_issue',
    action: 'revoke-token',
    scope: { kind: 'token-issue', iss: null, sub: 'carol', iat: 1_795_000_000 },
    limit: null,
    until,
  },
  {
    id: 'dec_subject',
    action: 'revoke-token',
    scope: { kind: 'subject', iss: issuer, sub: 'dave', notBefore: 1_795_000_000 },
    limit: null,
    until,
  },
  {
    id: 'odd id; {"x"}',
    action: 'block',
    scope: { kind: 'subject', iss: issuer, sub: 'dave', notBefore: null },
    limit: null,
    until,
  },
]

/** Stands between the adapter and the Runtime API: counts connections and misbehaves on demand. */
class FaultySocket {
  calls = 0
  #failure: Failure | null = null
  readonly #open = new Set<Socket>()
  #server: Server
  readonly #path: string
  readonly #target: string

  constructor(path: string, target: string) {
    this.#path = path
    this.#target = target
    this.#server = this.#create()
  }

  #create(): Server {
    return createServer((client) => {
      this.calls++
      this.#open.add(client)
      client.on('close', () => this.#open.delete(client))
      client.on('error', () => client.destroy())
      if (this.#failure === 'hang') return
      if (this.#failure === 'garbage') {
        client.end('<html>no map here</html>\n\n')
        return
      }
      const haproxy = createConnection({ path: this.#target })
      haproxy.on('error', () => client.destroy())
      client.pipe(haproxy)
      haproxy.pipe(client)
    })
  }

  async listen(): Promise<void> {
    await rm(this.#path, { force: true })
    await new Promise<void>((resolve) => this.#server.listen(this.#path, resolve))
  }

  async close(): Promise<void> {
    for (const socket of this.#open) socket.destroy()
    if (this.#server.listening) await new Promise((resolve) => this.#server.close(resolve))
  }

  async fail(failure: Failure | null): Promise<void> {
    await this.close()
    this.#failure = failure
    if (failure === 'refused') return
    this.#server = this.#create()
    await this.listen()
  }
}

describe.skipIf(haproxyMissing !== null)('HAProxy adapter on a real HAProxy', () => {
  let haproxy: RunningHaproxy
  let sequence = 0

  beforeAll(async () => {
    haproxy = await startHaproxy({ logPort: 9, upstreamPort: 9 })
  })
  afterAll(async () => haproxy.stop())

  async function state(): Promise<unknown> {
    const lines = await Promise.all(
      HAPROXY_MAPS.map(async (map) => {
        const answer = await haproxy.command(`show map ${haproxy.mapFolder}/${map}.map`)
        return answer.split('\n').map((line) => `${map} ${line.split(' ').slice(1).join(' ')}`)
      }),
    )
    return lines
      .flat()
      .filter((line) => !line.endsWith(' '))
      .sort()
  }

  async function make(): Promise<GatewayBench> {
    for (const map of HAPROXY_MAPS) await haproxy.command(`clear map ${haproxy.mapFolder}/${map}.map`)
    const path = join(haproxy.mapFolder, `proxy-${++sequence}.sock`)
    const socket = new FaultySocket(path, haproxy.socketPath)
    await socket.listen()
    const options = { name: 'edge', socketPath: path, mapFolder: haproxy.mapFolder }
    return {
      adapter: createHaproxyGateway(options),
      other: createHaproxyGateway(options),
      calls: () => socket.calls,
      failures: ['refused', 'garbage', 'hang'],
      fail: (failure) => socket.fail(failure),
      state,
      close: () => socket.close(),
    }
  }

  gatewayContract({
    name: 'HAProxy 2.6',
    make,
    rules,
    unsupported: {
      id: 'dec_credential',
      action: 'revoke-credential',
      scope: { kind: 'credential', credential: 'key-1', principal: subject('alice') },
      limit: null,
      until,
    },
    changed: { ...throttle, limit: { requests: 1, windowSeconds: 60 }, until: wallTime(until + 5_000) },
    foreign: async () => {
      const key = createHash('sha256').update('theirs').digest('hex')
      for (const map of HAPROXY_MAPS) {
        await haproxy.command(`add map ${haproxy.mapFolder}/${map}.map ${key} by-hand.1`)
      }
    },
  })

  it('refuses callers that are no token subjects before any call', async () => {
    const bench = await make()
    const consumer: Principal = { kind: 'consumer', id: 'c-1', label: 'orders', verified: true }
    const rule: Rule = { ...throttle, scope: { kind: 'principal', principal: consumer } }
    await expect(bench.adapter.put(rule, AbortSignal.timeout(5_000))).rejects.toMatchObject({
      code: 'GATEWAY_UNSUPPORTED',
    })
    expect(bench.calls()).toBe(0)
    await bench.close()
  })

  it('moves a rule whose scope changed and leaves nothing at the old place', async () => {
    const bench = await make()
    const stop = AbortSignal.timeout(10_000)
    await bench.adapter.put(throttle, stop)
    await bench.adapter.put({ ...throttle, scope: { kind: 'principal', principal: subject('eve') } }, stop)
    expect(await bench.adapter.list(stop)).toHaveLength(1)
    expect(await state()).toHaveLength(1)
    await bench.close()
  })

  it("does not overwrite somebody else's entry for the same caller", async () => {
    const bench = await make()
    const stop = AbortSignal.timeout(10_000)
    await bench.adapter.put(throttle, stop)
    const [line] = (await state()) as string[]
    const key = line?.split(' ')[1]
    const file = `${haproxy.mapFolder}/throttles.map`
    await haproxy.command(`set map ${file} ${key} by-hand`)
    await expect(bench.adapter.put(throttle, stop)).rejects.toMatchObject({
      code: 'GATEWAY_CONFLICT',
      retriable: false,
    })
    expect(await state()).toEqual([`throttles ${key} by-hand`])
    await bench.close()
  })

  it('lists an entry whose enforced part was edited as ended, so that it is put again', async () => {
    const bench = await make()
    const stop = AbortSignal.timeout(10_000)
    await bench.adapter.put(throttle, stop)
    const [line] = (await state()) as string[]
    const [, key, value] = line?.split(' ') ?? []
    const loosened = value?.replace('.3.10.', '.99999.10.')
    await haproxy.command(`set map ${haproxy.mapFolder}/throttles.map ${key} ${loosened}`)
    expect((await bench.adapter.list(stop))[0]?.until).toBe(0)
    await bench.adapter.put(throttle, stop)
    expect((await bench.adapter.list(stop))[0]?.until).toBe(until)
    await bench.close()
  })

  it('keeps every rule over a reload, and 40 puts at once arrive in map and file', async () => {
    const bench = await make()
    const stop = new AbortController().signal
    const many = Array.from({ length: 40 }, (_, i) => ({
      ...throttle,
      id: `dec_${i}`,
      scope: { kind: 'principal' as const, principal: subject(`${'x'.repeat(70)}${i}`) },
    }))
    await Promise.all(many.map((rule) => bench.adapter.put(rule, stop)))
    const before = await state()
    expect(before).toHaveLength(40)
    await haproxy.reload()
    expect(await state()).toEqual(before)
    await Promise.all(many.map((rule) => bench.adapter.remove(rule.id, stop)))
    await haproxy.reload()
    expect(await state()).toEqual([])
    await bench.close()
  })
})
