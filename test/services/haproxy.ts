import { type ChildProcess, spawn } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { freePort } from './free-port.ts'

/** Why HAProxy tests cannot run here, or null. */
export const haproxyMissing: string | null = existsSync('/usr/sbin/haproxy')
  ? null
  : 'haproxy is not installed'

function configurationFile(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return join(folder, 'samples', 'haproxy', 'curfew.cfg')
}

/** A running HAProxy with the configuration of samples/haproxy. */
export interface RunningHaproxy {
  /** Port of the guarded API on 127.0.0.1. */
  readonly port: number
  readonly socketPath: string
  readonly mapFolder: string
  /** Issuer of HS256 tokens, signed with `secret`. */
  readonly issuer: string
  readonly secret: string
  /** Issuer of RS256 tokens, signed with `privateKey`; its subjects are labelled `partner/...`. */
  readonly partnerIssuer: string
  readonly privateKey: KeyObject
  /** One command line of the Runtime API and its answer. */
  command(line: string): Promise<string>
  /** Resolves when a new worker has taken over. */
  reload(): Promise<void>
  stop(): Promise<void>
}

export interface HaproxyOptions {
  /** UDP port on 127.0.0.1 that takes the log lines. */
  readonly logPort: number
  /** Port on 127.0.0.1 of the service behind. */
  readonly upstreamPort: number
  /** Existing folder for maps, socket and keys; by default a temporary one that `stop` removes. */
  readonly folder?: string
  /** Name of the gateway in its log. Default `edge`. */
  readonly node?: string
  /** Address of the API, by default a free port. */
  readonly port?: number
}

/** Starts a real HAProxy on free ports; resolves when it answers. */
export async function startHaproxy(options: HaproxyOptions): Promise<RunningHaproxy> {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'curfew-haproxy-')))
  const mapFolder = join(folder, 'maps')
  const socketPath = join(folder, 'runtime.sock')
  const keyFile = join(folder, 'partner.pem')
  const issuer = 'https://idp.test/realm'
  const partnerIssuer = 'https://partner.test'
  const secret = 'loopback-test-secret-0123456789ab'
  const keys = generateKeyPairSync('rsa', { modulusLength: 2048 })
  await mkdir(mapFolder, { recursive: true })
  await writeFile(keyFile, keys.publicKey.export({ type: 'spki', format: 'pem' }))
  for (const map of ['tokens', 'subjects', 'blocks', 'throttles', 'envelopes']) {
    await writeFile(join(mapFolder, `${map}.map`), '', { flag: 'a' })
  }
  const port = options.port ?? (await freePort())
  const child = spawn('/usr/sbin/haproxy', ['-W', '-db', '-f', configurationFile()], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: {
      ...process.env,
      CURFEW_BIND: `127.0.0.1:${port}`,
      CURFEW_UPSTREAM: `127.0.0.1:${options.upstreamPort}`,
      CURFEW_LOG: `127.0.0.1:${options.logPort}`,
      CURFEW_SOCKET: socketPath,
      CURFEW_NODE: options.node ?? 'edge',
      CURFEW_MAPS: mapFolder,
      CURFEW_HS256_ISSUER: issuer,
      CURFEW_HS256_SECRET: secret,
      CURFEW_HS256_LABEL: '',
      CURFEW_RS256_ISSUER: partnerIssuer,
      CURFEW_RS256_KEY: keyFile,
      CURFEW_RS256_LABEL: 'partner/',
    },
  })
  const messages = collect(child)
  const command = (line: string) => runtimeCommand(socketPath, line)
  await until(async () => (await command('show info')).includes('Pid:'), child, messages)
  return {
    port,
    socketPath,
    mapFolder,
    issuer,
    secret,
    partnerIssuer,
    privateKey: keys.privateKey,
    command,
    reload: async () => {
      const before = await workerPid(command)
      child.kill('SIGUSR2')
      await until(async () => (await workerPid(command)) !== before, child, messages)
    },
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) {
        const exited = new Promise((resolve) => child.once('exit', resolve))
        child.kill('SIGTERM')
        await exited
      }
      if (options.folder === undefined) await rm(folder, { recursive: true, force: true })
    },
  }
}

async function workerPid(command: (line: string) => Promise<string>): Promise<string> {
  const pid = /^Pid: (\d+)$/m.exec(await command('show info'))?.[1]
  if (pid === undefined) throw new Error('show info without a Pid')
  return pid
}

function collect(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    text = (text + chunk).slice(-4_000)
  })
  return () => text
}

async function until(
  ready: () => Promise<boolean>,
  child: ChildProcess,
  messages: () => string,
): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt++) {
    if (child.exitCode !== null) throw new Error(`haproxy ended with ${child.exitCode}: ${messages()}`)
    if (await ready().catch(() => false)) return
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
  throw new Error(`haproxy is not ready after 10 s: ${messages()}`)
}

function runtimeCommand(socketPath: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = createConnection({ path: socketPath })
    socket.setEncoding('utf8')
    socket.on('data', (chunk) => {
      answer += chunk
    })
    socket.on('end', () => resolve(answer))
    socket.on('error', reject)
    socket.end(`${line}\n`)
  })
}
