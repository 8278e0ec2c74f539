import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadConfig, problemLines } from '../../../cli/config/load.ts'
import { evidenceFor, gatewaysOf } from '../../../cli/gateways.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { FakeAws } from '../../services/aws-fake.ts'
import { FAKE_KEYS, FAKE_MARK_KEY, fakeAws, fakeAwsGateways } from '../../services/aws-rig.ts'
import { runCommand } from '../../services/command-run.ts'

const NOW = Date.parse('2026-11-25T03:04:00.000Z')
const never = new AbortController().signal
const SECRET_FILES: readonly (readonly [string, string])[] = [
  ['mark-key', FAKE_MARK_KEY.toString()],
  ['access-key-id', 'AKIDEXAMPLE000000000'],
  ['secret-access-key', 'canary-secret-access-key-0000'],
]

let folder: string
let aws: FakeAws
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-aws-'))
  aws = await fakeAws()
  for (const [name, text] of SECRET_FILES) await writeFile(join(folder, name), text)
})
afterEach(async () => {
  await aws.stop()
  await rm(folder, { recursive: true, force: true })
})

function rule(id: string, action: Rule['action'], key: number, until: number): Rule {
  const principal = { kind: 'key', id: FAKE_KEYS[key]!, label: `svc-${key}`, verified: true } as const
  const limit = action === 'throttle' ? { requests: 10, windowSeconds: 10 } : null
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
    - name: aws-eu
      kind: aws
      region: eu-central-1
      accessKeyIdFile: access-key-id
      secretAccessKeyFile: secret-access-key
      apiGatewayUrl: ${aws.url.origin}
      dynamodbUrl: ${aws.url.origin}
      apiKeys: { markKeyFile: mark-key, quarantinePlans: [quarant1, quarant2, quarant3] }
      denyTable: { table: curfew-deny, authorizerCacheSeconds: 30, flushStages: [api1/prod] }
      onlyFor: [aws-prod]
`,
  )
  return path
}

describe('AWS with nothing but configuration and credentials', { timeout: 60_000 }, () => {
  it('panic lifts everything of ours and leaves the account as it was found', async () => {
    const before = structuredClone(aws.state.content())
    const [keys, deny] = fakeAwsGateways(aws, 'running')
    await keys!.put(rule('dec_1', 'throttle', 0, NOW + 60_000), never)
    await keys!.put(rule('dec_2', 'block', 1, NOW + 60_000), never)
    const token = { kind: 'token', iss: null, jti: 'j' } as const
    await deny!.put({ ...rule('dec_3', 'revoke-token', 0, NOW + 60_000), scope: token }, never)
    const { code, out } = await runCommand(['panic', '--config', await configuration()], NOW)
    expect(out).toMatch(/aws-eu\s+2 removed, none left/)
    expect(out).toMatch(/aws-eu-deny\s+1 removed, none left/)
    expect(out).not.toContain('canary')
    expect(code).toBe(0)
    expect(aws.state.content()).toEqual(before)
    expect(aws.violations).toEqual([])
  })

  it('sweep lifts what has ended and leaves the rest', async () => {
    const [keys] = fakeAwsGateways(aws, 'running')
    await keys!.put(rule('dec_1', 'throttle', 0, NOW - 60_000), never)
    await keys!.put(rule('dec_2', 'block', 1, NOW + 60_000), never)
    const { code } = await runCommand(['sweep', '--config', await configuration()], NOW)
    expect(code).toBe(0)
    expect((await keys!.list(never)).map(({ id }) => id)).toEqual(['dec_2'])
    expect(aws.state.plansOf(FAKE_KEYS[0])).toEqual(['plan1', 'plan2'])
  })

  it('config check accepts it and asks AWS nothing', async () => {
    const { code } = await runCommand(['config', 'check', await configuration()], NOW)
    expect(code).toBe(0)
    expect(aws.calls).toBe(0)
  })
})

const secrets = { env: (name: string) => `${name}-${'x'.repeat(40)}`, file: () => 'x'.repeat(40) }
const load = (gateways: string) => loadConfig(`enforcement:\n  gateways:\n${gateways}`, secrets)
const line = (more: string) => `    - { kind: aws, name: aws, region: eu-central-1, ${more} }\n`

describe('the configuration of AWS', () => {
  it.each([
    ['nothing to act on', line('requestsPerSecond: 5'), 'needs `apiKeys` or `denyTable`'],
    ['half an access key', line('accessKeyIdEnv: A, denyTable: { table: abc }'), 'needs both'],
    ['a session alone', line('sessionTokenEnv: A, denyTable: { table: abc }'), 'without `accessKeyId`'],
    ['keys without a mark key', line('apiKeys: {}'), 'markKey'],
    ['more than AWS takes', line('requestsPerSecond: 11, denyTable: { table: abc }'), 'requestsPerSecond'],
    [
      'a name that the deny table takes',
      `${line('denyTable: { table: abc }')}    - { kind: decision, name: aws-deny }\n`,
      'would be named "aws-deny"',
    ],
  ])('refuses %s', (_what, gateways, message) => {
    const loaded = load(gateways)
    expect(loaded.ok ? '' : problemLines('f', loaded.problems).join('\n')).toContain(message)
  })

  it('warns of calls to AWS without encryption', () => {
    const loaded = load(line('dynamodbUrl: "http://dynamo.internal", denyTable: { table: abc }'))
    expect(loaded.ok && problemLines('f', loaded.warnings).join('\n')).toContain('travel unencrypted')
  })

  it('gives `onlyFor` to every adapter of an entry', () => {
    const loaded = load(
      `${line('apiKeys: { markKeyEnv: M }, denyTable: { table: abc }, onlyFor: [a]')}    - { kind: haproxy, name: h, sockets: [/a, /b], mapFolder: /m, onlyFor: [b] }\n    - { kind: decision, name: d, onlyFor: [c] }\n`,
    )
    if (!loaded.ok) throw new Error(problemLines('f', loaded.problems).join('\n'))
    expect([...evidenceFor(loaded.config)]).toEqual([
      ['aws', ['a']],
      ['aws-deny', ['a']],
      ['h-1', ['b']],
      ['h-2', ['b']],
      ['d', ['c']],
    ])
    expect(gatewaysOf(loaded.config, { only: 'aws' }).map(({ kind }) => kind)).toEqual([
      'aws-keys',
      'aws-deny-table',
    ])
  })
})
