import type { Principal } from '../core/event.ts'
import type { Clock } from '../core/time.ts'
import type { Alias } from './aliases.ts'
import type { GatewayAdapter } from './gateway.ts'
import type { GuardSettings } from './guard.ts'
import type { DecisionLedger, EnforcementView } from './ledger.ts'
import type { EnforcementLogger, GatewayObserver } from './reconcile.ts'

/** What an enforcer is made of. */
export interface EnforcerOptions {
  readonly gateways: readonly GatewayAdapter[]
  readonly ledger: DecisionLedger
  readonly clock: Clock
  /** Uniform in [0, 1): spreads retries. */
  readonly random: () => number
  readonly logger: EnforcementLogger
  /** Why an entity is never acted on, or null. Asked when a decision arrives and before each gateway call. */
  readonly isAllowed: (tenant: string, entity: string) => string | null
  /** Why nothing may be enforced anew on an entity just now, or null. Asked as often as `isAllowed`; lifts nothing that stands. */
  readonly planned?: (tenant: string, entity: string, groups: readonly string[]) => string | null
  /** Principals that are known so far: what the guard's share is taken of. */
  readonly knownPrincipals?: () => number
  /** Enforcement starts only on evidence younger than this. Default 5 min. */
  readonly maxEvidenceAgeMs?: number
  /** How long a token may live whose `exp` is unknown. Default 24 h. */
  readonly maxTokenLifetimeSeconds?: number
  readonly guard?: GuardSettings
  /** Adapter name to the gateway ids whose traffic it carries; an adapter not named gets every decision. */
  readonly onlyFor?: ReadonlyMap<string, readonly string[]>
  /** Callers that gateways know by several names: held under each of them. */
  readonly aliases?: readonly Alias[]
  /** Why a person must agree before a caller is held under another of its names, or null: who would stop with it. */
  readonly tooWide?: (tenant: string, other: Principal) => string | null
  readonly onChange?: (id: string) => void
  /** Told when the traffic shows that a decision is not in force although every gateway had the time. */
  readonly onLeak?: (view: EnforcementView) => void
  /** Why nothing may be enforced anew, or null. Asked when a decision arrives and before each gateway call. */
  readonly latched?: () => string | null
  /** Whether the latch also ends what stands already. */
  readonly liftsAll?: () => boolean
  /**
   * Whether rules with our mark that no decision knows stay at the gateways until they expire: after the loss of
   * the state they are all that is left of what was decided.
   */
  readonly keepsUnknownRules?: () => boolean
  readonly observer?: GatewayObserver
  readonly callTimeoutMs?: number
  readonly intervalMs?: number
}

/** How the work at each gateway is timed and told. */
export function paceOf({ clock, random, logger, observer, callTimeoutMs, intervalMs }: EnforcerOptions) {
  return {
    clock,
    random,
    logger,
    ...(observer === undefined ? {} : { observer }),
    ...(callTimeoutMs === undefined ? {} : { callTimeoutMs }),
    ...(intervalMs === undefined ? {} : { intervalMs }),
  }
}
