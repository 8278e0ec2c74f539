import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fastify from 'fastify'
import { CurfewError } from '../core/errors.ts'
import type { Principal } from '../core/event.ts'
import type { Clock, WallTimeMs } from '../core/time.ts'
import type { TokenFault, TrustedIssuer } from './decision-endpoint-tokens.ts'
import { readToken, TokenVerifier } from './decision-endpoint-tokens.ts'
import type { DenyList } from './gateways/deny-list.ts'
import type { AskedToken, DenyAnswer, DenyQuestion, DenyReason } from './gateways/deny-list-index.ts'

/** Request headers, all together, are cut off here with 431. */
export const MAX_HEADER_BYTES = 16_384
const MAX_IDENTITY_CHARS = 256
/** How many concurrent connections the listener takes; a gateway keeps a small pool. */
const MAX_CONNECTIONS = 1_024
const ASKING_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

/** Identity headers set by a gateway that strips them from clients first; names in lower case. */
export interface TrustedHeaders {
  /** Stable consumer id, such as Kong's `x-consumer-id`. */
  readonly consumer: string | null
  /** Row id of the credential used. Kong's `x-credential-identifier` is the key itself, not this. */
  readonly credential: string | null
}

export interface DecisionEndpointOptions {
  readonly denyList: DenyList
  readonly clock: Clock
  readonly host?: string
  /** 0 picks a free port. */
  readonly port: number
  /** Empty where the gateway verifies tokens before it asks: claims are then taken as they come. */
  readonly issuers: readonly TrustedIssuer[]
  /** Refuse calls that carry no identity at all with 401. Off where the gateway also serves anonymous calls. */
  readonly requireIdentity: boolean
  /** Honoured only when set: anybody who reaches this listener may send them. */
  readonly trustHeaders: TrustedHeaders | null
  /** Header that carries an API key, in lower case; its holder is known by the SHA-256 of the key. */
  readonly apiKeyHeader: string | null
  /** Name of a subject in decisions with scope `principal`; by default the `sub` claim itself. */
  readonly subjectId?: (token: AskedToken) => string | null
  /** What callers unknown to the list get while the local copy is older than `maxStaleMs`. */
  readonly failMode: 'open' | 'closed'
  readonly maxStaleMs: number
  readonly clockToleranceSeconds?: number
  /** Told of every answer; for metrics. Never receives tokens or claims. */
  readonly answered?: (status: number, reason: AnswerReason) => void
}

export type AnswerReason =
  | DenyReason
  | TokenFault
  | 'no-identity'
  | 'ambiguous-identity'
  | 'deny-list-stale'
  | 'keys-unreachable'

/** A running endpoint. */
export interface DecisionEndpoint {
  readonly url: string
  readonly port: number
  close(): Promise<void>
}

interface Answer {
  readonly status: 200 | 401 | 403 | 429 | 503
  readonly reason: AnswerReason
  readonly ruleId: string | null
  readonly retryAfterSeconds: number | null
  /** Set when the token was verified here. */
  readonly verified: AskedToken | null
}

/**
 * Serves `/decide` for NGINX `auth_request`, Caddy and Traefik forward auth, Envoy `ext_authz` and the like:
 * 200 lets the call pass, 401 and 403 refuse it, 429 throttles it, 503 says that nobody can tell. Also
 * `GET /healthz`. Listens on 127.0.0.1 unless told otherwise, on a listener of its own, without writes.
 */
export async function startDecisionEndpoint(options: DecisionEndpointOptions): Promise<DecisionEndpoint> {
  const verifier = options.issuers.length === 0 ? null : await TokenVerifier.of(options.issuers)
  const app = fastify({
    logger: false,
    bodyLimit: 1_048_576,
    requestTimeout: 5_000,
    exposeHeadRoutes: false,
    http: { maxHeaderSize: MAX_HEADER_BYTES },
  })
  app.server.maxConnections = MAX_CONNECTIONS
  discardBodies(app)
  const handler = async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
    const answer = await decide(request, options, verifier)
    options.answered?.(answer.status, answer.reason)
    return send(reply, answer)
  }
  // Envoy asks with the caller's method, and appends the caller's path.
  for (const url of ['/decide', '/decide/*']) app.route({ method: [...ASKING_METHODS], url, handler })
  app.get('/healthz', async (_request, reply) => {
    const fresh = isFresh(options, options.clock.now())
    return reply
      .code(fresh ? 200 : 503)
      .send({ status: fresh ? 'ok' : 'stale', rules: options.denyList.size })
  })
  const host = options.host ?? '127.0.0.1'
  try {
    await app.listen({ host, port: options.port })
  } catch (cause) {
    throw new CurfewError('CONFIG_INVALID', `decision endpoint cannot listen on ${host}:${options.port}`, {
      cause,
    })
  }
  const { port } = app.server.address() as AddressInfo
  const shown = host.includes(':') ? `[${host}]` : host
  return { url: `http://${shown}:${port}`, port, close: () => app.close() }
}

/** Gateways may forward the caller's body; nothing in it decides. */
function discardBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', (_request, body, done) => {
    body.resume()
    body.on('end', () => done(null))
    body.on('error', done)
  })
}

async function decide(
  request: FastifyRequest,
  options: DecisionEndpointOptions,
  verifier: TokenVerifier | null,
): Promise<Answer> {
  const now = options.clock.now()
  const authorization = onlyValue(request, 'authorization')
  const apiKey = options.apiKeyHeader === null ? null : onlyValue(request, options.apiKeyHeader)
  const consumer = trustedValue(request, options.trustHeaders?.consumer ?? null)
  const credential = trustedValue(request, options.trustHeaders?.credential ?? null)
  const values = [authorization, apiKey, consumer, credential]
  if (values.includes(undefined)) return refuse(401, 'ambiguous-identity')

  const text = bearerOf(authorization ?? null)
  if (text === undefined) return refuse(401, 'invalid-token')
  const token = text === null ? null : readToken(text)
  const question = ask(options, token, apiKey ?? null, consumer ?? null, credential ?? null)
  const refusal = options.denyList.refusal(question, now)
  if (refusal !== null) return fromList(refusal, null)
  if (text !== null && token === null && verifier !== null) return refuse(401, 'invalid-token')
  if (text !== null && token !== null && verifier !== null) {
    const fault = await verifier.fault(text, token, now, options.clockToleranceSeconds ?? 5)
    if (fault === 'keys-unreachable') return refuse(503, fault)
    if (fault !== null) return refuse(401, fault)
  }
  const anonymous = question.principals.length === 0 && question.credentials.length === 0 && token === null
  if (anonymous && options.requireIdentity) return refuse(401, 'no-identity')
  const verified = verifier === null ? null : token
  const answer = options.denyList.admit(question, now)
  if (answer.status !== 200) return fromList(answer, verified)
  if (options.failMode === 'closed' && !isFresh(options, now)) return refuse(503, 'deny-list-stale')
  return fromList(answer, verified)
}

function isFresh({ denyList, maxStaleMs }: DecisionEndpointOptions, now: WallTimeMs): boolean {
  return denyList.refreshedAt !== null && now - denyList.refreshedAt <= maxStaleMs
}

function refuse(status: 401 | 503, reason: AnswerReason): Answer {
  return { status, reason, ruleId: null, retryAfterSeconds: null, verified: null }
}

function fromList(answer: DenyAnswer, verified: AskedToken | null): Answer {
  return { ...answer, verified }
}

/** The header's value, null when absent, undefined when it is sent twice: two readers could pick two callers. */
function onlyValue(request: FastifyRequest, name: string): string | null | undefined {
  const raw = request.raw.rawHeaders
  let value: string | null = null
  for (let i = 0; i + 1 < raw.length; i += 2) {
    if (raw[i]!.toLowerCase() !== name) continue
    if (value !== null) return undefined
    value = raw[i + 1]!
  }
  return value
}

function trustedValue(request: FastifyRequest, name: string | null): string | null | undefined {
  const value = name === null ? null : onlyValue(request, name)
  return value !== null && value !== undefined && value.length > MAX_IDENTITY_CHARS ? undefined : value
}

/**
 * The token of a Bearer header (RFC 6750 section 2.1; scheme without case), or of one without any scheme,
 * as some gateways take it. Undefined when it is a Bearer header that cannot be read: passing it as
 * anonymous would let a more lenient reader behind us accept the token in it.
 */
function bearerOf(authorization: string | null): string | null | undefined {
  if (authorization === null) return null
  const token = /^(?:bearer +)?(\S+) *$/i.exec(authorization)?.[1]
  if (token !== undefined) return token
  return /^bearer\b/i.test(authorization) ? undefined : null
}

function ask(
  { subjectId }: DecisionEndpointOptions,
  token: AskedToken | null,
  apiKey: string | null,
  consumer: string | null,
  credential: string | null,
): DenyQuestion {
  const principals: Pick<Principal, 'kind' | 'id'>[] = []
  const credentials: string[] = []
  const subject = token === null ? null : subjectId === undefined ? token.sub : subjectId(token)
  if (subject !== null) principals.push({ kind: 'sub', id: subject })
  if (consumer !== null) principals.push({ kind: 'consumer', id: consumer })
  if (credential !== null) credentials.push(credential)
  if (apiKey !== null) {
    const id = apiKeyId(apiKey)
    principals.push({ kind: 'key', id })
    credentials.push(id)
  }
  return { token, principals, credentials }
}

/** What the holder of an API key is called: the key itself is never kept. */
export function apiKeyId(apiKey: string): string {
  return createHash('sha256').update(apiKey).digest('hex')
}

function send(reply: FastifyReply, answer: Answer): FastifyReply {
  reply.code(answer.status).header('cache-control', 'no-store')
  if (answer.verified !== null) {
    headerOf(reply, 'x-curfew-subject', answer.verified.sub)
    headerOf(reply, 'x-curfew-issuer', answer.verified.iss)
    headerOf(reply, 'x-curfew-token', answer.verified.jti)
  }
  if (answer.status === 200) return reply.send()
  // A decision's id when one of ours refused, so that logs tell our refusals from all others.
  if (answer.ruleId !== null) headerOf(reply, 'x-curfew-decision', answer.ruleId)
  reply.header('x-curfew-reason', answer.reason)
  if (answer.retryAfterSeconds !== null) reply.header('retry-after', String(answer.retryAfterSeconds))
  if (answer.status === 401) reply.header('www-authenticate', 'Bearer error="invalid_token"')
  return reply.send({ error: answer.reason })
}

/** Claims are foreign text: made well-formed (lone surrogates replaced), percent-encoded and cut. */
function headerOf(reply: FastifyReply, name: string, value: string | null): void {
  if (value === null) return
  const wellFormed = Buffer.from(value, 'utf8').toString('utf8')
  reply.header(name, encodeURIComponent(wellFormed).slice(0, MAX_IDENTITY_CHARS))
}
