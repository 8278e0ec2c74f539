import type { SourceSettings } from '../format.ts'
import { type Shape, ShapeBuilder } from './json-shape.ts'

/** Slots of the canonical event's members. */
export function canonicalSlots(b: ShapeBuilder) {
  return {
    time: b.slot('time'),
    clientIp: b.slot('clientIp'),
    principal: b.slot('principal'),
    kind: b.slot('principal', 'kind'),
    principalId: b.slot('principal', 'id'),
    label: b.slot('principal', 'label'),
    verified: b.slot('principal', 'verified'),
    id: b.slot('id'),
    parents: b.slot('parents'),
    token: b.slot('token'),
    iss: b.slot('token', 'iss'),
    sub: b.slot('token', 'sub'),
    jti: b.slot('token', 'jti'),
    iat: b.slot('token', 'iat'),
    exp: b.slot('token', 'exp'),
    scopes: b.slot('token', 'scopes'),
    credential: b.slot('credential'),
    userAgent: b.slot('userAgent'),
    method: b.slot('method'),
    route: b.slot('route'),
    path: b.slot('path'),
    objectIds: b.slot('objectIds'),
    status: b.slot('status'),
    latencyMs: b.slot('latencyMs'),
    requestBytes: b.slot('requestBytes'),
    responseBytes: b.slot('responseBytes'),
    records: b.slot('records'),
    recordsFrom: b.slot('recordsFrom'),
    refusedBy: b.slot('refusedBy'),
  }
}

export const CANONICAL = canonicalSlots(new ShapeBuilder())

/** What is read from the lines of one source of canonical events. */
export interface CanonicalPlan {
  readonly shape: Shape
  /** -1 when the source has one tenant. */
  readonly tenant: number
  /** -1 when the source has one gateway. */
  readonly gateway: number
  /** -1 when no further field states the number of records. */
  readonly recordField: number
}

export function canonicalPlan(settings: SourceSettings): CanonicalPlan {
  const b = new ShapeBuilder()
  canonicalSlots(b)
  const { field } = settings.records
  return {
    tenant: settings.tenantField === null ? -1 : b.slot(settings.tenantField),
    gateway: settings.gatewayField == null ? -1 : b.slot(settings.gatewayField),
    recordField: field === null ? -1 : b.slot(...field.split('.')),
    shape: b.build(),
  }
}
