import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { HOUR_MS } from '../../../core/time.ts'
import type {
  AuditView,
  DecisionView,
  IncidentView,
  Page,
  PrincipalView,
} from '../../../engine/control-plane.ts'
import { FORMAT_NAMES, FORMATS } from '../../../ingest/formats/catalog.ts'
import { type GroupMember, KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { eventually } from '../../services/curfew-process.ts'
import { freePort } from '../../services/free-port.ts'
import { grpcClient } from '../../services/grpc-client.ts'
import { startKafka } from '../../services/kafka.ts'
import {
  filesBelow,
  type PushedCurfew,
  type Searched,
  saidBy,
  startPushedCurfew,
} from '../../services/pushed-curfew.ts'
import { redisAvailable, startRedis } from '../../services/redis.ts'
import { plantedLines, plantedTexts, SAMPLES } from './planted-logs.ts'
import { type Canary, canary, findings, KINDS } from './planting.ts'

vi.setConfig({ testTimeout: 240_000, hookTimeout: 240_000 })

const TOKEN_SECRET = 's'.repeat(40)
const GRPC_TOKEN = 'Qm9yZWFsLWdhdGV3YXktdG9rZW4tN3E'
const FORMATS_PUSHED = FORMAT_NAMES
const WILD = 'export-svc'
const run = promisify(execFile)

let compiled: CompiledProgram
let pushed: PushedCurfew
let decisionUrl: string
let grpcPort: number
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
  grpcPort = await freePort()
  decisionUrl = `http://127.0.0.1:${port}`
  pushed = await startPushedCurfew({
    program: compiled.file('cli/main.ts'),
    formats: FORMATS_PUSHED,
    ...(storage === undefined ? {} : { storage }),
    settings: `defaultMode: enforce
enforcement: { gateways: [{ name: deny, kind: decision }] }
decisionEndpoint:
  listen: 127.0.0.1:${port}
  trustHeaders: true
  keys: [{ kind: hs, alg: HS256, secretEnv: TOKEN_SECRET }]
  grpc: { listen: '127.0.0.1:${grpcPort}', tokenEnv: GRPC_TOKEN, verifiedClaims: claims }`,
    env: { TOKEN_SECRET, GRPC_TOKEN },
  })
  cleanup.push(() => pushed.close())
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
  const { curfew } = pushed
  const admin = { authorization: `Bearer ${pushed.adminToken}`, 'content-type': 'application/json' }
  for (const [name, base] of [
    ['push', pushed.pushUrl],
    ['admin', curfew.admin],
    ['decision', decisionUrl],
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
  await knockOverGrpc(make)
  canaries.push({ kind: 'bearer', text: GRPC_TOKEN, needles: [GRPC_TOKEN], where: 'token of the gateway' })
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

/** Over gRPC: in questions, as the token of a gateway, and as bytes that are no message. */
async function knockOverGrpc(make: (kind: Canary['kind'], where: string) => string): Promise<void> {
  const gateway = await grpcClient(grpcPort, `Bearer ${GRPC_TOKEN}`)
  for (const kind of KINDS) {
    const text = (where: string) => make(kind, `grpc, ${where} ${kind}`)
    const headers = { authorization: text('authorization'), 'x-consumer-id': text('consumer'), x: text('x') }
    const claims = { fields: { sub: { stringValue: text('claim') } } }
    const filterMetadata = {
      'envoy.filters.http.jwt_authn': { fields: { claims: { structValue: claims } } },
    }
    await gateway.check({ attributes: { request: { http: { headers } } } })
    await gateway.check({ attributes: { metadataContext: { filterMetadata } } })
    const entries = ['authorization', 'jwt_sub', 'other'].map((key) => ({ key, value: text(`entry ${key}`) }))
    await gateway.limit({ domain: 'curfew', descriptors: [{ entries }] })
    await gateway.limit({ domain: text('domain'), descriptors: [] })
    await gateway.send('check', Buffer.from(text('bytes')))
    const stranger = await grpcClient(grpcPort, `Bearer ${text('token')}`)
    await expect(stranger.check({})).rejects.toMatchObject({ code: 16 })
    stranger.close()
  }
  gateway.close()
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
  return Promise.all(paths.map(async (path) => ({ place: `admin ${path}`, bytes: await pushed.shown(path) })))
}

/** Plants everywhere, waits until all is digested, and returns the canaries with what the process showed. */
async function live(): Promise<{ canaries: Canary[]; places: Searched[] }> {
  const now = Date.now()
  const { curfew, webhook } = pushed
  const canaries: Canary[] = []
  let planted = 0
  for (const format of FORMATS.keys()) {
    if (format !== 'combined')
      expect(Object.keys(SAMPLES), 'every format needs a sample here').toContain(format)
    const at = now - 2 * HOUR_MS
    const { lines, canaries: more } = format === 'combined' ? plantedTexts(at) : plantedLines(format, at)
    canaries.push(...more)
    planted += lines.length
    await pushed.push(format, lines)
  }
  const night = wildNight(now)
  canaries.push(...night.canaries)
  await pushed.push('canonical', night.lines)
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
  places.push(...saidBy(pushed))
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
    await start()
    const { canaries, places } = await live()
    places.push(...(await filesBelow(pushed.folder)))
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
