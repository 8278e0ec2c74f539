import { randomBytes } from 'node:crypto'
import { Agent, request as httpRequest, type IncomingMessage, type ServerResponse } from 'node:http'
import type { Clock } from '../../core/time.ts'
import { ENVELOPE_HEADER, envelopeOfHeader } from '../../enforcement/envelope-book.ts'
import { EnvelopeMeter } from '../../enforcement/envelope-meter.ts'
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

/** What one gateway works with. */
interface Desk {
  readonly options: GatewayOptions
  readonly agent: Agent
  /** Counts callers against the envelopes that Curfew tells: only the gateway sees how a call ends. */
  readonly meter: EnvelopeMeter
}

/**
 * A small API gateway: believes only tokens that it verified itself, asks Curfew's decision endpoint before
 * each call, passes it on, and logs it as Kong does. When nobody can answer for Curfew it lets calls pass.
 */
export async function startGateway(options: GatewayOptions): Promise<LoopbackServer> {
  const agent = new Agent({ keepAlive: true, maxSockets: 64 })
  const desk = { options, agent, meter: new EnvelopeMeter() }
  const server = await startLoopbackServer((request, response) => {
    request.resume()
    void serve(request, response, desk)
  })
  return {
    url: server.url,
    close: async () => {
      await server.close()
      agent.destroy()
    },
  }
}

async function serve(request: IncomingMessage, response: ServerResponse, desk: Desk): Promise<void> {
  const { options } = desk
  const startedAt = options.clock.now()
  const identity = await identityOf(request, options)
  const answer =
    identity === null ? refusal(401, 'token not accepted') : await answerOf(request, identity, desk)
  response.writeHead(answer.status, { ...answer.headers, 'content-length': String(answer.body.length) })
  response.end(answer.body)
  options.log(kongLine(callOf(request, identity, answer, startedAt, options.clock.now())))
}

async function identityOf(request: IncomingMessage, options: GatewayOptions): Promise<Identity | null> {
  const claims = await verifiedClaims(request.headers.authorization, options.secret, options.clock)
  const caller = claims === null ? undefined : [...CALLERS, CANARY].find((c) => c.username === claims.sub)
  return claims === null || caller === undefined ? null : { caller, claims }
}

/** Curfew's refusal, that of the envelope, or what the upstream says. */
async function answerOf(request: IncomingMessage, identity: Identity, desk: Desk): Promise<Answer> {
  const { options, agent, meter } = desk
  const headers = { authorization: request.headers.authorization ?? '', 'x-consumer-id': identity.caller.id }
  const asked = await call(`${options.decisions}/decide`, headers, agent)
  if (asked !== null && [401, 403, 429].includes(asked.status)) return refusedByCurfew(asked)
  const envelope = envelopeOfHeader(asked?.headers[ENVELOPE_HEADER])
  if (envelope === null) return proxied(request, identity, options, agent)
  const caller = envelope.id
  if (meter.exceeded(caller, envelope.limits, options.clock.now()) !== null) {
    const over = refusal(429, 'envelope')
    return { ...over, headers: { ...over.headers, 'retry-after': '10', 'x-curfew-decision': envelope.id } }
  }
  meter.begin(caller, options.clock.now())
  const answer = await proxied(request, identity, options, agent)
  meter.end(caller, recordsOf(answer), RESPONSE_OVERHEAD + answer.body.length, options.clock.now())
  return answer
}

function recordsOf({ headers }: Answer): number | null {
  const text = headers['x-records-returned']
  return text === undefined || !/^\d{1,9}$/.test(text) ? null : Number(text)
}

function refusedByCurfew(asked: Omit<Answer, 'proxyMs'>): Answer {
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
  answer: Answer,
  startedAt: number,
  endedAt: number,
): GatewayCall {
  const { status, headers, body, proxyMs } = answer
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
    records: proxyMs === null ? null : recordsOf(answer),
    clientIp: request.socket.remoteAddress ?? '127.0.0.1',
    userAgent: request.headers['user-agent'] ?? '',
    identity,
    decision: proxyMs === null ? (headers['x-curfew-decision'] ?? null) : null,
  }
}
