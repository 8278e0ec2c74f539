import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { KafkaClient } from '../../ingest/sources/kafka-client.ts'
import { freePort } from './free-port.ts'

const run = promisify(execFile)
const READY_ATTEMPTS = 240
const READY_PAUSE_MS = 250

/** A real one-node Apache Kafka (KRaft) on free loopback ports with a folder of its own. */
export interface KafkaService {
  readonly brokers: readonly string[]
  readonly classpath: string
  /** Process id of the running broker. */
  pid(): number
  /** Freezes the broker (SIGSTOP): connections stay open and nothing answers. */
  pause(): void
  resume(): void
  /** SIGKILL, as a power cut of the process would be. */
  kill(): Promise<void>
  /** Starts the broker again over the same folder and ports; ready when resolved. */
  restart(): Promise<void>
  /** Ends the broker and removes its folder. */
  stop(): Promise<void>
}

export interface KafkaServiceOptions {
  /** Lines added to `server.properties`. */
  readonly properties?: Readonly<Record<string, string>>
}

function repositoryRoot(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

/** Class path of the Kafka jars, downloaded at the first call on a machine. */
export async function kafkaClasspath(): Promise<string> {
  const script = join(repositoryRoot(), 'scripts', 'kafka-artifacts.mjs')
  const { stdout } = await run(process.execPath, [script], { maxBuffer: 16_777_216 })
  return stdout.trim()
}

function properties(
  folder: string,
  port: number,
  controllerPort: number,
  extra: KafkaServiceOptions['properties'],
) {
  const entries: Record<string, string> = {
    'process.roles': 'broker,controller',
    'node.id': '1',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    listeners: `PLAINTEXT://127.0.0.1:${port},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `PLAINTEXT://127.0.0.1:${port}`,
    'inter.broker.listener.name': 'PLAINTEXT',
    'controller.listener.names': 'CONTROLLER',
    'listener.security.protocol.map': 'CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT',
    'log.dirs': join(folder, 'data'),
    'num.partitions': '1',
    'num.network.threads': '1',
    'num.io.threads': '2',
    'offsets.topic.num.partitions': '4',
    'offsets.topic.replication.factor': '1',
    'transaction.state.log.replication.factor': '1',
    'transaction.state.log.min.isr': '1',
    'group.initial.rebalance.delay.ms': '0',
    'group.min.session.timeout.ms': '1000',
    'auto.create.topics.enable': 'false',
    ...extra,
  }
  return Object.entries(entries)
    .map(([key, value]) => `${key}=${value}\n`)
    .join('')
}

const LOG4J = `status=error
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c %m%n
rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
`

const JVM = ['-Xmx512m', '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', '-Xshare:auto']

class Broker implements KafkaService {
  readonly brokers: readonly string[]
  readonly classpath: string
  readonly #folder: string
  #child: ChildProcess | null = null

  constructor(folder: string, classpath: string, port: number) {
    this.#folder = folder
    this.classpath = classpath
    this.brokers = [`127.0.0.1:${port}`]
  }

  pid(): number {
    const pid = this.#child?.pid
    if (pid === undefined) throw new Error('the broker is not running')
    return pid
  }

  pause(): void {
    process.kill(this.pid(), 'SIGSTOP')
  }

  resume(): void {
    process.kill(this.pid(), 'SIGCONT')
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async restart(): Promise<void> {
    const log = await open(join(this.#folder, 'server.log'), 'a')
    const log4j = `-Dlog4j2.configurationFile=file:${join(this.#folder, 'log4j2.properties')}`
    const args = [
      ...JVM,
      log4j,
      '-cp',
      this.classpath,
      'kafka.Kafka',
      join(this.#folder, 'server.properties'),
    ]
    this.#child = spawn('java', args, { stdio: ['ignore', log.fd, log.fd] })
    await log.close()
    await this.#ready(this.#child)
  }

  async stop(): Promise<void> {
    if (this.#child !== null) await this.#end('SIGKILL')
    await rm(this.#folder, { recursive: true, force: true })
  }

  async #ready(child: ChildProcess): Promise<void> {
    for (let attempt = 0; attempt < READY_ATTEMPTS && child.exitCode === null; attempt += 1) {
      const client = new KafkaClient({
        brokers: this.brokers,
        clientId: 'ready',
        retries: 0,
        connectionTimeoutMs: 1_000,
      })
      try {
        await client.topics()
        return
      } catch {
        await sleep(READY_PAUSE_MS)
      } finally {
        await client.close()
      }
    }
    const text = await readFile(join(this.#folder, 'server.log'), 'utf8')
    throw new Error(`Kafka did not become ready:\n${text.slice(-4_000)}`)
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill(signal)
    await ended
  }
}

/** Starts a broker; resolves when an admin call of our own client is answered. */
export async function startKafka(options: KafkaServiceOptions = {}): Promise<KafkaService> {
  const classpath = await kafkaClasspath()
  const folder = await mkdtemp(join(tmpdir(), 'curfew-kafka-'))
  const port = await freePort()
  const file = join(folder, 'server.properties')
  await writeFile(file, properties(folder, port, await freePort(), options.properties))
  await writeFile(join(folder, 'log4j2.properties'), LOG4J)
  const tool = [...JVM, '-cp', classpath, 'kafka.tools.StorageTool']
  const { stdout } = await run('java', [...tool, 'random-uuid'])
  const id = stdout.trim().split('\n').at(-1) ?? ''
  await run('java', [...tool, 'format', '-t', id, '-c', file])
  const broker = new Broker(folder, classpath, port)
  try {
    await broker.restart()
  } catch (error) {
    await broker.stop()
    throw error
  }
  return broker
}
