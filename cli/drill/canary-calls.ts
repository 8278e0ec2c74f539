import type { Config } from '../config/schema.ts'

/** Settings of the drill. */
export type DrillConfig = NonNullable<Config['drill']>

/** What came of one call of the canary; status null when nothing answered. */
export interface CanaryAnswer {
  readonly status: number | null
  /** Why nothing answered. */
  readonly trouble: string | null
}

/** Makes one call as the canary. */
export type CanaryCall = () => Promise<CanaryAnswer>

const CALL_TIMEOUT_MS = 5_000
const REFUSALS: ReadonlySet<number> = new Set([401, 403, 429])

/** Calls the gateway with the canary's own credential; never follows a redirect with it. */
export function canaryCall({ url, token, header, scheme }: DrillConfig): CanaryCall {
  const value = scheme === 'bearer' ? `Bearer ${token.reveal()}` : token.reveal()
  return async () => {
    try {
      const response = await fetch(url, {
        headers: { [header]: value, 'user-agent': 'curfew-drill' },
        redirect: 'manual',
        signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      })
      await response.body?.cancel()
      return { status: response.status, trouble: null }
    } catch (error) {
      const cause = error instanceof Error ? (error.cause ?? error) : error
      return { status: null, trouble: cause instanceof Error ? cause.message : String(cause) }
    }
  }
}

/** Whether the gateway let a call through to what is behind it. */
export function isServed({ status }: CanaryAnswer): boolean {
  return status !== null && status < 500 && !REFUSALS.has(status)
}

/** Whether the gateway refused a call. */
export function isRefused({ status }: CanaryAnswer): boolean {
  return status !== null && REFUSALS.has(status)
}
