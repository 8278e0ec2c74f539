import type { Principal } from './event.ts'

/** What can be asked of a gateway, weakest first; `release` lifts what stands. */
export type Action = 'throttle' | 'block' | 'revoke-token' | 'revoke-credential' | 'release'

/** Rungs of the ladder, weakest first. */
const STRENGTH: Readonly<Record<Action, number>> = {
  release: 0,
  throttle: 1,
  block: 2,
  'revoke-token': 3,
  'revoke-credential': 4,
}

/** How much stronger than nothing an action is; larger is stronger. */
export function strengthOf(action: Action): number {
  return STRENGTH[action]
}

/** `observe` records what would be done, `approve` waits for a person, `enforce` acts. */
export type Mode = 'observe' | 'approve' | 'enforce'

/** What becomes of a decision that nobody agreed to in time: dropped, carried out, or asked for anew. */
export type OnTimeout = 'drop' | 'act' | 'extend'

/** What a decision that waits for a person asks of them. */
export interface ApprovalTerms {
  /** ISO 8601, event time up to which somebody has to agree. */
  readonly by: string
  readonly onTimeout: OnTimeout
  /** Why a person must look although the mode is enforce; null where the mode is approve. */
  readonly because: string | null
}

/** Who and what a decision reaches. Counts are of what the incident has seen, each up to 8. */
export interface BlastRadius {
  readonly subjects: number
  readonly tokens: number
  readonly addresses: number
  /** Calls of the caller on a busy day before the incident; null where that is not known. */
  readonly callsPerDay: number | null
  /** Those as a share, 0..1, of the calls of the gateway on a busy day; null where that is not known. */
  readonly share: number | null
}

/** Nobody agreed to a decision in time. Said by the engine, in event time. */
export interface ApprovalTimeout {
  /** Id of the decision. */
  readonly decision: string
  readonly outcome: OnTimeout
  /** When the time was over, epoch ms of event time. */
  readonly at: number
  /** Until when it waits now, epoch ms of event time; null where it no longer waits. */
  readonly by: number | null
  /** As {@link Decision.evidenceAt}, of what has been seen since. */
  readonly evidenceAt: number
  readonly reason: string
}

/** How long a word in an output may be; log text is cut to it before it reaches people. */
export const MAX_LABEL_LENGTH = 256

/**
 * What a decision covers, smallest first. Tokens are named by claims the gateway verified, never by
 * token text. `notBefore` is epoch seconds: tokens of the subject issued earlier are refused.
 */
export type Scope =
  | { readonly kind: 'token'; readonly iss: string | null; readonly jti: string }
  | { readonly kind: 'token-issue'; readonly iss: string | null; readonly sub: string; readonly iat: number }
  | {
      readonly kind: 'subject'
      readonly iss: string | null
      readonly sub: string
      readonly notBefore: number | null
    }
  | { readonly kind: 'credential'; readonly credential: string; readonly principal: Principal }
  /** What one caller does from one network, as `networkOf` writes it. */
  | { readonly kind: 'network'; readonly network: string; readonly principal: Principal }
  | { readonly kind: 'principal'; readonly principal: Principal }

/** The limit of a throttle: at most `requests` per `windowSeconds`. */
export interface Limit {
  readonly requests: number
  readonly windowSeconds: number
}

/** What a gateway holds in place of a decision whose scope it cannot tell. */
export interface Wider {
  readonly action: Exclude<Action, 'release'>
  readonly scope: Scope
  readonly limit: Limit | null
}

/** What a call showed about a decision: the first that it refused, or one that it should have refused. */
export interface HoldProof {
  /** Id of the decision. */
  readonly decision: string
  readonly proof: 'held' | 'leaking'
  /** Event time of the call, epoch ms. */
  readonly at: number
}

/** What an output is about. */
export interface Entity {
  /** `source`: a configured source or one gateway of it; `engine`: Curfew itself. */
  readonly type: 'principal' | 'ip' | 'route' | 'org' | 'app' | 'tenant' | 'source' | 'engine'
  readonly id: string
}

/**
 * What should hold at the gateways. Deterministic: the same log gives the same decision with the same id.
 * `issuedAt` is added by the live edge; gateways get `until = issuedAt + holdSeconds`.
 */
export interface Decision {
  readonly id: string
  /** ISO 8601, event time of the evidence that caused it. */
  readonly time: string
  readonly tenant: string
  readonly entity: Entity
  readonly action: Action
  readonly scope: Scope
  readonly mode: Mode
  readonly holdSeconds: number
  /** Set when `action` is `throttle`. */
  readonly limit: Limit | null
  /** Set for the scope `network`, which few gateways can tell. */
  readonly wider?: Wider
  readonly incident: string
  readonly reason: string
  /** The profile key parts, so that a name shared by two principals never decides. */
  readonly principal: Principal
  /** Gateway the evidence came through; adapters act on their own traffic only. */
  readonly gateway: { readonly kind: string; readonly id: string }
  /** Newest `exp` (epoch seconds) among the tokens covered, when every one of them stated it. */
  readonly tokenExp: number | null
  /** Time of the newest evidence or of its receipt, whichever is earlier, epoch ms: what `maxEvidenceAge` is measured from. */
  readonly evidenceAt: number
  /** Set when `mode` is `approve`; absent in decisions of earlier builds. */
  readonly approval?: ApprovalTerms
  /** Owners above the caller, such as `org:acme`; absent in decisions of earlier builds. */
  readonly groups?: readonly string[]
  /** Absent in releases, and in decisions of earlier builds. */
  readonly blast?: BlastRadius
}
