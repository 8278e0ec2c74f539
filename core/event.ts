import type { EventTimeMs } from './time.ts'

/**
 * Who calls. `id` is stable (a Kong `consumer.id`, a JWT subject), `label` is the name people know; the
 * profile is keyed by kind and id, outputs show `kind:label`.
 */
export interface Principal {
  readonly kind: 'consumer' | 'sub' | 'app' | 'key' | 'account' | 'ip'
  readonly id: string
  readonly label: string
  /** True only when the gateway itself authenticated this call under this name. Never true for `ip`. */
  readonly verified: boolean
}

/** The verified claims of the bearer token. Times are epoch seconds as in RFC 7519. Never the token text. */
export interface Token {
  readonly iss: string | null
  readonly sub: string | null
  readonly jti: string | null
  readonly iat: number | null
  readonly exp: number | null
  readonly scopes: readonly string[]
}

/** Where a record stands in its source log; what a re-produced record is recognised by. */
export interface SourcePosition {
  /** Kafka topic, or `file:<name>`, `http:<source>`, `stdin`. */
  readonly topic: string
  readonly partition: number
  readonly offset: number
  /** Place within one message that holds several events. */
  readonly index: number
}

/** Where the number of records came from; `estimate` is derived from bytes, `none` is unknown. */
export type RecordsFrom = 'header' | 'field' | 'estimate' | 'none'

/** Who turned the call down, or null when it was served. `curfew` is our own throttle or revocation. */
export type RefusedBy = 'gateway' | 'upstream' | 'curfew' | null

/**
 * One API call, parsed, normalised and closed: nothing downstream reads raw log bytes. `null` means that
 * the log did not say, which is never the same as 0.
 */
export interface AccessEvent {
  /** The gateway's own request id, else `<topic>/<partition>/<offset>/<index>`. */
  readonly id: string
  /** Completion of the call where the log has a duration, else its start. */
  readonly time: EventTimeMs
  /** Kafka record time or arrival, epoch ms: data, not a clock. */
  readonly receivedAt: number
  readonly tenant: string
  readonly principal: Principal
  /** Owners above the principal, such as `org:acme` or `app:mobile`. */
  readonly parents: readonly string[]
  readonly token: Token | null
  /** The gateway's row id of the credential used; never the key itself. */
  readonly credential: string | null
  readonly clientIp: string | null
  readonly userAgent: string | null
  readonly method: string
  /** Template such as `/v1/orders/{id}`. */
  readonly route: string
  /** Raw path without its query string, cut to a bounded length. */
  readonly path: string
  readonly objectIds: readonly string[]
  readonly status: number | null
  readonly latencyMs: number | null
  readonly requestBytes: number | null
  readonly responseBytes: number | null
  /** Records returned by this call. */
  readonly records: number | null
  readonly recordsFrom: RecordsFrom
  readonly refusedBy: RefusedBy
  readonly gateway: { readonly kind: string; readonly id: string }
  readonly source: SourcePosition
}

/** The key of a principal's profile: tenant and stable id, unambiguous for any text in either. */
export function profileKey(tenant: string, principal: Principal): string {
  return `${tenant}\u0000${principal.kind}:${principal.id}`
}

/** The name under which a principal appears in outputs. */
export function entityId(principal: Principal): string {
  return `${principal.kind}:${principal.label}`
}
