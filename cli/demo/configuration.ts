import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { loadConfig } from '../config/load.ts'
import type { Config } from '../config/schema.ts'
import { ISSUER } from './callers.ts'

/** The configuration of the demo and the secrets that its parts share. */
export interface DemoSetup {
  readonly config: Config
  /** What the issuer signs tokens with. */
  readonly tokenSecret: Uint8Array
  /** Bearer token of the gateway's log push. */
  readonly pushToken: string
  readonly adminToken: string
}

/** The usual port of the admin pages. */
const ADMIN_PORT = 8740

/** A configuration like anybody's, but in code: everything in `folder`, new secrets, free ports. */
export async function demoSetup(folder: string): Promise<DemoSetup> {
  const [tokenSecret, pushToken, adminToken] = [48, 24, 24].map((n) => randomBytes(n).toString('base64url'))
  const secrets = new Map([
    ['DEMO_TOKEN_SECRET', tokenSecret!],
    ['DEMO_PUSH_TOKEN', pushToken!],
    ['DEMO_ADMIN_TOKEN', adminToken!],
  ])
  const adminPort = (await isFree(ADMIN_PORT)) ? ADMIN_PORT : 0
  const loaded = loadConfig(JSON.stringify(settings(folder, adminPort)), {
    env: (name) => secrets.get(name),
    file: (path) => {
      throw new Error(`the demo reads no secret file, not ${path}`)
    },
  })
  if (!loaded.ok)
    throw new Error(`the demo's configuration: ${loaded.problems.map((p) => p.message).join('; ')}`)
  return {
    config: loaded.config,
    tokenSecret: new TextEncoder().encode(tokenSecret),
    pushToken: pushToken!,
    adminToken: adminToken!,
  }
}

/** JSON is YAML too, and needs no quoting of folder names. */
function settings(folder: string, adminPort: number): object {
  return {
    store: { kind: 'embedded', folder: join(folder, 'state') },
    log: { kind: 'embedded', folder: join(folder, 'log') },
    sources: [
      {
        kind: 'http',
        name: 'demo-gateway',
        format: 'kong',
        listen: '127.0.0.1:0',
        tokenEnv: 'DEMO_PUSH_TOKEN',
        gateway: { kind: 'kong', id: 'demo' },
      },
    ],
    deadLetters: { kind: 'file', folder: join(folder, 'dead-letters') },
    defaultMode: 'enforce',
    enforcement: {
      folder: join(folder, 'enforcement'),
      gateways: [{ kind: 'decision', name: 'demo-gateway' }],
    },
    decisionEndpoint: {
      listen: '127.0.0.1:0',
      trustHeaders: true,
      keys: [{ kind: 'hs', alg: 'HS256', secretEnv: 'DEMO_TOKEN_SECRET', issuer: ISSUER }],
    },
    admin: {
      listen: `127.0.0.1:${adminPort}`,
      tokens: [{ name: 'demo', role: 'admin', tokenEnv: 'DEMO_ADMIN_TOKEN' }],
    },
    logLevel: 'error',
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}
