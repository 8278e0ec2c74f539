import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig } from '../../../cli/config/load.ts'
import { STAND_IN_ID } from '../../../cli/dry-run/asked-decision.ts'
import type { DryResult } from '../../../cli/dry-run/dry-run.ts'
import { gatewaysOf } from '../../../cli/gateways.ts'
import { wallTime } from '../../../core/time.ts'
import { runCommand } from '../../services/command-run.ts'
import { HOSTILE_IDS } from '../../services/convergence.ts'
import { FAKE_EVENT_KEYS } from '../../services/event-receiver-fake.ts'
import { FakeKong } from '../../services/kong-fake.ts'

const NOW = Date.parse('2026-11-26T03:04:00.000Z')
const CONSUMER = '6f1e2d3c-1111-4111-8111-111111111111'
const ENV = { TOKEN: 'canary-kong-token', KEY: FAKE_EVENT_KEYS.privateKey }

let folder: string
let kong: FakeKong
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-dry-run-'))
  kong = new FakeKong({ description: null })
  kong.consumers.add(CONSUMER)
  await kong.start()
})
afterEach(async () => {
  await kong.stop()
  await rm(folder, { recursive: true, force: true })
})

const edge = () => ({
  kind: 'haproxy',
  name: 'edge',
  sockets: [join(folder, 'none.sock')],
  mapFolder: '/etc/maps',
})
const kongEu = () => ({ kind: 'kong', name: 'kong-eu', adminUrl: kong.url.href, tokenEnv: 'TOKEN' })
const DENY = { kind: 'decision', name: 'deny' }

/** Runs the command over a configuration with these gateways. */
async function run(
  words: readonly string[],
  gateways: readonly object[] = [kongEu(), DENY],
  more: object = {},
) {
  const path = join(folder, 'curfew.yaml')
  const store = { kind: 'embedded', folder: join(folder, 'state') }
  const enforcement = { folder: join(folder, 'enforcement'), gateways }
  const endpoint = gateways.includes(DENY) ? { decisionEndpoint: {} } : {}
  await writeFile(path, JSON.stringify({ store, ...endpoint, enforcement, ...more }))
  return runCommand(['enforcement', 'dry-run', '--config', path, ...words], NOW, ENV)
}

async function resultsOf(
  words: readonly string[],
  gateways?: readonly object[],
): Promise<readonly DryResult[]> {
  const { out } = await run([...words, '--json'], gateways)
  return (JSON.parse(out) as { readonly gateways: readonly DryResult[] }).gateways
}

const BLOCK = ['--action', 'block', '--principal', `consumer:${CONSUMER}`]

describe('curfew enforcement dry-run', () => {
  it('prints each request with its headers, and hides the token', async () => {
    const { code, out } = await run(BLOCK)
    expect(code).toBe(0)
    expect(out).toContain(`SEND  PUT ${kong.url.href}plugins/`)
    expect(out).toContain('kong-admin-token: ***')
    expect(out).toContain('"name":"request-termination"')
    expect(out).toContain('kong-eu (kong): would be sent\n  in force after 10 s at the most')
    expect(out).toContain('deny (decision): would be sent')
    expect(out).not.toContain(ENV.TOKEN)
    expect(kong.plugins.size).toBe(0)
    expect(await readdir(folder)).toEqual(['curfew.yaml'])
  })

  it('asks nobody when it is offline', async () => {
    const results = await resultsOf([...BLOCK, '--offline'])
    expect(kong.calls).toBe(0)
    expect(results.flatMap(({ steps }) => steps).filter(({ sent }) => sent)).toEqual([])
    expect(results.map(({ outcome }) => outcome)).toEqual(['sends', 'sends'])
  })

  it('says per gateway which cannot be asked, and prints the others', async () => {
    const { code, out } = await run(['--action', 'block', '--subject', ',al'], [edge(), DENY])
    expect(code).toBe(1)
    expect(out).toContain('edge (haproxy): cannot be told: GATEWAY_UNREACHABLE')
    expect(out).toContain('deny (decision): would be sent')
  })

  it('shows what a gateway holds in a wider form', async () => {
    const who = ['--principal', 'sub:al', '--network', '203.0.113.0']
    const [held] = await resultsOf(['--action', 'block', ...who], [DENY])
    expect(held?.wider).toMatchObject({ action: 'block', scope: { kind: 'principal' } })
  })

  it('shows the rules under the other names of a caller, and that a release ends them', async () => {
    const gateways = [{ ...kongEu(), onlyFor: ['kong-log'] }, DENY]
    const members = [
      { gateway: 'kong-eu', principal: 'consumer:orders', id: CONSUMER },
      { gateway: 'deny', principal: 'key:orders-key' },
    ]
    const principals = { aliases: [{ name: 'orders', members }] }
    const { out, code } = await run(BLOCK, gateways, { principals })
    expect(code).toBe(0)
    expect(out).toContain(`SEND  PUT ${kong.url.href}plugins/`)
    expect(out).toContain('orders-key')
    expect(out).toContain(`${STAND_IN_ID}_as_`)
    const alone = await run(BLOCK, gateways)
    expect(alone.out).not.toContain('_as_')

    const loaded = loadConfig(JSON.stringify({ enforcement: { gateways }, decisionEndpoint: {} }), {
      env: (name) => ENV[name as keyof typeof ENV],
      file: () => '',
    })
    if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
    const [adapter] = gatewaysOf(loaded.config)
    const principal = { kind: 'consumer', id: CONSUMER, label: 'orders', verified: true } as const
    const rule = { id: 'dec_1', action: 'block', limit: null, until: wallTime(NOW + 3_600_000) } as const
    await adapter!.put({ ...rule, scope: { kind: 'principal', principal } }, new AbortController().signal)
    const release = ['--action', 'release', '--principal', 'key:orders-key', '--gateway', 'kong-eu']
    const lifted = await run(release, gateways, { principals })
    expect(lifted.out).toContain(`SEND  DELETE ${kong.url.href}plugins/`)
    expect((await run(release, gateways)).out).not.toContain('SEND')
  })

  it('leaves a gateway out that acts on the evidence of another', async () => {
    const path = join(folder, 'decision.json')
    const principal = { kind: 'consumer', id: CONSUMER, label: 'al', verified: true }
    const decision = {
      id: 'dec_1',
      action: 'block',
      scope: { kind: 'principal', principal },
      holdSeconds: 60,
      principal,
    }
    await writeFile(
      path,
      JSON.stringify({ incident: null, decision: { decision: { ...decision, gateway: { id: 'b' } } } }),
    )
    const [first, second] = await resultsOf(['--decision', path], [{ ...kongEu(), onlyFor: ['a'] }, DENY])
    expect(first).toMatchObject({ outcome: 'left-out', steps: [] })
    expect(second).toMatchObject({ outcome: 'sends' })
    expect(second?.steps).toMatchObject([{ field: 'dec_1' }])
    expect(second?.notes.join()).not.toContain(STAND_IN_ID)
  })

  it('shows the claims of a signed event, and no event that could be delivered', async () => {
    const caep = {
      kind: 'caep',
      name: 'idp',
      url: 'http://127.0.0.1:9/events',
      issuer: 'https://curfew.example',
      audience: 'https://idp.example',
      signingKeyEnv: 'KEY',
      alg: 'ES256',
    }
    const [told] = await resultsOf(['--action', 'revoke-token', '--subject', 'https://i,al'], [caep])
    const sent = told?.steps.find((step) => step.kind === 'http')
    expect(sent).toMatchObject({
      event: { claims: { sub_id: { format: 'iss_sub', iss: 'https://i', sub: 'al' } } },
    })
    expect(await readdir(folder)).toEqual(['curfew.yaml'])
    expect(sent?.body).toMatch(/^eyJ[\w-]+\.eyJ[\w-]+\.\*\*\*$/)
  })

  it('says that it does not know what a release would lift', async () => {
    const release = ['--action', 'release', '--principal', `consumer:${CONSUMER}`]
    expect(await run([...release, '--offline'])).toMatchObject({ code: 2 })
    const { code, out } = await run(release)
    expect(code).toBe(1)
    expect(out).toContain('kong-eu (kong): nothing would be sent')
    expect(out).toContain('deny (decision): cannot be told')
  })

  it.each(HOSTILE_IDS.filter((id) => id.trim() !== ''))('prints the hostile id %j escaped', async (id) => {
    const subject = ['--action', 'block', '--subject', `https://i,${id}`]
    const { code, out } = await run(subject, [DENY])
    expect(code).toBe(0)
    const json = await run([...subject, '--json'], [DENY])
    for (const text of [out, json.out]) expect(text.replaceAll('\n', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}]/u)
    expect(out.split('\n').length).toBe(
      (await run(['--action', 'block', '--subject', ',al'], [DENY])).out.split('\n').length,
    )
    const [held] = (JSON.parse(json.out) as { gateways: readonly DryResult[] }).gateways
    const entry = held?.steps.find((step) => step.kind === 'entry')
    expect(JSON.parse(entry?.text ?? '').scope.sub).toBe(id)
  })
})

const WRONG: readonly (readonly [words: readonly string[], message: string])[] = [
  [[], 'say what to show: --action ACTION with who, or --decision FILE'],
  [['--action', 'bloc', '--principal', 'sub:al'], '--action is "bloc", allowed are throttle, block'],
  [['--action', 'block'], 'say whom: --principal, --token'],
  [['--action', 'block', '--principal', 'al'], '--principal is "al", allowed is KIND:ID'],
  [['--action', 'block', '--principal', 'user:al'], '--principal is "user:al", allowed is KIND:ID'],
  [['--action', 'block', '--token', 'al'], '--token is "al", allowed is ISS,JTI'],
  [['--action', 'block', '--token-issue', 'i,al,x'], '--token-issue is "i,al,x", allowed is ISS,SUB,IAT'],
  [['--action', 'block', '--token', 'i,a', '--subject', 'i,a'], 'give one of --token and --subject'],
  [['--action', 'block', '--credential', 'a'], '--credential needs --principal'],
  [['--action', 'block', '--network', '203.0.113.0'], '--network needs --principal'],
  [['--action', 'block', '--token', 'i,a', '--not-before', '1'], '--not-before goes with --subject only'],
  [[...BLOCK, '--requests', '3'], '--requests goes with --action throttle, not block'],
  [[...BLOCK, '--gateway', 'kong-us'], 'has no gateway "kong-us"; did you mean `kong-eu`?'],
  [['--decision', '/nowhere/decision.json'], '--decision /nowhere/decision.json is no decision: ENOENT'],
  [['--decision', '-', '--action', 'block'], '--decision says it all; leave out --action'],
  [
    ['--action', 'throttle', '--token', 'i,a', '--gateway', 'kong-eu'],
    'gateway "kong-eu" cannot hold throttle of scope token: --token "i,a"',
  ],
  [['--action', 'block', '--principal', 'consumer:al', '--gateway', 'kong-eu'], '--principal "consumer:al"'],
]

const GOOD = {
  id: 'dec_1',
  action: 'throttle',
  scope: { kind: 'token', iss: null, jti: 'a' },
  limit: { requests: 1, windowSeconds: 1 },
  holdSeconds: 60,
  principal: { kind: 'sub', id: 'al', label: 'al', verified: true },
}
const WRONG_DECISIONS: readonly (readonly [text: string, message: string])[] = [
  ['{', 'is no decision: not one JSON object'],
  ['[1]', '--decision holds 1, allowed is an object'],
  [`"${'x'.repeat(1_100_000)}"`, 'is no decision: too large'],
  [JSON.stringify({ ...GOOD, id: 'a b' }), '--decision: id is "a b", allowed is 1 to 64 letters'],
  [JSON.stringify({ ...GOOD, action: 'stop' }), '--decision: action is "stop", allowed is throttle, block'],
  [JSON.stringify({ ...GOOD, scope: { kind: 'token' } }), '--decision: scope is "{"kind":"token"}"'],
  [JSON.stringify({ ...GOOD, principal: null }), '--decision: principal is "null"'],
  [JSON.stringify({ ...GOOD, holdSeconds: -1 }), '--decision: holdSeconds is "-1"'],
  [JSON.stringify({ ...GOOD, tokenExp: 'never' }), '--decision: tokenExp is "never"'],
  [JSON.stringify({ ...GOOD, limit: { requests: 0 } }), '--decision: limit is "{"requests":0}"'],
  [
    JSON.stringify({ ...GOOD, limit: null }),
    '--decision: limit is "null", allowed is a limit with a throttle',
  ],
  [JSON.stringify({ ...GOOD, wider: { action: 'x' } }), '--decision: wider.action is "x"'],
]

describe('curfew enforcement dry-run refuses', () => {
  it.each(WRONG)('%j', async (words, message) => {
    const { code, err } = await run(words)
    expect(err).toContain(message)
    expect(code).toBe(2)
  })

  it.each(WRONG_DECISIONS)('the decision %.80s', async (text, message) => {
    const path = join(folder, 'decision.json')
    await writeFile(path, text)
    const { code, err } = await run(['--decision', path])
    expect(err).toContain(message)
    expect(code).toBe(2)
  })

  it('a configuration without gateways', async () => {
    const { code, err } = await run(BLOCK, [])
    expect(err).toContain('enforcement.gateways is empty')
    expect(code).toBe(2)
  })
})
