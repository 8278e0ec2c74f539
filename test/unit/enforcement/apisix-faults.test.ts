import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { ApisixGateway } from '../../../enforcement/gateways/apisix.ts'
import { FAKE_ADMIN_KEY, FakeApisix, type FakeApisixOptions } from '../../services/apisix-fake.ts'
import { converge, HOSTILE_IDS } from '../../services/convergence.ts'
import type { Fault } from '../../services/injected-faults.ts'

const never = new AbortController().signal
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function rule(id: string, action: Rule['action'], name: string, limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'consumer', id: name, label: 'svc', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_000) }
}
const rules = [
  rule('dec_t', 'throttle', 'orders', { requests: 10, windowSeconds: 60 }),
  rule('dec_b', 'block', 'billing'),
  rule('dec_k', 'revoke-credential', 'orders'),
  rule('dec_u', 'throttle', 'partner', { requests: 90, windowSeconds: 60 }),
]

async function started(options: FakeApisixOptions = {}) {
  const apisix = new FakeApisix(options)
  apisix.plant('routes', 'r1', { id: 'r1', plugins: { 'limit-count': { count: 50, time_window: 60 } } })
  const limit = { count: 7, time_window: 60, key: 'remote_addr' }
  const plugins = { 'key-auth': { key: 'k' }, 'limit-count': limit }
  apisix.plant('consumers', 'orders', { username: 'orders', labels: { team: 'a' }, plugins })
  apisix.plant('consumers', 'billing', { username: 'billing' })
  apisix.plant('consumers', 'partner', { username: 'partner', desc: 'p' })
  await apisix.start()
  closing.push(() => apisix.stop())
  const gateway = new ApisixGateway({
    name: 'edge',
    adminUrl: apisix.url,
    adminKey: FAKE_ADMIN_KEY,
    timeoutMs: 300,
  })
  return { apisix, gateway }
}

const LIST = /GET .*\/consumers$/
const ONE = /GET .*\/consumers\//

describe('faults of APISIX’s control plane', { timeout: 60_000 }, () => {
  it.each<readonly [RegExp, Fault, number]>([
    [LIST, 'too-many-requests', 2],
    [LIST, 'server-error', 2],
    [LIST, 'garbage', 1],
    [LIST, 'cut-connection', 1],
    [LIST, 'conflict', 1],
    [ONE, 'server-error', 1],
    [ONE, 'garbage', 2],
    [ONE, 'cut-connection', 3],
    [/GET .*\/(routes|services|plugin_configs)$/, 'server-error', 2],
    [/PUT/, 'too-many-requests', 2],
    [/PUT/, 'conflict', 1],
    [/PUT/, 'server-error', 1],
    [/PUT/, 'cut-connection', 1],
    [/PUT/, 'lost-answer', 1],
    [/PUT/, 'lost-answer', 2],
    [/PUT/, 'ignored', 1],
    [/PUT/, 'ignored', 3],
    [/PUT/, 'late', 1],
    [/./, 'server-error', 9],
  ])('%s, %s, %i times', async (operation, fault, times) => {
    const { apisix, gateway } = await started()
    const before = JSON.stringify(apisix.state())
    for (const desired of [rules, rules.slice(1), []]) {
      apisix.faults.inject(operation, fault, times)
      await converge(gateway, desired)
      const { plugins } = apisix.consumer('orders') as { plugins: Record<string, unknown> }
      expect(plugins['key-auth']).toEqual({ key: 'k' })
      // Whoever was limited to 7 per minute stays so: the throttle of 10 loosens nothing.
      expect(plugins['limit-count']).toMatchObject({ count: 7, time_window: 60 })
      if (desired.length > 0)
        expect(apisix.consumer('partner')?.plugins).toMatchObject({ 'limit-count': { count: 50 } })
    }
    expect(JSON.stringify(apisix.state())).toBe(before)
    expect(apisix.violations).toEqual([])
    expect(apisix.faults.unmet).toBeLessThan(3 * times)
  })

  it('writes that somebody else overwrites each time are told, not believed', async () => {
    const { apisix, gateway } = await started()
    apisix.loseWrites = 100
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject({
      code: 'GATEWAY_CONFLICT',
      retriable: true,
    })
    apisix.loseWrites = 2
    await gateway.put(rules[1]!, never)
    expect((await gateway.list(never)).map(({ id }) => id)).toEqual(['dec_b'])
  })

  it('an edit between the two reads before a write is kept', async () => {
    const { apisix, gateway } = await started()
    let reads = 0
    apisix.before = ({ method, url }) => {
      if (method !== 'GET' || !url.pathname.endsWith('/consumers/billing') || ++reads !== 2) return
      apisix.plant('consumers', 'billing', { username: 'billing', plugins: { 'key-auth': { key: 'new' } } })
    }
    await gateway.put(rules[1]!, never)
    expect(apisix.consumer('billing')?.plugins).toMatchObject({
      'key-auth': { key: 'new' },
      'consumer-restriction': { blacklist: ['billing'] },
    })
    await gateway.remove('dec_b', never)
    expect(apisix.consumer('billing')?.plugins).toEqual({ 'key-auth': { key: 'new' } })
  })

  it('a call that is never answered ends', async () => {
    const { apisix, gateway } = await started()
    await apisix.fail('hang')
    const message = expect.stringContaining('no answer within 300 ms from APISIX to GET /consumers')
    const error = { code: 'GATEWAY_UNREACHABLE', retriable: true, message }
    await expect(gateway.list(never)).rejects.toMatchObject(error)
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject(error)
  })
})

describe('an APISIX that cannot be written to', () => {
  it.each([
    ['standalone', /standalone mode.*decision endpoint/],
    ['none', /no Admin API of APISIX.*admin_listen/],
    ['v2', /admin_api_version/],
  ] as const)('%s is told', async (admin, why) => {
    const { apisix, gateway } = await started({ admin })
    const calls = [gateway.list(never), gateway.check(never), gateway.put(rules[1]!, never)]
    for (const { status, ...settled } of await Promise.allSettled(calls)) {
      expect(status).toBe('rejected')
      const error: unknown = 'reason' in settled ? settled.reason : null
      expect(error).toMatchObject({ code: 'GATEWAY_UNSUPPORTED', retriable: false })
      expect(String(error)).toMatch(why)
    }
    expect(apisix.wire.every((line) => line.startsWith('GET '))).toBe(true)
  })

  it.each([
    [401, 'GATEWAY_REFUSED'],
    [403, 'GATEWAY_REFUSED'],
    [404, 'GATEWAY_UNSUPPORTED'],
    [405, 'GATEWAY_REFUSED'],
    [429, 'GATEWAY_UNREACHABLE'],
    [500, 'GATEWAY_UNREACHABLE'],
    [503, 'GATEWAY_UNREACHABLE'],
  ])('answers %i', async (status, code) => {
    const { apisix, gateway } = await started()
    apisix.status = status
    await expect(gateway.list(never)).rejects.toMatchObject({ code })
    await expect(gateway.check(never)).rejects.toMatchObject({ code })
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject({ code })
    await expect(gateway.remove('dec_b', never)).rejects.toMatchObject({ code })
  })

  it('in standalone mode is told whatever the key', async () => {
    const { apisix } = await started({ admin: 'standalone' })
    const gateway = new ApisixGateway({ name: 'edge', adminUrl: apisix.url, adminKey: 'another' })
    await expect(gateway.list(never)).rejects.toThrow(/standalone mode/)
  })

  it('with a wrong key says what APISIX says, and not the key', async () => {
    const { apisix } = await started()
    const gateway = new ApisixGateway({ name: 'edge', adminUrl: apisix.url, adminKey: 'canary-wrong' })
    const error = await gateway.check(never).catch(String)
    expect(error).toMatch(/401.*failed to check token: wrong apikey/)
    expect(error).not.toContain('canary')
  })
})

/** A server that answers everything with one thing. */
async function saying(answer: object, headers: Readonly<Record<string, string>>) {
  const server = createServer((_request, response) => {
    response.writeHead(200, { 'content-type': 'application/json', ...headers })
    response.end(JSON.stringify(answer))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  const adminUrl = new URL(`http://127.0.0.1:${port}/`)
  return new ApisixGateway({ name: 'edge', adminUrl, adminKey: null })
}

describe('answers of APISIX that are not to be believed', () => {
  const consumer = { value: { username: 'a' }, modifiedIndex: 1 }
  it.each([
    ['nothing', {}],
    ['a list that says that it is longer', { list: [consumer], total: 2 }],
    ['an empty list that is not', { list: {}, total: 1 }],
    ['a list without its length', { list: [consumer] }],
    ['a list that is an object', { list: { 1: consumer }, total: 1 }],
    ['a consumer without a revision', { list: [{ value: { username: 'a' } }], total: 1 }],
    [
      'a consumer whose name leads elsewhere',
      { list: [{ ...consumer, value: { username: '../a' } }], total: 1 },
    ],
    [
      'a consumer with labels of another kind',
      { list: [{ ...consumer, value: { username: 'a', labels: [] } }], total: 1 },
    ],
    ['an object without a value', { list: [{ key: 'a' }], total: 1 }],
  ])('%s', async (_name, answer) => {
    const gateway = await saying(answer, { 'x-api-version': 'v3' })
    const error = { code: 'GATEWAY_UNREACHABLE', retriable: true }
    await expect(gateway.list(never)).rejects.toMatchObject(error)
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject(error)
  })

  it('another consumer than the one asked for', async () => {
    const answer = { list: {}, total: 0, value: { username: 'someone-else' }, modifiedIndex: 1 }
    const gateway = await saying(answer, { 'x-api-version': 'v3' })
    await expect(gateway.put(rules[1]!, never)).rejects.toThrow(/another consumer/)
  })
})

describe('names that an attacker chose', () => {
  it.each([...HOSTILE_IDS, 'a b', 'a.b', 'é', 'x'.repeat(257)].map((id) => [id]))(
    '%j is refused before any call',
    async (id) => {
      const { apisix, gateway } = await started()
      await expect(gateway.put(rule('dec_h', 'block', id), never)).rejects.toMatchObject({
        code: 'GATEWAY_UNSUPPORTED',
      })
      expect(apisix.calls).toBe(0)
    },
  )

  it('in a label of a principal do no harm', async () => {
    const { apisix, gateway } = await started()
    for (const label of HOSTILE_IDS.filter((one) => one.length < 1_000)) {
      const principal = { kind: 'consumer', id: 'billing', label, verified: true } as const
      const hostile: Rule = { ...rules[1]!, scope: { kind: 'principal', principal } }
      await gateway.put(hostile, never)
      expect(await gateway.list(never)).toEqual([hostile])
    }
    await gateway.remove('dec_b', never)
    expect(apisix.consumer('billing')).not.toHaveProperty('labels')
    expect(apisix.violations).toEqual([])
  })

  it('an unverified name is nobody', async () => {
    const { gateway } = await started()
    const principal = { kind: 'consumer', id: 'billing', label: 'billing', verified: false } as const
    const claimed: Rule = { ...rules[1]!, scope: { kind: 'principal', principal } }
    await expect(gateway.put(claimed, never)).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
  })
})
