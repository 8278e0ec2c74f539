import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import { gatewaysOf } from '../../../cli/gateways.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { tykKeyId } from '../../../enforcement/gateways/tyk-client.ts'
import { runCommand } from '../../services/command-run.ts'
import { FAKE_TYK_SECRET, FakeTyk } from '../../services/tyk-fake.ts'

const NOW = Date.parse('2026-11-25T03:04:00.000Z')
const never = new AbortController().signal

let folder: string
let tyk: FakeTyk
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-tyk-'))
  tyk = new FakeTyk({ hashKeys: false })
  for (const key of ['canary-orders', 'canary-billing']) tyk.plant(key, { rate: 5, per: 1 })
  await tyk.start()
  await writeFile(join(folder, 'key'), FAKE_TYK_SECRET)
})
afterEach(async () => {
  expect(tyk.violations).toEqual([])
  await tyk.stop()
  await rm(folder, { recursive: true, force: true })
})

const text = () => `store: { kind: embedded, folder: ${join(folder, 'state')} }
enforcement:
  folder: ${join(folder, 'enforcement')}
  gateways:
    - { name: edge, kind: tyk, adminUrl: ${tyk.url.origin}, secretFile: ${join(folder, 'key')}, hashedKeys: false }
`

async function configuration(): Promise<string> {
  const path = join(folder, 'curfew.yaml')
  await writeFile(path, text())
  return path
}

function block(id: string, key: string, until: number): Rule {
  const principal = { kind: 'key', id: tykKeyId(key), label: 'svc', verified: true } as const
  return { id, action: 'block', scope: { kind: 'principal', principal }, limit: null, until: wallTime(until) }
}

function running() {
  const loaded = loadConfig(text(), { env: () => undefined, file: () => FAKE_TYK_SECRET })
  if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
  return gatewaysOf(loaded.config)[0]!
}

describe('Tyk with nothing but configuration and secret', { timeout: 60_000 }, () => {
  it('panic lifts everything of ours, and shows no secret', async () => {
    const before = tyk.state()
    const gateway = running()
    await gateway.put(block('dec_1', 'canary-orders', NOW + 60_000), never)
    await gateway.put(block('dec_2', 'canary-billing', NOW + 60_000), never)
    const { code, out } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(out).toMatch(/edge\s+2 removed, none left/)
    expect(out).not.toContain('canary')
    expect(code).toBe(0)
    expect(tyk.state()).toEqual(before)
  })

  it('sweep lifts what has ended and leaves the rest', async () => {
    const gateway = running()
    await gateway.put(block('dec_1', 'canary-orders', NOW - 60_000), never)
    await gateway.put(block('dec_2', 'canary-billing', NOW + 60_000), never)
    const { code } = await runCommand(['sweep', '--config', await configuration()], NOW)
    expect(code).toBe(0)
    expect((await gateway.list(never)).map(({ id }) => id)).toEqual(['dec_2'])
  })

  it('panic says so where an edit keeps it from lifting, and names no key', async () => {
    const gateway = running()
    await gateway.put(block('dec_1', 'canary-orders', NOW + 60_000), never)
    tyk.plant('canary-orders', { ...tyk.session('canary-orders'), is_inactive: false })
    const { code, out, err } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(code).not.toBe(0)
    expect(out + err).toMatch(/dec_1 .*GATEWAY_CONFLICT: Tyk: is_inactive was edited/)
    expect(out + err).not.toContain('canary')
  })

  it('config check accepts it and asks nobody', async () => {
    const { code } = await runCommand(['config', 'check', await configuration()], NOW)
    expect(code).toBe(0)
    expect(tyk.calls).toBe(0)
  })
})

describe('the configuration of Tyk', () => {
  const load = (entry: string) =>
    loadConfig(`enforcement:\n  gateways:\n    - { kind: tyk, name: edge, ${entry} }\n`, {
      env: () => 'x'.repeat(40),
      file: () => '',
    })
  it.each([
    [
      'a path that is added',
      'secretEnv: K, adminUrl: "http://127.0.0.1:8080/tyk/"',
      'give the address alone',
    ],
    ['a secret in the address', 'secretEnv: K, adminUrl: "http://127.0.0.1:8080/?k=canary"', 'has a query'],
    ['no secret', 'hashedKeys: true', 'secret'],
    ['an unknown setting', 'secretEnv: K, hashKeys: true', 'hashedKeys'],
    ['another scheme', 'secretEnv: K, adminUrl: "ftp://127.0.0.1"', 'adminUrl'],
    ['a time that is none', 'secretEnv: K, sessionCacheSeconds: -1', 'sessionCacheSeconds'],
  ])('refuses %s', (_what, entry, message) => {
    const loaded = load(entry)
    expect(loaded.ok).toBe(false)
    const said = loaded.ok ? '' : problemLines('f', loaded.problems).join('\n')
    expect(said).toContain(message)
    expect(said).not.toContain('canary')
  })

  it('warns of a secret that travels unencrypted, and states the delay of the session cache', () => {
    const loaded = load('adminUrl: "http://tyk.internal:8080", secretEnv: K, sessionCacheSeconds: 30')
    if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
    expect(problemLines('f', loaded.warnings).join('\n')).toContain('unencrypted')
    expect(gatewaysOf(loaded.config)[0]?.can.every(({ worstCaseDelayMs: ms }) => ms === 31_000)).toBe(true)
    const local = load('secretEnv: K')
    if (!local.ok) throw new Error(problemLines('f', local.problems).join('\n'))
    expect(problemLines('f', local.warnings).join('\n')).not.toContain('unencrypted')
    expect(gatewaysOf(local.config)[0]?.can[0]?.worstCaseDelayMs).toBe(11_000)
  })

  it('knows callers as keys', () => {
    const alias = (principal: string) =>
      loadConfig(
        `enforcement:\n  gateways:\n    - { kind: tyk, name: edge, secretEnv: K }\nprincipals:\n  aliases:\n    - name: svc\n      members:\n        - { principal: "${principal}", gateway: edge }\n        - { principal: "sub:b" }\n`,
        { env: () => 'x'.repeat(40), file: () => '' },
      )
    expect(alias('key:orders').ok).toBe(true)
    const wrong = alias('sub:a')
    expect(wrong.ok ? '' : problemLines('f', wrong.problems).join()).toMatch(
      /kind tyk knows callers as `key:`/,
    )
  })
})
