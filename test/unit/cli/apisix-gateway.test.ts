import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import { gatewaysOf } from '../../../cli/gateways.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { FAKE_ADMIN_KEY, FakeApisix } from '../../services/apisix-fake.ts'
import { runCommand } from '../../services/command-run.ts'

const NOW = Date.parse('2026-11-25T03:04:00.000Z')
const never = new AbortController().signal

let folder: string
let apisix: FakeApisix
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-apisix-'))
  apisix = new FakeApisix()
  for (const username of ['orders', 'billing'])
    apisix.plant('consumers', username, { username, plugins: { 'key-auth': { key: `canary-${username}` } } })
  await apisix.start()
  await writeFile(join(folder, 'key'), FAKE_ADMIN_KEY)
})
afterEach(async () => {
  expect(apisix.violations).toEqual([])
  await apisix.stop()
  await rm(folder, { recursive: true, force: true })
})

const text = () => `store: { kind: embedded, folder: ${join(folder, 'state')} }
enforcement:
  folder: ${join(folder, 'enforcement')}
  gateways:
    - { name: edge, kind: apisix, adminUrl: ${apisix.url.origin}, adminKeyFile: ${join(folder, 'key')} }
`

async function configuration(): Promise<string> {
  const path = join(folder, 'curfew.yaml')
  await writeFile(path, text())
  return path
}

function block(id: string, name: string, until: number): Rule {
  const principal = { kind: 'consumer', id: name, label: name, verified: true } as const
  return { id, action: 'block', scope: { kind: 'principal', principal }, limit: null, until: wallTime(until) }
}

function running() {
  const loaded = loadConfig(text(), { env: () => undefined, file: () => FAKE_ADMIN_KEY })
  if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
  return gatewaysOf(loaded.config)[0]!
}

describe('APISIX with nothing but configuration and key', { timeout: 60_000 }, () => {
  it('panic lifts everything of ours, and shows no secret', async () => {
    const before = apisix.state()
    const gateway = running()
    await gateway.put(block('dec_1', 'orders', NOW + 60_000), never)
    await gateway.put(block('dec_2', 'billing', NOW + 60_000), never)
    const { code, out } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(out).toMatch(/edge\s+2 removed, none left/)
    expect(out).not.toContain('canary')
    expect(code).toBe(0)
    expect(apisix.state()).toEqual(before)
  })

  it('sweep lifts what has ended and leaves the rest', async () => {
    const gateway = running()
    await gateway.put(block('dec_1', 'orders', NOW - 60_000), never)
    await gateway.put(block('dec_2', 'billing', NOW + 60_000), never)
    const { code } = await runCommand(['sweep', '--config', await configuration()], NOW)
    expect(code).toBe(0)
    expect((await gateway.list(never)).map(({ id }) => id)).toEqual(['dec_2'])
  })

  it('panic says so where an edit keeps it from lifting', async () => {
    const gateway = running()
    await gateway.put(block('dec_1', 'orders', NOW + 60_000), never)
    const { plugins, ...rest } = apisix.consumer('orders') as {
      plugins: object
      username: string
      labels: object
    }
    const restriction = { blacklist: ['orders', 'edited'] }
    const { username, labels } = rest
    apisix.plant('consumers', 'orders', {
      username,
      labels,
      plugins: { ...plugins, 'consumer-restriction': restriction },
    })
    const { code, out, err } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(code).not.toBe(0)
    expect(out + err).toMatch(
      /dec_1 .*GATEWAY_CONFLICT: APISIX: consumer-restriction of consumer orders was edited/,
    )
  })

  it('config check accepts it and asks nobody', async () => {
    const { code } = await runCommand(['config', 'check', await configuration()], NOW)
    expect(code).toBe(0)
    expect(apisix.calls).toBe(0)
  })
})

describe('the configuration of APISIX', () => {
  const load = (entry: string) =>
    loadConfig(`enforcement:\n  gateways:\n    - { kind: apisix, name: edge, ${entry} }\n`, {
      env: () => 'x'.repeat(40),
      file: () => '',
    })
  it.each([
    ['a path that is added', 'adminUrl: "http://127.0.0.1:9180/apisix/admin/"', 'give the address alone'],
    ['a key in the address', 'adminUrl: "http://127.0.0.1:9180/?api_key=canary"', 'has a query'],
    ['a password in the address', 'adminUrl: "http://a:canary@127.0.0.1:9180"', 'adminUrl'],
    ['an unknown setting', 'adminkeyEnv: K', 'adminKeyEnv'],
    ['another scheme', 'adminUrl: "ftp://127.0.0.1"', 'adminUrl'],
  ])('refuses %s', (_what, entry, message) => {
    const loaded = load(entry)
    expect(loaded.ok).toBe(false)
    const said = loaded.ok ? '' : problemLines('f', loaded.problems).join('\n')
    expect(said).toContain(message)
    expect(said).not.toContain('canary')
  })

  it('warns of a key that travels unencrypted, and knows where the API is by default', () => {
    const loaded = load('adminUrl: "http://apisix.internal:9180", adminKeyEnv: K')
    if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
    expect(problemLines('f', loaded.warnings).join('\n')).toContain('unencrypted')
    const local = load('adminKeyEnv: K')
    if (!local.ok) throw new Error(problemLines('f', local.problems).join('\n'))
    expect(problemLines('f', local.warnings).join('\n')).not.toContain('unencrypted')
    expect(local.config.enforcement.gateways[0]).toMatchObject({ adminUrl: 'http://127.0.0.1:9180' })
  })

  it('knows callers as consumers', () => {
    const alias = (principal: string) =>
      loadConfig(
        `enforcement:\n  gateways:\n    - { kind: apisix, name: edge }\nprincipals:\n  aliases:\n    - name: svc\n      members:\n        - { principal: "${principal}", gateway: edge }\n        - { principal: "sub:b" }\n`,
        { env: () => undefined, file: () => '' },
      )
    expect(alias('consumer:orders').ok).toBe(true)
    const wrong = alias('sub:a')
    expect(wrong.ok ? '' : problemLines('f', wrong.problems).join()).toMatch(
      /kind apisix knows callers as `consumer:`/,
    )
  })
})
