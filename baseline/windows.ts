import { learnActiveHour, learnLevel } from './hours.ts'
import {
  CELLS,
  CORE,
  DAY_WINDOW,
  DERIVED,
  FLAG_COUNTS,
  FLAG_STALE,
  HOUR_WINDOW,
  hourOfWeek,
  M2,
  MEAN,
  MEMORY,
  METRIC_COUNT,
  OWNER_SHIFT,
  SEEN,
  TOTAL,
  WINDOW_COUNT,
  WINDOW_INDEX,
  WINDOW_MS,
} from './layout.ts'
import { mayCount } from './owners.ts'
import { ALL_WINDOWS, derive, isStale, levelOffset, ownWindows, predict } from './predictive.ts'
import { type Prior, type PriorSums, weighInPrior } from './prior.ts'
import type { ProfileView } from './slab.ts'

/** Where a closing window's lesson goes besides the profile itself. */
export interface Learning {
  readonly prior: Prior
  readonly sums: PriorSums
}

/** Totals of windows that held quarantined calls, kept apart until a person accepts or drops them. */
export interface QuarantinedWindows {
  /** Closed windows per cell, their summed ln(1 + total) and its squares. */
  readonly count: number[]
  readonly sum: number[]
  readonly squares: number[]
  /** Hours since the epoch in which they fell, at most 168. */
  readonly hours: number[]
}

/**
 * Active days from which a principal counts in what is known about all. Before the second one it is a
 * newcomer and weighs nothing, however busy it is.
 */
const DAYS_IN_PRIOR = 2
/** A window's lesson moves the mean no further than this many predictive standard deviations. */
const CLIP = 3
const MAX_QUARANTINED_HOURS = 168

export function emptyQuarantine(): QuarantinedWindows {
  return {
    count: new Array<number>(CELLS).fill(0),
    sum: new Array<number>(CELLS).fill(0),
    squares: new Array<number>(CELLS).fill(0),
    hours: [],
  }
}

/**
 * Moves the profile to an instant: windows that ended are closed and learnt, or set aside when they held
 * quarantined calls. Time never runs backwards here; the caller clamps late calls to `lastSeen`.
 * Returns true when the hour changed.
 */
export function advance(
  view: ProfileView,
  time: number,
  learning: Learning,
  quarantine: QuarantinedWindows | null,
): boolean {
  const u = (view.base + WINDOW_INDEX) / 4
  const minute = Math.floor(time / WINDOW_MS[0])
  if (view.u32[u] === minute) return false
  const hourBefore = view.u32[u + HOUR_WINDOW]!
  let closed = 0
  for (let w = 0; w < WINDOW_COUNT; w++) {
    const index = Math.floor(time / WINDOW_MS[w]!)
    if (view.u32[u + w] === index) continue
    if (view.f64[view.base / 8 + TOTAL / 8 + w]! > 0) {
      closeWindow(view, w, hourBefore, learning, quarantine)
      closed |= 1 << w
    }
    view.u32[u + w] = index
  }
  const hour = view.u32[u + HOUR_WINDOW]!
  const hourChanged = hour !== view.u32[(view.base + CORE.hourIndex) / 4]
  view.u32[(view.base + CORE.hourIndex) / 4] = hour
  // An hour brings another level for all but the day; a closed window only its own statistics.
  if (hourChanged) closed |= ALL_WINDOWS
  const version = (view.base + view.derived + DERIVED.version) / 4
  if (view.u32[version] === learning.prior.version + 1) derive(view, learning.prior, closed)
  return hourChanged
}

/** Counts one call in every open window. Unknown records or bytes are passed as 0. */
export function count(view: ProfileView, records: number, bytes: number): void {
  const t = (view.base + TOTAL) / 8
  for (let w = 0; w < WINDOW_COUNT; w++) {
    view.f64[t + w]! += 1
    view.f64[t + WINDOW_COUNT + w]! += records
    view.f64[t + 2 * WINDOW_COUNT + w]! += bytes
  }
}

/** Marks the open windows as holding quarantined calls, so that closing them teaches nothing. */
export function taint(view: ProfileView): void {
  view.bytes[view.base + CORE.tainted] = ALL_WINDOWS
}

function closeWindow(
  view: ProfileView,
  w: number,
  hourIndex: number,
  learning: Learning,
  quarantine: QuarantinedWindows | null,
): void {
  const taintAt = view.base + CORE.tainted
  const tainted = (view.bytes[taintAt]! & (1 << w)) !== 0
  view.bytes[taintAt]! &= ~(1 << w)
  if (tainted) {
    if (quarantine !== null) setAside(view, w, hourIndex, quarantine)
  } else {
    learnWindow(view, w, hourIndex, learning)
  }
  const t = (view.base + TOTAL) / 8 + w
  for (let m = 0; m < METRIC_COUNT; m++) view.f64[t + m * WINDOW_COUNT] = 0
}

function learnWindow(view: ProfileView, w: number, hourIndex: number, learning: Learning): void {
  const t = (view.base + TOTAL) / 8 + w
  // The derived fields were made for the hour that ends now, so they hold what this window was expected to be.
  if (view.u32[(view.base + view.derived + DERIVED.version) / 4] !== learning.prior.version + 1)
    derive(view, learning.prior)
  const sums = countsForAll(view) ? learning.sums : null
  let yRequests = Number.NaN
  let yVolume = Number.NaN
  let volumeMetric = 1
  const stale = isStale(view)
  let caughtUp = stale && w === DAY_WINDOW
  for (let m = 0; m < METRIC_COUNT; m++) {
    const total = view.f64[t + m * WINDOW_COUNT]!
    // Zero records or bytes may as well mean that the log did not say; only requests are always known.
    if (total <= 0) continue
    const cell = m * WINDOW_COUNT + w
    const asked = Math.log(1 + total)
    const y = stale ? clippedByOwn(view, learning.prior, cell, hourIndex, asked) : clipped(view, cell, asked)
    if (y !== asked) caughtUp = false
    if (m === 0) yRequests = y
    else {
      yVolume = y
      volumeMetric = m
    }
    learnCell(view, cell, w === DAY_WINDOW ? y : y - levelOffset(view, m, hourIndex), MEMORY[w]!, sums)
  }
  if (caughtUp) trustAgain(view)
  if (w !== HOUR_WINDOW) return
  learnLevel(view, hourIndex, yRequests, yVolume, volumeMetric)
  learnActiveHour(view, hourIndex)
  if (sums !== null) sums.hours[hourOfWeek(hourIndex)]! += 1
}

function clipped(view: ProfileView, cell: number, y: number): number {
  const f = (view.base + view.derived) / 4 + cell
  const center = view.f32[f + DERIVED.center / 4]!
  const reach = CLIP / view.f32[f + DERIVED.inverseScale / 4]!
  if (y > center + reach) return center + reach
  return y < center - reach ? center - reach : y
}

/** A STALE profile is judged by its peers, whose spread is wide; its lessons stay bounded by its own. */
function clippedByOwn(view: ProfileView, prior: Prior, cell: number, hourIndex: number, y: number): number {
  const { center, scale } = predict(view, prior, cell, hourIndex, ownWindows(view, cell))
  return Math.min(center + CLIP * scale, Math.max(center - CLIP * scale, y))
}

/** The own history counts again: a whole day lay within it, or a person decided. */
export function trustAgain(view: ProfileView): void {
  view.bytes[view.base + CORE.flags]! &= ~FLAG_STALE
  view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
}

/** The own history is too old to judge by. */
export function markStale(view: ProfileView): void {
  view.bytes[view.base + CORE.flags]! |= FLAG_STALE
  view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
}

/** Welford's update with a bounded memory: beyond `memory` windows the oldest fade exponentially. */
function learnCell(view: ProfileView, cell: number, y: number, memory: number, sums: PriorSums | null): void {
  const f = view.base / 4 + cell
  const seenBefore = view.f32[f + SEEN / 4]!
  const meanBefore = view.f32[f + MEAN / 4]!
  const m2Before = view.f32[f + M2 / 4]!
  const seen = seenBefore < memory ? seenBefore + 1 : memory
  const kept = seenBefore < memory ? m2Before : (m2Before * (memory - 1)) / memory
  const delta = y - meanBefore
  view.f32[f + SEEN / 4] = seen
  view.f32[f + MEAN / 4] = meanBefore + delta / seen
  view.f32[f + M2 / 4] = kept + delta * (y - view.f32[f + MEAN / 4]!)
  if (sums === null) return
  weighInPrior(sums, cell, seenBefore, meanBefore, m2Before, -1)
  weighInPrior(sums, cell, seen, view.f32[f + MEAN / 4]!, view.f32[f + M2 / 4]!, 1)
}

function setAside(view: ProfileView, w: number, hourIndex: number, quarantine: QuarantinedWindows): void {
  const t = (view.base + TOTAL) / 8 + w
  for (let m = 0; m < METRIC_COUNT; m++) {
    const total = view.f64[t + m * WINDOW_COUNT]!
    if (total <= 0) continue
    const y = Math.log(1 + total)
    const cell = m * WINDOW_COUNT + w
    quarantine.count[cell]! += 1
    quarantine.sum[cell]! += y
    quarantine.squares[cell]! += y * y
  }
  if (w === HOUR_WINDOW && quarantine.hours.length < MAX_QUARANTINED_HOURS) quarantine.hours.push(hourIndex)
}

/**
 * Commits what a person accepted: open windows lose their mark and closed ones are merged unclipped
 * (Chan, Golub, LeVeque 1979), so that the same behaviour is normal from now on.
 */
export function acceptQuarantine(view: ProfileView, quarantine: QuarantinedWindows, sums: PriorSums): void {
  view.bytes[view.base + CORE.tainted] = 0
  const counts = countsForAll(view)
  for (let cell = 0; cell < CELLS; cell++) {
    const n = quarantine.count[cell]!
    if (n === 0) continue
    const f = view.base / 4 + cell
    const seen = view.f32[f + SEEN / 4]!
    const ownMean = view.f32[f + MEAN / 4]!
    const ownM2 = view.f32[f + M2 / 4]!
    const mean = quarantine.sum[cell]! / n
    const m2 = Math.max(0, quarantine.squares[cell]! - n * mean * mean)
    const total = seen + n
    const delta = mean - ownMean
    view.f32[f + SEEN / 4] = Math.min(MEMORY[cell % WINDOW_COUNT]!, total)
    view.f32[f + MEAN / 4] = ownMean + (delta * n) / total
    view.f32[f + M2 / 4] = ownM2 + m2 + (delta * delta * seen * n) / total
    if (!counts) continue
    weighInPrior(sums, cell, seen, ownMean, ownM2, -1)
    weighInPrior(sums, cell, view.f32[f + SEEN / 4]!, view.f32[f + MEAN / 4]!, view.f32[f + M2 / 4]!, 1)
  }
  for (const hour of quarantine.hours) learnActiveHour(view, hour)
  view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
}

/** Whether a principal counts in what is known about all: no newcomer, and not one too many of its owner. */
export function countsForAll(view: ProfileView): boolean {
  return (view.bytes[view.base + CORE.flags]! & FLAG_COUNTS) !== 0
}

/**
 * Counts a further active day; from the second one on a principal counts in what is known about all, as far as its owner
 * has not enough others there. `owner`: bucket of its owner.
 */
export function countActiveDay(view: ProfileView, sums: PriorSums, owner: number): void {
  const days = (view.base + CORE.activeDays) / 2
  const before = view.u16[days]!
  if (before < 65_535) view.u16[days] = before + 1
  if (before + 1 < DAYS_IN_PRIOR) return
  const counts = countsForAll(view)
  const may = mayCount(sums.owners, counts ? ownerOf(view) : owner, counts)
  if (may && !counts) enterPrior(view, sums, owner)
  else if (!may && counts) leavePrior(view, sums)
}

function enterPrior(view: ProfileView, sums: PriorSums, owner: number): void {
  view.bytes[view.base + CORE.flags]! &= (1 << OWNER_SHIFT) - 1
  view.bytes[view.base + CORE.flags]! |= FLAG_COUNTS | (owner << OWNER_SHIFT)
  sums.owners[owner]! += 1
  weighWhole(view, sums, 1)
}

/** Takes a principal out of what is known about all; for forgetting and eviction. */
export function leavePrior(view: ProfileView, sums: PriorSums): void {
  if (!countsForAll(view)) return
  view.bytes[view.base + CORE.flags]! &= ~FLAG_COUNTS
  sums.owners[ownerOf(view)]! -= 1
  weighWhole(view, sums, -1)
}

function ownerOf(view: ProfileView): number {
  return view.bytes[view.base + CORE.flags]! >> OWNER_SHIFT
}

function weighWhole(view: ProfileView, sums: PriorSums, sign: 1 | -1): void {
  for (let cell = 0; cell < CELLS; cell++) {
    const f = view.base / 4 + cell
    weighInPrior(sums, cell, view.f32[f + SEEN / 4]!, view.f32[f + MEAN / 4]!, view.f32[f + M2 / 4]!, sign)
  }
}

/**
 * Empties the open windows that hold quarantined calls: what a person dismissed must not be held against
 * the caller for the rest of the day. They stay marked, so the remainder teaches nothing either.
 */
export function resetTainted(view: ProfileView): void {
  const tainted = view.bytes[view.base + CORE.tainted]!
  const t = (view.base + TOTAL) / 8
  for (let w = 0; w < WINDOW_COUNT; w++) {
    if ((tainted & (1 << w)) === 0) continue
    for (let m = 0; m < METRIC_COUNT; m++) view.f64[t + m * WINDOW_COUNT + w] = 0
  }
}
