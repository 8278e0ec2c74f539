import { type Decision, strengthOf, type Wider } from '../core/decision.ts'
import { entityId, profileKey } from '../core/event.ts'
import { isoTime, wallTime } from '../core/time.ts'
import { capabilityFor, type GatewayAdapter, type Rule } from './gateway.ts'
import { proofOf } from './hold-proof.ts'
import {
  type EnforcementStatus,
  type EnforcementView,
  isLive,
  type LedgerEntry,
  type Receipt,
  waitsUntil,
} from './ledger.ts'
import { covers } from './plan.ts'

/** How one gateway stands to one rule, as far as this process knows. */
export type Hold = 'held' | 'failed' | 'unsupported'

/** Longest hold that a person may set from now on. */
const MAX_EXTENSION_SECONDS = 7 * 86_400

/** The principal that a decision is about, over all gateways. */
export function principalKey(decision: Decision): string {
  return profileKey(decision.tenant, decision.principal)
}

/** When a hold of so many seconds ends: no later than the tokens that it is about can live. */
export function holdEnd(
  decision: Decision,
  from: number,
  holdSeconds: number,
  maxTokenLifetimeSeconds: number,
): number {
  const until = from + Math.min(holdSeconds, MAX_EXTENSION_SECONDS) * 1_000
  if (decision.scope.kind !== 'token' && decision.scope.kind !== 'token-issue') return until
  const issuedAt = from + maxTokenLifetimeSeconds * 1_000
  return Math.min(until, decision.tokenExp === null ? issuedAt : decision.tokenExp * 1_000)
}

/**
 * When the hold of a decision ends that starts now. A revoked token whose `exp` is unknown is held for as long
 * as a token may live: earlier, the revocation would give it back.
 */
export function firstEnd(decision: Decision, now: number, maxTokenLifetimeSeconds: number): number {
  const { action, scope, tokenExp, holdSeconds } = decision
  const names = scope.kind === 'token' || scope.kind === 'token-issue'
  if (action === 'revoke-token' && names && tokenExp === null) return now + maxTokenLifetimeSeconds * 1_000
  return holdEnd(decision, now, holdSeconds, maxTokenLifetimeSeconds)
}

/** A decision as a gateway can hold it: as it is, else in its wider form; null when neither. */
function formAt(gateway: GatewayAdapter, decision: Decision): Wider | null {
  const { action, scope, limit, wider } = decision
  if (action === 'release') return null
  if (capabilityFor(gateway, { action, scope }) !== null) return { action, scope, limit }
  return wider !== undefined && capabilityFor(gateway, wider) !== null ? wider : null
}

/** The rule that an issued decision asks for at a gateway; null for one that asks for nothing there. */
export function ruleOf(entry: LedgerEntry, gateway: GatewayAdapter): Rule | null {
  const { id } = entry.decision
  const { action, scope, limit } = formAt(gateway, entry.decision) ?? entry.decision
  if (action === 'release' || entry.until === null) return null
  const rule = { id, action, scope, limit, until: wallTime(entry.until) }
  if (scope.kind !== 'token' && scope.kind !== 'token-issue') return rule
  const { kind, id: holder } = entry.decision.principal
  return { ...rule, holder: { kind, id: holder } }
}

/** Gateways that can hold a decision and are meant for the traffic that it came from. */
export function targetsOf(
  decision: Decision,
  gateways: readonly GatewayAdapter[],
  onlyFor: ReadonlyMap<string, readonly string[]>,
): readonly GatewayAdapter[] {
  return gateways.filter((gateway) => {
    const ids = onlyFor.get(gateway.name)
    const meant = ids === undefined || ids.includes(decision.gateway.id)
    return meant && formAt(gateway, decision) !== null
  })
}

/** How old the evidence is when that forbids to start, else null. A person's approval needs no fresh evidence. */
export function staleReason(decision: Decision, now: number, maxEvidenceAgeMs: number): string | null {
  const age = now - decision.evidenceAt
  if (age <= maxEvidenceAgeMs) return null
  const seconds = Math.round(age / 1_000)
  return `stale evidence: ${seconds} s old (bound ${Math.round(maxEvidenceAgeMs / 1_000)} s)`
}

/** Whether `strong` makes `weak` pointless: same principal, a higher or equal rung, at least the same calls. */
export function supersedes(strong: LedgerEntry, weak: LedgerEntry): boolean {
  const a = strong.decision
  const b = weak.decision
  if (a.id === b.id || principalKey(a) !== principalKey(b)) return false
  if (strengthOf(a.action) < strengthOf(b.action)) return false
  if (a.action === 'throttle' && b.action === 'throttle' && looser(a, b)) return false
  const whole = a.scope.kind === 'principal' || (a.scope.kind === 'subject' && a.scope.notBefore === null)
  return whole || covers(a.scope, b.scope)
}

function looser(a: Decision, b: Decision): boolean {
  if (a.limit === null || b.limit === null) return false
  return a.limit.requests / a.limit.windowSeconds > b.limit.requests / b.limit.windowSeconds
}

/** A decision that stands already and restricts at least as much for at least as long, or null. */
export function standingReason(candidate: LedgerEntry, entries: Iterable<LedgerEntry>): string | null {
  for (const entry of entries) {
    if (entry.status !== 'pending' && entry.status !== 'in-force') continue
    const longer = (entry.until ?? 0) >= (candidate.until ?? 0)
    const stronger = strengthOf(entry.decision.action) > strengthOf(candidate.decision.action)
    if (supersedes(entry, candidate) && (longer || stronger)) {
      return `${entry.decision.action} ${entry.decision.id} stands already`
    }
  }
  return null
}

/**
 * Why a person must look first when decisions were made about two callers of one name, or null: the gateways
 * know them apart, people may not.
 */
export function sharedNameReason(decision: Decision, entries: Iterable<LedgerEntry>): string | null {
  const name = entityId(decision.principal)
  for (const { decision: other } of entries) {
    if (other.tenant !== decision.tenant || entityId(other.principal) !== name) continue
    if (principalKey(other) !== principalKey(decision)) return `two callers share the name ${name}`
  }
  return null
}

/** Live decisions of the same incident that restrict no more than one: what goes when it is lifted. */
export function rungsBelow(top: LedgerEntry, entries: readonly LedgerEntry[]): readonly LedgerEntry[] {
  return entries.filter(({ decision, status }) => {
    if (!isLive(status) || decision.id === top.decision.id) return false
    const same = decision.incident === top.decision.incident
    return same && strengthOf(decision.action) <= strengthOf(top.decision.action)
  })
}

/** The status of a live decision from what its gateways answered. */
export function statusFrom(
  entry: LedgerEntry,
  targets: readonly GatewayAdapter[],
  holds: ReadonlyMap<string, Hold>,
): { readonly status: EnforcementStatus; readonly reason: string | null } {
  if (!isLive(entry.status)) return { status: entry.status, reason: entry.statusReason }
  const able = targets.filter((gateway) => holds.get(gateway.name) !== 'unsupported')
  if (able.length === 0) return { status: 'failed', reason: 'no gateway can hold this rule' }
  const failing = able.filter((gateway) => holds.get(gateway.name) === 'failed')
  if (failing.length > 0) {
    const names = failing.map((gateway) => gateway.name).join(', ')
    const detail = entry.receipts.findLast(
      (r) => r.outcome !== 'done' && r.gateway === failing[0]?.name,
    )?.detail
    return {
      status: 'failed',
      reason: `not in force at ${names}${detail === undefined ? '' : `: ${detail}`}`,
    }
  }
  const held = able.every((gateway) => holds.get(gateway.name) === 'held')
  return held
    ? { status: 'in-force', reason: null }
    : { status: entry.status === 'failed' ? 'pending' : entry.status, reason: null }
}

/**
 * When the slowest of the gateways must have a decision in force, epoch ms. Whoever refuses no calls counts only
 * where nobody does.
 */
export function effectiveBy(entry: LedgerEntry, targets: readonly GatewayAdapter[]): number | null {
  if (entry.decision.action === 'release' || entry.until === null) return null
  if (entry.issuedAt === null || targets.length === 0) return null
  const able = targets.flatMap((gateway) => {
    const form = formAt(gateway, entry.decision)
    return form === null ? [] : (capabilityFor(gateway, form) ?? [])
  })
  const refusing = able.filter(({ refusesCalls }) => refusesCalls !== false)
  const delays = (refusing.length > 0 ? refusing : able).map(({ worstCaseDelayMs }) => worstCaseDelayMs)
  return entry.issuedAt + Math.max(0, ...delays)
}

/** What stays on record of an operation that ended at `now`, epoch ms. */
export function receiptOf(gateway: string, done: Omit<Receipt, 'time' | 'gateway'>, now: number): Receipt {
  const { operation, outcome, detail } = done
  return { time: isoTime(now), gateway, operation, outcome, detail }
}

/** A decision as people see it; `targets` are the gateways that should hold it. */
export function viewOf(entry: LedgerEntry, targets: readonly GatewayAdapter[]): EnforcementView {
  const time = (at: number | null): string | null => (at === null ? null : isoTime(at))
  const { decision, status, statusReason, issuedAt, until, receipts } = entry
  return {
    decision,
    status,
    statusReason,
    issuedAt: time(issuedAt),
    until: time(until),
    effectiveBy: time(effectiveBy(entry, targets)),
    approval: approvalOf(entry),
    proof: proofOf(entry),
    receipts,
  }
}

/** What an entry asks of people; null for one that waits for nobody. */
export function approvalOf(entry: LedgerEntry): EnforcementView['approval'] {
  if (entry.status !== 'awaiting-approval') return null
  return { by: isoTime(waitsUntil(entry)), onTimeout: entry.decision.approval?.onTimeout ?? 'drop' }
}
