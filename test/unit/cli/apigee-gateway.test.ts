import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import { evidenceFor } from '../../../cli/gateways.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { quotaEntry } from '../../../enforcement/gateways/apigee-targets.ts'
import { tokenFromFile, tokenFromGoogle } from '../../../enforcement/gateways/apigee-token.ts'
import type { FakeApigee } from '../../services/apigee-fake.ts'
import { FAKE_APPS, FAKE_CREDENTIALS, fakeApigee, fakeApigeeGateways } from '../../services/apigee-rig.ts'
import { runCommand } from '../../services/command-run.ts'

const NOW = Date.parse('2026-11-25T03:04:00.000Z')
const never = new AbortController().signal

let folder: string
let apigee: FakeApigee
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-apigee-'))
  apigee = await fakeApigee()
  await writeFile(join(folder, 'token'), 'canary-access-token\n')
})
afterEach(async () => {
  await apigee.stop()
  await rm(folder, { recursive: true, force: true })
})

function rule(
  id: string,
  action: Rule['action'],
  kind: 'app' | 'key' | 'ip',
  of: string,
  until: number,
): Rule {
  const principal = { kind, id: of, label: of, verified: kind !== 'ip' }
  const limit = action === 'throttle' ? { requests: 10, windowSeconds: 60 } : null
  return { id, action, scope: { kind: 'principal', principal }, limit, until: wallTime(until) }
}

async function configuration(): Promise<string> {
  const path = join(folder, 'curfew.yaml')
  await writeFile(
    path,
    `store: { kind: embedded, folder: ${join(folder, 'state')} }
enforcement:
  folder: ${join(folder, 'enforcement')}
  gateways:
    - name: apigee-eu
      kind: apigee
      organization: acme
      environment: prod
      url: ${apigee.url.origin}
      accessTokenPath: ${join(folder, 'token')}
      throttles: true
      securityActions: true
      onlyFor: [apigee-prod]
`,
  )
  return path
}

describe('Apigee with nothing but configuration and credentials', { timeout: 60_000 }, () => {
  it('panic lifts everything of ours and leaves the organisation as it was found', async () => {
    const before = JSON.stringify(apigee.state.content())
    const [callers, actions] = fakeApigeeGateways(apigee, 'running')
    await callers!.put(rule('dec_1', 'throttle', 'app', FAKE_APPS[0]!, NOW + 60_000), never)
    await callers!.put(rule('dec_2', 'revoke-credential', 'key', FAKE_CREDENTIALS[1]!, NOW + 60_000), never)
    await actions!.put(rule('dec_3', 'block', 'ip', '203.0.113.9', NOW + 60_000), never)
    const { code, out } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(out).toMatch(/apigee-eu\s+2 removed, none left/)
    expect(out).toMatch(/apigee-eu-actions\s+1 removed, none left/)
    expect(out).not.toContain('canary')
    expect(code).toBe(0)
    expect(JSON.stringify(apigee.state.content())).toBe(before)
    expect(apigee.authorization).toBe('Bearer canary-access-token')
    expect(apigee.violations).toEqual([])
  })

  it('sweep lifts what has ended and leaves the rest', async () => {
    const [callers] = fakeApigeeGateways(apigee, 'running')
    await callers!.put(rule('dec_1', 'throttle', 'app', FAKE_APPS[0]!, NOW - 60_000), never)
    await callers!.put(rule('dec_2', 'block', 'app', FAKE_APPS[1]!, NOW + 60_000), never)
    const { code } = await runCommand(['sweep', '--config', await configuration()], NOW)
    expect(code).toBe(0)
    expect((await callers!.list(never)).map(({ id }) => id)).toEqual(['dec_2'])
  })

  it('config check accepts it and asks Apigee nothing', async () => {
    const { code } = await runCommand(['config', 'check', await configuration()], NOW)
    expect(code).toBe(0)
    expect(apigee.calls).toBe(0)
  })
})

const secrets = { env: (name: string) => `${name}-${'x'.repeat(40)}`, file: () => 'x'.repeat(40) }
const load = (more: string, others = '') =>
  loadConfig(
    `enforcement:\n  gateways:\n    - { kind: apigee, name: apigee, organization: acme, environment: prod, ${more} }\n${others}`,
    secrets,
  )

describe('the configuration of Apigee', () => {
  it.each([
    ['two kinds of credentials', 'accessTokenPath: a, credentialsPath: b', '', 'not both'],
    ['a map that is a path', 'map: a/b', '', 'map'],
    [
      'a taken name',
      'throttles: true',
      '    - { kind: decision, name: apigee-actions }\n',
      'like another gateway',
    ],
  ])('refuses %s', (_what, more, others, message) => {
    const loaded = load(more, others)
    expect(loaded.ok ? '' : problemLines('f', loaded.problems).join('\n')).toContain(message)
  })

  it('warns of a token without encryption, and gives `onlyFor` to both adapters', () => {
    const loaded = load('url: "http://apigee.internal", securityActions: true, onlyFor: [a]')
    if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
    expect(problemLines('f', loaded.warnings).join('\n')).toContain('travels unencrypted')
    expect([...evidenceFor(loaded.config).keys()]).toEqual(['apigee', 'apigee-actions'])
  })
})

describe('the access token', () => {
  it('is read anew each time, and must be one', async () => {
    const path = join(folder, 'token')
    const token = tokenFromFile('a', path)
    expect(await token()).toBe('canary-access-token')
    await writeFile(path, 'second')
    expect(await token()).toBe('second')
    await writeFile(path, 'two\nlines')
    await expect(token()).rejects.toMatchObject({ code: 'SECRET_MISSING' })
    await rm(path)
    await expect(token()).rejects.toMatchObject({ code: 'SECRET_MISSING', retriable: true })
  })

  it('of Google is told missing without credentials', async () => {
    const token = tokenFromGoogle('a', join(folder, 'nothing.json'))
    await expect(token()).rejects.toMatchObject({ code: 'GATEWAY_UNREACHABLE', retriable: true })
  })
})

describe('the shared flows of samples/apigee', () => {
  const root = new URL('../../../samples/apigee/', import.meta.url)

  it.each(['curfew-quota', 'curfew-decision'])('%s has a policy for each step', async (flow) => {
    const bundle = new URL(`${flow}/sharedflowbundle/`, root)
    const steps = await readFile(new URL('sharedflows/default.xml', bundle), 'utf8')
    const files = await readdir(new URL('policies/', bundle))
    for (const [, name] of steps.matchAll(/<Name>(.*?)<\/Name>/g)) expect(files).toContain(`${name}.xml`)
    for (const file of files) {
      const policy = await readFile(new URL(`policies/${file}`, bundle), 'utf8')
      expect(policy).toContain(` name="${file.replace('.xml', '')}"`)
    }
  })

  it('curfew-quota reads the entry that we write, from the map of the default', async () => {
    const policy = await readFile(
      new URL('curfew-quota/sharedflowbundle/policies/KVM-CurfewQuota.xml', root),
      'utf8',
    )
    const parameters = [...policy.matchAll(/<Parameter(?: ref="(.*?)"\/)?>(?:(.*?)<\/Parameter>)?/g)]
    const values: Readonly<Record<string, string>> = {
      'developer.id': 'dev-0',
      'developer.app.name': 'orders',
    }
    const key = parameters.map(([, ref, text]) => (ref === undefined ? text : values[ref])).join('__')
    expect(key).toBe(quotaEntry('dev-0', 'orders'))
    const loaded = load('throttles: true')
    const [gateway] = loaded.ok ? loaded.config.enforcement.gateways : []
    expect(gateway?.kind === 'apigee' && policy.includes(`mapIdentifier="${gateway.map}"`)).toBe(true)
  })
})
