import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { HOUR_MS } from '../../../core/time.ts'
import type { AuditView, DecisionView, Page, PrincipalView } from '../../../engine/control-plane.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { eventually, runCurfew } from '../../services/curfew-process.ts'
import { freePort } from '../../services/free-port.ts'
import {
  filesBelow,
  type PushedCurfew,
  type Searched,
  saidBy,
  startPushedCurfew,
} from '../../services/pushed-curfew.ts'
import { redisAvailable, startRedis } from '../../services/redis.ts'
import { type Canary, findings } from '../secrets/planting.ts'

vi.setConfig({ testTimeout: 300_000, hookTimeout: 240_000 })

const run = promisify(execFile)
const ID = 'cnry-5e1fb2c7-id'
const LABEL = 'cnry-midnight-exporter'
const ENTITY = `consumer:${LABEL}`
const NEIGHBOUR = 'neighbour-svc'
const FORGET = `/v1/principals/default/${encodeURIComponent(ENTITY)}/forget`
const canaries: Canary[] = [ID, LABEL].map((text) => ({
  kind: 'api-key',
  text,
  needles: [text],
  where: 'the caller',
}))

let compiled: CompiledProgram
let pushed: PushedCurfew
let cleanup: (() => Promise<unknown>)[]

beforeAll(async () => {
  compiled = await compileProgram()
})
afterAll(() => compiled?.remove())
beforeEach(() => {
  cleanup = []
})
afterEach(async () => {
  for (const clean of cleanup.reverse()) await clean()
})

async function start(storage?: string): Promise<void> {
  const port = await freePort()
  pushed = await startPushedCurfew({
    program: compiled.file('cli/main.ts'),
    formats: ['canonical'],
    ...(storage === undefined ? {} : { storage }),
    settings: `defaultMode: enforce
enforcement: { gateways: [{ name: deny, kind: decision }] }
decisionEndpoint: { listen: '127.0.0.1:${port}', trustHeaders: true }`,
  })
  cleanup.push(() => pushed.close())
}

function line(
  id: string,
  label: string,
  time: number,
  n: number,
  records: number,
  over: object = {},
): string {
  return JSON.stringify({
    time,
    clientIp: '203.0.113.10',
    userAgent: 'billing/2',
    method: 'GET',
    route: '/v1/bills/{id}',
    path: '/v1/bills/9',
    objectIds: ['9'],
    status: 200,
    requestBytes: 10,
    recordsFrom: 'header',
    id: `${label === NEIGHBOUR ? 'n' : 'c'}-${n}`,
    principal: { kind: 'consumer', id, label, verified: true },
    token: { iss: 'https://idp.test', sub: label, jti: `${id}-${n}`, iat: 1_700_000_000, exp: 1_990_000_000 },
    credential: `credential of ${label}`,
    parents: [],
    records,
    responseBytes: 400 * records,
    ...over,
  })
}

const quietDays = (id: string, label: string, now: number) =>
  Array.from({ length: 66 }, (_, k) => line(id, label, now - (144 - 2 * k) * HOUR_MS, k, 2))

const wildNight = (now: number) =>
  Array.from({ length: 300 }, (_, i) => line(ID, LABEL, now - 60_000 + i * 150, 1_000 + i, 60))

/** Lines that name it and cannot be read. */
const broken = (now: number) => [
  line(ID, LABEL, now, 5_000, 1).replace('"status":200', '"status":"no"'),
  line(ID, LABEL, now, 5_001, 1).replace('{', '{"status":1,"status":2,'),
]

async function shown(): Promise<Searched[]> {
  const paths = [
    '/v1/principals?limit=100',
    '/v1/incidents?limit=100',
    '/v1/decisions?limit=100',
    '/v1/audit?limit=100',
    '/v1/audit/export',
    '/v1/settings/history',
    '/v1/settings',
    '/v1/coverage',
    '/metrics',
    '/health/ready',
  ]
  return Promise.all(paths.map(async (path) => ({ place: `admin ${path}`, bytes: await pushed.shown(path) })))
}

/** Puts settings that are those in force with other exceptions. */
async function except(allow: readonly object[], reason: string): Promise<void> {
  const { version, ...rest } = (await pushed.curfew.api('/v1/settings')).body as { version: number }
  const response = await fetch(`${pushed.curfew.admin}/v1/settings`, {
    method: 'PUT',
    headers: { authorization: `Bearer ${pushed.adminToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({
      settings: { ...rest, allow },
      expectedVersion: version,
      reason,
      ...(allow.length > 0 ? { expires: new Date(Date.now() + HOUR_MS).toISOString() } : {}),
    }),
  })
  expect(response.status, await response.text()).toBe(200)
}

const decisions = async () =>
  ((await pushed.curfew.api('/v1/decisions?limit=100')).body as Page<DecisionView>).items
const known = async (name: string) =>
  ((await pushed.curfew.api(`/v1/principals?search=${name}`)).body as Page<PrincipalView>).items[0]

/** A caller that has left its name wherever a name can be left. */
async function live(): Promise<void> {
  const now = Date.now()
  await pushed.push('canonical', quietDays('n-1', NEIGHBOUR, now))
  await pushed.push('canonical', quietDays(ID, LABEL, now))
  await pushed.push('canonical', broken(now))
  await pushed.push('canonical', wildNight(now))
  await eventually('a decision in force, told', async () =>
    (await decisions()).some(({ status }) => status === 'in-force') && pushed.webhook.webhooks.length > 0
      ? true
      : null,
  )
  await eventually('the whole night folded', async () =>
    ((await known(LABEL))?.events ?? 0) >= 350 ? true : null,
  )
}

/** Tries too early, then as it should be done. */
async function forget(): Promise<void> {
  const { curfew } = pushed
  const refused = await curfew.api(FORGET, { reason: `a wish of ${LABEL}` })
  expect(refused, JSON.stringify(refused.body)).toMatchObject({ status: 409 })
  for (;;) {
    const open = (await decisions()).filter(({ status }) =>
      ['pending', 'in-force', 'failed', 'awaiting-approval'].includes(status),
    )
    if (open.length === 0) break
    for (const { decision } of open)
      await curfew.api(`/v1/decisions/${decision.id}/release`, { reason: `${LABEL} moves house` })
  }
  const rule = { tenant: 'default', entity: ENTITY, reason: 'a migration' }
  await except(
    [{ ...rule, expires: new Date(Date.now() + HOUR_MS).toISOString() }],
    'an exception for a migration',
  )
  const named = await curfew.api(FORGET, { reason: `a wish of ${LABEL}` })
  expect(JSON.stringify(named)).toContain('the settings name this principal')
  await except([], 'the migration is over')
  const before = [...(await shown()), ...(await filesBelow(pushed.folder))]
  const places = new Set(findings(canaries, before).map((found) => found.replace(/: .*/, '')))
  console.log(`before, the canary is in: ${[...places].join(', ')}`)
  for (const place of [
    '/v1/principals',
    '/v1/incidents',
    '/v1/decisions',
    '/v1/audit',
    '/v1/settings/history',
  ])
    expect(
      [...places].some((each) => each.includes(place)),
      place,
    ).toBe(true)
  const answer = await curfew.api(FORGET, { reason: `a wish of ${LABEL}` })
  expect(answer, JSON.stringify(answer.body)).toMatchObject({ status: 200, body: { judged: true } })
}

async function expectNowhere(files: () => Promise<Searched[]>): Promise<void> {
  const { curfew } = pushed
  const started = Date.now()
  let found: readonly string[] = []
  await eventually('the name to be gone', async () => {
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    found = findings(canaries, await files())
    return found.length === 0 || Date.now() - started > 60_000 ? true : null
  })
  expect(found, curfew.stderr().slice(-3_000)).toEqual([])
  expect(findings(canaries, await shown())).toEqual([])
  const { items } = (await curfew.api('/v1/audit?limit=100')).body as { items: AuditView[] }
  const told = items.filter(({ action }) => action.startsWith('principal.'))
  expect(told.map(({ action }) => action)).toEqual(['principal.forget', 'principal.forgotten'])
  expect(told[0]).toMatchObject({ said: null, target: told[1]!.target })
  expect((await known(NEIGHBOUR))?.events).toBe(66)
  expect(await known(LABEL)).toBeUndefined()
  // Others go on, and a stop writes what is left.
  await pushed.push('canonical', [line('c-2', 'another', Date.now(), 9_000, 2)])
  expect(await curfew.end('SIGTERM')).toBe(0)
  const places = [...(await files()), ...saidBy(pushed).filter(({ place }) => place === 'own log')]
  expect(findings(canaries, places)).toEqual([])
  console.log(`searched ${places.length} places, found nothing ${Date.now() - started} ms after the answer`)
}

async function auditVerifies(): Promise<void> {
  const { code, stdout, stderr } = await runCurfew({
    program: compiled.file('cli/main.ts'),
    args: ['audit', 'verify', '--config', 'curfew.yaml'],
    cwd: pushed.folder,
    env: {
      IDENTITY_KEY: 'i'.repeat(40),
      ADMIN_TOKEN: pushed.adminToken,
      WEBHOOK_SECRET: `whsec_${Buffer.from('pushed-webhook-secret-0123456789').toString('base64')}`,
      PUSH_CANONICAL: 'pushed-source-token-0123456789-canonical',
    },
  })
  console.log(`curfew audit verify: ${stdout.trim()}`)
  expect(code, stdout + stderr).toBe(0)
}

describe('a principal that is forgotten', () => {
  it('is found nowhere in an embedded installation', async () => {
    await start()
    await live()
    await forget()
    await expectNowhere(() => filesBelow(pushed.folder))
    await auditVerifies()
  })

  it('is found nowhere in Redis, as it is and as it saves itself', async (context) => {
    if (!(await redisAvailable())) context.skip()
    const dir = await mkdtemp(join(tmpdir(), 'curfew-forget-redis-'))
    cleanup.push(() => rm(dir, { recursive: true, force: true }))
    const redis = await startRedis({ dir, appendonly: true })
    cleanup.push(() => redis.stop())
    const ask = (...words: string[]) => run('redis-cli', ['-p', String(redis.port), ...words])
    await start(`store: { kind: redis, url: '${redis.url}' }
log: { kind: embedded, folder: log }
deadLetters: { kind: file, folder: dead-letters }`)
    await live()
    await forget()
    await ask('config', 'set', 'rdbcompression', 'no')
    await ask('config', 'set', 'aof-use-rdb-preamble', 'no')
    await expectNowhere(async () => {
      await ask('save')
      await ask('bgrewriteaof')
      await eventually('the rewrite', async () =>
        (await ask('info', 'persistence')).stdout.includes('aof_rewrite_in_progress:0') ? true : null,
      )
      return [...(await filesBelow(dir)), ...(await filesBelow(pushed.folder))]
    })
    await auditVerifies()
  })
})
