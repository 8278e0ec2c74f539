import type { Action, Limit, Scope, Wider } from '../core/decision.ts'
import type { AccessEvent } from '../core/event.ts'
import { SECOND_MS } from '../core/time.ts'
import { waitsForPerson } from './approvals.ts'
import type { PrincipalState } from './control-plane.ts'
import { speaksForTheft } from './evidence.ts'
import { covered, GRACE_MS, isServed } from './hold-proof.ts'
import { type Incident, type IssuedDecision, isHeld, type SeenToken } from './incident.ts'
import type { SettingValues } from './settings.ts'
import { impactOf } from './severity.ts'

/** What the ladder asks for; the engine adds mode, ids and times. */
export interface Step {
  readonly rung: number
  readonly action: Exclude<Action, 'release'>
  readonly scope: Scope
  readonly limit: Limit | null
  readonly tokenExp: number | null
  /** What stands in for it at gateways that cannot tell its scope. */
  readonly wider?: Wider
}

/** How much the incident threshold must be exceeded before anything is enforced, in decades. */
const ENFORCEMENT_MARGIN = 0.5
/** Share of the surprising calls that a smaller scope must hold to be chosen. */
const SCOPE_SHARE = 0.9
/** A throttle may let out this many impact floors of records a minute; otherwise it is a block. */
const MAX_LEAK_PER_MINUTE = 2

/**
 * The ladder: throttle (or block, where one call carries too much, or where a throttled caller goes on without a sign that
 * its credential is in other hands), then the token, then its subject, then the credential or the block of the
 * principal. Pure: the next step for an incident, or null when it stays where it is.
 */
export function nextStep(
  incident: Incident,
  state: PrincipalState,
  threshold: number,
  values: SettingValues,
  at: number,
): Step | null {
  if (incident.stale || incident.resolvedAt !== null || waitsForPerson(incident)) return null
  if (incident.rung === 0) return firstStep(incident, incident, threshold, values)
  // A hold that ran out, or that nobody agreed to, is renewed only by fresh evidence, not by the memory of the old.
  if (!isHeld(incident, at) && (enforces(incident) || incident.issued.at(-1)?.mode === 'approve'))
    return firstStep(incident, incident.since, threshold, values)
  if (incident.rung >= 4 || state === 'LEARNING') return null
  // Where a token is revoked only calls that still get through count: its refusals show that it holds.
  if (incident.surprise < values.revokeSurprise || incident.attempts < values.revokeAttempts) return null
  if (!speaksForTheft(incident.reasons, values.revokeSurprise))
    return incident.rung === 1 ? blockStep(incident) : null
  return incident.rung < 3 ? tokenStep(incident) : subjectStep(incident)
}

/**
 * The next rung for a call that was served in spite of a revocation. A token issued after it shows that it ended
 * a string, not the ability: next comes the subject, whatever the `iat`. Once that is revoked, any further token
 * of the subject takes what is left: the credential, else the principal.
 */
export function evasionStep(
  incident: Incident,
  state: PrincipalState,
  event: AccessEvent,
  at: number,
): Step | null {
  const revoked = incident.issued.findLast(({ action }) => action === 'revoke-token')
  if (revoked === undefined || revoked.mode !== 'enforce' || revoked.holdUntil <= at) return null
  if (state === 'LEARNING' || !isServed(event) || waitsForPerson(incident)) return null
  if (incident.rung === 3) return isNewToken(incident, revoked, event) ? subjectStep(incident) : null
  const leaks = incident.rung === 4 && revoked.scope.kind === 'subject' && at > revoked.at + GRACE_MS
  return leaks && covered(revoked.scope, event) ? lastStep(incident) : null
}

/** Whether a token may have been issued after a revocation; claims count in whole seconds, and may be missing. */
function isNewToken(incident: Incident, revoked: IssuedDecision, event: AccessEvent): boolean {
  if (event.token === null) return false
  const { iat } = event.token
  if (iat !== null && (iat + 1) * SECOND_MS <= revoked.at) return false
  return !incident.issued.some(({ action, scope }) => action === 'revoke-token' && covered(scope, event))
}

function enforces(incident: Incident): boolean {
  return incident.issued.some((d) => d.mode === 'enforce')
}

function firstStep(
  incident: Incident,
  evidence: { records: number; requests: number; bytes: number; events: number },
  threshold: number,
  values: SettingValues,
): Step | null {
  const wanted = Math.max(values.throttleSurprise, threshold + ENFORCEMENT_MARGIN)
  if (incident.surprise < wanted || evidence.events < values.persistenceEvents) return null
  if (impactOf(evidence, values) < 1) return null
  const whole = wholeStep(incident, values)
  const network = newNetwork(incident)
  if (network === null) return whole
  const { action, scope, limit } = whole
  const { principal } = incident
  return {
    rung: 2,
    action: 'block',
    scope: { kind: 'network', network, principal },
    limit: null,
    tokenExp: null,
    wider: { action, scope, limit },
  }
}

/**
 * The one network that nearly all surprising calls came from and that is new to a caller known by others: refused there,
 * a thief is gone and the owner goes on. Null where it is not one, or where the caller itself may have called from there.
 */
function newNetwork({ networks, events, principal }: Incident): string | null {
  if (!principal.verified) return null
  const most = networks?.find((seen) => seen.events >= SCOPE_SHARE * events)
  return most === undefined || most.usual ? null : most.network
}

/** A throttle of the principal, or its block where one call carries too much. */
function wholeStep(incident: Incident, values: SettingValues): Step {
  const scope: Scope = { kind: 'principal', principal: incident.principal }
  const perMinute = (values.throttleRequests / values.throttleWindowSeconds) * 60
  const leak = perMinute * (incident.records / Math.max(1, incident.requests))
  if (leak > MAX_LEAK_PER_MINUTE * Math.max(1, values.impactRecords)) {
    return blockStep(incident)
  }
  const limit = { requests: values.throttleRequests, windowSeconds: values.throttleWindowSeconds }
  return { rung: 1, action: 'throttle', scope, limit, tokenExp: null }
}

function blockStep({ principal }: Incident): Step {
  return { rung: 2, action: 'block', scope: { kind: 'principal', principal }, limit: null, tokenExp: null }
}

function tokenStep(incident: Incident): Step {
  const token = dominantToken(incident)
  if (token === null) return subjectStep(incident)
  const revoke = { rung: 3, action: 'revoke-token' as const, limit: null, tokenExp: token.exp }
  if (token.jti !== null) return { ...revoke, scope: { kind: 'token', iss: token.iss, jti: token.jti } }
  if (token.sub !== null && token.iat !== null) {
    return { ...revoke, scope: { kind: 'token-issue', iss: token.iss, sub: token.sub, iat: token.iat } }
  }
  return subjectStep(incident)
}

/** Every token of the subject whatever its age, else the credential or the principal itself. */
function subjectStep(incident: Incident): Step {
  const sub = incident.tokens.find((t) => t.sub !== null)
  const sameSubject = incident.tokens.every((t) => t.sub === sub?.sub && t.iss === sub?.iss)
  if (sub?.sub != null && sameSubject && incident.otherTokens <= incident.events * (1 - SCOPE_SHARE)) {
    return {
      rung: 4,
      action: 'revoke-token',
      scope: { kind: 'subject', iss: sub.iss, sub: sub.sub, notBefore: null },
      limit: null,
      tokenExp: null,
    }
  }
  return { ...lastStep(incident), rung: 4 }
}

/** The widest rung: the credential, or where none is known the principal itself. */
function lastStep({ credential, principal }: Incident): Step {
  const rest = { rung: 5, limit: null, tokenExp: null }
  if (credential === null) return { ...rest, action: 'block', scope: { kind: 'principal', principal } }
  return { ...rest, action: 'revoke-credential', scope: { kind: 'credential', credential, principal } }
}

function dominantToken(incident: Incident): SeenToken | null {
  const token = incident.tokens.find((t) => t.events >= SCOPE_SHARE * incident.events)
  return token ?? null
}
