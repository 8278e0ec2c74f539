import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { DecisionView, Page, PrincipalView } from '../../../engine/control-plane.ts'
import { KafkaClient, type KafkaProducer } from '../../../ingest/sources/kafka-client.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, startCurfew } from '../../services/curfew-process.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'
import { produceHistory, worker } from '../pipeline/canonical-history.ts'
import { childrenOf } from './process-tree.ts'

const TOKEN = 'outage-admin-token-0123456789'
const CALLERS = 12
const ISSUER = 'https://idp.test'
const available = await redisAvailable()
if (!available) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

describe.skipIf(!available)('services that go away while Curfew runs', () => {
  let compiled: CompiledProgram
  let folder: string
  let kafka: KafkaService
  let redis: RedisService
  let client: KafkaClient
  let producer: KafkaProducer
  let curfew: CurfewProcess
  let run = 0
  let sent = 0

  beforeAll(async () => {
    compiled = await compileProgram()
    kafka = await startKafka()
    redis = await startRedis({ appendonly: true })
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'outage', requestTimeoutMs: 5_000 })
    producer = client.producer()
  })
  beforeEach(async () => {
    run++
    sent = 0
    folder = await mkdtemp(join(tmpdir(), 'curfew-outage-'))
    await client.createTopic(`raw-${run}`, 1, { 'retention.ms': '-1' })
  })
  afterEach(async () => {
    curfew?.child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  afterAll(async () => {
    await producer?.close()
    await client?.close()
    await redis?.stop()
    await kafka?.stop()
    await compiled?.remove()
  })

  async function start(args: readonly string[] = [], more = ''): Promise<void> {
    const config = `
identityKeyEnv: IDENTITY_KEY
store: { kind: redis, url: '${redis.url}', keyPrefix: 'run-${run}:' }
log: { kind: kafka, brokers: ['${kafka.brokers[0]}'], topic: events-${run}, groupId: group-${run}, partitions: 4 }
deadLetters: { kind: none }
sources:
  - { name: edge, kind: kafka, topics: [raw-${run}], groupId: ingest-${run}, format: canonical, gateway: { kind: haproxy, id: edge } }
admin: { listen: '127.0.0.1:0', tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }] }
${more}`
    await writeFile(join(folder, 'curfew.yaml'), config)
    curfew = await startCurfew({
      program: compiled.file('cli/main.ts'),
      args: ['run', '--config', 'curfew.yaml', ...args],
      cwd: folder,
      env: { IDENTITY_KEY: 'i'.repeat(40), ADMIN_TOKEN: TOKEN },
      token: TOKEN,
    })
  }

  /** One call of each caller, now. */
  async function sendRound(): Promise<void> {
    const messages = Array.from({ length: CALLERS }, (_, i) => ({
      partition: 0,
      value: Buffer.from(line(`caller-${i}`, 1)),
    }))
    await producer.send(`raw-${run}`, messages)
    sent++
  }

  function line(name: string, records: number): string {
    return JSON.stringify({
      time: Date.now(),
      principal: { kind: 'sub', id: JSON.stringify([ISSUER, name]), label: name },
      method: 'GET',
      path: '/v1/orders',
      status: 200,
      records,
      responseBytes: 180 * records,
    })
  }

  async function ready(expected: number): Promise<void> {
    await eventually(`/readyz to answer ${expected}`, async () =>
      (await curfew.api('/readyz')).status === expected ? true : null,
    )
  }

  /** Every call of everybody counted, none twice. */
  async function allCounted(): Promise<void> {
    await eventually(`${sent} calls of each caller`, async () => {
      const { status, body } = await curfew.api('/v1/principals')
      if (status !== 200) return null
      const { items } = body as Page<PrincipalView>
      for (const { events } of items) expect(events).toBeLessThanOrEqual(sent)
      return items.length === CALLERS && items.every(({ events }) => events === sent) ? true : null
    })
  }

  it('Redis freezes, dies and comes back; Kafka freezes: unready meanwhile, then ready, nothing lost or doubled', async () => {
    await start()
    await sendRound()
    await allCounted()
    await ready(200)

    redis.pause()
    await sendRound()
    await ready(503)
    await sendRound()
    redis.resume()
    await ready(200)
    await allCounted()

    redis.kill()
    await sendRound()
    await ready(503)
    await redis.restart()
    await ready(200)
    await allCounted()

    kafka.pause()
    await ready(503)
    kafka.resume()
    await ready(200)
    await sendRound()
    await allCounted()
    expect(await curfew.end('SIGTERM')).toBe(0)
  }, 400_000)

  it('ends on request although Redis is gone, and goes on where it was', async () => {
    await start()
    await sendRound()
    await allCounted()
    redis.pause()
    await sendRound()
    await ready(503)
    expect(await curfew.end('SIGTERM')).toBe(1)
    redis.resume()
    await start()
    await allCounted()
    expect(await curfew.end('SIGTERM')).toBe(0)
  }, 400_000)

  it('two workers share the partitions; one that is killed loses nothing and leaves no orphan', async () => {
    await start(['--workers', '2'])
    await sendRound()
    await allCounted()
    const before = await eventually('two workers', async () => {
      const found = await childrenOf(curfew.child.pid ?? 0)
      return found.length === 2 ? found : null
    })
    await sendRound()
    process.kill(before[0]!, 'SIGKILL')
    await sendRound()
    await allCounted()
    const after = await eventually('a new worker', async () => {
      const found = await childrenOf(curfew.child.pid ?? 0)
      return found.length === 2 && !found.includes(before[0]!) ? found : null
    })
    await sendRound()
    await allCounted()
    expect(await curfew.end('SIGTERM')).toBe(0)
    for (const pid of after) expect(() => process.kill(pid, 0)).toThrow()
  }, 400_000)

  it('gateways that are absent, hang or talk nonsense fail on record and hold up nobody', async () => {
    const sockets = new Set<{ destroy(): void }>()
    const listen = async (name: string, answer: string | null): Promise<Server> => {
      const server = createServer((socket) => {
        sockets.add(socket.on('error', () => undefined))
        if (answer !== null) socket.end(answer)
      })
      await new Promise<void>((resolve) => server.listen(join(folder, name), resolve))
      return server
    }
    const servers = [await listen('hanging.sock', null), await listen('nonsense.sock', '500 what?\n\n')]
    const gateways = ['absent', 'hanging', 'nonsense'].map(
      (name) =>
        `    - { name: ${name}, kind: haproxy, sockets: ['${join(folder, name)}.sock'], mapFolder: '${folder}' }`,
    )
    const now = Date.now()
    const callers = ['thief', 'orders-svc', 'billing', 'crm-sync'].map((name) => worker(name, now))
    await produceHistory(client, `raw-${run}`, callers, ISSUER, 15, now)
    await start([], `defaultMode: enforce\nenforcement:\n  gateways:\n${gateways.join('\n')}\n`)
    await eventually('the history', async () => {
      const { items } = (await curfew.api('/v1/principals')).body as Page<PrincipalView>
      return items.length === callers.length && items.every(({ events }) => events === 150) ? true : null
    })
    for (let i = 0; i < 60; i++) {
      await producer.send(`raw-${run}`, [{ partition: 0, value: Buffer.from(line('thief', 25)) }])
      await sleep(20)
    }
    const failed = await eventually('a failure of each gateway', async () => {
      const { items } = (await curfew.api('/v1/decisions')).body as Page<DecisionView>
      const names = (d: DecisionView) => d.receipts.filter((r) => r.outcome !== 'done').map((r) => r.gateway)
      return items.find((d) => new Set(names(d)).size === 3) ?? null
    })
    expect(failed.status).toMatch(/^(failed|pending)$/)
    await eventually('every call of the thief', async () => {
      const { items } = (await curfew.api('/v1/principals')).body as Page<PrincipalView>
      return items.find(({ entity }) => entity === 'sub:thief')?.events === 210 ? true : null
    })
    await ready(200)
    expect(await curfew.end('SIGTERM')).toBe(0)
    for (const socket of sockets) socket.destroy()
    for (const server of servers) await new Promise((resolve) => server.close(resolve))
  }, 400_000)
})
