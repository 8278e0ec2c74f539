import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { CoverageView, DecisionView, Page } from '../../../engine/control-plane.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, startCurfew } from '../../services/curfew-process.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../../services/webhook-receiver.ts'
import { produceGatewayHistory } from './coverage-history.ts'
import { type DroppingForwarder, startDroppingForwarder } from './dropping-forwarder.ts'

const missing = haproxyMissing ?? ((await redisAvailable()) ? null : 'redis-server is not installed')
if (missing !== null) console.warn(`SKIPPED: ${missing}`)

const TOKEN = 'coverage-admin-token-0123456789'
const WEBHOOK_SECRET = `whsec_${Buffer.from('coverage-webhook-secret-01234567').toString('base64')}`
/** Enough for these: every hour around the present one was seen on the same day a week ago. */
const DAYS_AGO = [7, 0]
const LIMIT_MS = 180_000

/** One gateway: HAProxy, the shipper of its log, and what comes back from behind it. */
interface Edge {
  readonly haproxy: RunningHaproxy
  readonly forwarder: DroppingForwarder
  readonly token: string
}

interface Told {
  readonly detectors: readonly string[]
  readonly transition: string
  readonly summary: string
  readonly entity: { readonly type: string; readonly id: string }
}

describe.skipIf(missing !== null)('what HAProxy served and Curfew did not see', () => {
  let compiled: CompiledProgram
  let folder: string
  let kafka: KafkaService
  let redis: RedisService
  let client: KafkaClient
  let upstream: Server
  let webhook: WebhookReceiver
  let heartbeat: WebhookReceiver
  let curfew: CurfewProcess
  const edges: Edge[] = []
  const traffic = new AbortController()
  const driving: Promise<void>[] = []
  /** Paths whose answers no longer say how many records they hold. */
  const silentPaths = new Set<string>()

  beforeAll(async () => {
    compiled = await compileProgram()
    folder = await mkdtemp(join(tmpdir(), 'curfew-coverage-'))
    kafka = await startKafka()
    redis = await startRedis()
    webhook = await startWebhookReceiver(WEBHOOK_SECRET)
    heartbeat = await startWebhookReceiver(WEBHOOK_SECRET)
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'coverage' })
    upstream = createServer((request, response) => {
      if (!silentPaths.has(request.url ?? '')) response.setHeader('X-Records-Returned', '1')
      response.end('r'.repeat(180))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    // A broker under load announces a topic before it hosts it.
    for (const [topic, partitions] of [
      ['edge', 3],
      ['partner', 3],
      ['curfew.events', 4],
    ] as const) {
      await eventually(`the topic ${topic}`, () =>
        client.createTopic(topic, partitions, { 'retention.ms': '-1' }).then(
          () => true,
          () => null,
        ),
      )
    }
    for (const [node, topic] of [
      ['edge-a', 'edge'],
      ['edge-b', 'edge'],
      ['partner-a', 'partner'],
    ] as const)
      edges.push(await startEdge(node, topic))
    await writeFile(join(folder, 'curfew.yaml'), configuration())
  })

  afterAll(async () => {
    traffic.abort()
    await Promise.all(driving)
    curfew?.child.kill('SIGCONT')
    curfew?.child.kill('SIGKILL')
    for (const { haproxy, forwarder } of edges) {
      await haproxy.stop()
      await forwarder.close()
    }
    await new Promise((resolve) => upstream?.close(resolve))
    await client?.close()
    await webhook?.close()
    await heartbeat?.close()
    await redis?.stop()
    await kafka?.stop()
    await compiled?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  async function startEdge(node: string, topic: string): Promise<Edge> {
    const forwarder = await startDroppingForwarder(client, topic)
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const haproxy = await startHaproxy({ logPort: forwarder.port, upstreamPort: address.port, node })
    const now = Math.floor(Date.now() / 1_000)
    const token = await new SignJWT({
      iss: haproxy.issuer,
      sub: 'svc-1',
      jti: 'svc-1-0',
      iat: now - 60,
      exp: now + 7_200,
    })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
    return { haproxy, forwarder, token }
  }

  function configuration(): string {
    const counter = (node: string, edge: Edge) =>
      `{ kind: haproxy, gateway: ${node}, socket: '${edge.haproxy.socketPath}', frontends: [api] }`
    const source = (name: string, counters: string) =>
      `{ name: ${name}, kind: kafka, topics: [${name}], groupId: ingest-${name}, format: canonical, gateway: { kind: haproxy, id: ${name}, field: node }, coverage: { counters: [${counters}] } }`
    return `
identityKeyEnv: IDENTITY_KEY
store: { kind: redis, url: '${redis.url}' }
log: { kind: kafka, brokers: ['${kafka.brokers[0]}'], partitions: 4 }
deadLetters: { kind: none }
defaultMode: enforce
sources:
  - ${source('edge', `${counter('edge-a', edges[0]!)}`)}
  - ${source('partner', '')}
alerts:
  channels: [{ name: siem, kind: webhook, url: '${webhook.url}', secretEnv: WEBHOOK_SECRET }]
  heartbeat: { url: '${heartbeat.url}', intervalSeconds: 10, secretEnv: WEBHOOK_SECRET }
admin:
  listen: 127.0.0.1:0
  tokens: [{ name: operations, role: admin, tokenEnv: ADMIN_TOKEN }]
`
  }

  /** Calls through a gateway until the end of the test. */
  async function drive(edge: Edge, perSecond: number, path: string): Promise<void> {
    const url = `http://127.0.0.1:${edge.haproxy.port}${path}`
    const headers = { authorization: `Bearer ${edge.token}` }
    while (!traffic.signal.aborted) {
      const answer = await fetch(url, { headers }).catch(() => null)
      await answer?.text()
      await sleep(1_000 / perSecond)
    }
  }

  async function coverage(): Promise<CoverageView> {
    return (await curfew.api('/v1/coverage')).body as CoverageView
  }

  /** Everything told about coverage; that the callers themselves surprise Curfew is no part of this. */
  function allTold(): readonly Told[] {
    const alerts = webhook.webhooks.map(({ body }) => body.data['alert'] as Told | undefined)
    return alerts
      .filter((alert) => alert !== undefined)
      .filter(({ detectors }) => detectors[0] === 'coverage')
  }

  function told(entity: string, transition = 'opened'): Told | null {
    const alerts = allTold()
    return alerts.find((alert) => alert.entity.id === entity && alert.transition === transition) ?? null
  }

  it('tells within three minutes which gateway, which lines and which field are missing, and when Curfew was paused', async () => {
    const issuer = edges[0]!.haproxy.issuer
    for (const [i, edge] of edges.entries()) driving.push(drive(edge, [14, 2, 2][i]!, `/v1/orders/${i}`))
    const until = Date.now()
    const common = { issuer, daysAgo: DAYS_AGO, hours: 2, callsPerMinute: 30, until }
    await produceGatewayHistory(client, { ...common, topic: 'edge', nodes: ['edge-a', 'edge-b'] })
    await produceGatewayHistory(client, { ...common, topic: 'partner', nodes: ['partner-a'] })
    curfew = await startCurfew({
      program: compiled.file('cli/main.ts'),
      args: ['run', '--config', 'curfew.yaml'],
      cwd: folder,
      env: { IDENTITY_KEY: 'i'.repeat(40), ADMIN_TOKEN: TOKEN, WEBHOOK_SECRET },
      token: TOKEN,
    })
    await eventually('coverage to have caught up', async () => {
      const { judgedTo, feeds } = await coverage()
      const isNow = judgedTo !== null && Date.now() - Date.parse(judgedTo) < 45_000
      return isNow && feeds.length === 5 ? feeds : null
    })
    await sleep(45_000)
    expect(allTold()).toEqual([])

    const at = Date.now()
    edges[0]!.forwarder.lose((line) => line % 20 === 0)
    edges[1]!.forwarder.lose(() => true)
    silentPaths.add('/v1/orders/2')
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
      /calls in \d+ min that gateway edge-a of source edge counted/,
    )
    expect(told('edge/edge-b')?.summary).toMatch(/^No line from gateway edge-b of source edge since /)
    expect(told('partner/partner-a')?.summary).toContain('the field "records"')

    for (const { forwarder } of edges) forwarder.lose(() => false)
    silentPaths.clear()
    await eventually('everything to be complete again', async () =>
      cases.every((name) => told(name, 'resolved') !== null) ? true : null,
    )

    const beats = heartbeat.webhooks.length
    expect(beats).toBeGreaterThan(0)
    const pausedAt = Date.now()
    curfew.child.kill('SIGSTOP')
    await sleep(75_000)
    const missed = heartbeat.webhooks.length - beats
    curfew.child.kill('SIGCONT')
    const resumedAt = Date.now()
    const blind = await eventually('Curfew to say that it was blind', () => told('curfew'))
    console.log(
      `paused for ${(resumedAt - pausedAt) / 1_000} s: ${missed} heartbeats meanwhile (every 10 s otherwise); told ${(Date.now() - resumedAt) / 1_000} s after it went on: ${blind.summary}`,
    )
    expect(missed).toBeLessThanOrEqual(1)
    expect(blind.summary).toMatch(/^Curfew was blind for 7\d s/)
    await eventually('Curfew to have caught up', () => told('curfew', 'resolved'))

    const perIncident = allTold().map(({ entity, transition }) => `${entity.id} ${transition}`)
    expect(perIncident.toSorted()).toEqual(
      [...cases, 'curfew'].flatMap((name) => [`${name} opened`, `${name} resolved`]).toSorted(),
    )
    const { items } = (await curfew.api('/v1/decisions')).body as Page<DecisionView>
    expect(items.filter(({ decision }) => decision.incident.startsWith('cov_'))).toEqual([])
    expect(webhook.rejections).toEqual([])
    expect(await curfew.end('SIGTERM')).toBe(0)
  }, 900_000)
})
