import type { Static, TSchema } from '@sinclair/typebox'
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyTypeProvider,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify'
import type { Clock } from '../core/time.ts'
import type { Actor, ControlPlane } from '../engine/control-plane.ts'
import type { RouteRole } from './access.ts'
import { Problem } from './problem.ts'
import { ProblemSchema } from './schemas.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Who may call; a route without it does not register. */
    role?: RouteRole
  }
  interface FastifyRequest {
    /** Whom the bearer token stands for; null without a valid one. */
    actor: Actor | null
  }
}

/** Types of a handler's body, query and path values follow from the route's schemas. */
export interface SchemaTypes extends FastifyTypeProvider {
  readonly validator: this['schema'] extends TSchema ? Static<this['schema']> : unknown
  /** Answers are views that the engine types; a test holds them against the schemas. */
  readonly serializer: unknown
}

export type AdminApp = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  SchemaTypes
>

/** What the routes of a resource work with. */
export interface RouteContext {
  readonly controlPlane: ControlPlane
  readonly clock: Clock
}

/** The caller of a route that needs a token. */
export function actorOf(request: { readonly actor: Actor | null }): Actor {
  if (request.actor === null) throw new Problem('unauthorized', 'a bearer token is needed')
  return request.actor
}

/** The answers of a route: its success and what every route may answer besides. */
export function answers<T extends TSchema>(success: T) {
  return { 200: success, '4xx': ProblemSchema, '5xx': ProblemSchema }
}
