import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'
import { CurfewError } from '../core/errors.ts'
import { authenticate, hostAllowed, originAllowed, roleAtLeast, type TokenEntry } from './access.ts'
import { escapeInvisible, Problem, quoted } from './problem.ts'
import type { AdminApp } from './route.ts'

/** Where log lines of the admin interface go; pino-compatible. Never given tokens, bodies or headers. */
export interface AdminLogger {
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/** How much one client may ask. */
export interface RateLimitOptions {
  /** Per token. */
  readonly requestsPerMinute: number
  /** Per address (IPv6: its /64), for calls without a valid token: public routes and failed sign-ins. */
  readonly anonymousPerMinute: number
}

export interface GuardOptions {
  readonly tokens: readonly TokenEntry[]
  readonly allowedHosts: readonly string[]
  readonly rateLimit: RateLimitOptions
  readonly logger: AdminLogger | null
}

const MINUTE_MS = 60_000

/** Set on every answer, whatever it is. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
  'cache-control': 'no-store',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'permissions-policy': 'camera=(), geolocation=(), microphone=()',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
}

/**
 * What every request passes, in this order: headers set, Host and Origin, who calls, how often, may they;
 * only then is a body read. Unknown paths pass the same, so they tell nothing to strangers.
 */
export function guardRequests(app: AdminApp, options: GuardOptions): void {
  const { rateLimit, logger } = options
  app.decorateRequest('actor', null)
  const limiter = app.createRateLimit({
    timeWindow: MINUTE_MS,
    ipv6Subnet: 64,
    max: (request) => (request.actor === null ? rateLimit.anonymousPerMinute : rateLimit.requestsPerMinute),
    keyGenerator: (request) =>
      request.actor === null ? `address ${request.ip}` : `token ${request.actor.name}`,
  })
  app.addHook('onRequest', async (request, reply) => {
    reply.headers(SECURITY_HEADERS)
    const host = request.headers.host
    if (!hostAllowed(host, options.allowedHosts)) {
      throw new Problem(
        'misdirected',
        `this host name is not served here (got ${quoted(host ?? '')})`,
        'host',
      )
    }
    if (!originAllowed(request.headers.origin, host ?? '')) {
      throw new Problem('forbidden', 'requests from other pages are not accepted', 'origin')
    }
    request.actor = authenticate(request.headers.authorization, options.tokens)
    if (request.routeOptions.url === '/healthz') return
    const limit = await limiter(request)
    if (!limit.isAllowed && limit.isExceeded) {
      reply.header('retry-after', limit.ttlInSeconds)
      throw new Problem('rate-limited', `too many requests; try again in ${limit.ttlInSeconds} s`)
    }
    authorize(request)
  })
  app.setNotFoundHandler(() => {
    throw new Problem('not-found', 'no such page')
  })
  app.setErrorHandler((error: FastifyError, request, reply) => answer(error, request, reply, logger))
  app.addHook('onResponse', async (request, reply) => {
    if (request.method !== 'GET' || reply.statusCode === 401 || reply.statusCode === 403) {
      logger?.info(facts(request, reply.statusCode), 'admin request')
    }
  })
}

/** A route that declares nothing is not served to anybody; an unknown path asks for a viewer. */
function authorize(request: FastifyRequest): void {
  const role = request.is404 ? 'viewer' : request.routeOptions.config.role
  if (role === 'public') return
  if (request.actor === null) {
    throw new Problem('unauthorized', 'a valid bearer token is needed', 'authorization')
  }
  if (role === undefined || !roleAtLeast(request.actor.role, role)) {
    throw new Problem(
      'forbidden',
      `this needs the role ${role ?? 'of nobody'}; the token is ${request.actor.role}`,
    )
  }
}

/** Route templates and names only: paths, queries and headers may hold what must not be kept. */
function facts(request: FastifyRequest, status: number): object {
  return {
    method: request.method,
    route: request.routeOptions.url ?? null,
    status,
    actor: request.actor?.name ?? null,
    address: request.ip,
  }
}

function answer(error: Error, request: FastifyRequest, reply: FastifyReply, logger: AdminLogger | null) {
  const problem = problemFor(error)
  if (problem.status >= 500) {
    const code = error instanceof CurfewError ? error.code : error.name
    const detail = { code, message: scrubbed(error.message), frames: framesOf(error) }
    logger?.error({ ...facts(request, problem.status), ...detail }, 'admin request failed')
  }
  if (problem.code === 'unauthorized') reply.header('www-authenticate', 'Bearer')
  if (problem.code === 'unavailable') reply.header('retry-after', retryAfter(error))
  return reply.code(problem.status).type('application/json; charset=utf-8').send(problem.body())
}

/** Messages of clients like to quote the address that they were given, password included. */
function scrubbed(message: string): string {
  return message.replace(/\/\/[^\s/@]*@/g, '//***@').slice(0, 500)
}

function framesOf(error: Error): readonly string[] {
  return (error.stack ?? '')
    .split('\n')
    .filter((line) => line.startsWith('    at '))
    .slice(0, 10)
}

function retryAfter(error: Error): number {
  const asked = error instanceof CurfewError ? error.retryAfterMs : undefined
  return Math.max(1, Math.ceil((asked ?? 1_000) / 1_000))
}

/** Only problems of the request are told; what went wrong inside stays in the log. */
export function problemFor(error: Error & { readonly statusCode?: number; readonly code?: string }): Problem {
  if (error instanceof Problem) return error
  if (error instanceof CurfewError) {
    return error.retriable
      ? new Problem('unavailable', `${error.code}: a part of the engine cannot be reached now`)
      : new Problem('internal', `${error.code}: see the log of the engine`)
  }
  const status = error.statusCode ?? 500
  if (status === 413) return new Problem('too-large', 'a body may have at most 65536 bytes')
  if (status === 415) return new Problem('unsupported-media-type', 'a body must be application/json')
  if (status === 503) return new Problem('unavailable', 'shutting down')
  if (status >= 400 && status < 500)
    return new Problem('invalid', escapeInvisible(error.message).slice(0, 200))
  return new Problem('internal', 'something went wrong; see the log of the engine')
}
