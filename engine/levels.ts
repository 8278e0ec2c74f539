import { FIXED_BYTES } from '../baseline/layout.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { DAY_LOOKS } from './combine.ts'

/**
 * What the surprises of each detector are worth. Tails that are too heavy for a model, or too cautious, are so for all
 * callers alike; so of each detector the largest surprise of each principal-day is counted, and a surprise is worth what
 * one of a perfect detector would be that is as rare among days. Then one detector's opinion compares with another's.
 */

/** Bins of a quarter decade, from 0 to 16 decades; the last takes everything above. */
export const LEVEL_BINS = 64
const BINS_PER_DECADE = 4
/** Places for detectors; each has one of its own for ever ({@link Detector.place}). */
export const LEVEL_PLACES = 16

/** The section in front of the detectors': per place, 1 + the bin of the largest surprise today; 0 where there was none. */
export const LEVELS_SECTION = { name: 'day-levels', version: 1, bytes: LEVEL_PLACES } as const

/**
 * And behind it, per place, what the caller's own days reached: u8[LEVEL_PLACES] the second largest of them, then as many
 * of the largest, in sixteenths of a decade. Both fade by one of these a day.
 */
export const REPEATED_SECTION = { name: 'repeated-levels', version: 1, bytes: 2 * LEVEL_PLACES } as const
const UNITS_PER_DECADE = 16
const MOST_UNITS = 255
/**
 * Decades that a surprise is worth less, at most, which two former days of the caller had as well: a nightly job that is
 * too large every night is a habit, and the same alarm for the third time tells nobody anything. Two, as an attack must not be
 * excused by the day before; and no more than this, as nobody may train a caller to be overlooked.
 */
const REPEATED = 0.5

/** Principal-days that the built-in model (a detector's tails are exact) is worth. */
const BUILT_IN_DAYS = 200
/** Days that must lie beyond the point from which the tail is extrapolated. */
const DAYS_BEYOND = 5
/** How much slower than the model the tail beyond the data may fall. */
const MIN_SLOPE = 0.4

/** Worth per place and lower edge of a bin, -log10 p. */
export type Levels = readonly Float64Array[]

/** Notes a surprise on its caller's day. */
export function noteLevel(view: ProfileView, place: number, surprise: number): void {
  const bin = surprise * BINS_PER_DECADE
  const note = bin < LEVEL_BINS ? (bin | 0) + 1 : LEVEL_BINS
  const at = view.base + FIXED_BYTES + place
  if (note > view.bytes[at]!) view.bytes[at] = note
}

/**
 * The day ended: clears what was noted, and counts it where the day says something about all callers. `isSettled`: whether
 * enough was known of the caller for its surprises to be habits; in its first days much surprises.
 */
export function closeLevels(view: ProfileView, counts: Float64Array | null, isSettled: boolean): void {
  const from = view.base + FIXED_BYTES
  for (let place = 0; place < LEVEL_PLACES; place++) {
    const note = view.bytes[from + place]!
    noteRepeated(view, from + LEVEL_PLACES + place, isSettled ? note : 0)
    if (note === 0) continue
    view.bytes[from + place] = 0
    if (counts !== null) counts[place * LEVEL_BINS + note - 1]! += 1
  }
}

/** `second` is the byte of the second largest; a note is 1 + a bin, so that it is the upper edge of the bin as well. */
function noteRepeated({ bytes }: ProfileView, second: number, note: number): void {
  const first = second + LEVEL_PLACES
  const units = Math.min(MOST_UNITS, (note * UNITS_PER_DECADE) / BINS_PER_DECADE)
  const largest = Math.max(0, bytes[first]! - 1)
  const other = Math.max(0, bytes[second]! - 1)
  bytes[first] = Math.max(units, largest)
  bytes[second] = Math.max(other, Math.min(units, largest))
}

/** Cuts the levels from day maxima of `days` principal-days; on the others the detector had no opinion. */
export function cutLevels(counts: Float64Array, days: number): Levels {
  return Array.from({ length: LEVEL_PLACES }, (_, place) =>
    levelsOf(counts.subarray(place * LEVEL_BINS, (place + 1) * LEVEL_BINS), days),
  )
}

function levelsOf(counts: Float64Array, days: number): Float64Array {
  const out = new Float64Array(LEVEL_BINS + 1)
  let above = 0
  for (const count of counts) above += count
  let anchor = 0
  for (let bin = 0; bin <= LEVEL_BINS; bin++) {
    const edge = bin / BINS_PER_DECADE
    const model = BUILT_IN_DAYS * Math.min(1, 10 ** (DAY_LOOKS - edge))
    const rarity = -Math.log10((above + model) / (Math.max(days, above) + BUILT_IN_DAYS))
    if (above >= DAYS_BEYOND) anchor = bin
    out[bin] = Math.min(edge, DAY_LOOKS) + rarity
    above -= counts[bin] ?? 0
  }
  if (anchor > 0) extrapolate(out, anchor)
  for (let bin = 1; bin <= LEVEL_BINS; bin++) if (out[bin]! < out[bin - 1]!) out[bin] = out[bin - 1]!
  return out
}

/** Beyond the data a straight line with the slope of its last decade, as an exponential tail. */
function extrapolate(out: Float64Array, anchor: number): void {
  const reach = Math.min(anchor, BINS_PER_DECADE)
  const rise = ((out[anchor]! - out[anchor - reach]!) / reach) * BINS_PER_DECADE
  const slope = Math.max(MIN_SLOPE, Math.min(1, rise))
  for (let bin = anchor + 1; bin < out.length; bin++)
    out[bin] = out[anchor]! + (slope * (bin - anchor)) / BINS_PER_DECADE
}

/** What a surprise of the detector in a place is worth, -log10 p; linear between edges and beyond the last. */
export function worthOf(levels: Levels, place: number, surprise: number): number {
  const level = levels[place]!
  const x = surprise * BINS_PER_DECADE
  const bin = x < LEVEL_BINS - 1 ? x | 0 : LEVEL_BINS - 1
  return level[bin]! + (level[bin + 1]! - level[bin]!) * (x - bin)
}

/** What it is worth for a caller, where two of its former days may have had as much. */
export function worthFor(view: ProfileView, levels: Levels, place: number, surprise: number): number {
  const worth = worthOf(levels, place, surprise)
  const units = view.bytes[view.base + FIXED_BYTES + LEVEL_PLACES + place]!
  if (units === 0 || worth <= DAY_LOOKS) return worth
  const before = worthOf(levels, place, units / UNITS_PER_DECADE)
  if (before <= DAY_LOOKS) return worth
  return worth - Math.min(REPEATED, Math.min(worth, before) - DAY_LOOKS)
}
