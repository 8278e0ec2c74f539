import type { HoldProof } from '../core/decision.ts'
import { isoTime, SECOND_MS } from '../core/time.ts'
import { isLive, type LedgerEntry, type ProofState } from './ledger.ts'

/** A served call counts as a leak only this much later than the slowest gateway must have had the rule. */
const LEAK_SLACK_MS = 10 * SECOND_MS

/**
 * The entry with what a call showed, or null when that says nothing new: the decision no longer stands, or the
 * gateway still had time. `effectiveBy` is when the slowest gateway must have it in force, epoch ms.
 */
export function withProof(
  entry: LedgerEntry,
  { proof, at }: HoldProof,
  effectiveBy: number | null,
): LedgerEntry | null {
  if (!isLive(entry.status) || effectiveBy === null) return null
  const { heldAt = null, leakingAt = null } = entry.proof ?? {}
  if (proof === 'held') return heldAt === null ? { ...entry, proof: { heldAt: at, leakingAt } } : null
  if (leakingAt !== null || at <= effectiveBy + LEAK_SLACK_MS) return null
  return { ...entry, proof: { heldAt, leakingAt: at } }
}

/** Where the proof stands and since when; null for a decision that never was to act. A leak outweighs a refusal. */
export function proofOf(
  entry: LedgerEntry,
): { readonly state: ProofState; readonly at: string | null } | null {
  if (entry.issuedAt === null) return null
  const { heldAt = null, leakingAt = null } = entry.proof ?? {}
  if (leakingAt !== null) return { state: 'leaking', at: isoTime(leakingAt) }
  if (heldAt !== null) return { state: 'held', at: isoTime(heldAt) }
  return { state: 'untested', at: null }
}
