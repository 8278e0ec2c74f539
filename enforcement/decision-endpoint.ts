import { createHash } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fastify from 'fastify'
import { CurfewError } from '../core/errors.ts'
import type { Principal } from '../core/event.ts'
import { networkOf } from '../core/network.ts'
import type { Clock, WallTimeMs } from '../core/time.ts'
import type { ShownToken } from './decision-endpoint-memory.ts'
import { headerValue, MAX_IDENTITY_CHARS, TokenMemory } from './decision-endpoint-memory.ts'
import type { TokenFault, TrustedIssuer } from './decision-endpoint-tokens.ts'
import { readToken, TokenVerifier } from './decision-endpoint-tokens.ts'
import { ENVELOPE_HEADER, type EnvelopeBook, envelopeHeader } from './envelope-book.ts'
import type { DenyList } from './gateways/deny-list.ts'
import type { AskedToken, DenyQuestion, DenyReason } from './gateways/deny-list-index.ts'

/** Request headers, all together, are cut off here with 431. */
export const MAX_HEADER_BYTES = 16_384
/** How far the clocks of issuers may be off, unless told otherwise. */
const CLOCK_TOLERANCE_SECONDS = 5
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
  /**
   * Where empty, claims are taken as they come: they can refuse a call, but count against nobody's throttle, or whoever
   * forges a token would use up the share of the caller that it names.
   */
  readonly issuers: readonly TrustedIssuer[]
  /** Refuse calls that carry no identity at all with 401. Off where the gateway also serves anonymous calls. */
  readonly requireIdentity: boolean
  /** Honoured only when set: anybody who reaches this listener may send them. */
  readonly trustHeaders: TrustedHeaders | null
  /** Header that carries an API key, in lower case; its holder is known by the SHA-256 of the key. */
  readonly apiKeyHeader: string | null
  /**
   * Header by which the gateway tells the address of its client, in lower case. It must be set for every question, so that
   * a client's own never arrives; of two, or of what is no address, nothing is believed.
   */
  readonly addressHeader?: string | null
  /** Name of a subject in decisions with scope `principal`; by default the `sub` claim itself. */
  readonly subjectId?: (token: AskedToken) => string | null
  /** What callers unknown to the list get while the local copy is older than `maxStaleMs`. */
  readonly failMode: 'open' | 'closed'
  readonly maxStaleMs: number
  readonly clockToleranceSeconds?: number
  /** Standing limits of callers; `enforced` false only counts what they would refuse. */
  readonly envelopes?: { readonly book: EnvelopeBook; readonly enforced: boolean }
  /** Told of every answer; for metrics. Never receives tokens or claims. */
  readonly answered?: (status: number, reason: AnswerReason) => void
}

export type AnswerReason =
  | DenyReason
  | TokenFault
  | 'envelope'
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
}

/** What one endpoint works with. */
interface Desk {
  readonly options: DecisionEndpointOptions
  readonly verifier: TokenVerifier | null
  readonly memory: TokenMemory
  readonly toleranceSeconds: number
}

/**
 * Serves `/decide` for NGINX `auth_request`, Caddy and Traefik forward auth, Envoy `ext_authz` and the like:
 * 200 lets the call pass, 401 and 403 refuse it, 429 throttles it, 503 says that nobody can tell. Also
 * `GET /healthz`. Listens on 127.0.0.1 unless told otherwise, on a listener of its own, without writes.
 */
export async function startDecisionEndpoint(options: DecisionEndpointOptions): Promise<DecisionEndpoint> {
  const desk: Desk = {
    options,
    verifier: options.issuers.length === 0 ? null : await TokenVerifier.of(options.issuers),
    memory: new TokenMemory(),
    toleranceSeconds: options.clockToleranceSeconds ?? CLOCK_TOLERANCE_SECONDS,
  }
  const app = fastify({
    logger: false,
    bodyLimit: 1_048_576,
    requestTimeout: 5_000,
    exposeHeadRoutes: false,
    http: { maxHeaderSize: MAX_HEADER_BYTES },
  })
  app.server.maxConnections = MAX_CONNECTIONS
  discardBodies(app)
  const handler = (request: FastifyRequest, reply: FastifyReply): undefined | Promise<undefined> =>
    decide(request, reply, desk)
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

/** What the headers of a call say, before any of it is believed. */
interface Asked {
  readonly text: string | null
  readonly apiKey: string | null
  readonly consumer: string | null
  readonly credential: string | null
  readonly network: string | null
}

/** Waits for nothing where the token was verified before: nearly all calls are answered from memory. */
function decide(request: FastifyRequest, reply: FastifyReply, desk: Desk): undefined | Promise<undefined> {
  const { options, memory, verifier } = desk
  const now = options.clock.now()
  const asked = readHeaders(request, options)
  if (asked === 'ambiguous-identity' || asked === 'invalid-token') return refuse(reply, desk, 401, asked)
  const { text } = asked
  const known = text === null || verifier === null ? null : memory.find(text, now)
  const token = known?.token ?? (text === null ? null : readToken(text))
  const alone = asked.apiKey === null && asked.consumer === null && asked.credential === null
  const question =
    known !== null && alone && asked.network === null ? known.question : ask(options, token, asked)
  const refusal = options.denyList.refusal(question, now)
  if (refusal !== null) return send(reply, desk, refusal, known?.shown ?? null)
  // Where nothing is verified, a text that is no token at all names nobody either.
  const anonymous = alone && (verifier === null ? token === null : text === null)
  if (anonymous && options.requireIdentity) return refuse(reply, desk, 401, 'no-identity')
  if (text === null || known !== null) return admit(reply, desk, question, known?.shown ?? null, now)
  if (verifier === null) return admit(reply, desk, ask(options, null, asked), null, now)
  if (token === null) return refuse(reply, desk, 401, 'invalid-token')
  return verifier.fault(text, token, now, desk.toleranceSeconds).then((fault) => {
    if (fault !== null) return refuse(reply, desk, fault === 'keys-unreachable' ? 503 : 401, fault)
    const plain = alone && asked.network === null ? question : ask(options, token, NOBODY_ELSE)
    const { shown } = memory.add(text, plain, token, now, desk.toleranceSeconds)
    // The list may have learnt of the caller while the signature was checked.
    const late = options.denyList.refusal(question, now)
    return late === null ? admit(reply, desk, question, shown, now) : send(reply, desk, late, shown)
  })
}

const NOBODY_ELSE: Asked = { text: null, apiKey: null, consumer: null, credential: null, network: null }

function readHeaders(
  request: FastifyRequest,
  { apiKeyHeader, trustHeaders, addressHeader }: DecisionEndpointOptions,
): Asked | 'ambiguous-identity' | 'invalid-token' {
  const authorization = onlyValue(request, 'authorization')
  const apiKey = apiKeyHeader === null ? null : onlyValue(request, apiKeyHeader)
  const consumer = trustedValue(request, trustHeaders?.consumer ?? null)
  const credential = trustedValue(request, trustHeaders?.credential ?? null)
  if (authorization === undefined || apiKey === undefined) return 'ambiguous-identity'
  if (consumer === undefined || credential === undefined) return 'ambiguous-identity'
  const text = bearerOf(authorization)
  const address = addressHeader == null ? null : (onlyValue(request, addressHeader) ?? null)
  const network = networkOf(address)
  return text === undefined ? 'invalid-token' : { text, apiKey, consumer, credential, network }
}

/** Counts a call of somebody who is not refused. */
function admit(
  reply: FastifyReply,
  desk: Desk,
  question: DenyQuestion,
  shown: ShownToken | null,
  now: WallTimeMs,
): undefined {
  const { options } = desk
  const { principals } = question
  const standing = options.envelopes?.book.ask(principals, now) ?? null
  const enforced = options.envelopes?.enforced === true ? standing : null
  // Before anything is counted: what the envelope refuses uses up nothing of what a throttle leaves.
  if (enforced !== null && enforced.exceeded !== null)
    return send(reply, desk, overEnvelope(enforced.envelope.id), shown)
  const answer = options.denyList.admit(question, now)
  const stale = answer.status === 200 && options.failMode === 'closed' && !isFresh(options, now)
  if (stale) return refuse(reply, desk, 503, 'deny-list-stale')
  if (answer.status === 200) options.envelopes?.book.count(principals, now)
  const told = enforced === null ? [] : [ENVELOPE_HEADER, envelopeHeader(enforced.envelope)]
  return send(reply, desk, answer, told.length === 0 ? shown : [...(shown ?? []), ...told])
}

/** The endpoint counts requests per 10 s, so it may be asked again after as long. */
function overEnvelope(ruleId: string): Answer {
  return { status: 429, reason: 'envelope', ruleId, retryAfterSeconds: 10 }
}

function isFresh({ denyList, maxStaleMs }: DecisionEndpointOptions, now: WallTimeMs): boolean {
  return denyList.refreshedAt !== null && now - denyList.refreshedAt <= maxStaleMs
}

function refuse(reply: FastifyReply, desk: Desk, status: 401 | 503, reason: AnswerReason): undefined {
  return send(reply, desk, { status, reason, ruleId: null, retryAfterSeconds: null }, null)
}

/** The header's value, null when absent, undefined when it is sent twice: two readers could pick two callers. */
function onlyValue(request: FastifyRequest, name: string): string | null | undefined {
  const raw = request.raw.rawHeaders
  let value: string | null = null
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const header = raw[i]!
    if (header.length !== name.length || header.toLowerCase() !== name) continue
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
 * as some gateways take it. Undefined when it is anything else with that word in it: passing it as anonymous
 * would let a more lenient reader accept the token in it, such as Envoy, which finds it anywhere in the header.
 */
function bearerOf(authorization: string | null): string | null | undefined {
  if (authorization === null) return null
  const token = /^(?:bearer +)?(\S+) *$/i.exec(authorization)?.[1]
  if (token !== undefined) return token
  return /bearer/i.test(authorization) ? undefined : null
}

function ask(
  { subjectId }: DecisionEndpointOptions,
  token: AskedToken | null,
  { apiKey, consumer, credential, network }: Asked,
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
  return { token, principals, credentials, network }
}

/** What the holder of an API key is called: the key itself is never kept. */
export function apiKeyId(apiKey: string): string {
  return createHash('sha256').update(apiKey).digest('hex')
}

const EMPTY = ['cache-control', 'no-store', 'content-length', '0'] as const

/**
 * `shown` names a caller whose token was verified here. Answers are written by Node itself: going through the
 * framework costs as much as all the rest together.
 */
function send(reply: FastifyReply, { options }: Desk, answer: Answer, shown: ShownToken | null): undefined {
  options.answered?.(answer.status, answer.reason)
  reply.hijack()
  if (answer.status === 200) {
    reply.raw.writeHead(200, shown === null ? [...EMPTY] : [...EMPTY, ...shown]).end()
    return
  }
  const body = JSON.stringify({ error: answer.reason })
  const headers = ['cache-control', 'no-store', 'content-type', 'application/json; charset=utf-8']
  headers.push('content-length', String(body.length), 'x-curfew-reason', answer.reason)
  if (shown !== null) headers.push(...shown)
  // A decision's id when one of ours refused, so that logs tell our refusals from all others.
  if (answer.ruleId !== null) headers.push('x-curfew-decision', headerValue(answer.ruleId))
  if (answer.retryAfterSeconds !== null) headers.push('retry-after', String(answer.retryAfterSeconds))
  if (answer.status === 401) headers.push('www-authenticate', 'Bearer error="invalid_token"')
  reply.raw.writeHead(answer.status, headers).end(body)
}
