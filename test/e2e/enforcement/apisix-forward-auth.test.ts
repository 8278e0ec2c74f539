import { readFile } from 'node:fs/promises'
import {
  createServer,
  request as httpRequest,
  type IncomingMessage,
  type Server,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type OpenedEndpoint, openEndpoint } from '../../../cli/build-endpoint.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import {
  type AskingGateway,
  shippedForwardAuth,
  startForwardAuthStandIn,
} from '../../services/apisix-forward-auth.ts'
import { APISIX_ADMIN_URL, APISIX_URL, RealApisix } from '../../services/apisix-real.ts'

const ISSUER = 'https://idp.test/realm'
const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
const KEY_SET = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'RS256', kid: 'k1' }] })
const never = new AbortController().signal
const clock = { now: () => wallTime(Date.now()) }
const until = wallTime(Date.now() + 3_600_000)

let app: Server
let reached: (readonly string[])[]
let endpoint: OpenedEndpoint
let question: Server
/** What the endpoint was asked: the request line, then names and values in turn. */
let asked: (readonly string[])[]
let gateway: AskingGateway
let denyList: DenyList

const portOf = (server: Server) => (server.address() as AddressInfo).port

async function listening(handle: (request: IncomingMessage, reply: ServerResponse) => void): Promise<Server> {
  const server = createServer(handle)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return server
}

async function ended(server: Server): Promise<void> {
  if (!server.listening) return
  server.closeAllConnections()
  await new Promise((resolve) => server.close(resolve))
}

/** Passes a question on as it came. */
function passOn(request: IncomingMessage, reply: ServerResponse): void {
  asked.push([`${request.method} ${request.url}`, ...request.rawHeaders])
  const url = `http://127.0.0.1:${endpoint.port}${request.url}`
  httpRequest(url, { method: request.method, headers: request.rawHeaders, agent: false }, (answer) => {
    reply.writeHead(answer.statusCode ?? 0, answer.rawHeaders)
    answer.pipe(reply)
  })
    .on('error', () => reply.destroy())
    .end()
}

async function startReal(decidePort: number, appPort: number): Promise<AskingGateway> {
  const apisix = new RealApisix(APISIX_ADMIN_URL ?? '')
  await apisix.start()
  await apisix.plant('global_rules', 'curfew', { ...(await shippedForwardAuth(decidePort)) })
  const upstream = { type: 'roundrobin', nodes: { [`127.0.0.1:${appPort}`]: 1 } }
  await apisix.plant('routes', 'r1', { uri: '/*', upstream })
  for (let tries = 0; (await fetch(APISIX_URL)).status !== 401; tries++) {
    if (tries > 500) throw new Error('the rule is not in force')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  return { url: APISIX_URL, stop: () => apisix.stop() }
}

async function setUp(start: (decidePort: number, appPort: number) => Promise<AskingGateway>): Promise<void> {
  reached = []
  asked = []
  app = await listening((request, reply) => {
    if (request.url === '/jwks.json') return reply.end(KEY_SET)
    reached.push(request.rawHeaders)
    return reply.end('orders')
  })
  denyList = new DenyList({
    name: 'deny',
    store: new MemoryDenyStore(),
    clock,
    worstCaseDelayMs: 0,
    knowsAddress: true,
  })
  await denyList.refresh(never)
  const shipped = await readFile(new URL('../../../samples/gateways/curfew.yaml', import.meta.url), 'utf8')
  const text = shipped
    .replace('https://idp.example/jwks.json', `http://127.0.0.1:${portOf(app)}/jwks.json`)
    .replace('https://idp.example', ISSUER)
    .replace('127.0.0.1:8742', '127.0.0.1:0')
    .replace('# addressHeader', 'addressHeader')
  const loaded = loadConfig(text, { env: () => undefined, file: () => '' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const opened = await openEndpoint({ config: loaded.config, clock, answered: () => undefined }, denyList)
  if (opened === null) throw new Error('no endpoint')
  endpoint = opened
  question = await listening(passOn)
  gateway = await start(portOf(question), portOf(app))
  asked.length = 0
  reached.length = 0
}

async function tearDown(): Promise<void> {
  await gateway.stop()
  await endpoint.close()
  await ended(question)
  await ended(app)
}

function token(sub: string, jti: string): Promise<string> {
  const now = Math.floor(Date.now() / 1_000)
  return new SignJWT({ iss: ISSUER, sub, jti, iat: now - 5, exp: now + 600 })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .sign(privateKey)
}

const rule = (
  id: string,
  action: Rule['action'],
  scope: Rule['scope'],
  limit: Rule['limit'] = null,
): Rule => ({
  id,
  action,
  scope,
  limit,
  until,
})
const alice = { kind: 'sub', id: JSON.stringify([ISSUER, 'alice']), label: 'alice', verified: true } as const

interface Seen {
  readonly status: number
  readonly decision: string | undefined
  readonly retryAfter: string | undefined
}

function call(
  headers: readonly string[],
  localAddress = '127.0.0.1',
  path = '/v1/orders/7?page=1',
): Promise<Seen> {
  return new Promise((resolve, reject) => {
    const all = ['host', 'api.test', ...headers]
    httpRequest(`${gateway.url}${path}`, { headers: all, agent: false, localAddress }, (answer) => {
      const { 'x-curfew-decision': decision, 'retry-after': retryAfter } = answer.resume().headers
      resolve({ status: answer.statusCode ?? 0, decision: decision as string | undefined, retryAfter })
    })
      .on('error', reject)
      .end()
  })
}

const bearer = async (sub: string, jti: string) => ['authorization', `Bearer ${await token(sub, jti)}`]
const status = async (headers: readonly string[], from?: string) => (await call(headers, from)).status

const GATEWAYS = [
  {
    name: 'a stand-in',
    start: (decide: number, application: number) => startForwardAuthStandIn({ decide, app: application }),
    isHere: true,
  },
  { name: 'a real APISIX', start: startReal, isHere: APISIX_ADMIN_URL !== undefined },
].filter(({ isHere }) => isHere)

describe.each(GATEWAYS)('samples/gateways/apisix.json at $name', { timeout: 60_000 }, ({ start }) => {
  beforeEach(() => setUp(start))
  afterEach(tearDown)

  it('throttles, revokes, and lets pass again', async () => {
    const own = await bearer('alice', 'a-1')
    expect(await status(own)).toBe(200)
    const throttle = { requests: 1, windowSeconds: 600 }
    await denyList.put(rule('dec_t', 'throttle', { kind: 'principal', principal: alice }, throttle), never)
    expect(await status(own)).toBe(200)
    const limited = await call(own)
    expect(limited).toMatchObject({ status: 429, decision: 'dec_t' })
    expect(Number(limited.retryAfter)).toBeGreaterThan(500)
    await denyList.put(rule('dec_r', 'revoke-token', { kind: 'token', iss: ISSUER, jti: 'a-1' }), never)
    expect(await call(own)).toMatchObject({ status: 401, decision: 'dec_r' })
    expect(await status(await bearer('bob', 'b-1'))).toBe(200)
    expect(await status([])).toBe(401)
    await denyList.remove('dec_r', never)
    await denyList.remove('dec_t', never)
    expect(await status(own)).toBe(200)
  })

  it('asks with what the plugin sends, whatever the client sends', async () => {
    const own = await bearer('alice', 'a-1')
    const claims = ['x-curfew-client', '198.51.100.7', 'x-forwarded-for', '198.51.100.7', 'cookie', 'a=b']
    await call([...own, ...claims])
    const [line, ...headers] = asked[0]!
    // How long a connection lives is the transport's business.
    const names = headers.filter((name, i) => i % 2 === 0 && name !== 'Connection')
    expect(line).toBe('GET /decide')
    expect(new Set(names).size).toBe(names.length)
    expect(names.sort()).toEqual([
      'Authorization',
      'Host',
      'User-Agent',
      'X-Curfew-Client',
      'X-Forwarded-For',
      'X-Forwarded-Host',
      'X-Forwarded-Method',
      'X-Forwarded-Proto',
      'X-Forwarded-Uri',
    ])
    expect(headers[headers.indexOf('X-Curfew-Client') + 1]).toBe('127.0.0.1')
  })

  it('refuses a caller in one network, whatever address it claims', async () => {
    const network = { kind: 'network', network: '127.0.9.0', principal: alice } as const
    await denyList.put(rule('dec_n', 'block', network), never)
    const own = await bearer('alice', 'a-1')
    const forged = (address: string) => ['x-curfew-client', address, 'x-forwarded-for', address]
    expect(await status([...own, ...forged('127.0.0.1')], '127.0.9.1')).toBe(403)
    expect(await status([...own, ...forged('127.0.9.1')])).toBe(200)
    expect(await status(await bearer('bob', 'b-1'), '127.0.9.1')).toBe(200)
  })

  it('tells the application who called, and lets no client do so', async () => {
    const forged = ['x-curfew-subject', 'root', 'X-Curfew-Issuer', 'evil', 'x-curfew-token', 'x']
    await call([...(await bearer('alice', 'a-1')), ...forged])
    const told = reached[0]!
    const subjects = told.filter((_, i) => i % 2 === 1 && told[i - 1]!.toLowerCase() === 'x-curfew-subject')
    expect(subjects).toEqual(['alice'])
    expect(told).not.toContain('evil')
  })

  it('lets no call through whose token two readers could read differently', async () => {
    const jwt = await token('mallory', 'o-1')
    for (const headers of [
      ['authorization', `X Bearer ${jwt}`],
      ['authorization', `Basic x, Bearer ${jwt}`],
      ['authorization', 'Basic eDp5', 'authorization', `Bearer ${jwt}`],
      ['authorization', `Bearer\t${jwt}`],
      ['authorization', 'Basic eDp5'],
    ])
      expect([400, 401], headers.join()).toContain(await status(headers))
    expect(reached).toEqual([])
  })

  it('lets nobody pass while the endpoint is gone', async () => {
    await ended(question)
    expect(await status(await bearer('alice', 'a-1'))).toBe(503)
    expect(reached).toEqual([])
  })
})
