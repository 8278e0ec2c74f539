import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { KongGateway } from '../../../enforcement/gateways/kong.ts'
import { HOSTILE_IDS } from '../../services/convergence.ts'
import { kongDescription } from '../../services/kong-description.ts'
import { FakeKong } from '../../services/kong-fake.ts'

const never = new AbortController().signal
const CONSUMER = '11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa'
const THEIRS = 'bbbbbbbb-0000-4000-8000-000000000001'

let folder: string
let path: string
let kong: FakeKong
let gateway: KongGateway
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-fragment-'))
  path = join(folder, 'curfew.json')
  kong = new FakeKong({ description: kongDescription(), database: 'off' })
  kong.consumers.add(CONSUMER)
  await kong.start()
  gateway = new KongGateway({
    name: 'kong',
    adminUrl: kong.url,
    fragment: { path, appliedWithinMs: 60_000 },
  })
})
afterEach(async () => {
  expect(kong.violations).toEqual([])
  await kong.stop()
  await rm(folder, { recursive: true, force: true })
})

function rule(id: string, action: Rule['action'], limit: Rule['limit'] = null): Rule {
  const principal = { kind: 'consumer', id: CONSUMER, label: 'orders-svc', verified: true } as const
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(1_790_000_000_000) }
}
const throttle = rule('dec_t', 'throttle', { requests: 10, windowSeconds: 60 })
const block = rule('dec_b', 'block')
const plugins = async () => JSON.parse(await readFile(path, 'utf8')).plugins

describe('our plugins as a declarative file', () => {
  it('say what Kong should hold, strictest of what they replace, and change nothing at the node', async () => {
    const config = { second: 2, minute: 4 }
    kong.plant({ id: THEIRS, name: 'rate-limiting', config })
    const before = kong.state()
    await gateway.put(throttle, never)
    expect(await plugins()).toMatchObject([
      { name: 'rate-limiting', consumer: CONSUMER, enabled: true, config: { second: 2, minute: 4 } },
    ])
    expect(kong.state()).toEqual(before)
    expect(await readdir(folder)).toEqual(['curfew.json'])
  })

  it('are listed until the node has dropped them, so that nobody believes that they are gone', async () => {
    await gateway.put(block, never)
    const [row] = await plugins()
    kong.plant({ ...row, consumer: { id: CONSUMER } })
    const lift = gateway.remove('dec_b', never)
    await expect(lift).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
    await expect(lift).rejects.toThrow(/no longer has it, but Kong has not loaded that yet/)
    expect(await plugins()).toEqual([])
    expect(await gateway.list(never)).toEqual([{ ...block, scope: expect.anything(), until: 0 }])
    await gateway.put(throttle, never)
    expect((await plugins()).map(({ name }: { name: string }) => name)).toEqual(['rate-limiting'])
    kong.plugins.clear()
    await gateway.remove('dec_b', never)
    expect((await gateway.list(never)).map(({ id }) => id)).toEqual(['dec_t'])
  })

  it.each([
    ['a password', { redis: { host: 'r', password: 'hunter2' } }, 'redis.password'],
    ['a password of Sentinel', { redis: { sentinel_password: 'hunter2' } }, 'redis.sentinel_password'],
  ])('never contain %s of the limit that they replace', async (_what, config, field) => {
    kong.plant({ id: THEIRS, name: 'rate-limiting', config: { minute: 5, policy: 'redis', ...config } })
    const refused = gateway.put(throttle, never)
    await expect(refused).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
    await expect(refused).rejects.toThrow(field)
    await expect(refused).rejects.not.toThrow('hunter2')
    expect(await readdir(folder)).toEqual([])
  })

  it('take a reference to a vault along', async () => {
    const redis = { host: 'r', password: '{vault://env/redis-password}' }
    kong.plant({ id: THEIRS, name: 'rate-limiting', config: { minute: 5, policy: 'redis', redis } })
    await gateway.put(throttle, never)
    expect(await plugins()).toMatchObject([{ config: { minute: 5, policy: 'redis', redis } }])
  })

  it('never replace a plugin that is declared elsewhere', async () => {
    const config = { minute: 5 }
    kong.plant({ id: THEIRS, name: 'rate-limiting', config, consumer: { id: CONSUMER } })
    const refused = gateway.put(throttle, never)
    await expect(refused).rejects.toMatchObject({ code: 'GATEWAY_CONFLICT', retriable: false })
    await expect(refused).rejects.toThrow(/change it where it is declared/)
    await gateway.put(block, never)
    expect(await gateway.list(never)).toHaveLength(1)
  })

  it.each([
    ['text', 'plugins: []\n'],
    ['no mark', '{"_format_version":"3.0","plugins":[]}'],
    [
      'objects of others',
      '{"_comment":"@","_format_version":"3.0","plugins":[],"consumers":[{"username":"a"}]}',
    ],
    [
      'a plugin of others',
      '{"_comment":"@","_format_version":"3.0","plugins":[{"id":"a","name":"cors","config":{},"tags":["team-a"]}]}',
    ],
  ])('are not written over a file with %s, which stays as it is', async (_what, text) => {
    await gateway.put(block, never)
    const mark = JSON.parse(await readFile(path, 'utf8'))._comment
    const theirs = text.replace('@', mark)
    await writeFile(path, theirs)
    const refusal = { code: 'GATEWAY_CONFLICT', retriable: false }
    await expect(gateway.put(throttle, never)).rejects.toMatchObject(refusal)
    await expect(gateway.list(never)).rejects.toMatchObject(refusal)
    await expect(gateway.remove('dec_b', never)).rejects.toMatchObject(refusal)
    expect(await readFile(path, 'utf8')).toBe(theirs)
  })

  it('are written again after a process died while it wrote', async () => {
    await writeFile(`${path}.lock`, '')
    await utimes(`${path}.lock`, 1, 1)
    await writeFile(`${path}.curfew`, 'half a fi')
    await gateway.put(block, never)
    expect(await readdir(folder)).toEqual(['curfew.json'])
    expect(await gateway.list(never)).toHaveLength(1)
  })

  it('take no hostile id', async () => {
    for (const id of HOSTILE_IDS) {
      await expect(gateway.put({ ...block, id }, never)).rejects.toMatchObject({
        code: 'GATEWAY_UNSUPPORTED',
      })
      const principal = { kind: 'consumer', id, label: id, verified: true } as const
      const scope = { kind: 'principal', principal } as const
      await expect(gateway.put({ ...block, scope }, never)).rejects.toMatchObject({
        code: 'GATEWAY_UNSUPPORTED',
      })
    }
    expect(kong.calls).toBe(0)
  })
})
