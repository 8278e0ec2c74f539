import {
  ACTIVITY,
  CORE,
  HOUR_WINDOW,
  HOURS_OF_WEEK,
  hourOfWeek,
  LEVEL_REQUESTS,
  LEVEL_STEPS_PER_NAT,
  LEVEL_VOLUME,
  LEVEL_WEIGHT,
  levelCell,
  MEAN,
  SEEN,
  WINDOW_COUNT,
} from './layout.ts'
import type { ProfileView } from './slab.ts'

/** An activity cell is halved with all others when it reaches this, so that habits older than a year fade. */
const MAX_ACTIVITY = 60
/** A level cell moves by at least 1/MAX_LEVEL_WEIGHT of each deviation. */
const MAX_LEVEL_WEIGHT = 8

/** Notes that the principal was active in an hour; once per hour. */
export function learnActiveHour(view: ProfileView, hourIndex: number): void {
  const start = view.base + ACTIVITY
  const cell = start + hourOfWeek(hourIndex)
  const f = (view.base + CORE.activeHours) / 4
  view.bytes[cell]! += 1
  view.f32[f]! += 1
  if (view.bytes[cell]! < MAX_ACTIVITY) return
  let sum = 0
  for (let i = start; i < start + HOURS_OF_WEEK; i++) {
    view.bytes[i]! >>= 1
    sum += view.bytes[i]!
  }
  view.f32[f] = sum
}

/** How much a closed hour window deviated from the mean: moves the level of its hour. `y` = ln(1 + total), NaN = unknown. */
export function learnLevel(
  view: ProfileView,
  hourIndex: number,
  yRequests: number,
  yVolume: number,
  volumeMetric: number,
): void {
  const cell = levelCell(hourOfWeek(hourIndex))
  const w = (view.base + LEVEL_WEIGHT) / 2 + cell
  const weight = Math.min(MAX_LEVEL_WEIGHT, view.u16[w]! + 1)
  view.u16[w] = weight
  moveLevel(view, (view.base + LEVEL_REQUESTS) / 2 + cell, yRequests, HOUR_WINDOW, weight)
  moveLevel(
    view,
    (view.base + LEVEL_VOLUME) / 2 + cell,
    yVolume,
    volumeMetric * WINDOW_COUNT + HOUR_WINDOW,
    weight,
  )
}

function moveLevel(view: ProfileView, at: number, y: number, statistics: number, weight: number): void {
  const f = view.base / 4 + statistics
  if (Number.isNaN(y) || view.f32[f + SEEN / 4] === 0) return
  const deviation = y - view.f32[f + MEAN / 4]!
  const offset = view.i16[at]! / LEVEL_STEPS_PER_NAT
  const moved = Math.round((offset + (deviation - offset) / weight) * LEVEL_STEPS_PER_NAT)
  view.i16[at] = Math.max(-32_768, Math.min(32_767, moved))
}
