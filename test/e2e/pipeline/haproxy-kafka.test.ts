import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DecisionView, IncidentView, Page, PrincipalView } from '../../../engine/control-plane.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, startCurfew } from '../../services/curfew-process.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'
import { startWebhookReceiver, type WebhookReceiver } from '../../services/webhook-receiver.ts'
import { poller, produceHistory, worker } from './canonical-history.ts'
import { type LogForwarder, startLogForwarder } from './log-forwarder.ts'

const missing = haproxyMissing ?? ((await redisAvailable()) ? null : 'redis-server is not installed')
if (missing !== null) console.warn(`SKIPPED: ${missing}`)

const RAW_TOPIC = 'edge.access'
const RAW_PARTITIONS = 2
const DAYS = 15
const THIEF = 'export-svc'
const STEADY = 'status-page'
const COLLEAGUES = ['orders-svc', 'billing', 'crm-sync', 'warehouse-1', 'returns-desk']
const TOKEN = 'pipeline-admin-token-0123456789'
const WEBHOOK_SECRET = `whsec_${Buffer.from('pipeline-webhook-secret-01234567').toString('base64')}`

function configuration(parts: {
  redis: RedisService
  kafka: KafkaService
  haproxy: RunningHaproxy
  webhook: string
}): string {
  const { redis, kafka, haproxy, webhook } = parts
  return `
identityKeyEnv: IDENTITY_KEY
store: { kind: redis, url: '${redis.url}' }
log: { kind: kafka, brokers: ['${kafka.brokers[0]}'], partitions: 4 }
deadLetters: { kind: kafka }
defaultMode: enforce
sources:
  - { name: edge, kind: kafka, topics: [${RAW_TOPIC}], format: canonical, gateway: { kind: haproxy, id: edge } }
enforcement:
  gateways: [{ name: edge, kind: haproxy, sockets: ['${haproxy.socketPath}'], mapFolder: '${haproxy.mapFolder}' }]
alerts:
  channels: [{ name: siem, kind: webhook, url: '${webhook}', secretEnv: WEBHOOK_SECRET }]
admin:
  listen: 127.0.0.1:0
  tokens: [{ name: operations, role: admin, tokenEnv: ADMIN_TOKEN }]
`
}

/** What an operator watches, with what this story leaves in it. */
const COUNTED = [
  /^curfew_gateway_operations_total\{gateway="edge",operation="put",outcome="done"\} [1-9]/m,
  /^curfew_gateway_operations_total\{gateway="edge",operation="remove",outcome="done"\} [1-9]/m,
  /^curfew_gateway_reconcile_lag_seconds\{gateway="edge"\} 0$/m,
  /^curfew_alert_deliveries_total\{sink="siem",outcome="delivered"\} [1-9]/m,
  /^curfew_decisions_total\{action="revoke-token",mode="enforce",status="in-force"\} 1$/m,
  /^curfew_decisions_total\{action="revoke-token",mode="enforce",status="released"\} 1$/m,
  /^curfew_incidents_open 1$/m,
  /^curfew_partition_event_time_seconds\{partition="\d+"\} 1\d{9}/m,
  /^curfew_partition_lag_seconds\{partition="\d+"\} \d/m,
  /^curfew_principals_resident\{state="MATURE"\} [1-9]/m,
  /^curfew_principals_resident\{state="STALE"\} 0$/m,
  /^curfew_late_events_total \d/m,
] as const

describe.skipIf(missing !== null)('HAProxy, its log, Kafka, Curfew and the Runtime API', () => {
  let compiled: CompiledProgram
  let folder: string
  let kafka: KafkaService
  let redis: RedisService
  let client: KafkaClient
  let forwarder: LogForwarder
  let upstream: Server
  let haproxy: RunningHaproxy
  let webhook: WebhookReceiver
  let curfew: CurfewProcess

  beforeAll(async () => {
    compiled = await compileProgram()
    folder = await mkdtemp(join(tmpdir(), 'curfew-pipeline-'))
    kafka = await startKafka()
    redis = await startRedis()
    webhook = await startWebhookReceiver(WEBHOOK_SECRET)
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'pipeline' })
    // Records of past weeks must not be removed as too old.
    await client.createTopic(RAW_TOPIC, RAW_PARTITIONS, { 'retention.ms': '-1' })
    forwarder = await startLogForwarder(client, RAW_TOPIC, RAW_PARTITIONS)
    upstream = createServer((request, response) => {
      const records = new URL(request.url ?? '/', 'http://x').searchParams.get('size') ?? '1'
      response.setHeader('X-Records-Returned', records)
      response.end('r'.repeat(180 * Number(records)))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    haproxy = await startHaproxy({ logPort: forwarder.port, upstreamPort: address.port })
    await writeFile(
      join(folder, 'curfew.yaml'),
      configuration({ redis, kafka, haproxy, webhook: webhook.url }),
    )
  })

  afterAll(async () => {
    curfew?.child.kill('SIGKILL')
    await haproxy?.stop()
    await new Promise((resolve) => upstream?.close(resolve))
    await forwarder?.close()
    await client?.close()
    await webhook?.close()
    await redis?.stop()
    await kafka?.stop()
    await compiled?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  async function bearer(sub: string): Promise<string> {
    const now = Math.floor(Date.now() / 1_000)
    return new SignJWT({ iss: haproxy.issuer, sub, jti: `${sub}-1`, iat: now - 60, exp: now + 7_200 })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
  }

  async function call(token: string, page: number, size: number): Promise<number> {
    const url = `http://127.0.0.1:${haproxy.port}/v1/orders?page=${page}&size=${size}`
    const response = await fetch(url, { headers: { authorization: `Bearer ${token}` } })
    await response.text()
    return response.status
  }

  async function get<T>(path: string): Promise<T> {
    const { status, body } = await curfew.api(path)
    expect(status).toBe(200)
    return body as T
  }

  it('learns two weeks, throttles and then revokes the one that goes wild, and undoes it', async () => {
    const now = Date.now()
    const workers = [THIEF, ...COLLEAGUES].map((name) => worker(name, now))
    await produceHistory(client, RAW_TOPIC, [...workers, poller(STEADY)], haproxy.issuer, DAYS, now)
    curfew = await startCurfew({
      program: compiled.file('cli/main.ts'),
      args: ['run', '--config', 'curfew.yaml'],
      cwd: folder,
      env: { IDENTITY_KEY: 'i'.repeat(40), ADMIN_TOKEN: TOKEN, WEBHOOK_SECRET },
      token: TOKEN,
    })
    const learnt = await eventually('the history to be learnt', async () => {
      const { items } = await get<Page<PrincipalView>>('/v1/principals')
      const [thief, steady] = [THIEF, STEADY].map((name) => items.find((p) => p.entity === `sub:${name}`))
      return thief?.events === DAYS * 10 && steady?.events === DAYS * 24 * 12 ? thief : null
    })
    expect(learnt.state).toBe('MATURE')
    expect(webhook.webhooks).toEqual([])

    const [thief, steady] = [await bearer(THIEF), await bearer(STEADY)]
    const seen: number[] = []
    const others: number[] = []
    for (let page = 0; page < 600 && seen.at(-1) !== 401; page++) {
      seen.push(await call(thief, page, 25))
      if (page % 40 === 0) others.push(await call(steady, 0, 1))
      await sleep(100)
    }
    others.push(await call(steady, 0, 1))
    const changes = seen.filter((status, i) => status !== seen[i - 1])
    expect(changes[0]).toBe(200)
    expect(changes[1]).toBe(429)
    expect(changes.at(-1)).toBe(401)
    expect(new Set(changes)).toEqual(new Set([200, 429, 401]))
    expect(new Set(others)).toEqual(new Set([200]))

    const { items: incidents } = await get<Page<IncidentView>>('/v1/incidents?state=open')
    expect(incidents.map((incident) => incident.entity)).toEqual([`sub:${THIEF}`])
    const inForce = await eventually('the revocation on record', async () => {
      const { items } = await get<Page<DecisionView>>('/v1/decisions?status=in-force')
      return items.find(({ decision }) => decision.action === 'revoke-token') ?? null
    })
    expect(inForce.decision.scope).toEqual({ kind: 'token', iss: haproxy.issuer, jti: `${THIEF}-1` })
    expect(inForce.receipts.some((receipt) => receipt.gateway === 'edge' && receipt.outcome === 'done')).toBe(
      true,
    )

    const incident = incidents[0]!.id
    await eventually('every transition told', async () => {
      const { transitions } = await get<IncidentView>(`/v1/incidents/${incident}`)
      const told = webhook.webhooks.map(({ body }) => body.type)
      return transitions.every(({ transition }) => told.includes(`incident.${transition}`)) ? told : null
    })
    expect(webhook.webhooks[0]?.body.type).toBe('incident.opened')
    expect(webhook.rejections).toEqual([])

    const released = await curfew.api(`/v1/decisions/${inForce.decision.id}/release`, {
      reason: 'a planned migration',
    })
    expect(released.status).toBe(200)
    await eventually('the caller to be free again', async () =>
      (await call(thief, 0, 1)) === 200 ? true : null,
    )
    expect(await haproxy.command(`show map ${haproxy.mapFolder}/tokens.map`)).toBe('\n')
    expect(await haproxy.command(`show map ${haproxy.mapFolder}/throttles.map`)).toBe('\n')
    expect(forwarder.failures).toEqual([])
    await eventually('all of it in the metrics', async () => {
      const answer = await fetch(`${curfew.admin}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
      const text = await answer.text()
      return COUNTED.every((line) => line.test(text)) ? true : null
    })
    expect(await curfew.end('SIGTERM')).toBe(0)
  })
})
