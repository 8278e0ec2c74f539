import { burstBin } from '../baseline/bursts.ts'
import { CORE } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import { type PriorSums, SURGES } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE } from '../baseline/tail.ts'
import { countsForAll } from '../baseline/windows.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'
import { DAY_MS, HOUR_MS } from '../core/time.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'
import { marksOf } from './marks.ts'

const COUNTERS = SURGES.length
const OBJECTS = SURGES.indexOf('objects')

/** The section, in bytes from its start; f32[COUNTERS] each from `inHour` on. */
const AT = {
  hour: 0, // u32, hours since the epoch
  days: 4, // u16, former active days
  objects: 8, // bits of OBJECT_BITS, objects touched in the hour
  inHour: 24, // what was counted in it
  before: 40, // and in the hour before it
  today: 56, // the most of an hour today, as far as nobody holds it against the caller
  most: 72, // the most of an hour on former days
  held: 88, // the most of an hour that is held against the caller
} as const
const SECTION_BYTES = 104
const OBJECT_BITS = 128

/** Former days without which there is no largest hour worth the name. */
const LEAST_DAYS = 2
/** Former days from which new records have become rare; before, callers are compared with others of so few days. */
const SETTLED_DAYS = 7
/** Days that are remembered: each further one takes so much of the largest hour. */
const MEMORY_DAYS = 45
/** The largest hour grows by no more than this factor a day, or one day would excuse whatever comes after it. */
const GROWTH = 2
/** Added to both sides, so that the noise of small counts is no surge. In the order of the counters. */
const NOISE = [10, 10, 5, 5] as const
const UNITS = ['requests', 'records', 'writes', 'objects'] as const
const LEAST_OPINION = 1
/** Calls of which half of the surprise is believed, and the decades that too few of them cost at most. */
const HALF_CALLS = 8
const MOST_COST = 2
const READS = new Set(['GET', 'HEAD', 'OPTIONS'])

/**
 * An hour far beyond the largest that this caller ever had: of served calls, records, writes, or distinct objects. How
 * the hours of one caller spread is hard to say from two weeks of them; that hardly anybody goes far beyond its own
 * largest is a fact about all callers that needs no shape, and a figure that everybody can check. The surprise is the share of
 * all callers' days on which an hour exceeds the largest of former days so many times over, and less where few calls
 * brought it.
 */
const surge: Detector = {
  name: 'surge',
  place: 8,
  version: 1,
  summary:
    'More served calls, records, writes or distinct objects in an hour than this caller ever had, many times over.',
  sectionBytes: SECTION_BYTES,
  weight: 1,
  owasp: ['API1:2023', 'API4:2023', 'API6:2023'],
  observe,
  settle(profile, section) {
    const at = profile.base + section.offset
    profile.bytes.fill(0, at + AT.objects, at + AT.today)
    profile.bytes.fill(0, at + AT.held, at + SECTION_BYTES)
  },
  accept(profile, section) {
    const f = (profile.base + section.offset) / 4
    for (let i = 0; i < COUNTERS; i++) {
      const held = profile.f32[f + AT.held / 4 + i]!
      if (held > profile.f32[f + AT.most / 4 + i]!) profile.f32[f + AT.most / 4 + i] = held
    }
  },
  score,
  explain,
  learn,
}
export default surge

function observe({ event, profile }: Question, section: Section, common: PriorSums): void {
  const at = profile.base + section.offset
  passTime(profile, at, common)
  if (event.refusedBy !== null || (event.status !== null && event.status >= 400)) return
  const f = at / 4
  add(profile, f, 0, 1)
  add(profile, f, 1, event.records ?? 0)
  if (!READS.has(event.method)) add(profile, f, 2, 1)
  add(profile, f, OBJECTS, newObjects(event, profile, at))
}

function add(profile: ProfileView, f: number, counter: number, amount: number): void {
  if (amount === 0) return
  profile.f32[f + AT.inHour / 4 + counter]! += amount
  const now = runningHour(profile, f, counter)
  const held = f + AT.held / 4 + counter
  if (now > profile.f32[held]!) profile.f32[held] = now
}

/**
 * How many objects a call adds to those of its hour: 1 / the share of free bits when it takes one, which makes the sum an
 * unbiased estimate (Ting, "Streamed approximate counting of distinct elements", KDD 2014).
 */
function newObjects(event: AccessEvent, profile: ProfileView, at: number): number {
  const { object } = marksOf(event)
  if (object === 0) return 0
  const bit = object % OBJECT_BITS
  const byte = at + AT.objects + (bit >> 3)
  if ((profile.bytes[byte]! & (1 << (bit & 7))) !== 0) return 0
  let free = OBJECT_BITS
  for (let i = at + AT.objects; i < at + AT.objects + OBJECT_BITS / 8; i++)
    free -= BITS_SET[profile.bytes[i]!]!
  profile.bytes[byte]! |= 1 << (bit & 7)
  return OBJECT_BITS / free
}

const BITS_SET = Uint8Array.from({ length: 256 }, (_, byte) => {
  let bits = 0
  for (let rest = byte; rest > 0; rest >>= 1) bits += rest & 1
  return bits
})

/** The last sixty minutes: the running hour, and the one before as if it had been spread evenly. */
function runningHour(profile: ProfileView, f: number, counter: number): number {
  const time = profile.f64[(profile.base + CORE.lastSeen) / 8]!
  const left = 1 - (time % HOUR_MS) / HOUR_MS
  return profile.f32[f + AT.inHour / 4 + counter]! + left * profile.f32[f + AT.before / 4 + counter]!
}

function passTime(profile: ProfileView, at: number, common: PriorSums): void {
  const hour = Math.floor(profile.f64[(profile.base + CORE.lastSeen) / 8]! / HOUR_MS)
  const former = profile.u32[at / 4]!
  if (hour === former) return
  profile.u32[at / 4] = hour
  const perDay = DAY_MS / HOUR_MS
  if (former !== 0 && Math.floor(hour / perDay) !== Math.floor(former / perDay)) closeDay(profile, at, common)
  profile.bytes.fill(0, at + AT.objects, at + AT.objects + OBJECT_BITS / 8)
  const f = at / 4
  for (let i = 0; i < COUNTERS; i++) {
    profile.f32[f + AT.before / 4 + i] = hour === former + 1 ? profile.f32[f + AT.inHour / 4 + i]! : 0
    profile.f32[f + AT.inHour / 4 + i] = 0
  }
}

/** The largest hours of the day that ended become part of what is usual, for the caller and for all. */
function closeDay(profile: ProfileView, at: number, common: PriorSums): void {
  const days = profile.u16[(at + AT.days) / 2]!
  const f = at / 4
  const counts = days >= LEAST_DAYS && countsForAll(profile)
  for (let i = 0; i < COUNTERS; i++) {
    const today = profile.f32[f + AT.today / 4 + i]!
    const most = profile.f32[f + AT.most / 4 + i]!
    profile.f32[f + AT.today / 4 + i] = 0
    if (counts) {
      const { settled, early } = common.surges[SURGES[i]!]
      const bin = burstBin(Math.max(1, ratioOf(i, today, most)))
      if (days < SETTLED_DAYS) early[bin]! += 1
      else settled[bin]! += 1
    }
    const lesson = days < LEAST_DAYS ? today : Math.min(today, GROWTH * (most + NOISE[i]!))
    profile.f32[f + AT.most / 4 + i] = Math.max(lesson, most * (1 - 1 / MEMORY_DAYS))
  }
  if (days < 65_535) profile.u16[(at + AT.days) / 2] = days + 1
}

function ratioOf(counter: number, now: number, most: number): number {
  return (now + NOISE[counter]!) / (most + NOISE[counter]!)
}

function surpriseOf({ profile, prior }: Question, at: number, counter: number): number {
  const f = at / 4
  const most = profile.f32[f + AT.most / 4 + counter]!
  const ratio = ratioOf(counter, runningHour(profile, f, counter), most)
  if (ratio <= 1) return 0
  const days = profile.u16[(at + AT.days) / 2]!
  const peers = days < SETTLED_DAYS ? prior.earlySurges : prior.surges
  return heldByCalls(peers[SURGES[counter]!][burstBin(ratio)]!, runningHour(profile, f, 0))
}

/**
 * What a surprise is worth when so many calls brought it: a single large export is one choice, which honest callers make as
 * well; that many calls in a row are too large is not. What is absurd is so in one answer, so the cost is bounded.
 */
function heldByCalls(surprise: number, calls: number): number {
  return Math.max((surprise * calls) / (calls + HALF_CALLS), surprise - MOST_COST)
}

function score(question: Question, section: Section): number {
  const { profile } = question
  const at = profile.base + section.offset
  if (profile.u16[(at + AT.days) / 2]! < LEAST_DAYS || isStale(profile)) return ABSTAIN
  let largest = LEAST_OPINION
  for (let i = 0; i < COUNTERS; i++) {
    const surprise = surpriseOf(question, at, i)
    if (surprise > largest) largest = surprise
  }
  if (largest === LEAST_OPINION) return ABSTAIN
  return largest > MAX_SURPRISE ? MAX_SURPRISE : largest
}

function learn({ profile }: Question, section: Section): void {
  const f = (profile.base + section.offset) / 4
  for (let i = 0; i < COUNTERS; i++) {
    const now = runningHour(profile, f, i)
    if (now > profile.f32[f + AT.today / 4 + i]!) profile.f32[f + AT.today / 4 + i] = now
    profile.f32[f + AT.held / 4 + i] = 0
  }
}

function explain(question: Question, section: Section): readonly Reason[] {
  if (score(question, section) === ABSTAIN) return []
  const { profile } = question
  const at = profile.base + section.offset
  const found = SURGES.map((_, counter) => ({ counter, surprise: surpriseOf(question, at, counter) }))
    .filter(({ surprise }) => surprise > LEAST_OPINION)
    .sort((a, b) => b.surprise - a.surprise || a.counter - b.counter)
  const total = found.reduce((sum, { surprise }) => sum + surprise, 0)
  return found.map(({ counter, surprise }) => {
    const most = profile.f32[at / 4 + AT.most / 4 + counter]!
    return {
      detector: 'surge',
      feature: `${UNITS[counter]}/largest-hour`,
      observed: Math.round(runningHour(profile, at / 4, counter)),
      expected: Math.round(most),
      range: [0, Math.round(most)] as const,
      unit: UNITS[counter]!,
      surprise: Math.min(MAX_SURPRISE, surprise),
      weight: surprise / total,
      comparedWith: 'own history and peers',
    }
  })
}
