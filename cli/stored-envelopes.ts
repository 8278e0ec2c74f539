import { setImmediate as nextTurn } from 'node:timers/promises'
import { copyProfile, decodeProfile, type StoredSection } from '../baseline/codec.ts'
import { envelopeOf, isKnown } from '../baseline/envelope.ts'
import { CORE, FIXED_BYTES, TOTAL, WINDOW_COUNT, WINDOW_INDEX, WINDOW_MS } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { Prior } from '../baseline/prior.ts'
import { ProfileSlab, type ProfileView } from '../baseline/slab.ts'
import type { StateStore } from '../baseline/store.ts'
import { isCanary } from '../core/canary.ts'
import burst from '../detectors/burst.ts'
import { dailyPeaks } from '../detectors/peaks.ts'
import type { EnvelopeWish } from '../enforcement/envelope-keeper.ts'
import { FROZEN_KEY, PROFILE_PREFIX, storedPrior } from '../engine/partition-state.ts'
import { eventPartitions } from './event-partitions.ts'

const TEN_MINUTES = 1
const RECORDS = 1
const BYTES = 2
/** Profiles looked at before others get a turn. */
const TURN = 500
const BURSTS: readonly StoredSection[] = [
  { name: burst.name, version: burst.version, bytes: burst.sectionBytes },
]

/** Makes envelopes of stored profiles, one at a time; not for use by two readers at once. */
export class EnvelopeReader {
  private readonly slab = new ProfileSlab(burst.sectionBytes)
  private readonly slot = this.slab.allocate()
  private readonly headroom: number

  constructor(headroom: number) {
    this.headroom = headroom
  }

  /**
   * Null where nobody may be held by it: a caller that no gateway vouches for, the canary of the drill, a profile
   * that this build cannot read.
   */
  wish(blob: Uint8Array, prior: Prior): EnvelopeWish | null {
    const decoded = decodeProfile(blob, [])
    if (decoded.kind !== 'profile') return null
    const { tenant, principal } = decoded.owner
    if (!principal.verified || principal.kind === 'ip' || isCanary(principal)) return null
    const view = this.slab.at(this.slot)
    copyProfile(blob, view, BURSTS)
    const bursts = dailyPeaks(view, { offset: FIXED_BYTES, bytes: burst.sectionBytes })
    const limits = envelopeOf(view, prior, bursts, this.headroom)
    const reason = this.reason(view)
    return { tenant, principal, limits, known: isKnown(view), reason, open: openWindow(view) }
  }

  private reason(view: ProfileView): string {
    const days = view.u16[(view.base + CORE.activeDays) / 2]!
    const own =
      isStale(view) || days < 2 ? 'the windows of its peers' : `its own windows of ${days} active days`
    return `${this.headroom} times what 99.9 % of ${own} hold, and at least twice what its profile remembers of it`
  }
}

function openWindow(view: ProfileView): EnvelopeWish['open'] {
  const total = (metric: number) => view.f64[(view.base + TOTAL) / 8 + metric * WINDOW_COUNT + TEN_MINUTES]!
  const index = view.u32[(view.base + WINDOW_INDEX) / 4 + TEN_MINUTES]!
  return { at: index * WINDOW_MS[TEN_MINUTES], records: total(RECORDS), bytes: total(BYTES) }
}

/** What the committed profiles of all partitions ask for. A partition without a prior says nothing yet. */
export async function* storedWishes(store: StateStore, headroom: number): AsyncIterable<EnvelopeWish> {
  const reader = new EnvelopeReader(headroom)
  let looked = 0
  for (const partition of await eventPartitions(store)) {
    const [frozen] = await store.read(partition, [FROZEN_KEY])
    if (frozen === undefined) continue
    const prior = storedPrior(frozen)
    for await (const [, blob] of store.scan(partition, PROFILE_PREFIX)) {
      if (++looked % TURN === 0) await nextTurn()
      const wish = reader.wish(blob, prior)
      if (wish !== null) yield wish
    }
  }
}
