import { randomUUID } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { ApisixGateway } from '../../../enforcement/gateways/apisix.ts'
import { APISIX_ADMIN_URL, APISIX_URL, RealApisix } from '../../services/apisix-real.ts'

const never = new AbortController().signal
/** APISIX goes on counting for the rest of a window, also for a consumer that was made anew. */
const ORDERS = `orders_${randomUUID().replaceAll('-', '_')}`
const until = wallTime(Date.now() + 3_600_000)
/** How long a change may take to be in force in a node of its own; far below what the adapter promises. */
const SOON_MS = 5_000

function rule(id: string, action: Rule['action'], limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'consumer', id: ORDERS, label: 'orders', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until }
}

describe.runIf(APISIX_ADMIN_URL !== undefined)('calls through a real APISIX', { timeout: 60_000 }, () => {
  let app: Server
  let apisix: RealApisix
  let gateway: ApisixGateway

  beforeEach(async () => {
    app = createServer((_request, reply) => reply.end('orders'))
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
    apisix = new RealApisix(APISIX_ADMIN_URL ?? '')
    gateway = apisix.gateway('edge')
    await apisix.start()
    const nodes = { [`127.0.0.1:${(app.address() as AddressInfo).port}`]: 1 }
    const upstream = { type: 'roundrobin', nodes }
    await apisix.plant('routes', 'r1', { uri: '/v1/*', upstream, plugins: { 'key-auth': {} } })
    const strict = { 'key-auth': {}, 'limit-count': { count: 3, time_window: 600, rejected_code: 429 } }
    await apisix.plant('routes', 'r2', { uri: '/strict/*', upstream, plugins: strict })
    for (const username of [ORDERS, 'billing'])
      await apisix.plant('consumers', username, {
        username,
        plugins: { 'key-auth': { key: `k-${username}` } },
      })
    await becomes(ORDERS, 200)
    await becomes('billing', 200)
  })

  afterEach(async () => {
    await apisix.stop()
    app.closeAllConnections()
    await new Promise((resolve) => app.close(resolve))
  })

  async function call(consumer: string, path = '/v1/orders/7'): Promise<number> {
    const answer = await fetch(`${APISIX_URL}${path}`, { headers: { apikey: `k-${consumer}` } })
    await answer.text()
    return answer.status
  }

  /** Calls until the answer is this one; says how long that took, ms. */
  async function becomes(consumer: string, status: number, path?: string): Promise<number> {
    const from = performance.now()
    let seen = await call(consumer, path)
    for (; seen !== status && performance.now() - from < SOON_MS; seen = await call(consumer, path))
      await sleep(5)
    expect(seen).toBe(status)
    return performance.now() - from
  }

  it('throttles, blocks, and lets pass again; nobody else notices', async () => {
    const before = await apisix.state()
    await gateway.put(rule('dec_t', 'throttle', { requests: 2, windowSeconds: 600 }), never)
    const throttled = await becomes(ORDERS, 429)
    expect(await call('billing')).toBe(200)
    await gateway.put(rule('dec_b', 'block'), never)
    const blocked = await becomes(ORDERS, 403)
    expect(await call('billing')).toBe(200)
    await gateway.remove('dec_b', never)
    await becomes(ORDERS, 429)
    await gateway.remove('dec_t', never)
    const released = await becomes(ORDERS, 200)
    expect(await apisix.state()).toEqual(before)
    console.info(
      `APISIX: in force after the write: throttle ${throttled.toFixed(0)} ms, block ${blocked.toFixed(0)} ms, release ${released.toFixed(0)} ms`,
    )
  })

  it('loosens no limit of a route', async () => {
    const count = 100
    await gateway.put(rule('dec_t', 'throttle', { requests: count, windowSeconds: 600 }), never)
    // The rule has taken the place of the route's own limit once the whole consumer is limited.
    await becomes(ORDERS, 429)
    expect(await call(ORDERS, '/strict/1')).toBe(429)
    expect((await apisix.state()).find(([key]) => key.endsWith(`/${ORDERS}`))?.[1]).toMatchObject({
      plugins: { 'limit-count': { count: 3, time_window: 600 } },
    })
  })

  it('blocks a consumer that has a restriction of its own', async () => {
    const own = { type: 'route_id', whitelist: ['r1', 'r2'] }
    const plugins = { 'key-auth': { key: `k-${ORDERS}` }, 'consumer-restriction': own }
    await apisix.plant('consumers', ORDERS, { username: ORDERS, plugins })
    const before = await apisix.state()
    await gateway.put(rule('dec_k', 'revoke-credential'), never)
    await becomes(ORDERS, 403)
    expect(await call(ORDERS, '/strict/1')).toBe(403)
    await gateway.remove('dec_k', never)
    await becomes(ORDERS, 200)
    expect(await apisix.state()).toEqual(before)
  })

  it('loses no limit that a group has', async () => {
    const plugins = {
      'limit-count': { count: 4, time_window: 600, rejected_code: 429, key: 'consumer_name' },
    }
    await apisix.plant('consumer_groups', 'g', { plugins })
    const consumer = { username: ORDERS, group_id: 'g', plugins: { 'key-auth': { key: `k-${ORDERS}` } } }
    await apisix.plant('consumers', ORDERS, consumer)
    const before = await apisix.state()
    await gateway.put(rule('dec_t', 'throttle', { requests: 90, windowSeconds: 600 }), never)
    expect((await apisix.state()).find(([key]) => key.endsWith(`/${ORDERS}`))?.[1]).toMatchObject({
      plugins: { 'limit-count': { count: 4, time_window: 600 } },
    })
    await becomes(ORDERS, 429)
    await gateway.remove('dec_t', never)
    expect(await apisix.state()).toEqual(before)
  })
})
