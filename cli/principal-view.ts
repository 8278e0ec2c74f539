import { copyProfile, decodeProfile } from '../baseline/codec.ts'
import {
  ACTIVITY,
  CELLS,
  CORE,
  HOURS_OF_WEEK,
  METRICS,
  SEEN,
  WINDOW_COUNT,
  WINDOWS,
} from '../baseline/layout.ts'
import { predict, rangeOf } from '../baseline/predictive.ts'
import type { Prior } from '../baseline/prior.ts'
import { ProfileSlab, type ProfileView } from '../baseline/slab.ts'
import { entityId } from '../core/event.ts'
import { isoTime } from '../core/time.ts'
import type { NormalRange, PrincipalState, PrincipalView } from '../engine/control-plane.ts'
import { callsPerDay } from '../engine/gateway-traffic.ts'
import { stateOf } from '../engine/profile-state.ts'

/** How many usual days a busy day is at the most. */
const BUSY = 2

/** Who a stored profile is about, and how much is known: what lists are filtered by. */
export interface ProfileHeadline {
  readonly tenant: string
  readonly entity: string
  readonly state: PrincipalState
}

/** The priors in force of a partition: of callers that a gateway vouches for, and of strangers. */
export interface Priors {
  readonly known: Prior | null
  readonly strangers: Prior | null
}

/** Reads stored profiles for people. Holds one profile at a time; not for use by two readers at once. */
export class ProfileReader {
  /** Only the fixed part is shown, so no room for detector sections. */
  private readonly slab = new ProfileSlab(0)
  private readonly slot = this.slab.allocate()

  /** Null for a profile that this build cannot read. */
  headline(blob: Uint8Array): ProfileHeadline | null {
    const decoded = decodeProfile(blob, [])
    if (decoded.kind !== 'profile') return null
    const { tenant, principal } = decoded.owner
    return { tenant, entity: entityId(principal), state: stateOf(this.load(blob)) }
  }

  /** What is known about a principal, as of its stored profile and the priors in force; null when unreadable. */
  view(blob: Uint8Array, priors: Priors | null): PrincipalView | null {
    const decoded = decodeProfile(blob, [])
    if (decoded.kind !== 'profile') return null
    const { tenant, principal } = decoded.owner
    const view = this.load(blob)
    const prior = priors === null ? null : principal.verified ? priors.known : priors.strangers
    return {
      tenant,
      entity: entityId(principal),
      stableId: `${principal.kind}:${principal.id}`,
      state: stateOf(view),
      events: view.f64[(view.base + CORE.events) / 8]!,
      firstSeen: isoTime(view.f64[(view.base + CORE.firstSeen) / 8]!),
      lastSeen: isoTime(view.f64[(view.base + CORE.lastSeen) / 8]!),
      normal: prior === null ? [] : normalRanges(view, prior),
      hourOfWeek: hourShares(view),
    }
  }

  /**
   * Calls of the caller on the busier of its last two active days, but no more than {@link BUSY} of its usual ones: who
   * floods is hardly larger for that. 0 for one of whom nothing is known yet.
   */
  usualCallsPerDay(blob: Uint8Array, priors: Priors): number {
    const normal = this.view(blob, priors)?.normal ?? []
    const day = normal.find(({ feature, window }) => feature === 'requests' && window === '1d')
    return day === undefined ? 0 : Math.min(callsPerDay(this.load(blob)), BUSY * day.expected)
  }

  private load(blob: Uint8Array): ProfileView {
    const view = this.slab.at(this.slot)
    copyProfile(blob, view, [])
    return view
  }
}

/** For every feature and window that was seen closed at least once; hours as at the last active hour. */
function normalRanges(view: ProfileView, prior: Prior): readonly NormalRange[] {
  const hour = view.u32[(view.base + CORE.hourIndex) / 4]!
  const ranges: NormalRange[] = []
  for (let cell = 0; cell < CELLS; cell++) {
    if (view.f32[(view.base + SEEN) / 4 + cell] === 0) continue
    const feature = METRICS[Math.floor(cell / WINDOW_COUNT)]!
    ranges.push({
      feature,
      window: WINDOWS[cell % WINDOW_COUNT]!,
      ...rangeOf(predict(view, prior, cell, hour)),
      unit: feature,
    })
  }
  return ranges
}

function hourShares(view: ProfileView): readonly number[] {
  const start = view.base + ACTIVITY
  const cells = [...view.bytes.subarray(start, start + HOURS_OF_WEEK)]
  const sum = cells.reduce((total, cell) => total + cell, 0)
  return cells.map((cell) => (sum === 0 ? 0 : cell / sum))
}
