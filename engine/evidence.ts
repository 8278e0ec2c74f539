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
  hours: 'amount',
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

/** Of these a new network or client is the whole evidence, or a part of it; they tell of the same change. */
const PLACE = 'place'
const NEW_PLACE = /^(network|client)\/new/

/**
 * Whether reasons speak for a credential in other hands, which is what a revocation is for: two independent kinds of
 * evidence, of which one is neither an amount nor a habit, or that one kind alone beyond `alone`; or an absurd amount. A job that is
 * repeated for a past year, or a client that retries without pause, shows large amounts of what it always does, perhaps by
 * operations that it seldom uses: it is held, and released again, but its credential is as good as before.
 */
export function speaksForTheft(reasons: readonly Reason[], alone: number): boolean {
  let kinds = 0
  let theft = 0
  let amount = 0
  for (const [kind, surprise] of strengths(reasons)) {
    if (kind === 'amount') amount = surprise
    if (surprise < STRONG) continue
    kinds++
    if (kind !== 'amount' && kind !== 'habit') theft = Math.max(theft, surprise)
  }
  return amount >= ABSURD * alone || theft >= alone || (theft > 0 && kinds >= 2)
}

/** How much each kind of evidence says. Reasons of one detector share its surprise among them; several detectors repeat it. */
function strengths(reasons: readonly Reason[]): ReadonlyMap<string, number> {
  const ofDetector = new Map<string, Map<string, number>>()
  const strongest = new Map<string, number>()
  for (const { detector, feature, surprise } of reasons) {
    if (detector === ORDER) continue
    const kind = kindOf(feature) ?? detector
    const sums = ofDetector.get(detector) ?? new Map<string, number>()
    ofDetector.set(detector, sums)
    // Those of several windows say the same thing.
    const before = sums.get(kind) ?? 0
    const sum = kind === 'amount' ? Math.max(before, surprise) : before + surprise
    sums.set(kind, sum)
    strongest.set(kind, Math.max(strongest.get(kind) ?? 0, sum))
  }
  return strongest
}

function kindOf(feature: string): string | undefined {
  if (feature.startsWith(HOUR_OF_WEEK)) return undefined
  return NEW_PLACE.test(feature) ? PLACE : KINDS[/^[a-z]+/.exec(feature)?.[0] ?? '']
}
