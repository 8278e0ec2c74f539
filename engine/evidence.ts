import type { Reason } from '../core/opinion.ts'

/** What one kind of evidence must say: a decade more than an ordinary day. Two weeks of office hours can hardly say more of an hour that they never had. */
const STRONG = 2.5

/**
 * What the first word of a reason's feature speaks of: how much was asked for, what the caller usually does, or, as
 * anything else does, that the caller is somebody else or does what no honest caller does (an hour at which it never works,
 * a network or client that it never had, refusals, ids in a row).
 */
const KINDS: Readonly<Record<string, 'amount' | 'habit'>> = {
  requests: 'amount',
  records: 'amount',
  bytes: 'amount',
  writes: 'amount',
  objects: 'amount',
  operation: 'habit',
  object: 'habit',
  hour: 'habit',
}
/**
 * Amounts that speak for themselves, in terms of the surprise that one kind must have to: half as many decades again. Ordinary
 * traffic has backfills and retries that go far beyond anything before, but not this far.
 */
const ABSURD = 1.5
/** Longer than their first word: the hour of the week is told apart from that of the day. */
const HOUR_OF_WEEK = 'hour-of-week/'
/** That a caller goes about things in another order says that it is used otherwise, not by whom; it repeats what habits say. */
const ORDER = 'sequence'

/**
 * Whether reasons speak for a credential in other hands, which is what a revocation is for: two independent kinds of
 * evidence, of which one is neither an amount nor a habit, or that one kind alone beyond `alone`; or an absurd amount. A job that is
 * repeated for a past year, or a client that retries without pause, shows large amounts of what it always does, perhaps by
 * operations that it seldom uses: it is held, and released again, but its credential is as good as before.
 */
export function speaksForTheft(reasons: readonly Reason[], alone: number): boolean {
  const strength = new Map<string, number>()
  for (const { detector, feature, surprise } of reasons) {
    if (detector === ORDER) continue
    const kind = kindOf(feature) ?? detector
    const before = strength.get(kind) ?? 0
    // Reasons of one detector share its surprise among them; those of several windows repeat it.
    strength.set(kind, kind === 'amount' ? Math.max(before, surprise) : before + surprise)
  }
  let kinds = 0
  let theft = 0
  for (const [kind, surprise] of strength) {
    if (surprise < STRONG) continue
    kinds++
    if (kind !== 'amount' && kind !== 'habit') theft = Math.max(theft, surprise)
  }
  const absurd = (strength.get('amount') ?? 0) >= ABSURD * alone
  return absurd || theft >= alone || (theft > 0 && kinds >= 2)
}

function kindOf(feature: string): 'amount' | 'habit' | undefined {
  if (feature.startsWith(HOUR_OF_WEEK)) return undefined
  return KINDS[/^[a-z]+/.exec(feature)?.[0] ?? '']
}
