/** What went wrong, for a caller that must branch; every code appears in docs/errors.md. */
export type ErrorCode =
  | 'CONFIG_INVALID'
  | 'USAGE'
  | 'SECRET_MISSING'
  | 'STORE_UNREACHABLE'
  | 'STORE_FENCED'
  | 'STORE_CONFLICT'
  | 'STORE_CORRUPT'
  | 'STORE_NEWER_LAYOUT'
  | 'STORE_MAY_EVICT'
  | 'LOG_UNREACHABLE'
  | 'LOG_GAP'
  | 'LOG_FULL'
  | 'GATEWAY_UNREACHABLE'
  | 'GATEWAY_REFUSED'
  | 'GATEWAY_UNSUPPORTED'
  | 'GATEWAY_CONFLICT'
  | 'SINK_UNREACHABLE'
  | 'SINK_REFUSED'
  | 'ABORTED'

/**
 * An operating failure. Bad input is data (a rejected line, an abstaining detector), not an exception;
 * a broken invariant is an `assert`. `retriable` says whether the same call may succeed later.
 */
export class CurfewError extends Error {
  readonly code: ErrorCode
  readonly retriable: boolean
  /** How long the other side asked us to wait, in milliseconds, when it said so (Retry-After). */
  readonly retryAfterMs: number | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: { readonly retriable?: boolean; readonly cause?: unknown; readonly retryAfterMs?: number } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'CurfewError'
    this.code = code
    this.retriable = options.retriable ?? false
    this.retryAfterMs = options.retryAfterMs
  }
}
