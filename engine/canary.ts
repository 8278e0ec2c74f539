import { CORE } from '../baseline/layout.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE } from '../baseline/tail.ts'
import type { Reason, VerdictPart } from '../core/opinion.ts'

/** Stands for a detector in the incidents of the drill's canary. */
export const CANARY_DETECTOR = 'canary'
/** Nobody but the drill makes such a call: as surprising as anything, so that no threshold hides it. */
export const CANARY_SURPRISE = MAX_SURPRISE

/** What the surprise of a canary's call is combined from. */
export const CANARY_PART: VerdictPart = { detector: CANARY_DETECTOR, surprise: CANARY_SURPRISE, weight: 1 }

/** Why a call of the canary is an alarm. */
export const CANARY_REASON: Reason = {
  detector: CANARY_DETECTOR,
  feature: 'calls of the canary',
  observed: 1,
  expected: 0,
  range: [0, 0],
  unit: 'calls',
  surprise: CANARY_SURPRISE,
  weight: 1,
  comparedWith: 'nobody but a drill calls by this name',
}

/**
 * Books a call of the canary on its profile: that it was seen, and nothing else. Its windows and days stay empty, so
 * that it remains a newcomer, who weighs nothing in what is known about others and is never revoked.
 */
export function noteCanary(view: ProfileView, at: number): void {
  const lastSeen = (view.base + CORE.lastSeen) / 8
  const events = (view.base + CORE.events) / 8
  if (view.f64[events] === 0) view.f64[(view.base + CORE.firstSeen) / 8] = at
  view.f64[events]! += 1
  view.f64[lastSeen] = Math.max(at, view.f64[lastSeen]!)
}
