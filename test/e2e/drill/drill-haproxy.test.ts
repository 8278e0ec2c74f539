import { spawn } from 'node:child_process'
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { DrillReport } from '../../../cli/drill/drill.ts'
import { CANARY_NAME } from '../../../core/canary.ts'
import type { DecisionView, IncidentView, Page, ReadinessCheck } from '../../../engine/control-plane.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, runCurfew, startCurfew } from '../../services/curfew-process.ts'
import { freePort } from '../../services/free-port.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'
import { type ScriptedHttp, startScriptedHttp } from '../../services/scripted-http.ts'
import { type LogForwarder, startLogForwarder } from '../pipeline/log-forwarder.ts'

const missing = haproxyMissing ?? ((await redisAvailable()) ? null : 'redis-server is not installed')
if (missing !== null) console.warn(`SKIPPED: ${missing}`)

const RAW_TOPIC = 'edge.access'
const ADMIN_TOKEN = 'drill-admin-token-0123456789ab'
const WEBHOOK_SECRET = `whsec_${Buffer.from('drill-webhook-secret-0123456789').toString('base64')}`
const IDENTITY_KEY = 'i'.repeat(40)
const CANARY = `sub:${CANARY_NAME}`

/** A drill against HAProxy, Kafka and Redis as they are, and with one link after the other taken away. */
describe.skipIf(missing !== null)('curfew drill at a real gateway', () => {
  let compiled: CompiledProgram
  let folder: string
  let kafka: KafkaService
  let redis: RedisService
  let client: KafkaClient
  let forwarder: LogForwarder
  let upstream: Server
  let haproxy: RunningHaproxy
  let webhook: ScriptedHttp
  let takesAlerts = true
  let curfew: CurfewProcess
  let canaryToken: string
  let restore: (() => unknown) | null = null

  beforeAll(async () => {
    compiled = await compileProgram()
    folder = await mkdtemp(join(tmpdir(), 'curfew-drill-'))
    kafka = await startKafka()
    redis = await startRedis()
    webhook = await startScriptedHttp(() => ({ status: takesAlerts ? 204 : 503 }))
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'drill' })
    await client.createTopic(RAW_TOPIC, 1, {})
    forwarder = await startLogForwarder(client, RAW_TOPIC, 1)
    upstream = createServer((_, response) => {
      response.setHeader('X-Records-Returned', '25')
      response.end('r'.repeat(1_000))
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    haproxy = await startHaproxy({ logPort: forwarder.port, upstreamPort: address.port })
    canaryToken = await tokenOf(CANARY_NAME)
    const adminPort = await freePort()
    await writeFile(
      join(folder, 'curfew.yaml'),
      `
identityKeyEnv: IDENTITY_KEY
store: { kind: redis, url: '${redis.url}' }
log: { kind: kafka, brokers: ['${kafka.brokers[0]}'], partitions: 2 }
deadLetters: { kind: kafka }
modes: [{ principal: '${CANARY}', mode: enforce }]
sources:
  - { name: edge, kind: kafka, topics: [${RAW_TOPIC}], format: canonical, gateway: { kind: haproxy, id: edge } }
enforcement:
  gateways: [{ name: edge, kind: haproxy, sockets: ['${haproxy.socketPath}'], mapFolder: '${haproxy.mapFolder}' }]
alerts:
  channels: [{ name: siem, kind: webhook, url: '${webhook.url}', secretEnv: WEBHOOK_SECRET }]
admin:
  listen: 127.0.0.1:${adminPort}
  tokens: [{ name: operations, role: admin, tokenEnv: ADMIN_TOKEN }]
drill:
  url: http://127.0.0.1:${haproxy.port}/v1/orders
  tokenEnv: CANARY_TOKEN
  principal: ${CANARY}
  callsPerSecond: 20
  maxCalls: 60
  patienceSeconds: 12
`,
    )
    curfew = await startCurfew({ ...program('run'), token: ADMIN_TOKEN })
  })

  afterEach(async () => {
    await restore?.()
    restore = null
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

  function program(command: 'run' | 'drill', ...flags: string[]) {
    return {
      program: compiled.file('cli/main.ts'),
      args: [command, '--config', 'curfew.yaml', ...flags],
      cwd: folder,
      env: { IDENTITY_KEY, ADMIN_TOKEN, WEBHOOK_SECRET, CANARY_TOKEN: canaryToken },
    }
  }

  async function tokenOf(sub: string): Promise<string> {
    const now = Math.floor(Date.now() / 1_000)
    return new SignJWT({ iss: haproxy.issuer, sub, jti: `${sub}-1`, iat: now - 60, exp: now + 7_200 })
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
  }

  async function callAs(token: string): Promise<number> {
    const headers = { authorization: `Bearer ${token}` }
    const response = await fetch(`http://127.0.0.1:${haproxy.port}/v1/orders`, { headers })
    await response.text()
    return response.status
  }

  async function drill(): Promise<{ readonly code: number | string; readonly report: DrillReport }> {
    const { code, stdout, stderr } = await runCurfew(program('drill', '--json'))
    if (stdout === '') throw new Error(stderr)
    return { code, report: JSON.parse(stdout) as DrillReport }
  }

  async function leftOfTheCanary(): Promise<readonly string[]> {
    const incidents = (await curfew.api(`/v1/incidents?state=open&entity=${CANARY}`))
      .body as Page<IncidentView>
    const decisions = (await curfew.api('/v1/decisions?status=in-force')).body as Page<DecisionView>
    return [...incidents.items.map(({ id }) => id), ...decisions.items.map(({ decision }) => decision.id)]
  }

  it('is refused, told about and served again, and touches nobody else', async () => {
    const other = await tokenOf('orders-svc')
    expect(await callAs(other)).toBe(200)
    const { code, report } = await drill()
    console.info(`drill: ${JSON.stringify(report)}`)
    expect(report).toMatchObject({ broken: [], action: 'throttle', told: ['siem'], left: null })
    for (const ms of [report.detectedMs, report.decidedMs, report.refusedMs, report.releasedMs])
      expect(ms).not.toBeNull()
    expect(code).toBe(0)
    expect(await callAs(other)).toBe(200)
    expect(await callAs(canaryToken)).toBe(200)
    expect(await haproxy.command(`show map ${haproxy.mapFolder}/throttles.map`)).toBe('\n')
    expect(webhook.requests[0]?.body.toString()).toContain('incident.opened')
  })

  it('names the alert channel that takes nothing', async () => {
    takesAlerts = false
    restore = () => {
      takesAlerts = true
    }
    const { code, report } = await drill()
    expect(report.broken.map(({ link }) => link)).toEqual(['alert channel siem'])
    expect(report.refusedMs).not.toBeNull()
    expect(code).toBe(1)
  })

  it('works again after one that was killed in the middle', async () => {
    const { program: file, args, cwd, env } = program('drill')
    const child = spawn(process.execPath, [file, ...args], { cwd, env: { PATH: process.env.PATH, ...env } })
    await eventually('the canary to be held', async () => ((await callAs(canaryToken)) === 429 ? true : null))
    child.kill('SIGKILL')
    const { code, report } = await drill()
    expect(report.broken).toEqual([])
    expect(code).toBe(0)
    await eventually('nothing to be left', async () => ((await leftOfTheCanary()).length === 0 ? true : null))
  })

  it('names the adapter that cannot reach its gateway', async () => {
    await rename(haproxy.socketPath, `${haproxy.socketPath}.away`)
    restore = () => rename(`${haproxy.socketPath}.away`, haproxy.socketPath)
    const { code, report } = await drill()
    expect(report.broken.map(({ link }) => link)).toEqual(['adapter edge'])
    expect(report.refusedMs).toBeNull()
    expect(code).toBe(1)
  })

  it('names the access log that does not arrive', async () => {
    forwarder.lose(true)
    restore = () => forwarder.lose(false)
    const { code, report } = await drill()
    expect(report.broken.map(({ link }) => link)).toEqual(['access log'])
    expect(code).toBe(1)
  })

  it.each([
    ['event log', 'log', () => kafka],
    ['state store', 'store', () => redis],
  ])('names the %s that does not answer', async (link, check, service) => {
    service().pause()
    restore = () => service().resume()
    await eventually(`${check} to be missed`, async () => {
      const { checks } = (await curfew.api('/v1/status')).body as { checks: readonly ReadinessCheck[] }
      return checks.some(({ name, ok }) => name === check && !ok) ? true : null
    })
    const { code, report } = await drill()
    expect(report.broken.map((each) => each.link)).toEqual([link])
    expect(report.calls).toBe(0)
    expect(code).toBe(1)
  })
})
