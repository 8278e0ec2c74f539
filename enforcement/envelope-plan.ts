import { ENVELOPE_LIMITS, type EnvelopeLimits, eachLimit } from '../core/envelope.ts'
import type { WallTimeMs } from '../core/time.ts'
import type { Envelope } from './envelope.ts'

/** Limits as a gateway counts them: whole, rounded up. */
export function wholeLimits(limits: EnvelopeLimits): EnvelopeLimits {
  return eachLimit((name) => {
    const limit = limits[name]
    return limit === null ? null : Math.min(Number.MAX_SAFE_INTEGER, Math.ceil(limit))
  })
}

/** Whether some limit differs by more than this factor, up or down: smaller changes are not worth a call. */
export function differs(a: EnvelopeLimits, b: EnvelopeLimits, factor: number): boolean {
  return ENVELOPE_LIMITS.some((name) => {
    const [x, y] = [a[name], b[name]]
    if (x === null || y === null) return x !== y
    return x > y * factor || y > x * factor
  })
}

/** What would make a holder agree with what is desired, the most urgent first. */
export interface EnvelopePlan {
  readonly put: readonly Envelope[]
  readonly remove: readonly string[]
}

/**
 * Compares what should stand with what a holder has under our mark. What stands with the same limits is put again
 * only when less than half of its time is left. Removals are for what nobody desires and what has ended.
 */
export function planEnvelopes(
  desired: readonly Envelope[],
  held: readonly Envelope[],
  now: WallTimeMs,
): EnvelopePlan {
  const standing = new Map(held.map((envelope) => [envelope.id, envelope]))
  const put: Envelope[] = []
  const renewed: Envelope[] = []
  for (const envelope of desired) {
    const there = standing.get(envelope.id)
    if (there === undefined || there.until <= now || differs(there.limits, envelope.limits, 1))
      put.push(envelope)
    else if (there.until - now < (envelope.until - now) / 2) renewed.push(envelope)
  }
  renewed.sort((a, b) => standing.get(a.id)!.until - standing.get(b.id)!.until)
  const wanted = new Set(desired.map(({ id }) => id))
  return { put: [...put, ...renewed], remove: [...standing.keys()].filter((id) => !wanted.has(id)) }
}

/**
 * Those of the callers that an envelope can be made for. While most are new, as in the first days of an installation,
 * nobody knows what their peers do, and only those have one who were active on days enough themselves.
 */
export function withPeersKnown<T extends { readonly known: boolean }>(callers: readonly T[]): readonly T[] {
  const known = callers.filter((caller) => caller.known)
  return 2 * known.length >= callers.length ? callers : known
}
