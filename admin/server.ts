import type { AddressInfo } from 'node:net'
import rateLimit from '@fastify/rate-limit'
import swagger from '@fastify/swagger'
import Fastify, {
  type FastifyBaseLogger,
  type RawReplyDefaultExpression,
  type RawRequestDefaultExpression,
  type RawServerDefault,
} from 'fastify'
import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import type { ControlPlane } from '../engine/control-plane.ts'
import { checkTokens, isLoopback, LOOPBACK_HOSTS, type RouteRole, type TokenEntry } from './access.ts'
import {
  type AdminLogger,
  guardRequests,
  problemFor,
  type RateLimitOptions,
  SECURITY_HEADERS,
} from './guard.ts'
import { openApiOptions } from './openapi.ts'
import type { AdminApp, SchemaTypes } from './route.ts'
import { auditRoutes } from './routes/audit.ts'
import { coverageRoutes } from './routes/coverage.ts'
import { dashboardRoutes } from './routes/dashboard.ts'
import { decisionRoutes } from './routes/decisions.ts'
import { envelopeRoutes } from './routes/envelopes.ts'
import { healthRoutes } from './routes/health.ts'
import { incidentRoutes } from './routes/incidents.ts'
import { type MetricsSource, metricsRoutes } from './routes/metrics.ts'
import { openApiRoute } from './routes/openapi.ts'
import { principalRoutes } from './routes/principals.ts'
import { settingsRoutes } from './routes/settings.ts'
import { compileValidation } from './validation.ts'

const MAX_BODY_BYTES = 65_536
const MAX_PATH_PARAMETER = 2_048
const REQUEST_TIMEOUT_MS = 30_000

export interface AdminOptions {
  readonly controlPlane: ControlPlane
  readonly metrics: MetricsSource
  readonly clock: Clock
  /** Who may call; without any, only the public routes answer. */
  readonly tokens: readonly TokenEntry[]
  /** Default 127.0.0.1 and a free port. */
  readonly listen?: { readonly host?: string; readonly port?: number }
  /** Host header values (name, or name:port) that are served; needed beyond loopback. */
  readonly allowedHosts?: readonly string[]
  readonly rateLimit?: Partial<RateLimitOptions>
  readonly logger?: AdminLogger
  /** Serve `/metrics` without a token. */
  readonly openMetrics?: boolean
  /** Token text to put into the fragment of {@link AdminAddress.dashboardUrl}; fragments never reach a server. */
  readonly dashboardToken?: string
}

export interface AdminAddress {
  /** For example `http://127.0.0.1:7878`. */
  readonly url: string
  readonly dashboardUrl: string
}

/** One route and who may call it. */
export interface RouteAccess {
  readonly method: string
  readonly path: string
  readonly role: RouteRole
}

export interface AdminServer {
  /** Every route that is served, with the role that it asks for. */
  readonly routes: readonly RouteAccess[]
  /** The OpenAPI 3.1 description made from the route schemas. */
  openApi(): object
  /** Starts to serve. Throws the error of the operating system when the port is taken. */
  start(): Promise<AdminAddress>
  /** Finishes what is under way and stops. */
  close(): Promise<void>
}

/**
 * The admin interface over a {@link ControlPlane}: API, metrics and dashboard. Throws `CONFIG_INVALID` for
 * tokens or hosts that cannot be served safely. Nothing listens before `start`.
 */
export async function createAdminServer(options: AdminOptions): Promise<AdminServer> {
  const host = options.listen?.host ?? '127.0.0.1'
  const allowedHosts = allowedHostsFor(host, options.allowedHosts)
  checkTokens(options.tokens)
  const app = newApp()
  app.removeContentTypeParser('text/plain')
  const routes: RouteAccess[] = []
  app.addHook('onRoute', ({ method, url, config }) => {
    const role = config?.role
    if (role === undefined) throw new Error(`the route ${String(method)} ${url} declares no role`)
    for (const each of [method].flat()) routes.push({ method: each, path: url, role })
  })
  await app.register(swagger, openApiOptions)
  await app.register(rateLimit, { global: false, cache: 5_000 })
  guardRequests(app, {
    tokens: options.tokens,
    allowedHosts,
    rateLimit: { requestsPerMinute: 600, anonymousPerMinute: 240, ...options.rateLimit },
    logger: options.logger ?? null,
  })
  registerRoutes(app, options)
  await app.ready()
  return {
    routes,
    openApi: () => app.swagger(),
    start: async () => {
      await app.listen({ host, port: options.listen?.port ?? 0 })
      const url = urlOf(host, (app.server.address() as AddressInfo).port)
      const fragment =
        options.dashboardToken === undefined ? '' : `#token=${encodeURIComponent(options.dashboardToken)}`
      return { url, dashboardUrl: `${url}/${fragment}` }
    },
    close: async () => {
      await app.close()
    },
  }
}

function newApp(): AdminApp {
  return Fastify<RawServerDefault, RawRequestDefaultExpression, RawReplyDefaultExpression, FastifyBaseLogger>(
    {
      logger: false,
      bodyLimit: MAX_BODY_BYTES,
      requestTimeout: REQUEST_TIMEOUT_MS,
      exposeHeadRoutes: false,
      forceCloseConnections: 'idle',
      routerOptions: { maxParamLength: MAX_PATH_PARAMETER },
      return503OnClosing: true,
      frameworkErrors: (error, _request, reply) => {
        const problem = problemFor(error)
        reply.hijack()
        const headers = { ...SECURITY_HEADERS, 'content-type': 'application/json; charset=utf-8' }
        reply.raw.writeHead(problem.status, headers).end(JSON.stringify(problem.body()))
      },
    },
  )
    .withTypeProvider<SchemaTypes>()
    .setValidatorCompiler(({ schema, httpPart }) => compileValidation(schema as never, httpPart))
    .setSerializerCompiler(() => (data) => JSON.stringify(data))
}

function registerRoutes(app: AdminApp, options: AdminOptions): void {
  const context = { controlPlane: options.controlPlane, clock: options.clock }
  healthRoutes(app, context)
  metricsRoutes(app, options.metrics, options.openMetrics ?? false)
  openApiRoute(app)
  principalRoutes(app, context)
  incidentRoutes(app, context)
  decisionRoutes(app, context)
  coverageRoutes(app, context)
  envelopeRoutes(app, context)
  settingsRoutes(app, context)
  auditRoutes(app, context)
  dashboardRoutes(app)
}

function allowedHostsFor(host: string, configured: readonly string[] | undefined): readonly string[] {
  const hosts = configured ?? []
  if (!isLoopback(host) && hosts.length === 0) {
    throw new CurfewError(
      'CONFIG_INVALID',
      `admin on "${host}" needs allowedHosts: the names it is reached by`,
    )
  }
  return isLoopback(host) ? [...LOOPBACK_HOSTS, host, ...hosts] : hosts
}

function urlOf(host: string, port: number): string {
  const name = host === '0.0.0.0' || host === '::' ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `http://${name}:${port}`
}
