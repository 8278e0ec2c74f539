import { randomBytes } from 'node:crypto'
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Clock } from '../../core/time.ts'
import { CALLERS, CANARY, type Caller } from './callers.ts'
import { type Claims, type GatewayCall, kongLine } from './kong-line.ts'
import { type LoopbackServer, startLoopbackServer } from './loopback-server.ts'
import { verifiedClaims } from './token.ts'

export interface GatewayOptions {
  /** Where the API is. */
  readonly upstream: string
  /** Address of Curfew's decision endpoint. */
  readonly decisions: string
  /** Secret of the issuer. */
  readonly secret: Uint8Array
  readonly clock: Clock
  /** Takes each log line in Kong's format when its call is over. */
  readonly log: (line: string) => void
}

const CALL_TIMEOUT_MS = 5_000
const MAX_URI_CHARS = 2_048
/** Status line and headers of an answer, bytes: what Kong's `response.size` has on top of the body. */
const RESPONSE_OVERHEAD = 220
const PASSED_ON = ['retry-after', 'x-curfew-decision', 'x-curfew-reason'] as const

interface Identity {
  readonly caller: Caller
  readonly claims: Claims
}

/** What became of a call. */
interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  /** Null when the upstream was not asked. */
  readonly proxyMs: number | null
}

/**
 * A small API gateway: believes only tokens that it verified itself, asks Curfew's decision endpoint before
 * each call, passes it on, and logs it as Kong does. When nobody can answer for Curfew it lets calls pass.
 */
export async function startGateway(options: GatewayOptions): Promise<LoopbackServer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const server = await startLoopbackServer((request, response) => {
    request.resume()
    void serve(request, response, options, agent)
  })
  return {
    url: server.url,
    close: async () => {
      await server.close()
      agent.destroy()
    },
  }
}

async function serve(
  request: IncomingMessage,
  response: ServerResponse,
  options: GatewayOptions,
  agent: Agent,
): Promise<void> {
  const startedAt = options.clock.now()
  const identity = await identityOf(request, options)
  const answer =
    identity === null
      ? refusal(401, 'token not accepted')
      : ((await refusedByCurfew(request, identity, options, agent)) ??
        (await proxied(request, identity, options, agent)))
  response.writeHead(answer.status, { ...answer.headers, 'content-length': String(answer.body.length) })
  response.end(answer.body)
  options.log(kongLine(callOf(request, identity, answer, startedAt, options.clock.now())))
}

async function identityOf(request: IncomingMessage, options: GatewayOptions): Promise<Identity | null> {
  const claims = await verifiedClaims(request.headers.authorization, options.secret, options.clock)
  const caller = claims === null ? undefined : [...CALLERS, CANARY].find((c) => c.username === claims.sub)
  return claims === null || caller === undefined ? null : { caller, claims }
}

/** Curfew's refusal, or null when the call may pass. */
async function refusedByCurfew(
  request: IncomingMessage,
  { caller }: Identity,
  { decisions }: GatewayOptions,
  agent: Agent,
): Promise<Answer | null> {
  const headers = { authorization: request.headers.authorization ?? '', 'x-consumer-id': caller.id }
  const asked = await call(`${decisions}/decide`, headers, agent)
  if (asked === null || ![401, 403, 429].includes(asked.status)) return null
  const kept = PASSED_ON.filter((name) => asked.headers[name] !== undefined)
  const passed = Object.fromEntries(kept.map((name) => [name, asked.headers[name]!]))
  return {
    ...asked,
    headers: { ...passed, 'content-type': 'application/json; charset=utf-8' },
    proxyMs: null,
  }
}

/** The upstream's answer. Only headers that the gateway sets itself reach the upstream. */
async function proxied(
  request: IncomingMessage,
  { caller }: Identity,
  { upstream, clock }: GatewayOptions,
  agent: Agent,
): Promise<Answer> {
  if (request.method !== 'GET') return refusal(405, 'only GET')
  const asked = clock.now()
  const headers = { 'x-consumer-id': caller.id, 'x-consumer-username': caller.username }
  const answer = await call(`${upstream}${uriOf(request)}`, headers, agent)
  if (answer === null) return refusal(502, 'the upstream does not answer')
  return { ...answer, proxyMs: clock.now() - asked }
}

function refusal(status: number, error: string): Answer {
  const headers = { 'content-type': 'application/json; charset=utf-8' }
  return { status, headers, body: Buffer.from(JSON.stringify({ error })), proxyMs: null }
}

function uriOf(request: IncomingMessage): string {
  return (request.url ?? '/').slice(0, MAX_URI_CHARS)
}

function call(
  url: string,
  headers: Readonly<Record<string, string>>,
  agent: Agent,
): Promise<Omit<Answer, 'proxyMs'> | null> {
  return new Promise((resolve) => {
    const asked = httpRequest(url, { agent, headers, timeout: CALL_TIMEOUT_MS }, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', () => resolve(null))
      response.on('end', () => {
        resolve({
          status: response.statusCode ?? 502,
          headers: endToEnd(response),
          body: Buffer.concat(chunks),
        })
      })
    })
    asked.on('timeout', () => asked.destroy())
    asked.on('error', () => resolve(null))
    asked.end()
  })
}

/** Headers of an answer that concern the client, not this connection. */
function endToEnd(response: IncomingMessage): Readonly<Record<string, string>> {
  const hop = ['connection', 'keep-alive', 'transfer-encoding', 'content-length']
  const kept = Object.entries(response.headers).filter(
    ([name, value]) => typeof value === 'string' && !hop.includes(name),
  )
  return Object.fromEntries(kept) as Record<string, string>
}

function callOf(
  request: IncomingMessage,
  identity: Identity | null,
  { status, headers, body, proxyMs }: Answer,
  startedAt: number,
  endedAt: number,
): GatewayCall {
  const records = headers['x-records-returned']
  return {
    requestId: randomBytes(16).toString('hex'),
    startedAt,
    method: request.method ?? 'GET',
    uri: uriOf(request),
    status,
    requestBytes: request.rawHeaders.join('').length + uriOf(request).length,
    responseBytes: RESPONSE_OVERHEAD + body.length,
    requestMs: endedAt - startedAt,
    proxyMs,
    records: proxyMs === null || records === undefined ? null : Number(records),
    clientIp: request.socket.remoteAddress ?? '127.0.0.1',
    userAgent: request.headers['user-agent'] ?? '',
    identity,
    decision: proxyMs === null ? (headers['x-curfew-decision'] ?? null) : null,
  }
}
