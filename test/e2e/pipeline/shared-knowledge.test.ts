import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CORE } from '../../../baseline/layout.ts'
import type { StateStore } from '../../../baseline/store.ts'
import { openRedisStore } from '../../../baseline/stores/redis-store.ts'
import { type Principal, profileKey } from '../../../core/event.ts'
import { partitionOf } from '../../../core/hash.ts'
import type { Page, PrincipalView } from '../../../engine/control-plane.ts'
import { cutKnowledge, decodeSums } from '../../../engine/knowledge.ts'
import { knowledgeDocument } from '../../../engine/knowledge-merger.ts'
import { type MergedKnowledge, sumsIn } from '../../../engine/merged-knowledge.ts'
import type { Partition } from '../../../engine/partition.ts'
import { FROZEN_KEY, standingKey, storedPrior, storedStanding } from '../../../engine/partition-state.ts'
import { KafkaClient } from '../../../ingest/sources/kafka-client.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import { burst } from '../../scenarios/engine/traffic.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, eventually, startCurfew } from '../../services/curfew-process.ts'
import { type KafkaService, startKafka } from '../../services/kafka.ts'
import { type RedisService, redisAvailable, startRedis } from '../../services/redis.ts'
import { produceHistory, worker } from './canonical-history.ts'

const available = await redisAvailable()
if (!available) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

const PARTITIONS = 4
/** Nobody who has called so far belongs here. */
const EMPTY = 2
const RAW_TOPIC = 'edge.access'
const ISSUER = 'https://idp.test'
const DAYS = 10
const TOKEN = 'knowledge-admin-token-0123456789'
const CALLS = 300
const GAP_MS = 20
/** Nothing is an incident. */
const CALM = { values: { minIncidentSurprise: 30 } }
const RECORDS = 25

function principalOf(name: string): Principal {
  return { kind: 'sub', id: JSON.stringify([ISSUER, name]), label: name, verified: true }
}

/** Names of callers that belong to the empty partition, or to the others. */
function names(count: number, inEmpty: boolean): readonly string[] {
  const found: string[] = []
  for (let i = 0; found.length < count; i++) {
    const home = partitionOf(profileKey('default', principalOf(`svc-${i}`)), PARTITIONS)
    if ((home === EMPTY) === inEmpty) found.push(`svc-${i}`)
  }
  return found
}

/** The most surprising call of a caller's day, -log10 p, as its profile has it. */
function largestSurprise({ residents }: Partition, name: string): number {
  const view = residents.slab.at(residents.find('default', principalOf(name)))
  return view.f32[(view.base + CORE.dayMaxSurprise) / 4]!
}

describe.skipIf(!available)('two workers on Kafka and Redis', () => {
  let compiled: CompiledProgram
  let folder: string
  let kafka: KafkaService
  let redis: RedisService
  let client: KafkaClient
  let store: StateStore
  let curfew: CurfewProcess

  beforeAll(async () => {
    compiled = await compileProgram()
    folder = await mkdtemp(join(tmpdir(), 'curfew-knowledge-'))
    kafka = await startKafka()
    redis = await startRedis()
    store = await openRedisStore({ url: redis.url })
    client = new KafkaClient({ brokers: kafka.brokers, clientId: 'knowledge' })
    await client.createTopic(RAW_TOPIC, 1, { 'retention.ms': '-1' })
    await writeFile(
      join(folder, 'curfew.yaml'),
      `
identityKeyEnv: IDENTITY_KEY
store: { kind: redis, url: '${redis.url}' }
log: { kind: kafka, brokers: ['${kafka.brokers[0]}'], partitions: ${PARTITIONS} }
sources:
  - { name: edge, kind: kafka, topics: [${RAW_TOPIC}], format: canonical, gateway: { kind: kong, id: edge } }
admin:
  listen: 127.0.0.1:0
  tokens: [{ name: operations, role: admin, tokenEnv: ADMIN_TOKEN }]
`,
    )
  })

  afterAll(async () => {
    await curfew?.end('SIGTERM')
    await client?.close()
    await store?.close()
    await redis?.stop()
    await kafka?.stop()
    await compiled?.remove()
    await rm(folder, { recursive: true, force: true })
  })

  async function get<T>(path: string): Promise<T> {
    const { status, body } = await curfew.api(path)
    expect(status).toBe(200)
    return body as T
  }

  async function metric(name: string): Promise<number> {
    const response = await fetch(`${curfew.admin}/metrics`, { headers: { authorization: `Bearer ${TOKEN}` } })
    const line = (await response.text())
      .split('\n')
      .find((text) => text.startsWith(`${name}{population="known"}`))
    return Number(line?.split(' ').at(-1) ?? 0)
  }

  async function download(name: string, start: number): Promise<void> {
    const producer = client.producer()
    const messages = Array.from({ length: CALLS }, (_, i) => ({
      partition: 0,
      timestamp: start + i * GAP_MS,
      value: Buffer.from(
        JSON.stringify({
          id: `${name}-${i}`,
          time: start + i * GAP_MS,
          principal: principalOf(name),
          method: 'GET',
          path: '/v1/orders',
          status: 200,
          records: RECORDS,
          recordsFrom: 'header',
        }),
      ),
    }))
    await producer.send(RAW_TOPIC, messages)
    await producer.close()
  }

  it('judge a new caller in a partition without history by what the callers of the others taught', async () => {
    const colleagues = names(40, false)
    const now = Date.now()
    const callers = colleagues.map((name) => worker(name, now))
    await produceHistory(client, RAW_TOPIC, callers, ISSUER, DAYS, now)
    curfew = await startCurfew({
      program: compiled.file('cli/main.ts'),
      args: ['run', '--config', 'curfew.yaml', '--workers', '2'],
      cwd: folder,
      env: { IDENTITY_KEY: 'i'.repeat(40), ADMIN_TOKEN: TOKEN },
      token: TOKEN,
    })
    await eventually('the history to be learnt', async () => {
      const { items } = await get<Page<PrincipalView>>('/v1/principals?limit=100')
      return items.filter(({ events }) => events === DAYS * 10).length === colleagues.length ? true : null
    })
    const made = await eventually('a version with nearly all of it', async () => {
      const { body } = await store.getDocument(knowledgeDocument('known'))
      const knowledge = body === '' ? null : (JSON.parse(body) as { knowledge: MergedKnowledge }).knowledge
      if (knowledge === null || decodeSums(sumsIn(knowledge)!).prior.count[2]! < colleagues.length)
        return null
      return (await metric('curfew_knowledge_version_in_force')) >= knowledge.version ? knowledge : null
    })
    expect(await metric('curfew_knowledge_version')).toBe(made.version)
    // The empty partition, and those that nobody of the last hour belongs to.
    expect(await metric('curfew_knowledge_partitions_missing')).toBeGreaterThanOrEqual(1)
    const expected = cutKnowledge(decodeSums(sumsIn(made)!), 0).prior
    for (let n = 0; n < PARTITIONS; n++) {
      const [frozen, standing] = await store.read(n, [FROZEN_KEY, standingKey('known')])
      expect(storedStanding(standing!)).toMatchObject({ taken: { version: made.version, hash: made.hash } })
      expect(storedPrior(frozen!).center).toEqual(expected.center)
    }

    const name = names(1, true)[0]!
    const start = Date.now()
    await download(name, start)
    await eventually('the calls of the newcomer to be judged', async () => {
      const { items } = await get<Page<PrincipalView>>(`/v1/principals?search=${name}&limit=100`)
      return items.some(({ entity, events }) => entity === `sub:${name}` && events === CALLS) ? true : null
    })
    const stored = new Map<string, Uint8Array>()
    for await (const [key, bytes] of store.scan(EMPTY, '')) stored.set(key, bytes)
    const judged = largestSurprise(StoredPartition.open(stored).engine, name)
    const calls = burst(principalOf(name), start, CALLS, GAP_MS, { records: RECORDS, responseBytes: null })
    const [taught, alone] = [StoredPartition.open(new Map(), CALM), StoredPartition.open(new Map(), CALM)]
    taught.control({ kind: 'knowledge', ...made })
    for (const { engine } of [taught, alone]) for (const call of calls) engine.step(call)
    expect(judged).toBeCloseTo(largestSurprise(taught.engine, name), 3)
    expect(judged).toBeGreaterThan(1.3 * largestSurprise(alone.engine, name))
  }, 400_000)
})
