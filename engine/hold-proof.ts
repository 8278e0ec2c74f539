import type { HoldProof, Scope } from '../core/decision.ts'
import type { AccessEvent } from '../core/event.ts'
import { networkOf } from '../core/network.ts'
import { SECOND_MS } from '../core/time.ts'
import type { Incident, IssuedDecision } from './incident.ts'

/** A decision has this long to take hold before calls that get through count against it. */
export const GRACE_MS = 10_000
/** A throttle is judged over at least this long: gateways hold it in windows of their own. */
const MIN_WINDOW_SECONDS = 60
/** Fixed windows let twice the limit pass around their edge. */
const WINDOW_SLACK = 2

/** Whether a call is one that a scope is about. A principal's incident sees calls of that principal only. */
export function covered(scope: Scope, event: AccessEvent): boolean {
  const { token } = event
  switch (scope.kind) {
    case 'token':
      return token !== null && token.jti === scope.jti && token.iss === scope.iss
    case 'token-issue':
      return token !== null && token.iss === scope.iss && token.sub === scope.sub && token.iat === scope.iat
    case 'subject':
      return token !== null && token.iss === scope.iss && token.sub === scope.sub
    case 'credential':
      return event.credential === scope.credential
    case 'network':
      return networkOf(event.clientIp) === scope.network
    case 'principal':
      return true
  }
}

/**
 * What a call of a restricted caller proves: the first refusal by a decision, and calls that it should have
 * refused. Later proofs of a leak come at doubling distance, so that a long one stays few records. Who hears
 * them knows when the gateways had to have the decision in force.
 */
export function proofsOf(incident: Incident, event: AccessEvent, at: number): readonly HoldProof[] {
  const proofs: HoldProof[] = []
  for (const issued of incident.issued) {
    if (issued.mode !== 'enforce' || at < issued.at || at >= issued.holdUntil) continue
    if (!covered(issued.scope, event)) continue
    if (event.refusedBy === 'curfew' || event.refusedBy === 'gateway') {
      if (issued.refusedAt !== undefined || !refusesLike(issued, event.status)) continue
      issued.refusedAt = at
      proofs.push({ decision: issued.id, proof: 'held', at })
    } else if (isServed(event) && getsThrough(issued, at)) {
      const leaks = issued.leaks ?? 0
      if (at <= issued.at + GRACE_MS * 2 ** leaks) continue
      issued.leaks = leaks + 1
      proofs.push({ decision: issued.id, proof: 'leaking', at })
    }
  }
  return proofs
}

/** Whether a call got what it asked for. */
export function isServed(event: AccessEvent): boolean {
  return event.refusedBy === null && (event.status === null || event.status < 400)
}

/** Gateways answer 429 to a throttle, and 401 or 403 to everything stronger. */
function refusesLike(issued: IssuedDecision, status: number | null): boolean {
  if (issued.limit !== undefined && status === 429) return true
  return issued.action !== 'throttle' && (status === 401 || status === 403)
}

/** Counts a served call; true when the decision should have refused it. */
function getsThrough(issued: IssuedDecision, at: number): boolean {
  // A network's block with a limit may be held as a throttle of the caller.
  if (issued.limit === undefined) return issued.action !== 'throttle'
  if (at <= issued.at + GRACE_MS) return false
  const { requests, windowSeconds } = issued.limit
  const seconds = Math.max(MIN_WINDOW_SECONDS, windowSeconds)
  if (issued.window === undefined || at >= issued.window.from + seconds * SECOND_MS) {
    issued.window = { from: at, served: 0 }
  }
  issued.window.served++
  return issued.window.served > WINDOW_SLACK * Math.ceil((requests * seconds) / windowSeconds)
}

/**
 * Whether a call says nothing against the hold of one network: the hold refused it, or it comes from where its caller has
 * called from for days. Whoever goes on from a third network speaks against it.
 */
export function isBesideHold(
  incident: Incident,
  event: AccessEvent,
  at: number,
  isNew: boolean | null,
): boolean {
  const last = incident.issued.at(-1)
  if (last?.scope.kind !== 'network' || last.mode !== 'enforce' || last.holdUntil <= at) return false
  if (!covered(last.scope, event)) return isNew === false
  return event.refusedBy !== null && (event.status === 401 || event.status === 403)
}

/** Whether a surprising call that was served speaks against the decision in force: at once where nothing is enforced. */
export function countsAsAttempt(
  incident: Incident,
  event: AccessEvent,
  at: number,
  isNew: boolean | null,
): boolean {
  if (isBesideHold(incident, event, at, isNew)) return false
  const last = incident.issued.at(-1)
  return last === undefined || last.mode !== 'enforce' || at > last.at + GRACE_MS
}
