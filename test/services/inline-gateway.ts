import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { gatewayPath } from '../../scripts/gateway-binaries.mjs'
import { freePort } from './free-port.ts'

/** Gateways whose configuration is in `samples/gateways`. */
export type InlineGatewayKind = 'nginx' | 'caddy' | 'envoy' | 'envoy-grpc' | 'envoy-ratelimit' | 'traefik'

interface Program {
  readonly path: string | undefined
  readonly sample: string
  /** A further file of the sample. */
  readonly more?: string
  args(folder: string): readonly string[]
}

const first = (paths: readonly string[]) => paths.find((path) => existsSync(path))

const envoy = (sample: string): Program => ({
  path: first([gatewayPath('envoy')]),
  sample,
  args: () => ['-c', sample, '--disable-hot-restart', '--concurrency', '1', '--log-level', 'error'],
})

const PROGRAMS: Readonly<Record<InlineGatewayKind, Program>> = {
  nginx: {
    path: first(['/usr/sbin/nginx', '/usr/local/sbin/nginx', '/usr/bin/nginx']),
    sample: 'nginx.conf',
    args: (folder) => [
      ...['-p', folder, '-c', 'nginx.conf', '-e', 'error.log'],
      ...['-g', `daemon off; master_process off; pid ${folder}/nginx.pid;`],
    ],
  },
  caddy: {
    path: first(['/usr/bin/caddy', '/usr/local/bin/caddy']),
    sample: 'Caddyfile',
    args: () => ['run', '--config', 'Caddyfile', '--adapter', 'caddyfile'],
  },
  envoy: envoy('envoy.yaml'),
  'envoy-grpc': envoy('envoy-grpc.yaml'),
  'envoy-ratelimit': envoy('envoy-ratelimit.yaml'),
  traefik: {
    path: first([gatewayPath('traefik')]),
    sample: 'traefik.yaml',
    more: 'traefik-routes.yaml',
    args: () => ['--configFile=traefik.yaml'],
  },
}

/** Whether a gateway can be started here. */
export function gatewayInstalled(kind: InlineGatewayKind): boolean {
  return PROGRAMS[kind].path !== undefined
}

export interface InlineGatewayOptions {
  readonly appPort: number
  readonly decidePort: number
  /** Of the endpoint over gRPC, where the sample asks that one. */
  readonly grpcPort?: number
  readonly issuer: string
  /** The key set of the issuer as JSON, for gateways that verify tokens themselves. */
  readonly keySet: string
  /** What else is other than in the sample. */
  readonly edit?: (sample: string) => string
}

/** A real gateway on loopback with the configuration of `samples/gateways`. */
export interface InlineGateway {
  readonly url: string
  /** Lines of its access log so far. */
  log(): Promise<readonly string[]>
  stop(): Promise<void>
}

/** Starts a gateway over a copy of its sample in which only addresses, and the issuer, are others. */
export async function startInlineGateway(
  kind: InlineGatewayKind,
  options: InlineGatewayOptions,
): Promise<InlineGateway> {
  const { path, sample, more, args } = PROGRAMS[kind]
  if (path === undefined) throw new Error(`${kind} is not installed`)
  const folder = await mkdtemp(join(tmpdir(), `curfew-${kind}-`))
  const port = await freePort()
  for (const file of more === undefined ? [sample] : [sample, more]) {
    const shipped = await readFile(new URL(`../../samples/gateways/${file}`, import.meta.url), 'utf8')
    const text = shipped
      .replace(/(127\.0\.0\.1:|port_value: )(8080|8081|8742|8743)\b/g, (_, before: string, usual: string) => {
        const { appPort, decidePort, grpcPort = decidePort } = options
        const ports: Readonly<Record<string, number>> = { 8081: appPort, 8742: decidePort, 8743: grpcPort }
        return `${before}${ports[usual] ?? port}`
      })
      .replace('https://idp.example', options.issuer)
    await writeFile(join(folder, file), options.edit?.(text) ?? text)
  }
  await writeFile(join(folder, 'jwks.json'), options.keySet)
  const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
  const child = spawn(path, [...args(folder)], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'], env })
  const said: string[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (bytes) => said.push(String(bytes)))
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM')
    await ended
    await rm(folder, { recursive: true, force: true })
  }
  const url = `http://127.0.0.1:${port}`
  await answering(url, child).catch(async (error: unknown) => {
    await stop()
    throw new Error(`${kind}: ${String(error)}: ${said.join('').slice(-2_000)}`)
  })
  const log = async (): Promise<readonly string[]> =>
    (await readFile(join(folder, 'access.log'), 'utf8')).trimEnd().split('\n')
  return { url, log, stop }
}

async function answering(url: string, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}`)
    const up = await fetch(url).then(
      async (answer) => {
        await answer.text()
        // Traefik listens before it has loaded its routes.
        return answer.status !== 404
      },
      () => false,
    )
    if (up) return
    await sleep(50)
  }
  throw new Error(`does not listen on ${url}`)
}
