import type { SourceSettings } from '../format.ts'
import { type Shape, ShapeBuilder } from './json-shape.ts'

/** Slots of what is read from every Kong line (Kong Gateway log serializer, `kong/pdk/log.lua`). */
function kongSlots(b: ShapeBuilder) {
  return {
    startedAt: b.slot('started_at'),
    clientIp: b.slot('client_ip'),
    source: b.slot('source'),
    tries: b.slot('tries'),
    consumer: b.slot('consumer'),
    consumerId: b.slot('consumer', 'id'),
    username: b.slot('consumer', 'username'),
    customId: b.slot('consumer', 'custom_id'),
    entity: b.slot('authenticated_entity'),
    credential: b.slot('authenticated_entity', 'id'),
    jwt: b.slot('jwt'),
    sub: b.slot('jwt', 'sub'),
    jti: b.slot('jwt', 'jti'),
    iss: b.slot('jwt', 'iss'),
    scope: b.slot('jwt', 'scope'),
    iat: b.slot('jwt', 'iat'),
    exp: b.slot('jwt', 'exp'),
    requestId: b.slot('request', 'id'),
    method: b.slot('request', 'method'),
    uri: b.slot('request', 'uri'),
    requestSize: b.slot('request', 'size'),
    userAgent: b.slot('request', 'headers', 'user-agent'),
    anonymous: b.slot('request', 'headers', 'x-anonymous-consumer'),
    status: b.slot('response', 'status'),
    responseSize: b.slot('response', 'size'),
    ownDecision: b.slot('response', 'headers', 'x-curfew-decision'),
    contentRange: b.slot('response', 'headers', 'content-range'),
    requestLatency: b.slot('latencies', 'request'),
    proxyLatency: b.slot('latencies', 'proxy'),
  }
}

/** The same for every source: fixed members are numbered before configured ones. */
export const KONG = kongSlots(new ShapeBuilder())

/** What is read from the lines of one source. */
export interface KongPlan {
  readonly shape: Shape
  /** -1 when the source has one tenant. */
  readonly tenant: number
  /** -1 when the source has one gateway. */
  readonly gateway: number
  readonly recordHeaders: readonly number[]
  /** -1 when no field states the number of records. */
  readonly recordField: number
}

export function kongPlan(settings: SourceSettings): KongPlan {
  const b = new ShapeBuilder()
  kongSlots(b)
  const { headers, field } = settings.records
  return {
    tenant: settings.tenantField === null ? -1 : b.slot(settings.tenantField),
    gateway: settings.gatewayField == null ? -1 : b.slot(settings.gatewayField),
    recordHeaders: headers.map((name) => b.slot('response', 'headers', name.toLowerCase())),
    recordField: field === null ? -1 : b.slot(...field.split('.')),
    shape: b.build(),
  }
}
