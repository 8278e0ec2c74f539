import { HOUR_MS } from '../core/time.ts'
import { marksOf } from './marks.ts'
import { peakDetector } from './peaks.ts'

/** Ids that lie no further apart are steps of a walk: gaps come from objects that were deleted. */
const REACH = 4
/** Ids remembered, so that several walkers, or a walker among other calls, still step. */
const REMEMBERED = 3
/** Characters of an id that is counted: no longer than a prefix and a 32-bit number. */
const LONGEST = 20
const ZERO = 0x30

/**
 * Ids counted through: within an hour, calls that name a number next to one that the caller has just named on the same
 * route, found or not. Numbers are compared modulo 2^32 after adding a hash of the route, so one comparison sees both.
 */
const enumeration = peakDetector({
  name: 'enumeration',
  place: 5,
  summary:
    'More steps from one id to a neighbouring one within an hour than this caller and nearly all others take.',
  owasp: ['API1:2023'],
  slotMs: HOUR_MS,
  feature: 'id-steps/1h',
  unit: 'steps',
  of: 'steps',
  rare: true,
  marks: 4 * REMEMBERED,
  counts(event, profile, marks) {
    const id = event.objectIds[0]
    if (id === undefined) return false
    const number = numberIn(id)
    if (number < 0) return false
    const value = (number + marksOf(event).route) >>> 0
    const first = marks / 4
    let isStep = false
    for (let i = first; i < first + REMEMBERED; i++) {
      const apart = (value - profile.u32[i]!) | 0
      if (apart === 0) return false
      if (apart <= REACH && apart >= -REACH) isStep = true
    }
    for (let i = first + REMEMBERED - 1; i > first; i--) profile.u32[i] = profile.u32[i - 1]!
    profile.u32[first] = value
    return isStep
  },
})
export default enumeration

/** The number that an id ends in, modulo 2^32; -1 where it ends in none, or looks drawn by lot: long, or hexadecimal. */
function numberIn(id: string): number {
  const { length } = id
  if (length > LONGEST) return -1
  let from = length
  while (from > 0 && isDigit(id.charCodeAt(from - 1))) from--
  if (from === length || (from > 0 && isHexLetter(id.charCodeAt(from - 1)))) return -1
  let number = 0
  for (let i = from; i < length; i++) number = (Math.imul(number, 10) + id.charCodeAt(i) - ZERO) >>> 0
  return number
}

function isDigit(unit: number): boolean {
  return unit >= ZERO && unit <= ZERO + 9
}

function isHexLetter(unit: number): boolean {
  const lower = unit | 0x20
  return lower >= 0x61 && lower <= 0x66
}
