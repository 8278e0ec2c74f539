import { ACTIVITY, CORE, HOURS_OF_WEEK, hourOfWeek } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { Prior } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import type { Reason } from '../core/opinion.ts'
import { ABSTAIN, type Detector, type Question } from './detector.ts'

/** Active hours a principal needs before its week has a shape. */
const MIN_ACTIVE_HOURS = 24
/** Active hours that the hour-of-day habit is worth against the hour-of-week one. */
const DAY_HABIT_WEIGHT = 8
/** Observations that the peers' week is worth against the own day. */
const PEERS_WEIGHT = 4
/** Hours of one day come together: four of them count as one independent observation of a habit. */
const DEPENDENT_HOURS = 4
/** Neighbouring hours share a quarter of their weight each, which also absorbs daylight saving. */
const NEIGHBOUR = 0.25

const DAY_NAMES = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const

const habit = new Float64Array(24)
const share = new Float64Array(HOURS_OF_WEEK)

/**
 * When a caller is active. The surprise is the probability that an active hour of this principal falls
 * into an hour as unlikely as the present one, under a hierarchical Dirichlet: own hour of the week, own
 * hour of the day, the peers' week. Asked once per hour; every call in that hour carries the answer.
 */
const offHours: Detector = {
  name: 'off-hours',
  place: 1,
  version: 1,
  summary: 'Activity at an hour of the week at which this caller is hardly ever active.',
  sectionBytes: 0,
  weight: 0.6,
  owasp: ['API2:2023'],
  score: ({ profile }) => profile.f32[(profile.base + CORE.hourSurprise) / 4]!,
  explain,
  learn() {
    // The baseline learns an active hour when it ends without quarantined calls.
  },
}
export default offHours

/** Surprise of being active in this hour, or ABSTAIN; the engine stores it when an hour begins. */
export function surpriseOfHour(profile: ProfileView, prior: Prior, hourIndex: number): number {
  const active = profile.f32[(profile.base + CORE.activeHours) / 4]!
  if (active < MIN_ACTIVE_HOURS || isStale(profile)) return ABSTAIN
  const hour = hourOfWeek(hourIndex)
  // A habitual hour needs no arithmetic: it cannot be among the unlikely ones.
  if (profile.bytes[profile.base + ACTIVITY + hour]! >= 3) return 0
  fillShares(profile, prior, active)
  const limit = share[hour]! * (1 + 1e-9)
  let tail = 0
  for (let h = 0; h < HOURS_OF_WEEK; h++) if (share[h]! <= limit) tail += share[h]!
  return tail >= 1 ? 0 : -Math.log10(tail)
}

function fillShares(profile: ProfileView, prior: Prior, active: number): void {
  const start = profile.base + ACTIVITY
  habit.fill(0)
  for (let h = 0; h < HOURS_OF_WEEK; h++) {
    const n = profile.bytes[start + h]!
    if (n === 0) continue
    const hod = h % 24
    habit[hod]! += n * (1 - 2 * NEIGHBOUR)
    habit[(hod + 1) % 24]! += n * NEIGHBOUR
    habit[(hod + 23) % 24]! += n * NEIGHBOUR
  }
  const days = active / DEPENDENT_HOURS
  for (let h = 0; h < HOURS_OF_WEEK; h++) {
    const day =
      (habit[h % 24]! / 7 / DEPENDENT_HOURS + PEERS_WEIGHT * prior.hours[h]!) / (days + PEERS_WEIGHT)
    share[h] = (profile.bytes[start + h]! + DAY_HABIT_WEIGHT * day) / (active + DAY_HABIT_WEIGHT)
  }
}

function explain({ profile, prior }: Question): readonly Reason[] {
  const surprise = profile.f32[(profile.base + CORE.hourSurprise) / 4]!
  if (surprise < 0) return []
  const hourIndex = profile.u32[(profile.base + CORE.hourIndex) / 4]!
  const active = profile.f32[(profile.base + CORE.activeHours) / 4]!
  const hour = hourOfWeek(hourIndex)
  fillShares(profile, prior, active)
  return [
    {
      detector: 'off-hours',
      feature: `hour-of-week/${DAY_NAMES[(hour / 24) | 0]} ${String(hour % 24).padStart(2, '0')}:00 UTC`,
      observed: 1,
      expected: share[hour]!,
      range: [0, 1],
      unit: 'active hours',
      surprise,
      weight: 1,
      comparedWith: 'own history and peers',
    },
  ]
}
