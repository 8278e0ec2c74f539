import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { TykGateway } from '../../../enforcement/gateways/tyk.ts'
import { tykKeyId } from '../../../enforcement/gateways/tyk-client.ts'
import { throttledTo } from '../../../enforcement/gateways/tyk-limits.ts'
import { hashedCredential } from '../../../ingest/formats/gateway-names.ts'
import { FAKE_TYK_SECRET, FakeTyk } from '../../services/tyk-fake.ts'

const never = new AbortController().signal
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

async function started(session: object, countsInRedis = false) {
  const tyk = new FakeTyk({ countsInRedis })
  const name = tyk.plant('orders', { ...session })
  await tyk.start()
  closing.push(async () => {
    expect(tyk.violations).toEqual([])
    await tyk.stop()
  })
  const more = { hashedKeys: true, countsInRedis, sessionCacheSeconds: 10 }
  const gateway = new TykGateway({ name: 'edge', adminUrl: tyk.url, secret: FAKE_TYK_SECRET, ...more })
  const principal = { kind: 'key', id: tykKeyId(name), label: 'orders', verified: true } as const
  const rule = (id: string, action: Rule['action'], limit: Rule['limit'] = null): Rule => ({
    id,
    action,
    scope: { kind: 'principal', principal },
    limit,
    until: wallTime(1_790_000_000_000),
  })
  const throttle = rule('dec_t', 'throttle', { requests: 3, windowSeconds: 60 })
  return { tyk, gateway, throttle, block: rule('dec_b', 'block') }
}

const answers = (tyk: FakeTyk, calls: number) => Array.from({ length: calls }, () => tyk.call('orders'))

describe('calls with a key that Tyk holds back', () => {
  it.each([false, true])(
    'are answered 200, 429, 403, and 200 once lifted (counted in Redis: %s)',
    async (redis) => {
      const { tyk, gateway, throttle, block } = await started({ rate: 10, per: 60 }, redis)
      expect(answers(tyk, 5)).toEqual([200, 200, 200, 200, 200])
      await gateway.put(throttle, never)
      tyk.endWindows()
      // In memory the limiter goes on with the rate that it began with, unless its counters begin anew.
      expect(answers(tyk, 4)).toEqual([200, 200, 200, 429])
      await gateway.put(block, never)
      expect(answers(tyk, 1)).toEqual([403])
      await gateway.remove('dec_b', never)
      expect(answers(tyk, 1)).toEqual([429])
      await gateway.remove('dec_t', never)
      tyk.endWindows()
      expect(answers(tyk, 5)).toEqual([200, 200, 200, 200, 200])
    },
  )

  it('do not get a quota anew by a block or its end', async () => {
    const { tyk, gateway, block } = await started({ quota_max: 3 })
    expect(answers(tyk, 4)).toEqual([200, 200, 200, 403])
    await gateway.put(block, never)
    await gateway.remove('dec_b', never)
    expect(answers(tyk, 1)).toEqual([403])
  })
})

describe('a throttle that Tyk would not keep to is refused in words', () => {
  it.each([
    ['of a key with policies', { apply_policies: ['p'] }, /has policies/],
    ['of a key with one policy in the old way', { apply_policy_id: 'p' }, /has policies/],
    ['of a key with a quota', { quota_max: 100 }, /has a quota/],
    ['of a key with a quota of an API', { access_rights: { a: { limit: { quota_max: 5 } } } }, /has a quota/],
    ['of a smoothed rate', { smoothing: { enabled: true, threshold: 1 } }, /smoothed/],
    [
      'that has less than a request for each counter',
      { access_rights: Object.fromEntries([1, 2, 3, 4].map((i) => [`a${i}`, { allowance_scope: `a${i}` }])) },
      /4 separate counters/,
    ],
    ['of a key with a number that ours cannot hold', { post_expiry_grace_period: 2 ** 60 }, /too large/],
  ])('%s', async (_what, session, why) => {
    const { tyk, gateway, throttle } = await started({ rate: 9, per: 1, ...session })
    const before = JSON.stringify(tyk.state())
    await expect(gateway.put(throttle, never)).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    await expect(gateway.put(throttle, never)).rejects.toThrow(why)
    expect(JSON.stringify(tyk.state())).toBe(before)
  })

  it('with a quota it holds where rates are counted in Redis, and the quota stays used', async () => {
    const { tyk, gateway, throttle } = await started({ rate: 10, per: 60, quota_max: 4 }, true)
    answers(tyk, 3)
    await gateway.put(throttle, never)
    tyk.endWindows()
    expect(answers(tyk, 2)).toEqual([200, 403])
  })
})

describe('rates that a throttle sets', () => {
  const limits = [{ requests: 12, windowSeconds: 60 }]
  const places = (session: object) =>
    throttledTo({ ...session }, limits).map(({ path, rate, per }) => [path.join('.'), rate, per])

  it('are never looser than those that stood there', () => {
    expect(places({ rate: 5, per: 60 })).toEqual([['', 5, 60]])
    expect(places({ rate: 5, per: 1 })).toEqual([['', 4, 20]])
    expect(places({ rate: 0.05, per: 1 })).toEqual([['', 1, 20]])
    expect(places({ rate: -1, per: -1 })).toEqual([['', 12, 60]])
    expect(places({})).toEqual([['', 12, 60]])
  })

  it('hold for APIs and endpoints with a rate of their own, each with its part', () => {
    const session = {
      rate: 100,
      per: 1,
      access_rights: {
        a: { limit: { rate: 2, per: 60 }, allowance_scope: 'a' },
        b: { limit: { rate: 0, per: 0 } },
        c: { endpoints: [{ path: '/x', methods: [{ name: 'GET', limit: { rate: 0, per: 0 } }] }] },
      },
    }
    expect(places(session)).toEqual([
      ['', 4, 60],
      ['access_rights.a.limit', 2, 60],
      ['access_rights.c.endpoints.0.methods.0.limit', 4, 60],
    ])
  })

  it('do not cover an API that came later, which is noticed', async () => {
    const { tyk, gateway, throttle } = await started({ rate: 10, per: 60, access_rights: { a: {} } })
    await gateway.put(throttle, never)
    const rights = { ...(tyk.session('orders')?.access_rights as object), b: { limit: { rate: 99, per: 1 } } }
    tyk.plant('orders', { ...tyk.session('orders'), access_rights: rights })
    expect(await gateway.list(never)).toMatchObject([{ id: 'dec_t', until: 0 }])
    await gateway.put(throttle, never)
    expect(await gateway.list(never)).toEqual([throttle])
    expect(tyk.session('orders')?.access_rights).toMatchObject({ b: { limit: { rate: 3, per: 60 } } })
  })
})

describe('marks of ours on a key', () => {
  it.each([
    ['edited', (text: string) => text.replace('dec_b', 'dec_c')],
    ['cut', (text: string) => text.slice(0, 40)],
  ])('that were %s are told, not believed', async (_how, edit) => {
    const { tyk, gateway, block } = await started({ rate: 1, per: 1 })
    await gateway.put(block, never)
    const { curfew } = tyk.session('orders')!.meta_data as { curfew: string }
    tyk.plant('orders', { ...tyk.session('orders'), meta_data: { curfew: edit(curfew) } })
    await expect(gateway.list(never)).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT' })
  })

  it('that were copied to another key are told', async () => {
    const { tyk, gateway, block } = await started({ rate: 1, per: 1 })
    await gateway.put(block, never)
    tyk.plant('copy', { ...tyk.session('orders') })
    await expect(gateway.list(never)).rejects.toThrow(/edited or copied/)
  })
})

it('a key is known as the log format names it', () => {
  expect(tykKeyId('abc')).toBe(hashedCredential('abc'))
})
