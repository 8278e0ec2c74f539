import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { ApisixGateway } from '../../../enforcement/gateways/apisix.ts'
import { limitsOf } from '../../../enforcement/gateways/apisix-limit.ts'
import { strictest, wholeLimit } from '../../../enforcement/gateways/window-limit.ts'
import { FAKE_ADMIN_KEY, FakeApisix } from '../../services/apisix-fake.ts'

const never = new AbortController().signal
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

function rule(id: string, action: Rule['action'], limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'consumer', id: 'orders', label: 'orders', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_000) }
}
const throttle = rule('dec_t', 'throttle', { requests: 10, windowSeconds: 60 })
const block = rule('dec_b', 'block')
const minute = (count: number, more: object = {}) => ({ count, time_window: 60, ...more })

async function started(consumer: object = {}) {
  const apisix = new FakeApisix()
  apisix.plant('consumers', 'orders', { username: 'orders', ...consumer })
  await apisix.start()
  closing.push(async () => {
    expect(apisix.violations).toEqual([])
    await apisix.stop()
  })
  const gateway = new ApisixGateway({ name: 'edge', adminUrl: apisix.url, adminKey: FAKE_ADMIN_KEY })
  const plugin = (name: string) =>
    (apisix.consumer('orders')?.plugins as Record<string, Record<string, unknown>> | undefined)?.[name]
  return { apisix, gateway, plugin }
}

describe('a limit of APISIX', () => {
  it.each([
    [10, 60, { count: 10, seconds: 60 }],
    [1.9, 0.5, { count: 1, seconds: 1 }],
    [5, 1.2, { count: 5, seconds: 2 }],
  ])('%d per %d s is %j', (requests, windowSeconds, expected) => {
    expect(wholeLimit('APISIX', { requests, windowSeconds })).toEqual(expected)
  })

  it.each([
    [0, 60],
    [0.9, 60],
    [1, 0],
    [1, Number.POSITIVE_INFINITY],
  ])('%d per %d s is refused', (requests, windowSeconds) => {
    expect(() => wholeLimit('APISIX', { requests, windowSeconds })).toThrow(/block instead/)
  })

  it.each([
    [[[10, 60]], [10, 60]],
    [
      [
        [10, 60],
        [7, 60],
      ],
      [7, 60],
    ],
    [
      [
        [10, 60],
        [2, 1],
      ],
      [2, 12],
    ],
    [
      [
        [60, 60],
        [1, 3_600],
      ],
      [1, 3_600],
    ],
    [
      [
        [100, 60],
        [5_000, 3_600],
      ],
      [100, 72],
    ],
  ])('the strictest of %j is %j', (all, [count, seconds]) => {
    const limits = all.map(([one, window]) => ({ count: one!, seconds: window! }))
    expect(strictest(limits)).toEqual({ count, seconds })
  })

  it('is never looser than any of several, whatever they are', () => {
    let state = 7
    const next = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
      return 1 + (state % below)
    }
    for (let round = 0; round < 2_000; round++) {
      const all = Array.from({ length: next(4) }, () => ({ count: next(500), seconds: next(4_000) }))
      const { count, seconds } = strictest(all)
      expect(count).toBeGreaterThanOrEqual(1)
      for (const one of all) expect(count * Math.ceil(one.seconds / seconds)).toBeLessThanOrEqual(one.count)
    }
  })

  it('that is worked out for each call cannot be compared', () => {
    expect(() => limitsOf({ count: '$http_x_limit', time_window: 60 })).toThrow(/no fixed limit/)
    expect(limitsOf({ rules: [{ count: 3, time_window: 5, key: 'a' }] })).toEqual([{ count: 3, seconds: 5 }])
  })
})

describe('a throttle at APISIX', () => {
  it('answers 429 by consumer, and is marked', async () => {
    const { apisix, gateway, plugin } = await started()
    await gateway.put(throttle, never)
    expect(plugin('limit-count')).toEqual({
      policy: 'local',
      count: 10,
      time_window: 60,
      key: 'consumer_name',
      key_type: 'var',
      rejected_code: 429,
      group: expect.stringMatching(/^curfew-[0-9a-f]{32}$/),
    })
    expect(apisix.consumer('orders')?.labels).toMatchObject({
      curfew: expect.stringMatching(/^1-[0-9a-f]{16}$/),
    })
    await gateway.remove('dec_t', never)
    expect(apisix.state()).toEqual([['/apisix/consumers/orders', { username: 'orders' }]])
  })

  it.each([
    ['its own', 'consumer', 3],
    ['its group', 'consumer_groups', 3],
    ['a route', 'routes', 3],
    ['a service', 'services', 3],
    ['a plugin configuration', 'plugin_configs', 3],
  ])('is no looser than the limit of %s', async (_name, where, expected) => {
    const limit = { 'limit-count': minute(3) }
    const { apisix, gateway, plugin } = await started(where === 'consumer' ? { plugins: limit } : {})
    if (where === 'consumer_groups') {
      apisix.plant('consumer_groups', 'g', { id: 'g', plugins: limit })
      apisix.plant('consumers', 'orders', { username: 'orders', group_id: 'g' })
    } else if (where !== 'consumer') apisix.plant(where as 'routes', 'o1', { id: 'o1', plugins: limit })
    await gateway.put(throttle, never)
    expect(plugin('limit-count')).toMatchObject({ count: expected, rejected_code: 429 })
  })

  it('leaves limits out of account that its consumer’s own hides or that are switched off', async () => {
    const { apisix, gateway, plugin } = await started({ plugins: { 'limit-count': minute(40) } })
    apisix.plant('routes', 'r', { id: 'r', plugins: { 'limit-count': minute(2) } })
    await gateway.put(throttle, never)
    expect(plugin('limit-count')).toMatchObject({ count: 10 })
    await gateway.remove('dec_t', never)
    const off = minute(1, { _meta: { disable: true, priority: 3 } })
    apisix.plant('consumers', 'orders', { username: 'orders', plugins: { 'limit-count': off } })
    await gateway.put(throttle, never)
    expect(plugin('limit-count')).toMatchObject({ count: 10, _meta: { priority: 3 } })
    await gateway.remove('dec_t', never)
    expect(plugin('limit-count')).toEqual(off)
  })

  it('counts where the limit counted that it replaces', async () => {
    const { apisix, gateway, plugin } = await started()
    const redis = { policy: 'redis', redis_host: 'redis.test', redis_password: 'canary', sync_interval: 2 }
    const route = minute(90, { ...redis, rejected_msg: 'no', group: 'g', key: 'remote_addr' })
    apisix.plant('routes', 'r', { id: 'r', plugins: { 'limit-count': route } })
    apisix.plant('routes', 's', {
      id: 's',
      plugins: { 'limit-count': minute(80, { window_type: 'sliding' }) },
    })
    await gateway.put(throttle, never)
    expect(plugin('limit-count')).toEqual({
      ...minute(10),
      ...redis,
      window_type: 'sliding',
      key: 'consumer_name',
      key_type: 'var',
      rejected_code: 429,
      group: expect.stringMatching(/^curfew-/),
    })
    // What is secret stays out of the labels.
    expect(JSON.stringify(apisix.consumer('orders')?.labels)).not.toContain('canary')
  })

  it('counts all routes together, in a group of nothing but its equals', async () => {
    const { apisix, gateway, plugin } = await started()
    apisix.plant('consumers', 'billing', { username: 'billing' })
    const principal = { kind: 'consumer', id: 'billing', label: 'billing', verified: true } as const
    await gateway.put(throttle, never)
    await gateway.put({ ...throttle, id: 'dec_o', scope: { kind: 'principal', principal } }, never)
    const other = apisix.consumer('billing')?.plugins as Record<string, object>
    const first = plugin('limit-count')
    expect(other['limit-count']).toEqual(first)
    await gateway.put({ ...throttle, limit: { requests: 11, windowSeconds: 60 } }, never)
    expect(plugin('limit-count')?.group).not.toBe(first?.group)
    await gateway.put(throttle, never)
    expect(plugin('limit-count')).toEqual(first)
  })

  it('shares its plugin with another, the stricter one first', async () => {
    const { gateway, plugin } = await started({ plugins: { 'limit-count': minute(40) } })
    await gateway.put(throttle, never)
    await gateway.put(rule('dec_u', 'throttle', { requests: 4, windowSeconds: 60 }), never)
    expect(plugin('limit-count')).toMatchObject({ count: 4 })
    await gateway.remove('dec_u', never)
    expect(plugin('limit-count')).toMatchObject({ count: 10 })
    await gateway.remove('dec_t', never)
    expect(plugin('limit-count')).toEqual(minute(40))
  })

  it('of which nobody can tell whether it is stricter is refused', async () => {
    const { apisix, gateway } = await started()
    const limit = { count: '$http_x_limit', time_window: 60 }
    apisix.plant('routes', 'r', { id: 'r', plugins: { 'limit-count': limit } })
    await expect(gateway.put(throttle, never)).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    await gateway.put(block, never)
  })
})

describe('a block at APISIX', () => {
  it('refuses the consumer whatever its own restriction says, and gives that back', async () => {
    const own = { type: 'route_id', blacklist: ['r 9'], whitelist: ['r1'], _meta: { disable: true } }
    const { apisix, gateway, plugin } = await started({ plugins: { 'consumer-restriction': own } })
    await gateway.put(block, never)
    expect(plugin('consumer-restriction')).toEqual({
      type: 'consumer_name',
      blacklist: ['orders'],
      whitelist: ['r1'],
      rejected_code: 403,
      rejected_msg: 'Access is suspended (dec_b)',
    })
    await gateway.remove('dec_b', never)
    expect(plugin('consumer-restriction')).toEqual(own)
    expect(apisix.consumer('orders')).not.toHaveProperty('labels')
  })

  it('is told of a consumer that is not there, and creates none', async () => {
    const { apisix, gateway } = await started()
    apisix.objects.clear()
    await expect(gateway.put(block, never)).rejects.toMatchObject({ code: 'GATEWAY_REFUSED' })
    expect(apisix.objects.size).toBe(0)
    await gateway.remove('dec_b', never)
  })

  it('moves when its rule is about another consumer', async () => {
    const { apisix, gateway } = await started()
    apisix.plant('consumers', 'billing', { username: 'billing' })
    await gateway.put(block, never)
    const principal = { kind: 'consumer', id: 'billing', label: 'billing', verified: true } as const
    const moved: Rule = { ...block, scope: { kind: 'principal', principal } }
    await gateway.put(moved, never)
    expect(await gateway.list(never)).toEqual([moved])
    expect(apisix.consumer('orders')).not.toHaveProperty('plugins')
  })
})

describe('what others do meanwhile at APISIX', () => {
  const conflict = { code: 'GATEWAY_CONFLICT', retriable: false }
  const edited = async () => {
    const one = await started({ plugins: { 'limit-count': minute(40) } })
    await one.gateway.put(throttle, never)
    await one.gateway.put(block, never)
    const { plugins, labels } = one.apisix.consumer('orders') as Record<string, Record<string, object>>
    const edit = (part: object) =>
      one.apisix.plant('consumers', 'orders', { username: 'orders', plugins, labels, ...part })
    return { ...one, edit, plugins: plugins!, labels: labels! }
  }

  it('an edited plugin is left as it is, its rule counts as expired, others go', async () => {
    const { gateway, plugin, edit, plugins } = await edited()
    edit({ plugins: { ...plugins, 'limit-count': { ...plugins['limit-count'], count: 2 } } })
    expect((await gateway.list(never)).map(({ id, until }) => [id, until])).toEqual([
      ['dec_b', block.until],
      ['dec_t', 0],
    ])
    await expect(gateway.remove('dec_t', never)).rejects.toMatchObject(conflict)
    await expect(gateway.put(throttle, never)).rejects.toMatchObject(conflict)
    await gateway.remove('dec_b', never)
    expect(plugin('limit-count')).toMatchObject({ count: 2 })
    expect(plugin('consumer-restriction')).toBeUndefined()
  })

  it('other fields of the plugin, other plugins and labels may be edited', async () => {
    const { apisix, gateway, edit, plugins, labels } = await edited()
    const limit = { ...plugins['limit-count'], show_limit_quota_header: false }
    edit({
      desc: 'new',
      labels: { ...labels, team: 'b' },
      plugins: { ...plugins, 'limit-count': limit, 'key-auth': { key: 'k' } },
    })
    await gateway.removeMany(new Set(['dec_t', 'dec_b']), never)
    expect(apisix.state()).toEqual([
      [
        '/apisix/consumers/orders',
        {
          username: 'orders',
          desc: 'new',
          labels: { team: 'b' },
          plugins: {
            'limit-count': minute(40, { show_limit_quota_header: false }),
            'key-auth': { key: 'k' },
          },
        },
      ],
    ])
  })

  it('a plugin that was taken away is not brought back by a release', async () => {
    const { apisix, gateway, edit } = await edited()
    edit({ plugins: {} })
    expect((await gateway.list(never)).map(({ until }) => until)).toEqual([0, 0])
    await gateway.remove('dec_t', never)
    await gateway.remove('dec_b', never)
    expect(apisix.state()).toEqual([['/apisix/consumers/orders', { username: 'orders', plugins: {} }]])
  })

  it.each([
    ['a part is missing', (labels: Record<string, unknown>) => ({ ...labels, 'curfew-001': undefined })],
    ['a part was edited', (labels: Record<string, unknown>) => ({ ...labels, 'curfew-000': '{}' })],
    [
      'the seal is another',
      (labels: Record<string, unknown>) => ({ ...labels, curfew: '1-0000000000000000' }),
    ],
  ])('damaged labels are never taken for none: %s', async (_name, damage) => {
    const { gateway, edit, labels } = await edited()
    const left = Object.entries(damage(labels)).filter(([, value]) => value !== undefined)
    edit({ labels: Object.fromEntries(left) })
    await expect(gateway.list(never)).rejects.toMatchObject(conflict)
    await expect(gateway.put(block, never)).rejects.toMatchObject(conflict)
    await expect(gateway.remove('dec_b', never)).rejects.toMatchObject(conflict)
  })

  it('marks that were copied to another consumer are not believed', async () => {
    const { apisix, gateway, plugins, labels } = await edited()
    apisix.plant('consumers', 'copy', { username: 'copy', plugins, labels })
    await expect(gateway.list(never)).rejects.toMatchObject(conflict)
  })

  it('what does not fit into labels is refused, and nothing is written', async () => {
    const whitelist = Array.from({ length: 2_000 }, (_, i) => `route-${i}`)
    const own = { type: 'route_id', blacklist: whitelist }
    const { apisix, gateway, plugin } = await started({ plugins: { 'consumer-restriction': own } })
    await expect(gateway.put(block, never)).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    expect(plugin('consumer-restriction')).toEqual(own)
    expect(apisix.wire.every((line) => line.startsWith('GET '))).toBe(true)
  })
})
