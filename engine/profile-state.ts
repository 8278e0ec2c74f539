import { CORE } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { DAY_MS } from '../core/time.ts'
import type { PrincipalState } from './control-plane.ts'

const LEARNING_DAYS = 3
const LEARNING_EVENTS = 40
const MATURE_SPAN_MS = 13 * DAY_MS
const MATURE_DAYS = 7

/** How much is known about a principal, from the days and calls that it was observed for. */
export function stateOf(view: ProfileView): PrincipalState {
  if (isStale(view)) return 'STALE'
  const days = view.u16[(view.base + CORE.activeDays) / 2]!
  const events = view.f64[(view.base + CORE.events) / 8]!
  if (days < LEARNING_DAYS || events < LEARNING_EVENTS) return 'LEARNING'
  const span = view.f64[(view.base + CORE.lastSeen) / 8]! - view.f64[(view.base + CORE.firstSeen) / 8]!
  return span >= MATURE_SPAN_MS && days >= MATURE_DAYS ? 'MATURE' : 'PROVISIONAL'
}
