import { execFile } from 'node:child_process'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { HOUR_MS } from '../../../core/time.ts'
import type {
  AuditView,
  DecisionView,
  IncidentView,
  Page,
  PrincipalView,
} from '../../../engine/control-plane.ts'
import { FORMATS } from '../../../ingest/formats/catalog.ts'
import { type GroupMember, KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, startCurfew } from '../../services/curfew-process.ts'
import { startKafka } from '../../services/kafka.ts'
import { redisAvailable, startRedis } from '../../services/redis.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../../services/webhook-receiver.ts'
import { plantedLines, SAMPLES } from './planted-logs.ts'
import { type Canary, canary, findings, KINDS, type Searched } from './planting.ts'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const ADMIN_TOKEN = 'canary-admin-token-0123456789'
const PUSH_TOKENS: Readonly<Record<string, string>> = {
  kong: 'canary-kong-token-0123456789',
  canonical: 'canary-canonical-token-0123456789',
}
const TOKEN_SECRET = 's'.repeat(40)
const WEBHOOK_SECRET = `whsec_${Buffer.from('canary-webhook-secret-0123456789').toString('base64')}`
const WILD = 'export-svc'
const run = promisify(execFile)

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function filesBelow(folder: string): Promise<Searched[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Promise.all(
    files.map(async (file) => ({ place: file.slice(folder.length), bytes: await readFile(file) })),
  )
}

let compiled: CompiledProgram
let folder: string
let webhook: WebhookReceiver
let curfew: CurfewProcess
let ports: { push: number; decision: number }
let cleanup: (() => Promise<unknown>)[]

beforeEach(async () => {
  cleanup = []
  compiled ??= await compileProgram()
  folder = await mkdtemp(join(tmpdir(), 'curfew-canaries-'))
  webhook = await startWebhookReceiver(WEBHOOK_SECRET)
  ports = { push: await freePort(), decision: await freePort() }
})
afterEach(async () => {
  curfew?.child.kill('SIGKILL')
  await webhook.close()
  for (const clean of cleanup.reverse()) await clean()
  await rm(folder, { recursive: true, force: true })
})

async function start(storage: string): Promise<void> {
  await writeFile(
    join(folder, 'curfew.yaml'),
    `identityKeyEnv: IDENTITY_KEY
${storage}
defaultMode: enforce
logLevel: debug
sources:
${Object.keys(PUSH_TOKENS)
  .map(
    (format) =>
      `  - { name: ${format}, kind: http, format: ${format}, gateway: { kind: kong, id: edge }, listen: '127.0.0.1:${ports.push}', tokenEnv: PUSH_${format.toUpperCase()} }`,
  )
  .join('\n')}
enforcement: { gateways: [{ name: deny, kind: decision }] }
decisionEndpoint:
  listen: 127.0.0.1:${ports.decision}
  trustHeaders: true
  keys: [{ kind: hs, alg: HS256, secretEnv: TOKEN_SECRET }]
alerts: { minSeverity: low, channels: [{ name: siem, kind: webhook, url: '${webhook.url}', secretEnv: WEBHOOK_SECRET }] }
admin: { listen: 127.0.0.1:0, tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }] }
`,
  )
  curfew = await startCurfew({
    program: compiled.file('cli/main.ts'),
    args: ['run', '--config', 'curfew.yaml'],
    cwd: folder,
    env: {
      IDENTITY_KEY: 'i'.repeat(40),
      ADMIN_TOKEN,
      TOKEN_SECRET,
      WEBHOOK_SECRET,
      ...Object.fromEntries(
        Object.entries(PUSH_TOKENS).map(([f, token]) => [`PUSH_${f.toUpperCase()}`, token]),
      ),
    },
    token: ADMIN_TOKEN,
  })
}

async function push(format: string, lines: readonly string[]): Promise<void> {
  for (let first = 0; first < lines.length; first += 500) {
    const response = await fetch(`http://127.0.0.1:${ports.push}/ingest/${format}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${PUSH_TOKENS[format]}` },
      body: `${lines.slice(first, first + 500).join('\n')}\n`,
    })
    expect(response.status).toBe(202)
    await response.text()
  }
}

/** Six calm days of one caller, then a download whose calls carry secrets in every way that a call can. */
function wildNight(now: number): { lines: string[]; canaries: Canary[] } {
  const canaries: Canary[] = []
  const line = (time: number, n: number, records: number, over: object) =>
    JSON.stringify({
      ...(SAMPLES.canonical!(time, n) as object),
      id: `night-${n}`,
      principal: { kind: 'consumer', id: 'wild-1', label: WILD, verified: true },
      records,
      responseBytes: 400 * records,
      ...over,
    })
  const lines: string[] = []
  for (let hour = 6 * 24; hour > 12; hour -= 2) lines.push(line(now - hour * HOUR_MS, hour, 2, {}))
  for (let i = 0; i < 300; i++) {
    const secret = canary(KINDS[i % KINDS.length]!, `the download, call ${i}`)
    canaries.push(secret)
    const over =
      i % 3 === 0
        ? { path: `/v1/x/${encodeURIComponent(secret.text)}` }
        : i % 3 === 1
          ? { userAgent: secret.text }
          : { id: secret.text }
    lines.push(line(now - 60_000 + i * 150, 10_000 + i, 60, over))
  }
  return { lines, canaries }
}

/** Secrets in headers, addresses and bodies of everything that listens. */
async function knock(): Promise<Canary[]> {
  const canaries: Canary[] = []
  const make = (kind: Canary['kind'], where: string) => {
    const secret = canary(kind, where)
    canaries.push(secret)
    return secret.text
  }
  const asked = async (url: string, where: string, init: RequestInit) => {
    const headers = {
      'x-api-key': make('api-key', `${where}, x-api-key`),
      cookie: make('cookie', `${where}, cookie`),
      'x-consumer-id': make('bearer', `${where}, x-consumer-id`),
      'x-request-id': make('jwt', `${where}, x-request-id`),
      referer: `https://x.test/${make('access-token', `${where}, referer`)}`,
      from: make('e-mail', `${where}, from`),
      ...(init.headers as Record<string, string>),
    }
    await fetch(url, { ...init, headers }).then((response) => response.text())
  }
  const admin = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' }
  const [push, decision] = [`http://127.0.0.1:${ports.push}`, `http://127.0.0.1:${ports.decision}`]
  for (const [name, base] of [
    ['push', push],
    ['admin', curfew.admin],
    ['decision', decision],
  ] as const) {
    for (const kind of ['jwt', 'bearer'] as const) {
      const token = make(kind, `${name}, authorization`).replace(/^Bearer /, '')
      await asked(`${base}/`, `${name} wrong token ${kind}`, {
        headers: { authorization: `Bearer ${token}` },
      })
    }
    for (const kind of KINDS) {
      const text = encodeURIComponent(make(kind, `${name}, query`))
      await asked(`${base}/ingest/kong?x=${text}`, `${name} query ${kind}`, { headers: {} })
      await asked(
        `${base}/v1/incidents/${encodeURIComponent(make(kind, `${name}, path`))}`,
        `${name} path ${kind}`,
        { headers: admin },
      )
      await asked(
        `${base}/v1/principals?search=${text}&cursor=${text}&nonsense=${text}`,
        `${name} search ${kind}`,
        { headers: admin },
      )
      await asked(`${base}/check`, `${name} body ${kind}`, {
        method: 'POST',
        headers: admin,
        body: make(kind, `${name}, body`),
      })
    }
  }
  const { items } = (await curfew.api('/v1/decisions')).body as Page<DecisionView>
  const { items: incidents } = (await curfew.api('/v1/incidents?state=open')).body as Page<IncidentView>
  const reason = () => KINDS.map((kind, i) => make(kind, `admin, reason ${canaries.length + i}`)).join(' ')
  const settings = (await curfew.api('/v1/settings')).body as { version: number }
  const told = [
    await curfew.api(`/v1/decisions/${items[0]!.decision.id}/release`, { reason: reason().slice(0, 480) }),
    await curfew.api(`/v1/incidents/${incidents[0]!.id}/close`, {
      verdict: 'dismiss',
      reason: reason().slice(0, 480),
    }),
    await curfew.api('/v1/settings/revert', {
      ...settings,
      reason: reason(),
      unknown: make('bearer', 'admin, unknown member'),
    }),
  ]
  expect(told.slice(0, 2).map(({ status }) => status)).toEqual([200, 200])
  return canaries
}

/** Everything that the admin API shows. */
async function shown(): Promise<Searched[]> {
  const paths = [
    '/v1/principals?limit=100',
    '/v1/incidents?limit=100',
    '/v1/decisions?limit=100',
    '/v1/audit?limit=100',
    '/v1/audit/export',
    '/v1/settings/history',
    '/metrics',
    '/health/ready',
    '/openapi.json',
  ]
  return Promise.all(
    paths.map(async (path) => {
      const response = await fetch(curfew.admin + path, {
        headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      })
      return { place: `admin ${path}`, bytes: Buffer.from(await response.arrayBuffer()) }
    }),
  )
}

/** Plants everywhere, waits until all is digested, and returns the canaries with what the process showed. */
async function live(): Promise<{ canaries: Canary[]; places: Searched[] }> {
  const now = Date.now()
  const canaries: Canary[] = []
  let planted = 0
  for (const format of FORMATS.keys()) {
    expect(Object.keys(SAMPLES), 'every format needs a sample here').toContain(format)
    const { lines, canaries: more } = plantedLines(format, now - 2 * HOUR_MS)
    canaries.push(...more)
    planted += lines.length
    await push(format, lines)
  }
  const night = wildNight(now)
  canaries.push(...night.canaries)
  await push('canonical', night.lines)
  await eventually('an incident with a decision, told', async () => {
    const { items } = (await curfew.api(`/v1/incidents?state=open&entity=consumer:${WILD}`))
      .body as Page<IncidentView>
    return items.some(({ decisions }) => decisions.length > 0) && webhook.webhooks.length > 0 ? true : null
  })
  await eventually('the whole night folded', async () => {
    const { items } = (await curfew.api(`/v1/principals?search=${WILD}`)).body as Page<PrincipalView>
    return (items[0]?.events ?? 0) >= night.lines.length - 5 ? true : null
  })
  canaries.push(...(await knock()))
  const audit = (await curfew.api('/v1/audit?limit=100')).body as { items: AuditView[] }
  expect(audit.items.map(({ action }) => action)).toContain('incident.dismiss')
  const places = await shown()
  expect(await curfew.end('SIGTERM')).toBe(0)
  places.push(
    { place: 'own log', bytes: Buffer.from(curfew.stdout() + curfew.stderr()) },
    { place: 'webhook', bytes: Buffer.concat(webhook.requests.map(({ body }) => body)) },
    ...webhook.requests.map(({ headers }) => ({
      place: 'webhook headers',
      bytes: Buffer.from(JSON.stringify(headers)),
    })),
  )
  console.log(
    `planted ${canaries.length} secrets in ${planted + night.lines.length} lines and the requests of three servers`,
  )
  return { canaries, places }
}

function report(places: readonly Searched[], found: readonly string[]): void {
  const names = [...new Set(places.map(({ place }) => place.replace(/\d{6,}|[0-9a-f]{16,}/g, '*')))]
  const bytes = places.reduce((sum, place) => sum + place.bytes.length, 0)
  console.log(`searched ${places.length} places, ${bytes} bytes (${names.join(', ')}): ${found.length} found`)
}

describe('secrets of callers and operators', () => {
  it('are found nowhere in an embedded installation', async () => {
    await start(`store: { kind: embedded, folder: state }
log: { kind: embedded, folder: log }
deadLetters: { kind: file, folder: dead-letters }`)
    const { canaries, places } = await live()
    places.push(...(await filesBelow(folder)))
    for (const part of ['/state/', '/log/', '/dead-letters/'])
      expect(
        places.some(({ place, bytes }) => place.startsWith(part) && bytes.length > 1_000),
        part,
      ).toBe(true)
    const found = findings(canaries, places)
    report(places, found)
    expect(found).toEqual([])
  })

  it('are found nowhere in Redis and Kafka', async (context) => {
    if (!(await redisAvailable())) context.skip()
    const dir = await mkdtemp(join(tmpdir(), 'curfew-canaries-redis-'))
    cleanup.push(() => rm(dir, { recursive: true, force: true }))
    const [kafka, redis] = [await startKafka(), await startRedis({ dir, appendonly: true })]
    cleanup.push(
      () => kafka.stop(),
      () => redis.stop(),
    )
    await start(`store: { kind: redis, url: '${redis.url}' }
log: { kind: kafka, brokers: ['${kafka.brokers[0]}'], partitions: 4 }
deadLetters: { kind: kafka, topic: curfew.dead-letters }`)
    const { canaries, places } = await live()
    const client = new KafkaClient({ brokers: kafka.brokers, clientId: 'canaries' })
    cleanup.push(() => client.close())
    for (const topic of ['curfew.events', 'curfew.dead-letters'])
      places.push({ place: `topic ${topic}`, bytes: await everythingIn(client, topic) })
    // Uncompressed, so that the raw bytes of the snapshot can be searched.
    await run('redis-cli', ['-p', String(redis.port), 'config', 'set', 'rdbcompression', 'no'])
    await run('redis-cli', ['-p', String(redis.port), 'save'])
    places.push(...(await filesBelow(dir)))
    const found = findings(canaries, places)
    report(places, found)
    expect(found).toEqual([])
    expect(places.find(({ place }) => place === 'topic curfew.events')!.bytes.length).toBeGreaterThan(100_000)
    expect(places.find(({ place }) => place === 'topic curfew.dead-letters')!.bytes.length).toBeGreaterThan(
      10_000,
    )
    expect(places.find(({ place }) => place.endsWith('.rdb'))!.bytes.includes(WILD)).toBe(true)
  })

  it('would be found if they were there', () => {
    const secrets = KINDS.map((kind) => canary(kind, 'the test'))
    for (const encode of [
      (text: string) => text,
      (text: string) => encodeURIComponent(text),
      (text: string) => Buffer.from(`x${text}`).toString('base64'),
      (text: string) => Buffer.from(`{"a":"${text}"}`).toString('base64url'),
      (text: string) => Buffer.from(text).toString('hex'),
    ]) {
      const bytes = Buffer.from(`noise ${secrets.map(({ text }) => encode(text)).join(' ')} noise`)
      const found = findings(secrets, [{ place: 'here', bytes }])
      for (const kind of KINDS) expect(found.join('\n')).toContain(`here: ${kind} planted`)
    }
  })
})

/** Keys, values and headers of every message of a topic, decompressed. */
async function everythingIn(client: KafkaClient, topic: string): Promise<Buffer> {
  const parts: Buffer[] = []
  let quietSince = Date.now()
  let member: GroupMember | null = null
  await client
    .join(
      { groupId: `canaries-${topic}`, topics: [topic], fromBeginning: true, concurrency: 1, maxWaitMs: 50 },
      {
        joined: () => undefined,
        left: () => undefined,
        failed: () => undefined,
        batch: async (batch) => {
          quietSince = Date.now()
          for (const message of batch.messages)
            parts.push(Buffer.from(JSON.stringify(message)), Buffer.from(message.value ?? ''))
          batch.resolve(batch.messages.at(-1)?.offset ?? 0)
        },
      },
    )
    .then((joined) => {
      member = joined
    })
  while (parts.length === 0 ? Date.now() - quietSince < 30_000 : Date.now() - quietSince < 3_000)
    await new Promise((resolve) => setTimeout(resolve, 100))
  await (member as GroupMember | null)?.close()
  return Buffer.concat(parts)
}
