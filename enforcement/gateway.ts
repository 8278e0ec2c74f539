import type { Action, Limit, Scope } from '../core/decision.ts'
import type { Principal } from '../core/event.ts'
import type { WallTimeMs } from '../core/time.ts'

/** Ids of rules that fit as they are into the marks, tags and names by which gateways hold our rules. */
export const RULE_ID = /^[A-Za-z0-9_-]{1,64}$/

/** A decision as a gateway holds it. `id` is the decision's id: how we recognise our own. */
export interface Rule {
  readonly id: string
  readonly action: Exclude<Action, 'release'>
  readonly scope: Scope
  /** Set when `action` is `throttle`. */
  readonly limit: Limit | null
  /** The rule must not hold beyond this time, whatever happens to us. */
  readonly until: WallTimeMs
  /**
   * Whose token it is, where the scope names a token only: a check that knows it refuses tokens of the holder
   * that no key can match.
   */
  readonly holder?: { readonly kind: Principal['kind']; readonly id: string }
}

/** One thing that a gateway can do, and how long it may take there to be in force everywhere. */
export interface Capability {
  readonly action: Rule['action']
  readonly scope: Scope['kind']
  readonly worstCaseDelayMs: number
  /**
   * False for an identity provider: it refuses no call, but ends what further tokens come from. Beside a gateway that
   * does refuse calls its delay says nothing about when a decision is in force.
   */
  readonly refusesCalls?: boolean
  /** What stays when the rule is removed, in words for a person; nothing stays when not given. */
  readonly lasting?: string
}

/**
 * A gateway's control plane. All calls are idempotent and safe while another reconciler runs. Failures
 * are {@link CurfewError}s: `GATEWAY_UNREACHABLE` (retriable), `GATEWAY_REFUSED`, `GATEWAY_UNSUPPORTED`
 * (before any call is made), `GATEWAY_CONFLICT` (somebody else edited what we would have to change).
 */
export interface GatewayAdapter {
  /** Name in the configuration; unique. */
  readonly name: string
  readonly kind: string
  readonly can: readonly Capability[]
  /** Only rules with our owner mark. Throws when unsure; never returns an empty list for "I failed". */
  list(stop: AbortSignal): Promise<readonly Rule[]>
  /** In force, within the stated delay, once resolved. Twice is once; the same id with other content replaces. */
  put(rule: Rule, stop: AbortSignal): Promise<void>
  /** Restores what was there before. Absent is success. */
  remove(id: string, stop: AbortSignal): Promise<void>
  /**
   * Removes many rules in few calls, where the control plane allows it. Rules that need a closer look are left to
   * `remove`: whoever asks lists again.
   */
  removeMany?(ids: ReadonlySet<string>, stop: AbortSignal): Promise<void>
  /** Cheap reachability question for readiness; throws with the reason. */
  check(stop: AbortSignal): Promise<void>
}

/** Whether an adapter can hold a rule, and with which delay. */
export function capabilityFor(
  gateway: GatewayAdapter,
  rule: Pick<Rule, 'action' | 'scope'>,
): Capability | null {
  return gateway.can.find((c) => c.action === rule.action && c.scope === rule.scope.kind) ?? null
}
