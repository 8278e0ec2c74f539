import { CORE, DERIVED } from '../baseline/layout.ts'
import { OWNER_BUCKETS } from '../baseline/owners.ts'
import type { Prior } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { advance, countActiveDay, countsForAll, type QuarantinedWindows } from '../baseline/windows.ts'
import type { AccessEvent } from '../core/event.ts'
import { hash32 } from '../core/hash.ts'
import { DAY_MS } from '../core/time.ts'
import { marksOf } from '../detectors/marks.ts'
import { surpriseOfHour } from '../detectors/off-hours.ts'
import { binOf, UNITS_PER_DAY } from './calibration.ts'
import { closeLevels } from './levels.ts'
import type { Population } from './population.ts'
import { NEWCOMER_EVENTS } from './residents.ts'

/** Calls older than the principal's latest by more than this are counted apart. */
const LATE_MS = 600_000
/** Days a principal must have been active before its day maxima say anything about normal traffic. */
const MIN_DAYS_FOR_MAXIMA = 3
/** Active days until which much surprises that is usual. */
const SETTLED_DAYS = 7
/** Former days from which its calls do: newcomers say nothing about others, and the usual number of calls must be known. */
const FORMER_DAYS_FOR_EVENTS = 2
/** One day of a caller weighs at most as much as so many of its usual ones. */
const MOST_DAYS_IN_ONE = 16

/** Seed of the hash of owners; part of what is stored. */
const OWNERS = 0x6f77_6e73

/** Whether a call ended long before the latest one of its caller. */
export function isLate(view: ProfileView, at: number): boolean {
  return view.f64[(view.base + CORE.lastSeen) / 8]! - at > LATE_MS
}

/**
 * Books the time of a call on its profile: day and hour changes, window closings, lateness. True when a new
 * hour began.
 */
export function bookTime(
  event: AccessEvent,
  view: ProfileView,
  at: number,
  population: Population,
  quarantine: QuarantinedWindows | null,
): boolean {
  if (isLate(view, at)) view.u32[(view.base + CORE.lateEvents) / 4]! += 1
  const lastSeen = view.f64[(view.base + CORE.lastSeen) / 8]!
  const time = at > lastSeen ? at : lastSeen
  const events = (view.base + CORE.events) / 8
  if (view.f64[events] === 0) view.f64[(view.base + CORE.firstSeen) / 8] = time
  view.f64[events]! += 1
  view.f64[(view.base + CORE.lastSeen) / 8] = time
  const newHour = advance(view, time, population.learning, quarantine)
  // After the windows: they close under what was known when they were open.
  const day = Math.floor(time / DAY_MS)
  if (day !== view.u32[(view.base + CORE.dayIndex) / 4]) closeDay(view, day, event, population)
  view.u32[(view.base + CORE.dayEvents) / 4]! += 1
  if (newHour) bookHour(view, population.learning.prior)
  return newHour
}

/** Bucket of who answers for the caller: its organisation or app, else the network that it calls from, else itself. */
function ownerBucket(event: AccessEvent): number {
  const [mostGeneral] = event.parents
  if (mostGeneral !== undefined) return hash32(mostGeneral, OWNERS) % OWNER_BUCKETS
  const { network } = marksOf(event)
  return (
    (network === 0 ? hash32(event.principal.id, OWNERS) : hash32(String(network), OWNERS)) % OWNER_BUCKETS
  )
}

/** Works out how surprising it is to be active in the current hour. */
export function bookHour(view: ProfileView, prior: Prior): void {
  const hour = view.u32[(view.base + CORE.hourIndex) / 4]!
  view.f32[(view.base + CORE.hourSurprise) / 4] = surpriseOfHour(view, prior, hour)
}

function closeDay(view: ProfileView, day: number, event: AccessEvent, { knowledge }: Population): void {
  const u = view.base / 4
  const days = (view.base + CORE.activeDays) / 2
  const largest = view.f32[u + CORE.dayMaxSurprise / 4]!
  const events = view.f64[(view.base + CORE.events) / 8]!
  const { dayMaxima, levels } = knowledge.sums.calibration
  const tells = countsForAll(view) && view.u16[days]! >= MIN_DAYS_FOR_MAXIMA && events >= NEWCOMER_EVENTS
  if (tells) dayMaxima[binOf(largest)]! += 1
  closeLevels(view, tells ? levels : null, view.u16[days]! > SETTLED_DAYS)
  view.f32[u + CORE.dayMaxSurprise / 4] = 0
  view.u32[u + CORE.previousDayEvents / 4] = view.u32[u + CORE.dayEvents / 4]!
  view.u32[u + CORE.dayEvents / 4] = 0
  view.u32[u + CORE.dayIndex / 4] = day
  countActiveDay(view, knowledge.sums.prior, ownerBucket(event))
  // A further day makes the history worth more.
  view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
}

/**
 * Adds the surprise to the calibration, and the operation to what is usual, so that each principal weighs the same per
 * active day and each of its calls alike: a call on one of its busy days counts like any other, as it is such days that
 * surprise. How surprising hostile calls are is not learnt, and their operations are not; that there are so many is, or scores
 * just below them would promise too much.
 */
export function sample(
  event: AccessEvent,
  view: ProfileView,
  surprise: number,
  { knowledge, threshold }: Population,
): void {
  const f = (view.base + CORE.dayMaxSurprise) / 4
  if (surprise > view.f32[f]!) view.f32[f] = surprise
  const formerDays = view.u16[(view.base + CORE.activeDays) / 2]! - 1
  if (formerDays < FORMER_DAYS_FOR_EVENTS || !countsForAll(view)) return
  const today = view.u32[(view.base + CORE.dayEvents) / 4]!
  const usual = (view.f64[(view.base + CORE.events) / 8]! - today) / formerDays
  if (today > MOST_DAYS_IN_ONE * usual) return
  const every = Math.ceil(usual / UNITS_PER_DAY)
  if (every > 1 && today % every !== 0) return
  const units = Math.floor((UNITS_PER_DAY * every) / usual)
  knowledge.sums.calibration.events[binOf(Math.min(surprise, threshold))]! += units
  if (surprise < threshold) knowledge.sums.prior.operations[marksOf(event).operation]! += units
}
