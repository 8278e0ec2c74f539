import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { type CurfewProcess, runCurfew, startCurfew } from '../../services/curfew-process.ts'
import { redisAvailable, startRedis } from '../../services/redis.ts'

const SECRETS = { ADMIN_TOKEN: 'bad-start-admin-token-0123456789', IDENTITY_KEY: 'k'.repeat(40) }
const TOKEN = SECRETS.ADMIN_TOKEN
const available = await redisAvailable()
if (!available) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

const EMBEDDED = `
store: { kind: embedded, folder: state }
log: { kind: embedded, folder: log }
deadLetters: { kind: none }
logLevel: error
`
const IDENTITY = 'identityKeyEnv: IDENTITY_KEY'
const ADMIN = (port: number) => `
admin:
  listen: 127.0.0.1:${port}
  tokens: [{ name: test, role: admin, tokenEnv: ADMIN_TOKEN }]
`

let compiled: CompiledProgram
let folder: string
let port: number

beforeAll(async () => {
  compiled = await compileProgram()
})
afterAll(() => compiled?.remove())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'curfew-start-'))
  const server = await listen()
  port = portOf(server)
  await new Promise((resolve) => server.close(resolve))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

function listen(): Promise<Server> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => resolve(server))
  })
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

function options(env: Readonly<Record<string, string>> = SECRETS) {
  return {
    program: compiled.file('cli/main.ts'),
    args: ['run', '--config', 'curfew.yaml'],
    cwd: folder,
    env,
    token: TOKEN,
  }
}

/** Starts with a configuration that cannot work and returns the one line that it says. */
async function refusal(config: string, env?: Readonly<Record<string, string>>): Promise<string> {
  await writeFile(join(folder, 'curfew.yaml'), config)
  const { code, stdout, stderr } = await runCurfew(options(env))
  const lines = stderr.trim().split('\n')
  expect(lines.filter((line) => line.startsWith('curfew: '))).toHaveLength(1)
  expect(stderr).not.toMatch(/^\s+at /m)
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
  return lines.find((line) => line.startsWith('curfew: ')) ?? ''
}

async function startAndEnd(config: string): Promise<number | string> {
  await writeFile(join(folder, 'curfew.yaml'), config)
  const curfew = await startCurfew(options())
  expect((await curfew.api('/readyz')).status).toBe(200)
  return curfew.end('SIGTERM')
}

describe('a start that cannot work says why in one line and leaves nothing behind', () => {
  it.each([
    ['an unknown key', `${EMBEDDED}detektion: {}\n`, /curfew\.yaml:\d+: .*detektion.*detection/],
    ['an impossible value', `${EMBEDDED}memory: { maxPrincipals: -3 }\n`, /`memory\.maxPrincipals` is -3/],
    ['a broken file', `${EMBEDDED}store: [\n`, /curfew\.yaml:\d+:/],
  ])('%s', async (_, config, expected) => {
    expect(await refusal(config)).toMatch(expected)
    expect(await readdir(folder)).toEqual(['curfew.yaml'])
  })

  it('a missing secret', async () => {
    expect(await refusal(EMBEDDED + ADMIN(port), {})).toContain('ADMIN_TOKEN')
    expect(await readdir(folder)).toEqual(['curfew.yaml'])
  })

  it('a Redis that is not there', async () => {
    const store = `store: { kind: redis, url: 'redis://127.0.0.1:${port}', connectTimeoutMs: 500 }`
    const line = await refusal(
      `${IDENTITY}\n${store}\nlog: { kind: embedded, folder: log }\ndeadLetters: { kind: none }\n`,
    )
    expect(line).toContain(`cannot reach Redis at 127.0.0.1:${port}`)
    expect(await readdir(folder)).toEqual(['curfew.yaml'])
  })

  it('a Kafka that is not there, after which the folder can be used', async () => {
    const log = `log: { kind: kafka, brokers: ['127.0.0.1:${port}'] }`
    const line = await refusal(
      `store: { kind: embedded, folder: state }\n${log}\ndeadLetters: { kind: none }\nlogLevel: silent\n`,
    )
    expect(line).toMatch(new RegExp(`Kafka.*127\\.0\\.0\\.1:${port}`))
    expect(await startAndEnd(EMBEDDED + ADMIN(port))).toBe(0)
  })

  it.skipIf(!available)('a Redis that may evict', async () => {
    const redis = await startRedis({ maxmemory: '64mb', maxmemoryPolicy: 'allkeys-lru' })
    try {
      const line = await refusal(
        `${IDENTITY}\nstore: { kind: redis, url: '${redis.url}' }\nlog: { kind: embedded, folder: log }\n`,
      )
      expect(line).toMatch(/maxmemory-policy.*allkeys-lru/)
    } finally {
      await redis.stop()
    }
  })

  it('a folder that another process has, which goes on undisturbed', async () => {
    await writeFile(join(folder, 'curfew.yaml'), EMBEDDED + ADMIN(port))
    const first: CurfewProcess = await startCurfew(options())
    try {
      expect(await refusal(EMBEDDED + ADMIN(0))).toMatch(/in use by process \d+/)
      expect((await first.api('/readyz')).status).toBe(200)
    } finally {
      expect(await first.end('SIGTERM')).toBe(0)
    }
  })

  it('a folder of a process that was killed is taken over', async () => {
    await writeFile(join(folder, 'curfew.yaml'), EMBEDDED + ADMIN(port))
    const first = await startCurfew(options())
    expect(await first.end('SIGKILL')).toBe('SIGKILL')
    expect(await startAndEnd(EMBEDDED + ADMIN(port))).toBe(0)
  })

  it.each([
    ['admin', () => ADMIN(port), /admin\.listen: .*has that port/],
    [
      'a push source',
      () => `sources:
  - { name: push, kind: http, format: kong, gateway: { kind: kong, id: k }, listen: '127.0.0.1:${port}', tokenEnv: ADMIN_TOKEN }
admin: { listen: '127.0.0.1:0' }
`,
      /has that port/,
    ],
    [
      'the decision endpoint',
      () => `enforcement: { gateways: [{ name: deny, kind: decision }] }
decisionEndpoint: { listen: '127.0.0.1:${port}' }
admin: { listen: '127.0.0.1:0' }
`,
      /decisionEndpoint\.listen: .*has that port/,
    ],
    [
      'the decision endpoint over gRPC',
      () => `enforcement: { gateways: [{ name: deny, kind: decision }] }
decisionEndpoint: { listen: '127.0.0.1:0', grpc: { listen: '127.0.0.1:${port}' } }
admin: { listen: '127.0.0.1:0' }
`,
      /decisionEndpoint\.grpc\.listen: .*has that port/,
    ],
  ])('a port that is taken: %s', async (_, config, expected) => {
    const server = await new Promise<Server>((resolve) => {
      const taken = createServer().listen(port, '127.0.0.1', () => resolve(taken))
    })
    expect(await refusal(EMBEDDED + config())).toMatch(expected)
    await new Promise((resolve) => server.close(resolve))
    expect(await startAndEnd(EMBEDDED + ADMIN(port))).toBe(0)
  })

  it('a folder that cannot be made', async () => {
    await mkdir(join(folder, 'other'))
    await writeFile(join(folder, 'other', 'state'), 'a file, not a folder')
    const config = EMBEDDED.replace('folder: state', 'folder: other/state')
    expect(await refusal(config)).toContain('other/state')
  })
})
