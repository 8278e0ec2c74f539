import { randomBytes } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { KafkaClient, type KafkaProducer } from '../ingest/sources/kafka-client.ts'
import { type RunningHaproxy, startHaproxy } from '../test/services/haproxy.ts'
import { startKafka } from '../test/services/kafka.ts'
import { startRedis } from '../test/services/redis.ts'
import { MEASURED_CORE, OTHER_CORE, pin } from './cores.ts'
import { type Child, curfew, forked } from './latency-children.ts'
import { DETECTION } from './latency-records.ts'

/** One way from a topic to a HAProxy of its own. */
export interface Chain {
  readonly topic: string
  readonly haproxy: RunningHaproxy
}

/** Everything that the round trips run through, started. */
export interface Setting {
  readonly ours: Chain
  readonly bare: Chain
  readonly producer: KafkaProducer
  readonly load: Child
  /** Asks the bare chain to take a rule away. */
  lift(rule: string): void
  /** Events judged so far. */
  judged(): Promise<number>
  /** Rejects when one of the processes ends. */
  readonly failed: Promise<never>
}

const TOPIC_PARTITIONS = 4
/** UDP discard: the log lines of the polling client are of no use here. */
const DISCARD_PORT = 9

/**
 * Runs `work` in a setting that is taken down afterwards, last started first, whatever happens. Curfew has a core to
 * itself, as in every measurement of speed; servers, load and clients, which stand elsewhere in earnest, share the other.
 */
export async function withSetting<T>(work: (setting: Setting) => Promise<T>): Promise<T> {
  const closing: (() => Promise<unknown>)[] = []
  pin(process.pid, OTHER_CORE)
  try {
    return await work(await open(closing))
  } finally {
    for (const close of closing.reverse()) {
      await close().catch((error: unknown) => process.stderr.write(`while closing: ${String(error)}\n`))
    }
  }
}

async function open(closing: (() => Promise<unknown>)[]): Promise<Setting> {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-latency-'))
  closing.push(() => rm(folder, { recursive: true, force: true }))
  const kafka = await startKafka()
  closing.push(() => kafka.stop())
  const redis = await startRedis()
  closing.push(() => redis.stop())
  const upstreamPort = await startUpstream(closing)
  const [ours, bare] = await Promise.all(
    (['gateway.access', 'bare.access'] as const).map(async (topic) => {
      const haproxy = await startHaproxy({ logPort: DISCARD_PORT, upstreamPort })
      closing.push(() => haproxy.stop())
      return { topic, haproxy }
    }),
  )
  if (ours === undefined || bare === undefined) throw new Error('no chains')
  const client = new KafkaClient({ brokers: kafka.brokers, clientId: 'bench' })
  closing.push(() => client.close())
  for (const { topic } of [ours, bare]) await client.createTopic(topic, TOPIC_PARTITIONS)
  const producer = client.producer()
  closing.push(() => producer.close())

  const token = randomBytes(24).toString('hex')
  const config = join(folder, 'curfew.yaml')
  await writeFile(config, JSON.stringify(configuration(kafka.brokers, redis.url, ours)))
  const started = <C extends Child>(child: C): C => {
    closing.push(() => child.stop())
    return child
  }
  const service = started(curfew(config, folder, { CURFEW_BENCH_TOKEN: token, CURFEW_BENCH_KEY: token }))
  pin(service.process.pid!, MEASURED_CORE)
  const bareTask = { brokers: kafka.brokers, topic: bare.topic, ...pick(bare.haproxy) }
  const bareChild = started(forked('bare', bareTask))
  await bareChild.message()
  await service.said(/curfew is running/)
  const admin = (await service.said(/at (http:\/\/[^\s/#]+)/))[1]!
  const load = started(forked('load', { brokers: kafka.brokers, topic: ours.topic }))
  await load.message()
  return {
    ours,
    bare,
    producer,
    load,
    lift: (rule) => void bareChild.process.send(rule),
    judged: () => judged(admin, token),
    failed: Promise.race([service.failed, bareChild.failed, load.failed]),
  }
}

function pick({ socketPath, mapFolder }: RunningHaproxy) {
  return { socketPath, mapFolder }
}

async function startUpstream(closing: (() => Promise<unknown>)[]): Promise<number> {
  const server = createServer((_, response) => void response.end('{}'))
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  closing.push(async () => {
    server.close()
    server.closeAllConnections()
  })
  return (server.address() as AddressInfo).port
}

/** The configuration file: a strict subset of YAML is JSON. */
function configuration(brokers: readonly string[], redisUrl: string, { topic, haproxy }: Chain): object {
  return {
    identityKeyEnv: 'CURFEW_BENCH_KEY',
    store: { kind: 'redis', url: redisUrl },
    log: { kind: 'kafka', brokers },
    sources: [
      {
        name: 'gateway',
        kind: 'kafka',
        topics: [topic],
        format: 'canonical',
        gateway: { kind: 'haproxy', id: 'edge' },
      },
    ],
    deadLetters: { kind: 'none' },
    detection: DETECTION,
    defaultMode: 'enforce',
    enforcement: {
      guard: { maxNewPrincipals: 1_000_000, maxLiveRules: 1_000_000 },
      gateways: [
        { kind: 'haproxy', name: 'edge', sockets: [haproxy.socketPath], mapFolder: haproxy.mapFolder },
      ],
    },
    admin: {
      listen: '127.0.0.1:0',
      tokens: [{ name: 'bench', role: 'viewer', tokenEnv: 'CURFEW_BENCH_TOKEN' }],
    },
    logLevel: 'warn',
  }
}

const JUDGED =
  /^(?:curfew_verdict_surprise_count|curfew_verdicts_abstained_total|curfew_duplicates_total) (\d+)/gm

async function judged(admin: string, token: string): Promise<number> {
  const response = await fetch(`${admin}/metrics`, { headers: { authorization: `Bearer ${token}` } })
  if (!response.ok) throw new Error(`metrics: status ${response.status}`)
  let sum = 0
  for (const [, count] of (await response.text()).matchAll(JUDGED)) sum += Number(count)
  return sum
}
