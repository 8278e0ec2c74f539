import { CORE } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE } from '../baseline/tail.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'
import { DAY_MS } from '../core/time.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'
import { marksOf } from './marks.ts'

/** The section, in bytes from its start. All 0 while the caller is not watched. */
const AT = {
  second: 0, // u32, seconds since the epoch of the last call
  gap: 4, // f32, mean seconds between calls
  seen: 8, // f32, sizes learnt
  mean: 12, // f32, of the size in bytes
  m2: 16, // f32, sum of squared deviations from it
  driftMean: 20, // f32, the same of the size less the recent level
  driftM2: 24, // f32
  level: 28, // f32, recent level of the size
  now: 32, // f32, deviations of the last call from what is usual; 0 where it says nothing
  dayMost: 36, // f32, largest of them today
  mostSum: 40, // f32, sum of the largest of former days
  days: 44, // f32, of so many days
  steady: 48, // u8, how sure it is that the caller is steady
  operation: 49, // u8, what it asks for
} as const
const SECTION_BYTES = 56

/** A power of two. Every so many calls an irregular caller is looked at again; nothing is noted of it in between. */
const LOOK_EVERY = 32
/** A gap within this factor of the usual one is in step; one that is not takes back so many that were. */
const IN_STEP = 2
const OUT_OF_STEP = 8
const STEADY = 64
const MOST_STEADY = 255
/** Sizes that must be known before one can be unlike them, and how many are remembered. */
const LEAST_SIZES = 64
const MEMORY = 2_000
/** Calls that the recent level is a mean of. */
const RECENT = 6
/** A lesson lies no further from the mean than so many standard deviations. */
const CLIP = 4
/** No series is more even than this: a byte, and a thousandth of the mean. */
const LEAST_DEVIATION = 1
const LEAST_SHARE = 1e-3
/** Usual largest deviation of a day, in standard deviations, and the days that it is worth. */
const USUAL_MOST = 3
const USUAL_DAYS = 4
/** A day teaches at most so many times what is usual. */
const CLIP_DAY = 3
const MAX_DAYS = 45
/** Shape of the tail, as that of `novelty`. */
const SHAPE = 12
const LEAST_OPINION = 1

/**
 * Whether what a steady caller gets has changed: a caller that asks for one thing at an even pace, as monitors and feeds
 * do, whose answers are suddenly larger, smaller, or all alike after having been different. Two-sided, so it has
 * something to say where the amount of data means something by itself; of callers who come and go, for whom less is no
 * threat, it knows nothing and abstains. The size of each answer is held against the mean of all sizes known and
 * against the recent level, each in standard deviations, and the larger of the two against the largest of this caller's
 * former days: an exponential tail whose mean is learnt, which makes a Lomax distribution.
 */
const changePoint: Detector = {
  name: 'change-point',
  place: 7,
  version: 1,
  summary: 'A steady caller gets answers of another size than before, larger or smaller.',
  sectionBytes: SECTION_BYTES,
  weight: 1,
  owasp: ['API4:2023', 'API6:2023'],
  observe,
  settle(profile, section) {
    const f = (profile.base + section.offset) / 4
    profile.f32[f + AT.now / 4] = 0
    profile.f32[f + AT.dayMost / 4] = 0
  },
  score,
  explain,
  learn,
}
export default changePoint

function observe({ event, profile }: Question, section: Section): void {
  const at = profile.base + section.offset
  const f = at / 4
  if (profile.u32[f]! === 0 && (profile.f64[(profile.base + CORE.events) / 8]! & (LOOK_EVERY - 1)) !== 0)
    return
  profile.f32[f + AT.now / 4] = 0
  if (!keepsPace(event, profile, at)) return
  const size = sizeOf(event)
  if (size < 0 || profile.bytes[at + AT.steady]! < STEADY) return
  const seen = profile.f32[f + AT.seen / 4]!
  if (seen === 0) profile.f32[f + AT.level / 4] = size
  if (seen < LEAST_SIZES) return
  const mean = profile.f32[f + AT.mean / 4]!
  const floor = LEAST_DEVIATION + LEAST_SHARE * mean
  const away = Math.abs(size - mean) / deviation(profile.f32[f + AT.m2 / 4]! / seen, floor)
  const drift = size - profile.f32[f + AT.level / 4]! - profile.f32[f + AT.driftMean / 4]!
  const apart = Math.abs(drift) / deviation(profile.f32[f + AT.driftM2 / 4]! / seen, floor)
  const now = Math.max(away, apart)
  profile.f32[f + AT.now / 4] = now
  if (now > profile.f32[f + AT.dayMost / 4]!) profile.f32[f + AT.dayMost / 4] = now
}

/** Notes the pace; true while the caller keeps it. Who loses it for long is no longer watched. */
function keepsPace(event: AccessEvent, profile: ProfileView, at: number): boolean {
  const f = at / 4
  const second = Math.floor(event.time / 1_000)
  const before = profile.u32[f]!
  const { operation } = marksOf(event)
  const gap = second - before
  const usual = profile.f32[f + AT.gap / 4]!
  profile.u32[f] = second
  if (before === 0) {
    profile.bytes[at + AT.operation] = operation
    return false
  }
  if (Math.floor((second * 1_000) / DAY_MS) !== Math.floor((before * 1_000) / DAY_MS)) closeDay(profile, at)
  const isSame = profile.bytes[at + AT.operation] === operation
  if (usual === 0 && isSame && gap > 0) {
    profile.f32[f + AT.gap / 4] = gap
    return false
  }
  const steady = profile.bytes[at + AT.steady]!
  if (isSame && gap * IN_STEP >= usual && gap <= usual * IN_STEP) {
    profile.f32[f + AT.gap / 4] = usual + (gap - usual) / LOOK_EVERY
    profile.bytes[at + AT.steady] = Math.min(MOST_STEADY, steady + 1)
    return true
  }
  if (steady >= OUT_OF_STEP) profile.bytes[at + AT.steady] = steady - OUT_OF_STEP
  else profile.bytes.fill(0, at, at + SECTION_BYTES)
  return false
}

/** Bytes of an answer that was served; -1 of others. */
function sizeOf({ status, refusedBy, responseBytes }: AccessEvent): number {
  return responseBytes === null || refusedBy !== null || (status !== null && status >= 400)
    ? -1
    : responseBytes
}

function deviation(variance: number, floor: number): number {
  return Math.sqrt(variance + floor * floor)
}

function closeDay(profile: ProfileView, at: number): void {
  const f = at / 4
  const most = profile.f32[f + AT.dayMost / 4]!
  profile.f32[f + AT.dayMost / 4] = 0
  if (most === 0) return
  const days = profile.f32[f + AT.days / 4]!
  const kept = days < MAX_DAYS ? 1 : (MAX_DAYS - 1) / MAX_DAYS
  const lesson = Math.min(most, CLIP_DAY * usualMost(profile, at))
  profile.f32[f + AT.mostSum / 4] = kept * profile.f32[f + AT.mostSum / 4]! + lesson
  profile.f32[f + AT.days / 4] = kept * days + 1
}

/** Mean of the largest deviation per day, own and anybody's, in standard deviations. */
function usualMost(profile: ProfileView, at: number): number {
  const sum = profile.f32[(at + AT.mostSum) / 4]!
  return (sum + USUAL_DAYS * USUAL_MOST) / (profile.f32[(at + AT.days) / 4]! + USUAL_DAYS)
}

function score({ profile }: Question, section: Section): number {
  const at = profile.base + section.offset
  const now = profile.f32[(at + AT.now) / 4]!
  if (now === 0 || isStale(profile)) return ABSTAIN
  const surprise = USUAL_MOST * SHAPE * Math.log10(1 + now / (SHAPE * usualMost(profile, at)))
  if (surprise < LEAST_OPINION) return ABSTAIN
  return surprise > MAX_SURPRISE ? MAX_SURPRISE : surprise
}

function learn({ event, profile }: Question, section: Section): void {
  const at = profile.base + section.offset
  if (profile.bytes[at + AT.steady]! < STEADY) return
  const size = sizeOf(event)
  if (size < 0) return
  const f = at / 4
  const before = profile.f32[f + AT.seen / 4]!
  const seen = before < MEMORY ? before + 1 : MEMORY
  const level = profile.f32[f + AT.level / 4]!
  const floor = LEAST_DEVIATION + LEAST_SHARE * profile.f32[f + AT.mean / 4]!
  learnOne(profile, f + AT.mean / 4, size, before, seen, floor)
  learnOne(profile, f + AT.driftMean / 4, size - level, before, seen, floor)
  profile.f32[f + AT.seen / 4] = seen
  profile.f32[f + AT.level / 4] = level + (size - level) / RECENT
}

/** Welford's update of a mean and the sum of squares behind it, with clipped lessons and a bounded memory. */
function learnOne(
  profile: ProfileView,
  at: number,
  value: number,
  before: number,
  seen: number,
  floor: number,
): void {
  const mean = profile.f32[at]!
  const m2 = profile.f32[at + 1]!
  const reach = before < LEAST_SIZES ? Number.POSITIVE_INFINITY : CLIP * deviation(m2 / before, floor)
  const delta = Math.max(-reach, Math.min(reach, value - mean))
  const kept = before < MEMORY ? m2 : (m2 * (MEMORY - 1)) / MEMORY
  profile.f32[at] = mean + delta / seen
  profile.f32[at + 1] = kept + delta * (delta - delta / seen)
}

function explain(question: Question, section: Section): readonly Reason[] {
  const surprise = score(question, section)
  if (surprise === ABSTAIN) return []
  const { event, profile } = question
  const at = profile.base + section.offset
  const f = at / 4
  const mean = profile.f32[f + AT.mean / 4]!
  const floor = LEAST_DEVIATION + LEAST_SHARE * mean
  const reach =
    usualMost(profile, at) * deviation(profile.f32[f + AT.m2 / 4]! / profile.f32[f + AT.seen / 4]!, floor)
  return [
    {
      detector: 'change-point',
      feature: 'bytes/call',
      observed: Math.max(0, sizeOf(event)),
      expected: mean,
      range: [Math.max(0, mean - reach), mean + reach],
      unit: 'bytes',
      surprise,
      weight: 1,
      comparedWith: 'own history',
    },
  ]
}
