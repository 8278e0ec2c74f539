import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { freePort } from './free-port.ts'

const run = promisify(execFile)
const READY_ATTEMPTS = 400
const READY_PAUSE_MS = 25

export interface RedisServiceOptions {
  readonly maxmemoryPolicy?: string
  /** For example `64mb`; without it a policy evicts nothing. */
  readonly maxmemory?: string
  /** Append-only file, synced at every write. */
  readonly appendonly?: boolean
  /** Existing folder to keep; without it a fresh one is made, and removed by `stop`. */
  readonly dir?: string
  readonly password?: string
  readonly replicaOf?: number
  readonly clusterEnabled?: boolean
  /** PEM files; adds a second port that speaks TLS and asks for no client certificate. */
  readonly tls?: { readonly key: string; readonly cert: string }
}

/** A private redis-server on a free loopback port. */
export interface RedisService {
  readonly url: string
  readonly port: number
  /** 0 without TLS. */
  readonly tlsPort: number
  /** SIGKILL, as a power cut of the process would be. */
  kill(): void
  /** Starts the server again over the same folder and port; ready when resolved. */
  restart(): Promise<void>
  /** SIGSTOP: connections stay open and nothing answers. */
  pause(): void
  resume(): void
  stop(): Promise<void>
}

/** True when a redis-server program can be started here. */
export async function redisAvailable(): Promise<boolean> {
  return await run('redis-server', ['--version']).then(
    () => true,
    () => false,
  )
}

/** A cluster node also listens on its port + 10000, so ports stay below 50000. */
/** True when the server answers and has loaded its data. */
async function answers(port: number, password: string | undefined): Promise<boolean> {
  return await new Promise((resolve) => {
    const socket = new Socket()
    const finish = (ok: boolean) => {
      socket.destroy()
      resolve(ok)
    }
    socket.on('error', () => finish(false))
    socket.on('data', (data) => finish(data.toString().includes('PONG')))
    socket.connect(port, '127.0.0.1', () => {
      socket.write(`${password === undefined ? '' : `AUTH ${password}\r\n`}PING\r\n`)
    })
    socket.setTimeout(2_000, () => finish(false))
  })
}

function serverArguments(port: number, tlsPort: number, dir: string, options: RedisServiceOptions): string[] {
  const args = [
    '--port',
    `${port}`,
    '--bind',
    '127.0.0.1',
    '--dir',
    dir,
    '--save',
    '',
    '--logfile',
    'redis.log',
  ]
  args.push('--appendonly', options.appendonly ? 'yes' : 'no', '--appendfsync', 'always')
  if (options.maxmemory !== undefined) args.push('--maxmemory', options.maxmemory)
  if (options.maxmemoryPolicy !== undefined) args.push('--maxmemory-policy', options.maxmemoryPolicy)
  if (options.password !== undefined) args.push('--requirepass', options.password)
  if (options.replicaOf !== undefined) args.push('--replicaof', '127.0.0.1', `${options.replicaOf}`)
  if (options.clusterEnabled) args.push('--cluster-enabled', 'yes', '--cluster-config-file', 'nodes.conf')
  if (options.tls !== undefined) {
    const { key, cert } = options.tls
    args.push(
      '--tls-port',
      `${tlsPort}`,
      '--tls-key-file',
      key,
      '--tls-cert-file',
      cert,
      '--tls-ca-cert-file',
      cert,
    )
    args.push('--tls-auth-clients', 'no')
  }
  return args
}

async function gone(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => child.once('exit', resolve))
}

/** Starts a server; ready when resolved. */
export async function startRedis(options: RedisServiceOptions = {}): Promise<RedisService> {
  const dir = options.dir ?? (await mkdtemp(join(tmpdir(), 'curfew-redis-')))
  const port = await freePort()
  const tlsPort = options.tls === undefined ? 0 : await freePort()
  const launch = async (): Promise<ChildProcess> => {
    const started = spawn('redis-server', serverArguments(port, tlsPort, dir, options), { stdio: 'ignore' })
    let failed = false
    started.once('error', () => {
      failed = true
    })
    for (let attempt = 0; attempt < READY_ATTEMPTS && !failed && started.exitCode === null; attempt++) {
      if (await answers(port, options.password)) return started
      await sleep(READY_PAUSE_MS)
    }
    started.kill('SIGKILL')
    throw new Error(`redis-server did not start on port ${port}, see ${dir}/redis.log`)
  }
  let child = await launch()
  return {
    url: `redis://${options.password === undefined ? '' : `:${options.password}@`}127.0.0.1:${port}`,
    port,
    tlsPort,
    kill: () => void child.kill('SIGKILL'),
    restart: async () => {
      child.kill('SIGKILL')
      await gone(child)
      child = await launch()
    },
    pause: () => void child.kill('SIGSTOP'),
    resume: () => void child.kill('SIGCONT'),
    stop: async () => {
      child.kill('SIGKILL')
      await gone(child)
      if (options.dir === undefined) await rm(dir, { recursive: true, force: true })
    },
  }
}

/** A Redis Cluster of three primaries. */
export interface RedisClusterService {
  /** `host:port` of every node. */
  readonly nodes: readonly string[]
  readonly services: readonly RedisService[]
  stop(): Promise<void>
}

/** Starts three servers and joins them; ready when every slot is served. */
export async function startRedisCluster(): Promise<RedisClusterService> {
  const services = await Promise.all([1, 2, 3].map(() => startRedis({ clusterEnabled: true })))
  const nodes = services.map(({ port }) => `127.0.0.1:${port}`)
  await run('redis-cli', ['--cluster', 'create', ...nodes, '--cluster-yes'])
  for (const { port } of services) {
    for (let attempt = 0; attempt < READY_ATTEMPTS; attempt++) {
      const { stdout } = await run('redis-cli', ['-p', `${port}`, 'cluster', 'info'])
      if (stdout.includes('cluster_state:ok')) break
      await sleep(READY_PAUSE_MS)
    }
  }
  return {
    nodes,
    services,
    stop: async () => {
      await Promise.all(services.map((service) => service.stop()))
    },
  }
}
