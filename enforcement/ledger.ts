import type { Decision, OnTimeout } from '../core/decision.ts'

/** What the traffic has shown about a decision: refused, let through what it should refuse, or nothing yet. */
export type ProofState = 'held' | 'leaking' | 'untested'

/** Where a decision stands. The last four are ends. */
export type EnforcementStatus =
  | 'observed'
  | 'awaiting-approval'
  | 'withheld'
  | 'pending'
  | 'in-force'
  | 'failed'
  | 'expired'
  | 'released'
  | 'superseded'

/** One thing done at one gateway, as it came out. `time` is ISO 8601. */
export interface Receipt {
  readonly time: string
  readonly gateway: string
  readonly operation: 'put' | 'remove' | 'list'
  readonly outcome: 'done' | 'failed' | 'refused'
  readonly detail: string
}

/** What is known about one decision. Everything that a restart needs. */
export interface LedgerEntry {
  readonly decision: Decision
  readonly status: EnforcementStatus
  /** Why it was withheld, waits for a person, failed or ended. */
  readonly statusReason: string | null
  /** When it was issued (accepted, or approved by a person), epoch ms; null while it is not to act. */
  readonly issuedAt: number | null
  /** When the hold ends at every gateway, epoch ms. */
  readonly until: number | null
  /** A person agreed: the age of the evidence and the guard no longer matter. */
  readonly approved: boolean
  /** Until when it waits for a person, epoch ms of event time; absent where the engine does not say. */
  readonly approveBy?: number | null
  /** Gateways that confirmed the rule at least once: the hold has started there. */
  readonly startedAt: readonly string[]
  /** The newest {@link MAX_RECEIPTS}. */
  readonly receipts: readonly Receipt[]
  /** When the first refusal and the first leak were seen in the traffic, epoch ms of event time. */
  readonly proof?: { readonly heldAt: number | null; readonly leakingAt: number | null }
}

/** Receipts kept per decision; the full history is the audit's. */
export const MAX_RECEIPTS = 20
/** Characters of a gateway's answer that a receipt keeps. */
export const MAX_DETAIL_LENGTH = 200

/**
 * Where decisions survive a restart. `save` is durable when resolved; it replaces the entry of the same
 * decision id. Several workers may share one ledger: `load` shows what the others saved.
 */
export interface DecisionLedger {
  load(): Promise<readonly LedgerEntry[]>
  save(entry: LedgerEntry): Promise<void>
  /** Drops entries of which a statement holds; never one that is live. */
  forgetEnded(holds: (entry: LedgerEntry) => boolean): Promise<void>
}

/** One gateway that knows the caller of a decision by another name, and how it stands under that name. */
export interface AliasView {
  readonly gateway: string
  /** `sub:orders-svc` */
  readonly principal: string
  readonly state: 'held' | 'failed' | 'unsupported' | 'pending'
}

/** A decision as people and the admin API see it. Times are ISO 8601. */
export interface EnforcementView {
  readonly decision: Decision
  readonly status: EnforcementStatus
  readonly statusReason: string | null
  readonly issuedAt: string | null
  readonly until: string | null
  /** When the slowest gateway must have it in force. */
  readonly effectiveBy: string | null
  /** Of one that waits for a person: until when, in event time, and what happens then; null for all others. */
  readonly approval: { readonly by: string; readonly onTimeout: OnTimeout } | null
  /** What the traffic has shown; null for a decision that never was to act. */
  readonly proof: { readonly state: ProofState; readonly at: string | null } | null
  /** Where it stands under other names of the caller than the decided one; empty for one that does not act. */
  readonly aliases: readonly AliasView[]
  readonly receipts: readonly Receipt[]
}

/** Answer to a change asked for by a person. */
export type ChangeOutcome =
  | { readonly ok: true; readonly value: EnforcementView }
  | { readonly ok: false; readonly why: 'not-found' | 'conflict'; readonly detail: string }

/** There is no such decision. */
export function notFound(id: string): ChangeOutcome {
  return { ok: false, why: 'not-found', detail: `no decision ${id.slice(0, 80)}` }
}

/** The decision does not stand as the change needs it. */
export function conflict(detail: string): ChangeOutcome {
  return { ok: false, why: 'conflict', detail }
}

/** Statuses under which a rule should stand at the gateways. */
export function isLive(status: EnforcementStatus): boolean {
  return status === 'pending' || status === 'in-force' || status === 'failed'
}

/** Until when a decision that waits for a person does so, epoch ms: as the engine says, else for as long as it would hold. */
export function waitsUntil({ approveBy, decision }: LedgerEntry): number {
  return approveBy ?? decision.evidenceAt + decision.holdSeconds * 1_000
}

/** When a decision no longer matters to anybody but readers of history, epoch ms. */
export function endedAt({ until, decision }: LedgerEntry): number {
  return until ?? decision.evidenceAt + decision.holdSeconds * 1_000
}

/** Adds a receipt; the same outcome at the same gateway again replaces the one before. */
export function withReceipt(entry: LedgerEntry, receipt: Receipt): LedgerEntry {
  const last = entry.receipts.at(-1)
  const repeated =
    last !== undefined &&
    last.gateway === receipt.gateway &&
    last.operation === receipt.operation &&
    last.outcome === receipt.outcome &&
    last.detail === receipt.detail
  const kept = repeated ? entry.receipts.slice(0, -1) : entry.receipts
  return { ...entry, receipts: [...kept, receipt].slice(-MAX_RECEIPTS) }
}

/** A gateway's words, on one line and cut: they may come from anywhere. */
export function receiptDetail(text: string): string {
  const plain = text.replace(/[\p{Cc}\u2028\u2029]/gu, ' ')
  return plain.length > MAX_DETAIL_LENGTH ? `${plain.slice(0, MAX_DETAIL_LENGTH - 1)}…` : plain
}
