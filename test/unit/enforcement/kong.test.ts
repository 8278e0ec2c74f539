import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { KongOptions } from '../../../enforcement/gateways/kong.ts'
import { KongGateway } from '../../../enforcement/gateways/kong.ts'
import { kongLimits, strictest } from '../../../enforcement/gateways/kong-throttle.ts'
import { kongDescription } from '../../services/kong-description.ts'
import type { FakeKongOptions } from '../../services/kong-fake.ts'
import { FakeKong } from '../../services/kong-fake.ts'

const never = new AbortController().signal
const description = kongDescription()
const CONSUMER = '11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa'
const THEIRS = 'bbbbbbbb-0000-4000-8000-000000000001'
const ROUTE = { id: 'cccccccc-0000-4000-8000-000000000001' }
const SERVICE = { id: 'cccccccc-0000-4000-8000-000000000002' }
const closing: (() => Promise<void>)[] = []

afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function start(fake: Partial<FakeKongOptions> = {}, options: Partial<KongOptions> = {}) {
  const kong = new FakeKong({ description, ...fake })
  kong.consumers.add(CONSUMER)
  await kong.start()
  closing.push(async () => {
    expect(kong.violations).toEqual([])
    await kong.stop()
  })
  return { kong, gateway: new KongGateway({ name: 'kong', adminUrl: kong.url, ...options }) }
}

function rule(id: string, action: Rule['action'], limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'consumer', id: CONSUMER, label: 'orders-svc', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_000) }
}

const throttle = rule('dec_t', 'throttle', { requests: 1, windowSeconds: 10 })
const block = rule('dec_b', 'block')
const theirs = (name: string, config: Record<string, unknown>, more: object = {}) => ({
  id: THEIRS,
  name,
  config,
  ...more,
})
const ours = (kong: FakeKong) => [...kong.plugins.values()].filter((row) => row.tags?.includes('curfew'))

describe('a limit in Kong periods', () => {
  it.each([
    [1, 10, { minute: 6 }],
    [100, 10, { second: 10 }],
    [10, 60, { minute: 10 }],
    [10, 90, { minute: 6 }],
    [1, 3_600, { hour: 1 }],
    [1, 7_200, { day: 12 }],
    [5, 1, { second: 5 }],
  ])('%i per %i s is %j', (requests, windowSeconds, expected) => {
    const set = Object.entries(kongLimits({ requests, windowSeconds })).filter(([, value]) => value !== null)
    expect(Object.fromEntries(set)).toEqual(expected)
  })

  it('of nothing is refused: Kong takes no zero', () => {
    expect(() => kongLimits({ requests: 0, windowSeconds: 10 })).toThrow(/block instead/)
    expect(() => kongLimits({ requests: 1, windowSeconds: 0 })).toThrow(/block instead/)
  })

  it('never has a longer period with less than a shorter one', () => {
    const none = { second: null, minute: null, hour: null, day: null, month: null, year: null }
    expect(
      strictest([
        { ...none, minute: 60 },
        { ...none, hour: 10, second: 20 },
      ]),
    ).toEqual({ ...none, second: 10, minute: 10, hour: 10 })
  })
})

describe('Kong', () => {
  it('marks what it holds and keeps the earlier limits of others', async () => {
    const { kong, gateway } = await start()
    kong.plant(theirs('rate-limiting', { minute: 3, hour: 90, policy: 'cluster' }))
    await gateway.put(throttle, never)
    const [row] = ours(kong)
    expect(row).toMatchObject({ name: 'rate-limiting', consumer: { id: CONSUMER }, enabled: true })
    expect(row?.config).toMatchObject({ minute: 3, hour: 90, limit_by: 'consumer', policy: 'cluster' })
    expect(row?.tags).toContain('curfew-id:dec_t')
    expect(row?.tags).toContain('curfew-rule:dec_t:throttle:principal:1790000000:1:10:1:orders-svc:')
  })

  it('takes along a shared Redis of what it replaces', async () => {
    const { kong, gateway } = await start()
    kong.plant(
      theirs('rate-limiting', { minute: 3, policy: 'redis', redis: { host: 'redis.example', port: 6_379 } }),
    )
    await gateway.put(throttle, never)
    expect(ours(kong)[0]?.config).toMatchObject({ policy: 'redis', redis: { host: 'redis.example' } })
  })

  it('changes only what it must of a plugin of others, and gives it back', async () => {
    const { kong, gateway } = await start()
    kong.plant(
      theirs(
        'rate-limiting',
        { minute: 40, hour: 200, policy: 'local' },
        { consumer: { id: CONSUMER }, tags: ['team-a'] },
      ),
    )
    const before = kong.state()
    await gateway.put(throttle, never)
    expect(kong.plugins.get(THEIRS)?.config).toMatchObject({ minute: 6, hour: 200 })
    expect(kong.plugins.get(THEIRS)?.tags).toContain('team-a')
    await gateway.put({ ...throttle, limit: { requests: 50, windowSeconds: 60 } }, never)
    expect(kong.plugins.get(THEIRS)?.config).toMatchObject({ minute: 40, hour: 200 })
    await gateway.remove('dec_t', never)
    expect(kong.state()).toEqual(before)
  })

  it('leaves a plugin that its owner edited meanwhile, says so, and lists the rule as not holding', async () => {
    const { kong, gateway } = await start()
    kong.plant(theirs('rate-limiting', { minute: 40 }, { consumer: { id: CONSUMER } }))
    await gateway.put(throttle, never)
    kong.plugins.get(THEIRS)!.config.minute = 1_000
    const edited = kong.state()
    expect(await gateway.list(never)).toEqual([{ ...throttle, until: 0 }])
    for (const call of [gateway.remove('dec_t', never), gateway.put(throttle, never)]) {
      await expect(call).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT', retriable: false })
    }
    expect(kong.state()).toEqual(edited)
  })

  it('repairs its own plugin when somebody loosened it', async () => {
    const { kong, gateway } = await start()
    await gateway.put(throttle, never)
    ours(kong)[0]!.config.minute = 1_000
    expect((await gateway.list(never))[0]?.until).toBe(0)
    await gateway.put(throttle, never)
    expect(ours(kong)[0]?.config.minute).toBe(6)
    expect(await gateway.list(never)).toEqual([throttle])
  })

  it('goes where a more specific plugin would win', async () => {
    const { kong, gateway } = await start()
    kong.plant(theirs('rate-limiting', { minute: 2 }, { route: ROUTE, service: SERVICE }))
    await gateway.put(throttle, never)
    const places = ours(kong).map((row) => [row.route, row.service, row.config.minute])
    expect(places).toHaveLength(2)
    expect(places).toContainEqual([null, null, 6])
    expect(places).toContainEqual([ROUTE, SERVICE, 2])
    expect(await gateway.list(never)).toEqual([throttle])
    kong.plugins.delete(ours(kong)[1]!.id)
    expect((await gateway.list(never))[0]?.until).toBe(0)
    await gateway.remove('dec_t', never)
    expect(ours(kong)).toEqual([])
  })

  it('refuses when too many more specific plugins would win', async () => {
    const { kong, gateway } = await start()
    for (let i = 0; i < 17; i++) {
      const id = `bbbbbbbb-0000-4000-8000-0000000000${String(i + 10)}`
      kong.plant({ id, name: 'rate-limiting', config: { minute: 2 }, route: { id }, service: SERVICE })
    }
    await expect(gateway.put(throttle, never)).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    expect(ours(kong)).toEqual([])
  })

  it('holds a block and a revocation of one caller in one plugin, and lifts them one by one', async () => {
    const { kong, gateway } = await start()
    const revoke = rule('dec_r', 'revoke-credential')
    await Promise.all([gateway.put(block, never), gateway.put(revoke, never)])
    expect(ours(kong)).toHaveLength(1)
    expect(ours(kong)[0]?.config).toMatchObject({ status_code: 403, message: 'Access is suspended (dec_b)' })
    await gateway.remove('dec_b', never)
    expect(await gateway.list(never)).toEqual([revoke])
    await gateway.remove('dec_r', never)
    expect(kong.plugins.size).toBe(0)
  })

  it('moves a rule that changes its kind', async () => {
    const { kong, gateway } = await start()
    await gateway.put(throttle, never)
    await gateway.put({ ...block, id: 'dec_t' }, never)
    expect(ours(kong).map((row) => row.name)).toEqual(['request-termination'])
  })

  it('reads again after a conflict and after a lost edit, and gives up in the end', async () => {
    const { kong, gateway } = await start()
    kong.conflicts = 1
    kong.loseWrites = 1
    await gateway.put(throttle, never)
    expect(await gateway.list(never)).toEqual([throttle])
    kong.loseWrites = 100
    const lost = gateway.put({ ...throttle, id: 'dec_l' }, never)
    await expect(lost).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT', retriable: true })
    kong.loseWrites = 0
    kong.conflicts = 100
    await expect(gateway.put(block, never)).rejects.toMatchObject({
      code: 'GATEWAY_CONFLICT',
      retriable: true,
    })
  })

  it.each([
    [{ database: 'off' }, /without a database/],
    [{ role: 'data_plane' }, /data plane/],
  ] as const)('refuses to write to %j, and says what to do', async (node, why) => {
    const { gateway } = await start(node)
    await expect(gateway.put(throttle, never)).rejects.toMatchObject({
      code: 'GATEWAY_UNSUPPORTED',
      message: expect.stringMatching(why),
    })
    await expect(gateway.put(throttle, never)).rejects.toThrow(/use the deny list/)
    expect(await gateway.list(never)).toEqual([])
    await gateway.check(never)
  })

  it.each([
    [401, 'GATEWAY_REFUSED', false],
    [403, 'GATEWAY_REFUSED', false],
    [405, 'GATEWAY_UNSUPPORTED', false],
    [429, 'GATEWAY_UNREACHABLE', true],
    [502, 'GATEWAY_UNREACHABLE', true],
  ])('turns status %i into %s', async (status, code, retriable) => {
    const { kong, gateway } = await start()
    kong.status = status
    await expect(gateway.list(never)).rejects.toMatchObject({ code, retriable })
    const error: unknown = await gateway.list(never).catch((thrown: unknown) => thrown)
    if (status === 429) expect(error).toMatchObject({ retryAfterMs: 7_000 })
  })

  it('names a consumer that does not exist as a refusal', async () => {
    const { kong, gateway } = await start()
    kong.consumers.clear()
    await expect(gateway.put(throttle, never)).rejects.toMatchObject({
      code: 'GATEWAY_REFUSED',
      message: expect.stringContaining('foreign key'),
    })
  })

  it('gives up on a slow answer', async () => {
    const { kong, gateway } = await start({}, { timeoutMs: 50 })
    await kong.fail('hang')
    await expect(gateway.list(never)).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
  })

  it('refuses, before any call, whoever is no verified consumer', async () => {
    const { kong, gateway } = await start()
    const base = { kind: 'consumer', id: CONSUMER, label: 'x', verified: true } as const
    for (const principal of [
      { ...base, id: 'orders-svc' },
      { ...base, verified: false },
      { ...base, kind: 'sub' } as const,
    ]) {
      const call = gateway.put({ ...block, scope: { kind: 'principal', principal } }, never)
      await expect(call).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    }
    await expect(gateway.put({ ...block, id: 'a,b' }, never)).rejects.toMatchObject({
      code: 'GATEWAY_UNSUPPORTED',
    })
    await expect(gateway.put({ ...throttle, limit: null }, never)).rejects.toMatchObject({
      code: 'GATEWAY_UNSUPPORTED',
    })
    expect(kong.calls).toBe(0)
  })

  it('throws on damaged marks instead of forgetting a rule', async () => {
    const { kong, gateway } = await start()
    await gateway.put(throttle, never)
    const row = ours(kong)[0]!
    row.tags = row.tags!.filter((tag) => !tag.startsWith('curfew-set:'))
    await expect(gateway.list(never)).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT' })
  })

  it('sends the admin token, and never into an error', async () => {
    const { kong, gateway } = await start({}, { adminToken: 'tok-secret' })
    await gateway.check(never)
    expect(kong.headers['kong-admin-token']).toBe('tok-secret')
    kong.status = 401
    const error: unknown = await gateway.list(never).catch((thrown: unknown) => thrown)
    expect(String(error)).not.toContain('tok-secret')
  })
})

describe('a page of plugins', () => {
  async function serving(answer: (url: string) => unknown) {
    const asked: string[] = []
    const server = createServer((request, response) => {
      asked.push(request.url ?? '')
      response.end(JSON.stringify(answer(request.url ?? '')))
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => new Promise((resolve) => server.close(() => resolve())))
    const adminUrl = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`)
    return { asked, gateway: new KongGateway({ name: 'kong', adminUrl, workspace: 'team a' }) }
  }

  it('leads to the next by its offset alone, never to an address that the answer chose', async () => {
    const { asked, gateway } = await serving((url) =>
      url.includes('offset')
        ? { data: [], next: null }
        : { data: [], next: 'http://evil.example/x?offset=abc' },
    )
    expect(await gateway.list(never)).toEqual([])
    expect(asked).toEqual([
      '/team%20a/plugins?size=1000&tags=curfew',
      '/team%20a/plugins?size=1000&tags=curfew&offset=abc',
    ])
  })

  it.each([
    ['leads to itself', { data: [], next: '/plugins?offset=abc' }],
    ['has no data', { next: null }],
    ['holds something else', { data: [{ id: 1 }], next: null }],
    ['has no offset', { data: [], next: '/plugins' }],
  ])('that %s is an error, not the end of the list', async (_what, page) => {
    const { gateway } = await serving(() => page)
    await expect(gateway.list(never)).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE' })
  })
})

describe.skipIf(description === null)('the official description', () => {
  it('rejects what Kong would not take', () => {
    const api = description!
    expect(api.request('POST', '/plugins/x', {})).not.toBeNull()
    expect(api.request('GET', '/consumers', null)).not.toBeNull()
    expect(api.request('PUT', '/plugins/x', { config: {} })).toMatch(/name/)
    expect(api.request('PUT', '/plugins/x', { name: 'acl', config: {}, consumer: 'x' })).toMatch(/consumer/)
    expect(api.config('rate-limiting', { minute: '6' })).toMatch(/minute/)
    expect(api.config('request-termination', { status: 403 })).toMatch(/additional/)
    expect(api.config('request-termination', { status_code: 403 })).toBeNull()
  })
})
