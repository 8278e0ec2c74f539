import { randomUUID } from 'node:crypto'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { ApisixGateway } from '../../../enforcement/gateways/apisix.ts'
import { FAKE_ADMIN_KEY, FakeApisix } from '../../services/apisix-fake.ts'
import { FakeApisixNode } from '../../services/apisix-fake-calls.ts'
import { APISIX_ADMIN_URL, APISIX_URL, RealApisix } from '../../services/apisix-real.ts'

const never = new AbortController().signal
/** APISIX goes on counting for the rest of a window, also for a consumer that was made anew. */
const ORDERS = `orders_${randomUUID().replaceAll('-', '_')}`
const until = wallTime(Date.now() + 3_600_000)
/** How long a change may take to be in force in a node of its own; far below what the adapter promises. */
const SOON_MS = 5_000

type Kind = 'consumers' | 'consumer_groups' | 'routes'

interface Rig {
  readonly gateway: ApisixGateway
  plant(kind: Kind, id: string, value: Readonly<Record<string, unknown>>): unknown
  state(): Promise<readonly (readonly [string, unknown])[]>
  call(consumer: string, path: string): Promise<number>
  stop(): Promise<void>
}

async function standIn(isOld: boolean): Promise<Rig> {
  const apisix = new FakeApisix({ isOld })
  await apisix.start()
  const node = new FakeApisixNode(apisix, isOld)
  return {
    gateway: new ApisixGateway({ name: 'edge', adminUrl: apisix.url, adminKey: FAKE_ADMIN_KEY }),
    plant: (kind, id, { upstream: _upstream, ...value }) => apisix.plant(kind, id, value),
    state: async () => structuredClone(apisix.state()) as readonly (readonly [string, unknown])[],
    call: async (consumer, path) => node.call(path, `k-${consumer}`),
    stop: async () => {
      expect(apisix.violations).toEqual([])
      await apisix.stop()
    },
  }
}

async function real(): Promise<Rig> {
  const app = createServer((_request, reply) => reply.end('orders'))
  await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
  const apisix = new RealApisix(APISIX_ADMIN_URL ?? '')
  await apisix.start()
  const upstream = { type: 'roundrobin', nodes: { [`127.0.0.1:${(app.address() as AddressInfo).port}`]: 1 } }
  return {
    gateway: apisix.gateway('edge'),
    plant: (kind, id, value) => apisix.plant(kind, id, kind === 'routes' ? { ...value, upstream } : value),
    state: () => apisix.state(),
    call: async (consumer, path) => {
      const answer = await fetch(`${APISIX_URL}${path}`, { headers: { apikey: `k-${consumer}` } })
      await answer.text()
      return answer.status
    },
    stop: async () => {
      await apisix.stop()
      app.closeAllConnections()
      await new Promise((resolve) => app.close(resolve))
    },
  }
}

function rule(id: string, action: Rule['action'], limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'consumer', id: ORDERS, label: 'orders', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until }
}

const throttle = (requests: number) => rule('dec_t', 'throttle', { requests, windowSeconds: 600 })

const GATEWAYS = [
  { name: 'a stand-in', start: () => standIn(false), isHere: true },
  { name: 'a stand-in of an older release', start: () => standIn(true), isHere: true },
  { name: 'a real APISIX', start: real, isHere: APISIX_ADMIN_URL !== undefined },
].filter(({ isHere }) => isHere)

describe.each(GATEWAYS)('calls through $name', { timeout: 60_000 }, ({ name, start }) => {
  let rig: Rig
  beforeEach(async () => {
    rig = await start()
    await rig.plant('routes', 'r1', { uri: '/v1/*', plugins: { 'key-auth': {} } })
    await rig.plant('routes', 'r2', { uri: '/v2/*', plugins: { 'key-auth': {} } })
    const strict = { 'key-auth': {}, 'limit-count': { count: 3, time_window: 600, rejected_code: 429 } }
    await rig.plant('routes', 'r3', { uri: '/strict/*', plugins: strict })
    for (const username of [ORDERS, 'billing'])
      await rig.plant('consumers', username, { username, plugins: { 'key-auth': { key: `k-${username}` } } })
    await becomes(ORDERS, 200)
    await becomes('billing', 200)
  })
  afterEach(() => rig.stop())

  /** Calls until the answer is this one; says how long that took, ms. */
  async function becomes(consumer: string, status: number, path = '/v1/orders/7'): Promise<number> {
    const from = performance.now()
    let seen = await rig.call(consumer, path)
    for (; seen !== status && performance.now() - from < SOON_MS; seen = await rig.call(consumer, path))
      await sleep(5)
    expect(seen).toBe(status)
    return performance.now() - from
  }

  async function consumer(): Promise<unknown> {
    return (await rig.state()).find(([key]) => key.endsWith(`/${ORDERS}`))?.[1]
  }

  it('throttles, blocks, and lets pass again; nobody else notices', async () => {
    const before = await rig.state()
    await rig.gateway.put(throttle(2), never)
    const throttled = await becomes(ORDERS, 429)
    expect(await rig.call('billing', '/v1/orders/7')).toBe(200)
    await rig.gateway.put(rule('dec_b', 'block'), never)
    const blocked = await becomes(ORDERS, 403)
    expect(await rig.call('billing', '/v1/orders/7')).toBe(200)
    await rig.gateway.remove('dec_b', never)
    await becomes(ORDERS, 429)
    await rig.gateway.remove('dec_t', never)
    const released = await becomes(ORDERS, 200)
    expect(await rig.state()).toEqual(before)
    const times = [throttled, blocked, released].map((ms) => `${ms.toFixed(0)} ms`)
    console.info(`${name}: in force after the write: throttle, block, release ${times.join(', ')}`)
  })

  it('throttles all routes together', async () => {
    await rig.gateway.put(throttle(5), never)
    await becomes(ORDERS, 429)
    expect(await rig.call(ORDERS, '/v2/orders/7')).toBe(429)
  })

  it('loosens no limit of a route', async () => {
    await rig.gateway.put(throttle(100), never)
    expect(await consumer()).toMatchObject({ plugins: { 'limit-count': { count: 3, time_window: 600 } } })
    await becomes(ORDERS, 429)
    expect(await rig.call(ORDERS, '/strict/1')).toBe(429)
  })

  it('blocks a consumer that has a restriction of its own', async () => {
    const own = { type: 'route_id', whitelist: ['r1', 'r3'] }
    const plugins = { 'key-auth': { key: `k-${ORDERS}` }, 'consumer-restriction': own }
    await rig.plant('consumers', ORDERS, { username: ORDERS, plugins })
    const before = await rig.state()
    await rig.gateway.put(rule('dec_k', 'revoke-credential'), never)
    await becomes(ORDERS, 403)
    expect(await rig.call(ORDERS, '/strict/1')).toBe(403)
    await rig.gateway.remove('dec_k', never)
    await becomes(ORDERS, 200)
    expect(await rig.state()).toEqual(before)
  })

  it('loses no limit that a group has', async () => {
    const plugins = {
      'limit-count': { count: 4, time_window: 600, rejected_code: 429, key: 'consumer_name' },
    }
    await rig.plant('consumer_groups', 'g', { plugins })
    const grouped = { username: ORDERS, group_id: 'g', plugins: { 'key-auth': { key: `k-${ORDERS}` } } }
    await rig.plant('consumers', ORDERS, grouped)
    const before = await rig.state()
    await rig.gateway.put(throttle(90), never)
    expect(await consumer()).toMatchObject({ plugins: { 'limit-count': { count: 4, time_window: 600 } } })
    await becomes(ORDERS, 429)
    await rig.gateway.remove('dec_t', never)
    expect(await rig.state()).toEqual(before)
  })
})
