import { type Decision, strengthOf } from '../core/decision.ts'
import { entityId, type Principal, profileKey } from '../core/event.ts'
import { isoTime } from '../core/time.ts'
import { capabilityFor, type GatewayAdapter } from './gateway.ts'
import { proofOf } from './hold-proof.ts'
import {
  type AliasView,
  type EnforcementStatus,
  type EnforcementView,
  isLive,
  type LedgerEntry,
  type Receipt,
  receiptDetail,
  waitsUntil,
} from './ledger.ts'
import type { Placement } from './placement.ts'
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
 * know them apart, people may not. `callerKey` is the same text for every name of one caller.
 */
export function sharedNameReason(
  decision: Decision,
  entries: Iterable<LedgerEntry>,
  callerKey: (of: Decision) => string,
): string | null {
  const name = entityId(decision.principal)
  for (const { decision: other } of entries) {
    if (other.tenant !== decision.tenant || entityId(other.principal) !== name) continue
    if (callerKey(other) !== callerKey(decision)) return `two callers share the name ${name}`
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
function statusFrom(
  entry: LedgerEntry,
  targets: readonly GatewayAdapter[],
  holdAt: (gateway: GatewayAdapter) => Hold | undefined,
): { readonly status: EnforcementStatus; readonly reason: string | null } {
  if (!isLive(entry.status)) return { status: entry.status, reason: entry.statusReason }
  const able = targets.filter((gateway) => holdAt(gateway) !== 'unsupported')
  if (able.length === 0) return { status: 'failed', reason: 'no gateway can hold this rule' }
  const failing = able.filter((gateway) => holdAt(gateway) === 'failed')
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
  const held = able.every((gateway) => holdAt(gateway) === 'held')
  return held
    ? { status: 'in-force', reason: null }
    : { status: entry.status === 'failed' ? 'pending' : entry.status, reason: null }
}

/** A live decision after a gateway answered or was seen to hold it: the same entry when that changes nothing. */
export function withHold(
  entry: LedgerEntry,
  gateway: string,
  hold: Hold,
  placement: Placement,
  holdAt: (gateway: GatewayAdapter) => Hold | undefined,
): LedgerEntry {
  const { status, reason } = statusFrom(entry, placement.targets(entry.decision), holdAt)
  const starts = hold === 'held' && !entry.startedAt.includes(gateway)
  if (!starts && status === entry.status && reason === entry.statusReason) return entry
  const startedAt = starts ? [...entry.startedAt, gateway] : entry.startedAt
  return { ...entry, status, statusReason: reason, startedAt }
}

/**
 * When the slowest of the gateways must have a decision in force, epoch ms. Whoever refuses no calls counts only
 * where nobody does.
 */
export function effectiveBy(entry: LedgerEntry, placement: Placement): number | null {
  if (entry.decision.action === 'release' || entry.until === null || entry.issuedAt === null) return null
  const able = placement
    .targets(entry.decision)
    .flatMap((gateway) =>
      placement.formsAt(gateway, entry.decision).flatMap((form) => capabilityFor(gateway, form) ?? []),
    )
  if (able.length === 0) return null
  const refusing = able.filter(({ refusesCalls }) => refusesCalls !== false)
  const delays = (refusing.length > 0 ? refusing : able).map(({ worstCaseDelayMs }) => worstCaseDelayMs)
  return entry.issuedAt + Math.max(0, ...delays)
}

/** What stays on record of an operation that ended at `now`, epoch ms; `as`: the other name that it was about. */
export function receiptOf(
  gateway: string,
  { operation, outcome, detail }: Omit<Receipt, 'time' | 'gateway'>,
  now: number,
  as: Principal | null = null,
): Receipt {
  const name = as === null ? '' : `as ${entityId(as)}`
  const words = name === '' || detail === '' ? name + detail : `${name}: ${detail}`
  return { time: isoTime(now), gateway, operation, outcome, detail: receiptDetail(words) }
}

/** A decision as people see it. */
export function viewOf(
  entry: LedgerEntry,
  placement: Placement,
  aliases: readonly AliasView[],
): EnforcementView {
  const time = (at: number | null): string | null => (at === null ? null : isoTime(at))
  const { decision, status, statusReason, issuedAt, until, receipts } = entry
  return {
    decision,
    status,
    statusReason,
    issuedAt: time(issuedAt),
    until: time(until),
    effectiveBy: time(effectiveBy(entry, placement)),
    approval: approvalOf(entry),
    proof: proofOf(entry),
    aliases,
    receipts,
  }
}

/** What an entry asks of people; null for one that waits for nobody. */
export function approvalOf(entry: LedgerEntry): EnforcementView['approval'] {
  if (entry.status !== 'awaiting-approval') return null
  return { by: isoTime(waitsUntil(entry)), onTimeout: entry.decision.approval?.onTimeout ?? 'drop' }
}
