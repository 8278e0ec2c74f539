import type { Caller } from './callers.ts'

/** Verified claims of a token, as the gateway's custom fields write them. Times are epoch seconds. */
export interface Claims {
  readonly iss: string
  readonly sub: string
  readonly jti: string
  readonly iat: number
  readonly exp: number
}

/** One call through the gateway, as it was when its response had been sent. */
export interface GatewayCall {
  readonly requestId: string
  /** Epoch ms at which the request arrived. */
  readonly startedAt: number
  readonly method: string
  /** Path with its query. */
  readonly uri: string
  readonly status: number
  readonly requestBytes: number
  readonly responseBytes: number
  /** Duration of the whole call and of the upstream's part, ms; `proxyMs` is null when nobody was asked. */
  readonly requestMs: number
  readonly proxyMs: number | null
  /** What the upstream stated in `X-Records-Returned`. */
  readonly records: number | null
  readonly clientIp: string
  readonly userAgent: string
  /** Null when the gateway did not believe the caller. */
  readonly identity: { readonly caller: Caller; readonly claims: Claims } | null
  /** Curfew's decision, when it was the reason of a refusal. */
  readonly decision: string | null
}

const WORKSPACE = 'f381e34e-5c25-4e65-b91b-3c0a86cfc393'
const SERVICE = { id: '2f1f7a2e-54a6-4a6e-9a9e-0d8e1c3f7b11', name: 'records', protocol: 'http' }
const ROUTE = { id: 'b6a4f3c0-7c0b-4f55-8a5c-7f7c5d7f0a11', name: 'records', paths: ['/v1'] }

/**
 * The line that Kong 3.x's log plugins write for a call (`kong/pdk/log.lua`), with the claims of the token
 * in the custom field `jwt`. `source` is `upstream`, or `kong` for what the gateway itself answered.
 */
export function kongLine(call: GatewayCall): string {
  const { identity, status, proxyMs } = call
  const refused = proxyMs === null
  return JSON.stringify({
    started_at: call.startedAt,
    client_ip: call.clientIp,
    workspace: WORKSPACE,
    workspace_name: 'default',
    service: SERVICE,
    route: ROUTE,
    request: {
      id: call.requestId,
      method: call.method,
      uri: call.uri,
      size: call.requestBytes,
      headers: { host: 'api.example.test', 'user-agent': call.userAgent, authorization: 'REDACTED' },
    },
    response: { status, size: call.responseBytes, headers: responseHeaders(call) },
    latencies: { kong: call.requestMs - (proxyMs ?? 0), proxy: proxyMs ?? -1, request: call.requestMs },
    ...(refused ? {} : { tries: [{ ip: '127.0.0.1', port: 8080, balancer_start: call.startedAt }] }),
    source: refused ? 'kong' : 'upstream',
    ...(refused ? {} : { upstream_status: String(status) }),
    ...(identity === null ? {} : identityFields(identity.caller, identity.claims)),
  })
}

function responseHeaders({ records, decision }: GatewayCall): Readonly<Record<string, string>> {
  return {
    'content-type': 'application/json; charset=utf-8',
    ...(records === null ? {} : { 'x-records-returned': String(records) }),
    ...(decision === null ? {} : { 'x-curfew-decision': decision }),
  }
}

function identityFields(caller: Caller, { iss, sub, jti, iat, exp }: Claims): object {
  return {
    consumer: { id: caller.id, username: caller.username, created_at: 1_735_689_600 },
    authenticated_entity: { id: caller.credential },
    jwt: { iss, sub, jti, iat, exp },
  }
}
