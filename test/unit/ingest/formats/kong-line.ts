import type { AccessEvent } from '../../../../core/event.ts'
import type { Format, Rejection, SourceSettings } from '../../../../ingest/format.ts'

export const RECEIVED_AT = 1_795_453_260_000
export const STARTED_AT = 1_795_453_200_123

export const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'kong', id: 'edge' },
  principal: { order: ['consumer', 'sub', 'key'], issuers: new Map() },
  records: { headers: [], contentRange: false, field: null, bytesPerRecord: null },
}

type Json = string | number | boolean | null | Json[] | { [key: string]: Json }
export type JsonObject = { [key: string]: Json }

/** A line as Kong's serializer writes it, invented values; members given replace the default ones. */
export function kongObject(changes: JsonObject = {}): JsonObject {
  const whole: JsonObject = {
    response: {
      size: 5120,
      status: 200,
      headers: { 'content-type': 'application/json', 'x-total-count': '25' },
    },
    route: {
      id: 'b6a4f3c0-7c0b-4f55-8a5c-7f7c5d7f0a11',
      name: 'orders',
      paths: ['/v1/orders'],
      created_at: 1726782477,
    },
    workspace: 'f381e34e-5c25-4e65-b91b-3c0a86cfc393',
    tries: [
      { balancer_start: 1795453200124, balancer_start_ns: 1.795453200124e18, ip: '10.2.0.7', port: 8080 },
    ],
    client_ip: '203.0.113.10',
    request: {
      id: '00000000000000000000000000abc001',
      headers: { host: 'api.example.test', 'user-agent': 'acme-ios/4.2', authorization: 'REDACTED' },
      uri: '/v1/orders/8841?page=1',
      size: 612,
      method: 'GET',
      querystring: { page: '1' },
    },
    started_at: STARTED_AT,
    source: 'upstream',
    upstream_status: '200',
    latencies: { kong: 2, proxy: 41, request: 44, receive: 1 },
    consumer: {
      id: '8a4c1c1e-1111-4c0a-9b6a-5f1f1d1e0001',
      username: 'acme-mobile',
      custom_id: 'cust-1001',
      tags: ['partner'],
    },
    authenticated_entity: { id: '5d7f0a11-2222-4b1b-8c1c-1c2d3e4f0001' },
    jwt: {
      sub: 'user-42',
      jti: '0f9c2c4e-7e0a',
      iss: 'https://idp.example.test/',
      scope: 'orders:read orders:list',
      exp: '1795460000',
    },
  }
  return { ...whole, ...changes }
}

/** Kong's line for a call that nobody vouched for. */
export function anonymousObject(changes: JsonObject = {}): JsonObject {
  const { consumer: _c, authenticated_entity: _a, jwt: _j, ...rest } = kongObject()
  return { ...rest, ...changes }
}

export interface Parsed {
  readonly events: AccessEvent[]
  readonly rejections: Rejection[]
}

/** Everything that a format says about some bytes. */
export function parsed(
  format: Format,
  line: string | Uint8Array | JsonObject | readonly JsonObject[],
  settings: SourceSettings = SETTINGS,
  receivedAt: number = RECEIVED_AT,
): Parsed {
  const isBytes = line instanceof Uint8Array
  const bytes = isBytes ? line : Buffer.from(typeof line === 'string' ? line : JSON.stringify(line))
  const out: Parsed = { events: [], rejections: [] }
  format.parse({ bytes, receivedAt, topic: 'access', partition: 3, offset: 77 }, settings, {
    event: (event) => out.events.push(event),
    rejected: (rejection) => out.rejections.push(rejection),
  })
  return out
}

/** The one event of a line that must be fine. */
export function theEvent(
  format: Format,
  line: string | Uint8Array | JsonObject,
  settings: SourceSettings = SETTINGS,
): AccessEvent {
  const { events, rejections } = parsed(format, line, settings)
  const [event] = events
  if (event === undefined || events.length !== 1 || rejections.length > 0) {
    throw new Error(`expected one event, got ${events.length} and ${JSON.stringify(rejections)}`)
  }
  return event
}
