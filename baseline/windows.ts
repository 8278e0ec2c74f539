import { learnActiveHour, learnLevel } from './hours.ts'
import {
  CELLS,
  CORE,
  DAY_WINDOW,
  DERIVED,
  HOUR_WINDOW,
  hourOfWeek,
  M2,
  MEAN,
  MEMORY,
  METRIC_COUNT,
  SEEN,
  TOTAL,
  WINDOW_COUNT,
  WINDOW_INDEX,
  WINDOW_MS,
} from './layout.ts'
import { levelOffset, predict } from './predictive.ts'
import { movePrior, type Prior, type PriorSums } from './prior.ts'
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
  let changed = false
  for (let w = 0; w < WINDOW_COUNT; w++) {
    const index = Math.floor(time / WINDOW_MS[w]!)
    if (view.u32[u + w] === index) continue
    if (view.f64[view.base / 8 + TOTAL / 8 + w]! > 0) {
      closeWindow(view, w, hourBefore, learning, quarantine)
      changed = true
    }
    view.u32[u + w] = index
  }
  const hour = view.u32[u + HOUR_WINDOW]!
  const hourChanged = hour !== view.u32[(view.base + CORE.hourIndex) / 4]
  view.u32[(view.base + CORE.hourIndex) / 4] = hour
  if (changed || hourChanged) view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
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
  view.bytes[view.base + CORE.tainted] = (1 << WINDOW_COUNT) - 1
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
  const ys: [number, number, number] = [Number.NaN, Number.NaN, Number.NaN]
  for (let m = 0; m < METRIC_COUNT; m++) {
    const total = view.f64[t + m * WINDOW_COUNT]!
    // Zero records or bytes may as well mean that the log did not say; only requests are always known.
    if (total > 0) ys[m] = clipped(view, m * WINDOW_COUNT + w, Math.log(1 + total), hourIndex, learning.prior)
  }
  for (let m = 0; m < METRIC_COUNT; m++) {
    if (Number.isNaN(ys[m])) continue
    const level = w === DAY_WINDOW ? 0 : levelOffset(view, m, hourIndex)
    learnCell(view, m * WINDOW_COUNT + w, ys[m]! - level, MEMORY[w]!, learning.sums)
  }
  if (w !== HOUR_WINDOW) return
  const volumeMetric = Number.isNaN(ys[2]) ? 1 : 2
  learnLevel(view, hourIndex, ys[0], ys[volumeMetric]!, volumeMetric)
  learnActiveHour(view, hourIndex)
  learning.sums.hours[hourOfWeek(hourIndex)]! += 1
}

function clipped(view: ProfileView, cell: number, y: number, hourIndex: number, prior: Prior): number {
  const p = predict(view, prior, cell, hourIndex)
  const reach = CLIP * p.scale
  if (y > p.center + reach) return p.center + reach
  return y < p.center - reach ? p.center - reach : y
}

/** Welford's update with a bounded memory: beyond `memory` windows the oldest fade exponentially. */
function learnCell(view: ProfileView, cell: number, y: number, memory: number, sums: PriorSums): void {
  const f = view.base / 4 + cell
  const before = { seen: view.f32[f + SEEN / 4]!, mean: view.f32[f + MEAN / 4]!, m2: view.f32[f + M2 / 4]! }
  const seen = before.seen < memory ? before.seen + 1 : memory
  const kept = before.seen < memory ? before.m2 : (before.m2 * (memory - 1)) / memory
  const delta = y - before.mean
  view.f32[f + SEEN / 4] = seen
  view.f32[f + MEAN / 4] = before.mean + delta / seen
  view.f32[f + M2 / 4] = kept + delta * (y - view.f32[f + MEAN / 4]!)
  movePrior(sums, cell, before, { seen, mean: view.f32[f + MEAN / 4]!, m2: view.f32[f + M2 / 4]! })
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
  for (let cell = 0; cell < CELLS; cell++) {
    const n = quarantine.count[cell]!
    if (n === 0) continue
    const f = view.base / 4 + cell
    const before = { seen: view.f32[f + SEEN / 4]!, mean: view.f32[f + MEAN / 4]!, m2: view.f32[f + M2 / 4]! }
    const mean = quarantine.sum[cell]! / n
    const m2 = Math.max(0, quarantine.squares[cell]! - n * mean * mean)
    const total = before.seen + n
    const delta = mean - before.mean
    view.f32[f + SEEN / 4] = Math.min(MEMORY[cell % WINDOW_COUNT]!, total)
    view.f32[f + MEAN / 4] = before.mean + (delta * n) / total
    view.f32[f + M2 / 4] = before.m2 + m2 + (delta * delta * before.seen * n) / total
    const after = { seen: view.f32[f + SEEN / 4]!, mean: view.f32[f + MEAN / 4]!, m2: view.f32[f + M2 / 4]! }
    movePrior(sums, cell, before, after)
  }
  for (const hour of quarantine.hours) learnActiveHour(view, hour)
  view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
}

/** Takes a principal out of what is known about all; for forgetting and eviction. */
export function leavePrior(view: ProfileView, sums: PriorSums): void {
  const gone = { seen: 0, mean: 0, m2: 0 }
  for (let cell = 0; cell < CELLS; cell++) {
    const f = view.base / 4 + cell
    const before = { seen: view.f32[f + SEEN / 4]!, mean: view.f32[f + MEAN / 4]!, m2: view.f32[f + M2 / 4]! }
    movePrior(sums, cell, before, gone)
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
