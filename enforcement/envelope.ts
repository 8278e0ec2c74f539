import type { EnvelopeLimit, EnvelopeLimits } from '../core/envelope.ts'
import type { Principal } from '../core/event.ts'
import { idOf } from '../core/hash.ts'
import type { WallTimeMs } from '../core/time.ts'

/** What a caller may do at most, as a gateway holds it ahead of any incident. */
export interface Envelope {
  /** See {@link envelopeId}: how we recognise our own, and what a refusal names. */
  readonly id: string
  readonly principal: Principal
  /** Whole numbers. */
  readonly limits: EnvelopeLimits
  /** It falls away by itself at this time, unless renewed. */
  readonly until: WallTimeMs
}

/**
 * A place that holds envelopes beside its rules and its own limits, and never instead of them: a call must pass all.
 * Calls are idempotent; failures are those of `GatewayAdapter`.
 */
export interface EnvelopeHolder {
  /** Name of the gateway. */
  readonly name: string
  /** Whether it lives in this process, so that calls cost nothing. */
  readonly inProcess: boolean
  /** What it counts by; other limits of an envelope hold nobody there. */
  readonly counts: readonly EnvelopeLimit[]
  /** Whether it can tell this caller from others. */
  knows(principal: Principal): boolean
  /** Only envelopes of ours. Throws when unsure; never returns an empty list for "I failed". */
  list(stop: AbortSignal): Promise<readonly Envelope[]>
  put(envelope: Envelope, stop: AbortSignal): Promise<void>
  /** Absent is success. */
  remove(ids: ReadonlySet<string>, stop: AbortSignal): Promise<void>
  /** Makes what was put and removed since the last time outlive a restart of the gateway. */
  settle(stop: AbortSignal): Promise<void>
}

/** The id of a caller's envelope: always the same. */
export function envelopeId(tenant: string, { kind, id }: Pick<Principal, 'kind' | 'id'>): string {
  return idOf('env', tenant, kind, id)
}
