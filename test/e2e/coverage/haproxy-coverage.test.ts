import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CoverageView, DecisionView, Page } from '../../../engine/control-plane.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, startCurfew } from '../../services/curfew-process.ts'
import { haproxyMissing } from '../../services/haproxy.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../../services/webhook-receiver.ts'
import { produceGatewayHistory } from './coverage-history.ts'
import { type Edge, startEdge } from './edge.ts'

const missing = haproxyMissing ?? ((await redisAvailable()) ? null : 'redis-server is not installed')
if (missing !== null) console.warn(`SKIPPED: ${missing}`)

const TOKEN = 'coverage-admin-token-0123456789'
const WEBHOOK_SECRET = `whsec_${Buffer.from('coverage-webhook-secret-01234567').toString('base64')}`
const LIMIT_MS = 180_000
const SLOT_SECONDS = 2
/** Lines against the gateway's own count, the slowest, are compared over 12 slots, twice. */
const JUDGED_MS = 14 * SLOT_SECONDS * 1_000
const PAUSE_MS = 75_000
/** So long after a pause Curfew waits for its readers, and then for the last lines of a slot. */
const SETTLED_MS = 75_000

interface Told {
  readonly incident: string
  readonly transition: string
  readonly entity: { readonly type: string; readonly id: string }
  /** Missing where it was told in a digest. */
  readonly summary?: string
}

/** A Curfew, what it tells, and what it tells outside while it judges calls. */
interface Watching {
  readonly curfew: CurfewProcess
  readonly webhook: WebhookReceiver
  readonly heartbeat: WebhookReceiver
  /** Everything told about coverage; that the callers themselves surprise Curfew is no part of this. */
  all(): readonly Told[]
  told(entity: string, transition?: string): Told | null
}

describe.skipIf(missing !== null).concurrent('what HAProxy served and Curfew did not see', () => {
  let compiled: CompiledProgram
  let folder: string
  let kafka: KafkaService
  let redis: RedisService
  let client: KafkaClient
  let upstream: Server
  const edges = new Map<string, Edge>()
  const watching: Watching[] = []
  const traffic = new AbortController()
  const driving: Promise<void>[] = []
  /** Paths whose answers no longer say how many records they hold. */
  const silentPaths = new Set<string>()

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-coverage-'))
    upstream = createServer((request, response) => {
      if (!silentPaths.has(request.url ?? '')) response.setHeader('X-Records-Returned', '1')
      response.end('r'.repeat(180))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    ;[compiled, redis] = await Promise.all([compileProgram(), startRedis(), startGateways()])
  })

  async function startGateways(): Promise<void> {
    kafka = await startKafka()
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'coverage' })
    // A broker under load announces a topic before it hosts it.
    for (const [topic, partitions] of [
      ['edge', 3],
      ['partner', 3],
      ['paused', 3],
      ['curfew.events', 4],
    ] as const) {
      await eventually(`the topic ${topic}`, () =>
        client.createTopic(topic, partitions, { 'retention.ms': '-1' }).then(
          () => true,
          () => null,
        ),
      )
    }
    await drive('edge-a', 'edge', 25)
    await drive('edge-b', 'edge', 4)
    await drive('partner-a', 'partner', 4)
    await drive('paused-a', 'paused', 4)
    // Every hour around the present one was seen on the same day a week ago.
    const { issuer } = edges.get('edge-a')!.haproxy
    const common = { issuer, daysAgo: [7, 0], hoursBefore: 1, hoursAfter: 2, until: Date.now() }
    const [edge, partner] = [
      { topic: 'edge', nodes: ['edge-a', 'edge-b'], callsPerMinute: 60 },
      // A field is looked for where a window of six slots has 30 calls.
      { topic: 'partner', nodes: ['partner-a'], callsPerMinute: 180 },
    ]
    await produceGatewayHistory(client, { ...common, ...edge! })
    await produceGatewayHistory(client, { ...common, ...partner! })
  }

  afterAll(async () => {
    traffic.abort()
    await Promise.all(driving)
    for (const { curfew, webhook, heartbeat } of watching) {
      curfew.child.kill('SIGCONT')
      curfew.child.kill('SIGKILL')
      await webhook.close()
      await heartbeat.close()
    }
    for (const edge of edges.values()) await edge.close()
    await new Promise((resolve) => upstream?.close(resolve))
    await client?.close()
    await redis?.stop()
    await kafka?.stop()
    await compiled?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  /** Starts a gateway, with calls through it until the end of the tests. */
  async function drive(node: string, topic: string, perSecond: number): Promise<void> {
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const edge = await startEdge(client, { node, topic, upstreamPort: address.port })
    edges.set(node, edge)
    driving.push(edge.drive(perSecond, `/v1/orders/${node}`, traffic.signal))
  }

  /** Starts a Curfew from what it reads, where it keeps it and how it looks for what is missing. */
  async function watch(name: string, settings: string): Promise<Watching> {
    const webhook = await startWebhookReceiver(WEBHOOK_SECRET)
    const heartbeat = await startWebhookReceiver(WEBHOOK_SECRET)
    await writeFile(
      join(folder, `${name}.yaml`),
      `${settings}
identityKeyEnv: IDENTITY_KEY
deadLetters: { kind: none }
enforcement: { folder: '${join(folder, name)}' }
alerts:
  channels: [{ name: siem, kind: webhook, url: '${webhook.url}', secretEnv: WEBHOOK_SECRET }]
  heartbeat: { url: '${heartbeat.url}', intervalSeconds: 10, secretEnv: WEBHOOK_SECRET }
admin:
  listen: 127.0.0.1:0
  tokens: [{ name: operations, role: admin, tokenEnv: ADMIN_TOKEN }]
`,
    )
    const curfew = await startCurfew({
      program: compiled.file('cli/main.ts'),
      args: ['run', '--config', `${name}.yaml`],
      cwd: folder,
      env: { IDENTITY_KEY: 'i'.repeat(40), ADMIN_TOKEN: TOKEN, WEBHOOK_SECRET },
      token: TOKEN,
    })
    // What comes more than four times a minute is told in a digest.
    const all = () =>
      webhook.webhooks
        .flatMap(({ body: { data } }) => (data['alerts'] ?? [data['alert']]) as Told[])
        .filter(({ incident }) => incident.startsWith('cov_'))
    const told = (entity: string, transition = 'opened') =>
      all().find((alert) => alert.entity.id === entity && alert.transition === transition) ?? null
    const started = { curfew, webhook, heartbeat, all, told }
    watching.push(started)
    return started
  }

  const source = (name: string, coverage: string) =>
    `{ name: ${name}, kind: kafka, brokers: ['${kafka.brokers[0]}'], topics: [${name}], groupId: ingest-${name}, format: canonical, gateway: { kind: haproxy, id: ${name}, field: node }, coverage: { ${coverage} } }`

  it('tells within three minutes which gateway, which lines and which field are missing, and when they are back', async () => {
    const a = edges.get('edge-a')!
    const b = edges.get('edge-b')!
    const counter = `{ kind: haproxy, gateway: edge-a, socket: '${a.haproxy.socketPath}', frontends: [api] }`
    const startedAt = Date.now()
    const { curfew, webhook, all, told } = await watch(
      'watching',
      `
store: { kind: redis, url: '${redis.url}' }
log: { kind: kafka, brokers: ['${kafka.brokers[0]}'], partitions: 4 }
coverage: { slotSeconds: ${SLOT_SECONDS} }
defaultMode: enforce
sources:
  - ${source('edge', `counters: [${counter}]`)}
  - ${source('partner', '')}`,
    )
    const view = async () => (await curfew.api('/v1/coverage')).body as CoverageView
    await eventually('lines and counters to have been compared', async () => {
      const { judgedTo, feeds } = await view()
      return judgedTo !== null && Date.parse(judgedTo) - startedAt > JUDGED_MS && feeds.length === 5
        ? true
        : null
    })
    expect((await view()).incidents).toEqual([])
    expect(all()).toEqual([])

    const at = Date.now()
    a.forwarder.lose((line) => line % 20 === 0)
    b.forwarder.lose(() => true)
    silentPaths.add('/v1/orders/partner-a')
    const seconds = new Map<string, number>()
    const cases = ['edge/edge-a', 'edge/edge-b', 'partner/partner-a'] as const
    while (seconds.size < cases.length && Date.now() - at < LIMIT_MS) {
      for (const name of cases) {
        const alert = told(name)
        if (alert === null || seconds.has(name)) continue
        seconds.set(name, (Date.now() - at) / 1_000)
        console.log(`${name}: told after ${seconds.get(name)} s: ${alert.summary}`)
      }
      await sleep(200)
    }
    expect([...seconds.keys()].toSorted()).toEqual([...cases])
    expect(told('edge/edge-a')?.summary).toMatch(
      /calls in \d+ (s|min) that gateway edge-a of source edge counted are in its log/,
    )
    expect(told('edge/edge-b')?.summary).toMatch(/^No line from gateway edge-b of source edge since /)
    expect(told('partner/partner-a')?.summary).toContain('the field "records"')

    const completeAt = Date.now()
    for (const { forwarder } of [a, b]) forwarder.lose(() => false)
    silentPaths.clear()
    await eventually('everything to be complete again', () =>
      cases.every((name) => told(name, 'resolved') !== null) ? true : null,
    )
    console.log(`all told to be complete again after ${(Date.now() - completeAt) / 1_000} s`)

    const perIncident = all().map(({ entity, transition }) => `${entity.id} ${transition}`)
    expect(perIncident.toSorted()).toEqual(
      cases.flatMap((name) => [`${name} opened`, `${name} resolved`]).toSorted(),
    )
    const { items } = (await curfew.api('/v1/decisions')).body as Page<DecisionView>
    expect(items.filter(({ decision }) => decision.incident.startsWith('cov_'))).toEqual([])
    expect(webhook.rejections).toEqual([])
    expect(await curfew.end('SIGTERM')).toBe(0)
  }, 600_000)

  it('says that it was paused, stays silent outside meanwhile, and blames no gateway for it', async () => {
    const { curfew, webhook, heartbeat, all, told } = await watch(
      'paused',
      `
store: { kind: embedded, folder: '${join(folder, 'paused-store')}' }
log: { kind: embedded, folder: '${join(folder, 'paused-log')}' }
sources:
  - ${source('paused', 'maxSilenceSeconds: 60')}`,
    )
    await eventually('a heartbeat, and lines', async () => {
      const { feeds } = (await curfew.api('/v1/coverage')).body as CoverageView
      const lines = feeds.some(({ gateway, linesIn5Minutes }) => gateway !== null && linesIn5Minutes > 0)
      return lines && heartbeat.webhooks.length > 0 ? true : null
    })
    expect(all()).toEqual([])

    const beats = heartbeat.webhooks.length
    const pausedAt = Date.now()
    curfew.child.kill('SIGSTOP')
    await sleep(PAUSE_MS)
    const missed = heartbeat.webhooks.length - beats
    curfew.child.kill('SIGCONT')
    const resumedAt = Date.now()
    const blind = await eventually('Curfew to say that it was blind', () => told('curfew'))
    const toldAfter = (Date.now() - resumedAt) / 1_000
    console.log(
      `paused for ${(resumedAt - pausedAt) / 1_000} s: ${missed} heartbeats meanwhile (every 10 s otherwise); told ${toldAfter} s after it went on: ${blind.summary}`,
    )
    expect(missed).toBeLessThanOrEqual(1)
    expect(blind.summary).toMatch(/^Curfew was blind for 7\d s/)
    await eventually('Curfew to have caught up', () => told('curfew', 'resolved'))
    await sleep(Math.max(0, resumedAt + SETTLED_MS - Date.now()))
    expect(all().map(({ entity, transition }) => `${entity.id} ${transition}`)).toEqual([
      'curfew opened',
      'curfew resolved',
    ])
    expect(heartbeat.webhooks.length).toBeGreaterThan(beats + missed)
    expect(webhook.rejections).toEqual([])
    expect(await curfew.end('SIGTERM')).toBe(0)
  }, 600_000)
})
