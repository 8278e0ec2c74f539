import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { TykGateway } from '../../../enforcement/gateways/tyk.ts'
import { tykKeyId } from '../../../enforcement/gateways/tyk-client.ts'
import { converge, HOSTILE_IDS } from '../../services/convergence.ts'
import type { Fault } from '../../services/injected-faults.ts'
import { FAKE_TYK_SECRET, FakeTyk, type FakeTykOptions } from '../../services/tyk-fake.ts'

const never = new AbortController().signal
const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

const names = new FakeTyk()
function rule(id: string, action: Rule['action'], key: string, limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'key', id: tykKeyId(names.nameOf(key)), label: 'svc', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_000) }
}
const rules = [
  rule('dec_t', 'throttle', 'orders', { requests: 10, windowSeconds: 60 }),
  rule('dec_b', 'block', 'billing'),
  rule('dec_k', 'revoke-credential', 'orders'),
  rule('dec_u', 'throttle', 'partner', { requests: 90, windowSeconds: 60 }),
]

function gatewayAt(adminUrl: URL, secret = FAKE_TYK_SECRET): TykGateway {
  const more = { hashedKeys: true, countsInRedis: false, sessionCacheSeconds: 10, timeoutMs: 300 }
  return new TykGateway({ name: 'edge', adminUrl, secret, ...more })
}

async function started(options: FakeTykOptions = {}) {
  const tyk = new FakeTyk(options)
  tyk.plant('orders', { rate: 7, per: 60, hmac_string: 'k', meta_data: { team: 'a' } })
  tyk.plant('billing', { rate: 5, per: 1 })
  tyk.plant('partner', { rate: 500, per: 60, alias: 'p' })
  await tyk.start()
  closing.push(() => tyk.stop())
  return { tyk, gateway: gatewayAt(tyk.url) }
}

const LIST = /GET .*\/keys$/
const ONE = /GET .*\/keys\//

describe('faults of Tyk’s control plane', { timeout: 60_000 }, () => {
  it.each<readonly [RegExp, Fault, number]>([
    [LIST, 'too-many-requests', 2],
    [LIST, 'server-error', 2],
    [LIST, 'garbage', 1],
    [LIST, 'cut-connection', 1],
    [LIST, 'conflict', 1],
    [ONE, 'server-error', 1],
    [ONE, 'garbage', 2],
    [ONE, 'cut-connection', 3],
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
    const { tyk, gateway } = await started()
    const before = structuredClone(tyk.state())
    for (const desired of [rules, rules.slice(1), []]) {
      tyk.faults.inject(operation, fault, times)
      await converge(gateway, desired)
      // Whoever was limited to 7 per minute stays so: the throttle of 10 loosens nothing.
      expect(tyk.session('orders')).toMatchObject({ hmac_string: 'k', rate: 7, per: 60 })
      if (desired.length > 0) expect(tyk.session('partner')).toMatchObject({ rate: 90, per: 60 })
    }
    expect(tyk.state()).toEqual(before)
    expect(tyk.violations).toEqual([])
    expect(tyk.faults.unmet).toBeLessThan(3 * times)
  })

  it('writes that somebody else overwrites each time are told, not believed', async () => {
    const { tyk, gateway } = await started()
    tyk.loseWrites = 100
    const error = { code: 'GATEWAY_CONFLICT', retriable: true }
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject(error)
    tyk.loseWrites = 2
    await gateway.put(rules[1]!, never)
    expect((await gateway.list(never)).map(({ id }) => id)).toEqual(['dec_b'])
  })

  it('an edit between the two reads before a write is kept', async () => {
    const { tyk, gateway } = await started()
    let reads = 0
    tyk.before = ({ method, url }) => {
      if (method !== 'GET' || !url.pathname.endsWith(names.nameOf('billing')) || ++reads !== 2) return
      tyk.plant('billing', { rate: 4, per: 1, alias: 'new' })
    }
    await gateway.put(rules[1]!, never)
    expect(tyk.session('billing')).toMatchObject({ alias: 'new', rate: 4, is_inactive: true })
    await gateway.remove('dec_b', never)
    expect(tyk.session('billing')).toMatchObject({ alias: 'new', rate: 4 })
    expect(tyk.session('billing')).not.toHaveProperty('is_inactive')
  })

  it('an edit of what a rule holds is told and left', async () => {
    const { tyk, gateway } = await started()
    await gateway.put(rules[3]!, never)
    tyk.plant('partner', { ...tyk.session('partner'), rate: 800 })
    expect(await gateway.list(never)).toMatchObject([{ id: 'dec_u', until: 0 }])
    await expect(gateway.remove('dec_u', never)).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT' })
    await gateway.removeMany(new Set(['dec_u']), never)
    expect(tyk.session('partner')).toMatchObject({ rate: 800 })
  })

  it('a call that is never answered ends', async () => {
    const { tyk, gateway } = await started()
    await tyk.fail('hang')
    const error = { code: 'GATEWAY_UNREACHABLE', retriable: true }
    await expect(gateway.list(never)).rejects.toMatchObject(error)
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject(error)
  })

  it('an empty list is not believed while Tyk does not reach its Redis', async () => {
    const { tyk, gateway } = await started()
    await gateway.put(rules[1]!, never)
    tyk.redisIsDown = true
    const error = { code: 'GATEWAY_UNREACHABLE', retriable: true }
    await expect(gateway.list(never)).rejects.toMatchObject(error)
    await expect(gateway.check(never)).rejects.toMatchObject(error)
    await expect(gateway.remove('dec_b', never)).rejects.toMatchObject(error)
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject(error)
    // The list came before, the keys after.
    tyk.redisIsDown = false
    tyk.before = ({ url }) => {
      if (url.pathname !== '/tyk/keys') tyk.redisIsDown = true
    }
    await expect(gateway.list(never)).rejects.toMatchObject(error)
  })

  it.each([
    [403, 'GATEWAY_REFUSED', false],
    [400, 'GATEWAY_REFUSED', false],
    [502, 'GATEWAY_UNREACHABLE', true],
    [429, 'GATEWAY_UNREACHABLE', true],
  ])('status %i is %s', async (status, code, retriable) => {
    const { tyk, gateway } = await started()
    tyk.status = status
    await expect(gateway.list(never)).rejects.toMatchObject({ code, retriable })
    await expect(gateway.put(rules[1]!, never)).rejects.toMatchObject({ code, retriable })
  })

  it('another secret, hidden keys and an unknown key are told in words', async () => {
    const { tyk, gateway } = await started()
    await expect(gatewayAt(tyk.url, 'other').list(never)).rejects.toThrow(/another secret/)
    await expect(gateway.put(rule('dec_n', 'block', 'nobody'), never)).rejects.toThrow(
      /Tyk has no key sha256-/,
    )
    const hidden = await started({ hidesKeys: true })
    await expect(hidden.gateway.list(never)).rejects.toThrow(/enable_hashed_keys_listing/)
  })
})

/** A server that answers everything with the same. */
async function saying(answer: unknown): Promise<TykGateway> {
  const server = createServer((_request, response) => response.end(JSON.stringify(answer)))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  return gatewayAt(new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`))
}

describe('answers of Tyk that are not to be believed', () => {
  it.each([
    ['nothing', {}],
    ['a list of something else', { keys: [1] }],
    ['a list that is an object', { keys: { a: 1 } }],
    ['a key that is none', { keys: ['a'] }],
    ['a key with marks of another kind', { keys: ['a'], rate: 1, meta_data: [] }],
    ['a key with rights of another kind', { keys: ['a'], rate: 1, access_rights: 'x' }],
  ])('%s', async (_name, answer) => {
    const gateway = await saying(answer)
    await expect(gateway.list(never)).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
  })
})

describe('names that an attacker chose', { timeout: 60_000 }, () => {
  it.each(
    [...HOSTILE_IDS, 'sha256-', `sha256-${'g'.repeat(32)}`, `sha256-${'a'.repeat(33)}`].map((id) => [id]),
  )('%j is refused before any call', async (id) => {
    const { tyk, gateway } = await started()
    const principal = { kind: 'key', id, label: id, verified: true } as const
    const hostile: Rule = { ...rules[1]!, scope: { kind: 'principal', principal } }
    const error = { code: 'GATEWAY_UNSUPPORTED' }
    await expect(gateway.put(hostile, never)).rejects.toMatchObject(error)
    const credential: Rule = { ...hostile, scope: { kind: 'credential', principal, credential: id } }
    await expect(gateway.put(credential, never)).rejects.toMatchObject(error)
    expect(tyk.calls).toBe(0)
  })

  it('in a label or among the keys do no harm', async () => {
    const { tyk, gateway } = await started()
    for (const name of HOSTILE_IDS.filter((one) => one !== '\ud800')) tyk.keys.set(name, { rate: 1 })
    for (const label of HOSTILE_IDS.filter((one) => one.length < 1_000 && one !== '\ud800')) {
      const { scope } = rules[1]!
      const principal = { ...(scope as Extract<Rule['scope'], { kind: 'principal' }>).principal, label }
      const hostile: Rule = { ...rules[1]!, scope: { kind: 'principal', principal } }
      await gateway.put(hostile, never)
      expect(await gateway.list(never)).toEqual([hostile])
    }
    await gateway.remove('dec_b', never)
    expect(tyk.session('billing')).not.toHaveProperty('meta_data')
    expect(tyk.violations).toEqual([])
  })

  it('an unverified name is nobody', async () => {
    const { gateway } = await started()
    const principal = { kind: 'key', id: tykKeyId('a'), label: 'a', verified: false } as const
    const claimed: Rule = { ...rules[1]!, scope: { kind: 'principal', principal } }
    await expect(gateway.put(claimed, never)).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
  })
})
