import type { ApprovalTimeout, Decision } from '../core/decision.ts'
import { entityId } from '../core/event.ts'
import { firstEnd, sharedNameReason, staleReason, standingReason } from './enforcer-judgement.ts'
import type { EnforcerOptions } from './enforcer-options.ts'
import { DEFAULT_GUARD, type GuardSettings, guardReason } from './guard.ts'
import type { LedgerEntry } from './ledger.ts'
import type { EntryBook } from './ledger-book.ts'
import type { Placement } from './placement.ts'

/** Decides whether a decision acts, waits for a person or is withheld. */
export class Admission {
  readonly #options: EnforcerOptions
  readonly #guard: GuardSettings
  readonly #book: EntryBook
  readonly #placement: Placement
  readonly #restricted = new Map<string, number>()
  readonly maxEvidenceAgeMs: number
  readonly maxTokenSeconds: number
  #guardWarnedAt = Number.NEGATIVE_INFINITY

  constructor(options: EnforcerOptions, book: EntryBook, placement: Placement) {
    this.#options = options
    this.#placement = placement
    this.#book = book
    this.#guard = options.guard ?? DEFAULT_GUARD
    this.maxEvidenceAgeMs = options.maxEvidenceAgeMs ?? 300_000
    this.maxTokenSeconds = options.maxTokenLifetimeSeconds ?? 86_400
  }

  /** The first state of a decision. */
  judge(decision: Decision, now: number): LedgerEntry {
    const blank = {
      decision,
      statusReason: null,
      issuedAt: null,
      until: null,
      approved: false,
      startedAt: [],
      receipts: [],
    }
    if (decision.action === 'release') return { ...blank, status: 'released', statusReason: decision.reason }
    const latched = this.latched()
    if (decision.mode === 'observe' || latched !== null)
      return { ...blank, status: 'observed', statusReason: latched }
    const lifted = this.lifted(decision)
    if (lifted !== null) return { ...blank, status: 'released', statusReason: lifted }
    if (decision.mode === 'approve') return { ...blank, ...asking(decision) }
    const until = firstEnd(decision, now, this.maxTokenSeconds)
    const issued: LedgerEntry = { ...blank, status: 'pending', issuedAt: now, until }
    const objection =
      staleReason(decision, now, this.maxEvidenceAgeMs) ??
      this.allowReason(decision) ??
      this.plannedReason(decision) ??
      this.impossible(decision, until, now)
    if (objection !== null) return { ...blank, status: 'withheld', statusReason: objection }
    const standing = standingReason(issued, this.#book.ofPrincipal(decision))
    if (standing !== null) return { ...blank, status: 'superseded', statusReason: standing }
    const shared = sharedNameReason(decision, this.#book.open(), (of) => this.#placement.callerKey(of))
    if (shared !== null) return { ...blank, status: 'awaiting-approval', statusReason: shared }
    const guarded = this.#wideAs(decision) ?? this.#guarded(decision, now)
    if (guarded !== null) return { ...blank, status: 'awaiting-approval', statusReason: guarded }
    return issued
  }

  /** Why a decision is over that still acts or only now arrives, or null: after a crash a release may overtake it. */
  lifted(decision: Decision): string | null {
    for (const { decision: other } of this.#book.ofPrincipal(decision)) {
      if (other.incident === decision.incident && other.action === 'release') return other.reason
    }
    return null
  }

  /** Why a decision cannot be carried out at all, or null. */
  impossible(decision: Decision, until: number, now: number): string | null {
    if (until <= now) return 'the token has expired already'
    if (this.#placement.targets(decision).length > 0) return null
    return `no gateway can ${decision.action} with scope ${decision.scope.kind}`
  }

  /** Why nothing may be enforced anew, or null. */
  latched(): string | null {
    return this.#options.latched?.() ?? null
  }

  /** An entry to which a person agrees at `now`, or why it cannot act. */
  agree(entry: LedgerEntry, now: number): LedgerEntry | string {
    const { decision } = entry
    const until = firstEnd(decision, now, this.maxTokenSeconds)
    const objection = this.latched() ?? this.allowReason(decision) ?? this.impossible(decision, until, now)
    if (objection !== null) return objection
    return { ...entry, status: 'pending', statusReason: null, issuedAt: now, until, approved: true }
  }

  /**
   * A waiting entry after nobody agreed in time. One that is to act is judged as if it were decided now: on what was
   * seen last, and by every rule that holds without a person.
   */
  timedOut(
    entry: LedgerEntry,
    { outcome, by, evidenceAt, reason }: ApprovalTimeout,
    now: number,
  ): LedgerEntry {
    if (outcome === 'extend') return { ...entry, approveBy: by }
    if (outcome === 'drop') return { ...entry, status: 'expired', statusReason: reason }
    const acting = this.judge({ ...entry.decision, mode: 'enforce', evidenceAt }, now)
    if (acting.status !== 'awaiting-approval') return acting
    return { ...acting, status: 'withheld' }
  }

  #guarded(decision: Decision, now: number): string | null {
    const reason = guardReason(this.#guard, {
      now,
      principal: this.#placement.callerKey(decision),
      restricted: this.#restricted,
      knownPrincipals: this.#options.knownPrincipals?.() ?? 0,
      liveRules: this.#book.live,
    })
    if (reason !== null && now - this.#guardWarnedAt >= this.#guard.windowMs) {
      this.#guardWarnedAt = now
      this.#options.logger.warn({ decision: decision.id, reason }, 'new decisions wait for a person')
    }
    return reason
  }

  /** Counts a principal for the guard. */
  noteRestriction(entry: LedgerEntry, at: number): void {
    const key = this.#placement.callerKey(entry.decision)
    this.#restricted.set(key, Math.max(at, this.#restricted.get(key) ?? 0))
    const since = this.#options.clock.now() - this.#guard.windowMs
    for (const [principal, time] of this.#restricted) if (time <= since) this.#restricted.delete(principal)
  }

  /** Why a person must agree before the caller is held under its other names, or null. */
  #wideAs(decision: Decision): string | null {
    for (const other of this.#placement.otherNames(decision)) {
      const reason = this.#options.tooWide?.(decision.tenant, other.principal) ?? null
      if (reason !== null) return reason
    }
    return null
  }

  /** Why nothing may be enforced anew on the principal just now, under any of its names, or null. */
  plannedReason(decision: Decision): string | null {
    const { tenant, groups = [] } = decision
    for (const name of this.#namesOf(decision)) {
      const reason = this.#options.planned?.(tenant, name, groups) ?? null
      if (reason !== null) return reason
    }
    return null
  }

  /** Why the principal or entity is never acted on, or null. One name on the allow list speaks for the caller. */
  allowReason(decision: Decision): string | null {
    for (const name of [decision.entity.id, ...this.#namesOf(decision)]) {
      const reason = this.#options.isAllowed(decision.tenant, name)
      if (reason !== null) return `allow list: ${reason}`
    }
    return null
  }

  #namesOf(decision: Decision): readonly string[] {
    const others = this.#placement.otherNames(decision).flatMap(({ shownAs }) => shownAs)
    return [entityId(decision.principal), ...others]
  }
}

/** How a decision begins that waits for a person. */
function asking({ approval }: Decision): Pick<LedgerEntry, 'status' | 'statusReason' | 'approveBy'> {
  const statusReason = approval?.because ?? 'mode is approve'
  return {
    status: 'awaiting-approval',
    statusReason,
    approveBy: approval === undefined ? null : Date.parse(approval.by),
  }
}
