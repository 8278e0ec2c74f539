import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import { evidenceFor, gatewaysOf } from '../../../cli/gateways.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { runCommand } from '../../services/command-run.ts'
import {
  FAKE_AUDIENCE,
  FAKE_EVENT_KEYS,
  FAKE_TRANSMITTER,
  FakeEventReceiver,
} from '../../services/event-receiver-fake.ts'
import { FAKE_SECRET, type FakeKeycloak } from '../../services/keycloak-fake.ts'
import { FAKE_USERS, fakeKeycloak } from '../../services/keycloak-rig.ts'
import { FakeKong } from '../../services/kong-fake.ts'

const NOW = Date.parse('2026-11-25T03:04:00.000Z')
const never = new AbortController().signal
const CONSUMER = '11111111-aaaa-4aaa-8aaa-aaaaaaaaaaaa'

let folder: string
let keycloak: FakeKeycloak
let receiver: FakeEventReceiver
let kong: FakeKong
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-identity-'))
  keycloak = await fakeKeycloak()
  receiver = new FakeEventReceiver()
  kong = new FakeKong({ description: null, database: 'off', loads: join(folder, 'kong.json') })
  kong.consumers.add(CONSUMER)
  await receiver.start()
  await kong.start()
  await writeFile(join(folder, 'secret'), FAKE_SECRET)
  await writeFile(join(folder, 'key.pem'), FAKE_EVENT_KEYS.privateKey)
  await writeFile(join(folder, 'token'), 'canary-receiver-token')
})
afterEach(async () => {
  for (const one of [keycloak, receiver, kong]) {
    expect(one.violations).toEqual([])
    await one.stop()
  }
  await rm(folder, { recursive: true, force: true })
})

const text = () => `store: { kind: embedded, folder: ${join(folder, 'state')} }
enforcement:
  folder: ${join(folder, 'enforcement')}
  gateways:
    - name: login
      kind: keycloak
      url: ${keycloak.url.origin}
      realm: acme
      clientId: curfew
      clientSecretFile: ${join(folder, 'secret')}
      users: switch-off
      onlyFor: [edge]
    - name: idp
      kind: caep
      url: ${receiver.url.origin}/events
      issuer: ${FAKE_TRANSMITTER}
      audience: ${FAKE_AUDIENCE}
      alg: ES256
      keyId: key-1
      signingKeyFile: ${join(folder, 'key.pem')}
      tokenFile: ${join(folder, 'token')}
      tokenIssuer: https://login.example
    - name: kong
      kind: kong
      adminUrl: ${kong.url.origin}
      declarative: { path: ${join(folder, 'kong.json')} }
`

async function configuration(): Promise<string> {
  const path = join(folder, 'curfew.yaml')
  await writeFile(path, text())
  return path
}

const subject = (id: string, until: number): Rule => ({
  id,
  action: 'revoke-token',
  scope: { kind: 'subject', iss: null, sub: FAKE_USERS[0], notBefore: null },
  limit: null,
  until: wallTime(until),
})
const block = (id: string, until: number): Rule => {
  const principal = { kind: 'consumer', id: CONSUMER, label: 'svc', verified: true } as const
  return { id, action: 'block', scope: { kind: 'principal', principal }, limit: null, until: wallTime(until) }
}

function running() {
  const reader = {
    env: () => undefined,
    file: (path: string) =>
      ({ secret: FAKE_SECRET, 'key.pem': FAKE_EVENT_KEYS.privateKey, token: 'canary-receiver-token' })[
        path.split('/').at(-1)!
      ] ?? '',
  }
  const loaded = loadConfig(text(), reader)
  if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
  expect([...evidenceFor(loaded.config)]).toEqual([['login', ['edge']]])
  return gatewaysOf(loaded.config)
}

describe('identity providers with nothing but configuration and credentials', { timeout: 60_000 }, () => {
  it('panic gives back what can be given back, and says of nothing that it is undone', async () => {
    const [login, idp, file] = running()
    await login!.put(subject('dec_1', NOW + 60_000), never)
    await idp!.put(subject('dec_1', NOW + 60_000), never)
    await file!.put(block('dec_2', NOW + 60_000), never)
    expect(keycloak.state.users.get(FAKE_USERS[0])?.enabled).toBe(false)
    const { code, out } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(out).toMatch(/login\s+1 removed, none left/)
    expect(out).toMatch(/login: cannot be undone: the sessions that were ended stay ended/)
    expect(out).toMatch(/idp\s+1 removed, none left/)
    expect(out).toMatch(/kong\s+1 removed, none left/)
    expect(out).not.toMatch(/canary|PRIVATE/)
    expect(code).toBe(0)
    expect(keycloak.state.users.get(FAKE_USERS[0])?.enabled).toBe(true)
    expect([...keycloak.state.groups]).toEqual([])
    expect(await readdir(join(folder, 'enforcement/events/idp'))).toEqual([])
    expect(receiver.state.events.size).toBe(1)
  })

  it('sweep lifts what has ended and leaves the rest', async () => {
    const [login, idp] = running()
    await login!.put(subject('dec_1', NOW - 60_000), never)
    await idp!.put(subject('dec_2', NOW - 60_000), never)
    await idp!.put(subject('dec_3', NOW + 60_000), never)
    const { code } = await runCommand(['sweep', '--config', await configuration()], NOW)
    expect(code).toBe(0)
    expect(await login!.list(never)).toEqual([])
    expect((await idp!.list(never)).map(({ id }) => id)).toEqual(['dec_3'])
  })

  it('config check accepts them and asks nobody', async () => {
    const { code } = await runCommand(['config', 'check', await configuration()], NOW)
    expect(code).toBe(0)
    expect(keycloak.calls + receiver.calls + kong.calls).toBe(0)
  })
})

describe('the configuration of identity providers', () => {
  const load = (entry: string, file: string = FAKE_EVENT_KEYS.privateKey) =>
    loadConfig(`enforcement:\n  gateways:\n    - { ${entry} }\n`, {
      env: () => 'x'.repeat(40),
      file: () => file,
    })
  const caep = 'kind: caep, name: idp, url: "https://idp.example", issuer: a, audience: b, signingKeyFile: k'
  const pem = (type: 'pkcs8' | 'pkcs1', bits: number) =>
    generateKeyPairSync('rsa', {
      modulusLength: bits,
      privateKeyEncoding: { type, format: 'pem' },
      publicKeyEncoding: { type: 'spki', format: 'pem' },
    }).privateKey

  it.each([
    ['a key of another kind', `${caep}, alg: RS256`, FAKE_EVENT_KEYS.privateKey, 'does not fit RS256'],
    ['a curve of another kind', `${caep}, alg: ES384`, FAKE_EVENT_KEYS.privateKey, 'does not fit ES384'],
    ['a short key', `${caep}, alg: PS256`, pem('pkcs8', 1_024), 'does not fit PS256'],
    ['an old encoding', `${caep}, alg: RS256`, pem('pkcs1', 2_048), 'PKCS #8'],
    ['no key', `${caep}, alg: ES256`, 'secret', 'no private key'],
    ['a secret key', `${caep}, alg: HS256`, 'secret', 'alg'],
    [
      'Konnect without a token',
      'kind: kong, name: k, adminUrl: "https://eu.api.konghq.com", controlPlane: 9524ec7d-36d9-465d-a8c5-83a3c9390458',
      '',
      'Konnect answers nobody',
    ],
    [
      'Konnect and a file',
      'kind: kong, name: k, adminUrl: "https://eu.api.konghq.com", tokenEnv: T, controlPlane: 9524ec7d-36d9-465d-a8c5-83a3c9390458, declarative: { path: a }',
      '',
      'not both',
    ],
    [
      'a path as user pool',
      'kind: aws, name: a, region: eu-central-1, denyTable: { table: abc, userPool: { id: ../x } }',
      '',
      'user pool',
    ],
  ])('refuses %s', (_what, entry, file, message) => {
    const loaded = load(entry, file)
    const said = loaded.ok ? '' : problemLines('f', loaded.problems).join('\n')
    expect(said).toContain(message)
    expect(said).not.toContain('PRIVATE KEY-----')
  })

  it('warns of secrets that travel unencrypted', () => {
    for (const entry of [
      'kind: keycloak, name: l, url: "http://login.internal", realm: r, clientId: c, clientSecretEnv: S',
      `${caep.replace('https', 'http')}, alg: ES256`,
    ]) {
      const loaded = load(entry)
      if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
      expect(problemLines('f', loaded.warnings).join('\n')).toContain('unencrypted')
    }
  })
})
