import type { AddressInfo } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fastify from 'fastify'
import { CurfewError } from '../core/errors.ts'
import { type Reply, refusalBody, refusalHeaders } from './decision-answer.ts'
import { type AskedCall, DecisionDesk, type DecisionDeskOptions } from './decision-desk.ts'

/** Request headers, all together, are cut off here with 431. */
export const MAX_HEADER_BYTES = 16_384
/** How many concurrent connections the listener takes; a gateway keeps a small pool. */
const MAX_CONNECTIONS = 1_024
const ASKING_METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const

export interface DecisionEndpointOptions extends DecisionDeskOptions {
  readonly host?: string
  /** 0 picks a free port. */
  readonly port: number
  /**
   * Header by which the gateway tells the address of its client, in lower case. It must be set for every question, so that
   * a client's own never arrives; of two, or of what is no address, nothing is believed.
   */
  readonly addressHeader?: string | null
}

/** A running endpoint. */
export interface DecisionEndpoint {
  readonly url: string
  readonly port: number
  /** What answers, for other transports. */
  readonly desk: DecisionDesk
  close(): Promise<void>
}

/**
 * Serves `/decide` for NGINX `auth_request`, Caddy and Traefik forward auth, Envoy `ext_authz` and the like:
 * 200 lets the call pass, 401 and 403 refuse it, 429 throttles it, 503 says that nobody can tell. Also
 * `GET /healthz`. Listens on 127.0.0.1 unless told otherwise, on a listener of its own, without writes.
 */
export async function startDecisionEndpoint(options: DecisionEndpointOptions): Promise<DecisionEndpoint> {
  const desk = await DecisionDesk.open(options)
  const app = fastify({
    logger: false,
    bodyLimit: 1_048_576,
    requestTimeout: 5_000,
    exposeHeadRoutes: false,
    http: { maxHeaderSize: MAX_HEADER_BYTES },
  })
  app.server.maxConnections = MAX_CONNECTIONS
  discardBodies(app)
  const addressHeader = options.addressHeader ?? null
  const handler = (request: FastifyRequest, reply: FastifyReply): undefined | Promise<undefined> => {
    // Nearly all calls are answered from memory: those do not pay for a promise.
    const answered = desk.answer(new HttpCall(request.raw.rawHeaders, addressHeader))
    return answered instanceof Promise ? answered.then((told) => send(reply, told)) : send(reply, answered)
  }
  // Envoy asks with the caller's method, and appends the caller's path.
  for (const url of ['/decide', '/decide/*']) app.route({ method: [...ASKING_METHODS], url, handler })
  app.get('/healthz', async (_request, reply) => {
    const fresh = desk.isFresh(options.clock.now())
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
  return { url: `http://${shown}:${port}`, port, desk, close: () => app.close() }
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

/** One is made for each call, so it is a class: a function of its own for each would cost more than looking a header up. */
class HttpCall implements AskedCall {
  readonly address: string | null
  readonly verified = null
  private readonly raw: readonly string[]

  constructor(raw: readonly string[], addressHeader: string | null) {
    this.raw = raw
    this.address = addressHeader === null ? null : (onlyValue(raw, addressHeader) ?? null)
  }

  header(name: string): string | null | undefined {
    return onlyValue(this.raw, name)
  }
}

/** The header's value, null when absent, undefined when it is sent twice: two readers could pick two callers. */
function onlyValue(raw: readonly string[], name: string): string | null | undefined {
  let value: string | null = null
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const header = raw[i]!
    if (header.length !== name.length || header.toLowerCase() !== name) continue
    if (value !== null) return undefined
    value = raw[i + 1]!
  }
  return value
}

const EMPTY = ['cache-control', 'no-store', 'content-length', '0'] as const

/** Answers are written by Node itself: going through the framework costs as much as all the rest together. */
function send(reply: FastifyReply, { answer, shown }: Reply): undefined {
  reply.hijack()
  if (answer.status === 200) {
    reply.raw.writeHead(200, shown === null ? [...EMPTY] : [...EMPTY, ...shown]).end()
    return
  }
  const body = refusalBody(answer)
  const headers = refusalHeaders(answer)
  headers.push('content-length', String(body.length))
  if (shown !== null) headers.push(...shown)
  reply.raw.writeHead(answer.status, headers).end(body)
}
