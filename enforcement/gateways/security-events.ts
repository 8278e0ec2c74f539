import type { Scope } from '../../core/decision.ts'
import { hashOf } from '../../core/hash.ts'
import type { Rule } from '../gateway.ts'
import { scopeKey } from '../plan.ts'

/** Event type of CAEP 1.0: sessions of the subject have ended and count no longer. */
const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked'
/** Characters of an issuer, a subject or a token id; longer ones are told to nobody. */
const MAX_NAME = 1_024

/** What every event of one transmitter says. */
export interface EventFrame {
  /** `iss`: how receivers know us. */
  readonly issuer: string
  readonly audience: string
  /**
   * The issuer whose users the receiver knows, meant also where a decision names none. Null: users of every issuer, and
   * decisions that name none are left out.
   */
  readonly tokenIssuer: string | null
}

/**
 * Subject of an event (RFC 9493): a user as `iss_sub`, one token as `jwt_id` (OpenID Shared Signals Framework 1.0);
 * null for what neither can name.
 */
export function eventSubject(
  scope: Scope,
  tokenIssuer: string | null,
): Readonly<Record<string, string>> | null {
  if (scope.kind !== 'subject' && scope.kind !== 'token') return null
  const iss = scope.iss ?? tokenIssuer
  if (tokenIssuer !== null && iss !== tokenIssuer) return null
  const id = scope.kind === 'subject' ? scope.sub : scope.jti
  if (iss === null || iss === '' || id === '' || iss.length > MAX_NAME || id.length > MAX_NAME) return null
  return scope.kind === 'subject' ? { format: 'iss_sub', iss, sub: id } : { format: 'jwt_id', iss, jti: id }
}

/** `jti` of the event about a rule: the same however often, and by whomever, it is sent. */
export function eventId(rule: Rule): string {
  return hashOf('session-revoked', rule.id, scopeKey(rule.scope))
}

/**
 * Claims of a Security Event Token (RFC 8417) that says that sessions were revoked. `at` is epoch seconds. Null when
 * the rule names nobody that an event can name. The reason is a constant: what a log said stays with us.
 */
export function sessionRevoked(
  rule: Rule,
  frame: EventFrame,
  at: number,
): Readonly<Record<string, unknown>> | null {
  const subject = eventSubject(rule.scope, frame.tokenIssuer)
  if (subject === null) return null
  return {
    iss: frame.issuer,
    aud: frame.audience,
    iat: at,
    jti: eventId(rule),
    txn: rule.id,
    sub_id: subject,
    events: {
      [SESSION_REVOKED]: {
        event_timestamp: at,
        initiating_entity: 'policy',
        reason_admin: { en: `Unusual behaviour, decision ${rule.id}` },
      },
    },
  }
}
