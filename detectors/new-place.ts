import { CORE } from '../baseline/layout.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { HOUR_MS } from '../core/time.ts'
import { dayRecordDetector } from './day-records.ts'
import { marksOf, placeOf, rememberMark } from './marks.ts'

/** Former active days of which the places are taken for granted. */
const KNOWN_DAYS = 3
/** Networks, and clients, that are remembered. */
const KEPT = 4
/** Hours for which one is new. */
const NEW_HOURS = 24
/** Hours are counted modulo this. */
const WRAP = 0x1_0000

/** Marks, in bytes: for networks and for clients, u16[KEPT] latest first, and beside it the hour at which each was new. */
const NETWORKS = 0
const CLIENTS = 4 * KEPT
const MARKS_BYTES = 8 * KEPT

/**
 * Calls from a network and with a client program that are both new to the caller. People travel with their laptops, and
 * programs are renewed where they run; that both change at once is how a credential looks that somebody else uses. One
 * such call is a new machine; the more calls, and the fewer of them the caller ever made in a day, the less.
 */
const newPlace = dayRecordDetector({
  name: 'new-place',
  place: 11,
  summary:
    'Calls from a network and with a client program that are both new to this caller, more than on any day before.',
  owasp: ['API2:2023'],
  unit: 'calls from a new place',
  feature: () => 'network/new-with-client',
  noise: 2,
  scale: 3,
  leastDays: KNOWN_DAYS,
  speaksOfStale: true,
  marks: MARKS_BYTES,
  counts({ event, profile }, marks, days) {
    const { network, agent } = marksOf(event)
    if (network === 0 || agent === 0 || days < KNOWN_DAYS) return null
    const hour = hourOf(profile)
    if (!isNew(network, profile, marks + NETWORKS, hour)) return null
    return isNew(agent, profile, marks + CLIENTS, hour) ? 1 : null
  },
  learn({ event, profile }, marks) {
    // Only what nobody holds against the caller becomes known: a thief stays new for as long as its incident is open.
    const { network, agent } = marksOf(event)
    const hour = hourOf(profile)
    remember(network, profile, marks + NETWORKS, hour)
    remember(agent, profile, marks + CLIENTS, hour)
  },
})
export default newPlace

function hourOf(profile: ProfileView): number {
  return Math.floor(profile.f64[(profile.base + CORE.lastSeen) / 8]! / HOUR_MS) % WRAP
}

function isNew(mark: number, profile: ProfileView, list: number, hour: number): boolean {
  const place = placeOf(mark, profile, list / 2, KEPT)
  if (place === KEPT) return true
  const since = profile.u16[list / 2 + KEPT + place]!
  return (hour - since + WRAP) % WRAP < NEW_HOURS
}

function remember(mark: number, profile: ProfileView, list: number, hour: number): void {
  // Nearly always it is the one that called last.
  if (profile.u16[list / 2] !== mark)
    rememberMark(mark, profile, list, KEPT, { list: list + 2 * KEPT, note: hour })
}
