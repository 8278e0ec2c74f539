import { CORE } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE } from '../baseline/tail.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'
import { DAY_MS } from '../core/time.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'

/** The section, in bytes from its start; marks of the single detector lie behind. */
const AT = {
  day: 0, // u32, days since the epoch
  concerned: 4, // u8, whether the last call is one of those that are counted
  days: 6, // u16, former active days since this is watched
  inDay: 8, // f32, what was counted today
  today: 12, // f32, the same as far as nobody holds it against the caller
  most: 16, // f32, the most of a former day
  held: 20, // f32, the most that is held against the caller
} as const
const COUNT_BYTES = 24

/** Former active days whose largest is taken as it is; later ones may raise it by so much a day only. */
const EARLY_DAYS = 3
/** Days that are remembered: each further one takes so much of the largest. */
const MEMORY_DAYS = 45
/** The largest day grows by no more than this factor, or one day would excuse whatever comes after it. */
const GROWTH = 2
const LEAST_OPINION = 1
const MOST_DAYS = 65_535

/** What is counted, and what it is called. */
export interface DayRecord {
  readonly name: string
  /** As of a detector. */
  readonly place: number
  readonly summary: string
  readonly owasp: readonly string[]
  /** As of a detector; 1 when not given. */
  readonly weight?: number
  /** Unit of its reason. */
  readonly unit: string
  /** Feature of the reason about a call. */
  feature(event: AccessEvent): string
  /** Added to both sides, so that the noise of small counts is no record. */
  readonly noise: number
  /** Decades that a day ten times the largest is worth, before the days of all callers say what that is worth. */
  readonly scale: number
  /** Former active days, of those that were watched, without which there is no opinion. */
  readonly leastDays: number
  /** Whether it speaks of callers whose own past is too long ago to compare amounts with. */
  readonly speaksOfStale: boolean
  /** Bytes at the end of the section that `counts` and `learn` may use; a multiple of 8. */
  readonly marks: number
  /**
   * What a call adds to its day; null when it is none of those that are spoken of. May note it from byte `marks` of the
   * profile on; `days` former active days of the caller were watched.
   */
  counts(question: Question, marks: number, days: number): number | null
  /** Takes a call as normal; may note it. Absent where nothing is to be noted. */
  learn?(question: Question, marks: number): void
}

/**
 * A detector of something of which a caller has more in a day (UTC) than on any day before, many times over. That hardly
 * anybody goes far beyond its own largest day needs no shape of a distribution, and is a figure that everybody can check.
 * Its surprise only has an order: what that is worth, the largest ones of all callers' days tell (`engine/levels.ts`).
 */
export function dayRecordDetector(record: DayRecord): Detector {
  const { learn } = record
  return {
    name: record.name,
    place: record.place,
    version: 1,
    summary: record.summary,
    sectionBytes: COUNT_BYTES + record.marks,
    weight: record.weight ?? 1,
    speaksOfStale: record.speaksOfStale,
    owasp: record.owasp,
    observe: (question, section) => observe(record, question, question.profile.base + section.offset),
    settle(profile, section) {
      const f = (profile.base + section.offset) / 4
      profile.f32[f + AT.inDay / 4] = 0
      profile.f32[f + AT.held / 4] = 0
    },
    accept(profile, section) {
      const f = (profile.base + section.offset) / 4
      const held = profile.f32[f + AT.held / 4]!
      if (held > profile.f32[f + AT.most / 4]!) profile.f32[f + AT.most / 4] = held
    },
    score: (question, section) => score(record, question, section),
    explain: (question, section) => explain(record, question, section),
    learn(question, section) {
      const at = question.profile.base + section.offset
      learnToday(question.profile, at / 4)
      learn?.(question, at + COUNT_BYTES)
    },
  }
}

function observe(record: DayRecord, question: Question, at: number): void {
  const { profile } = question
  const f = at / 4
  const day = Math.floor(profile.f64[(profile.base + CORE.lastSeen) / 8]! / DAY_MS)
  const former = profile.u32[f]!
  if (day !== former) {
    if (former !== 0) closeDay(record, profile, at)
    profile.u32[f] = day
  }
  const count = record.counts(question, at + COUNT_BYTES, profile.u16[(at + AT.days) / 2]!)
  profile.bytes[at + AT.concerned] = count === null ? 0 : 1
  if (count === null || count === 0) return
  const inDay = profile.f32[f + AT.inDay / 4]! + count
  profile.f32[f + AT.inDay / 4] = inDay
  if (inDay > profile.f32[f + AT.held / 4]!) profile.f32[f + AT.held / 4] = inDay
}

/** The day that ended becomes part of what is usual. */
function closeDay({ noise }: DayRecord, profile: ProfileView, at: number): void {
  const f = at / 4
  const days = profile.u16[(at + AT.days) / 2]!
  const today = profile.f32[f + AT.today / 4]!
  const most = profile.f32[f + AT.most / 4]!
  const lesson = days < EARLY_DAYS ? today : Math.min(today, GROWTH * (most + noise))
  profile.f32[f + AT.most / 4] = Math.max(lesson, most * (1 - 1 / MEMORY_DAYS))
  profile.f32[f + AT.today / 4] = 0
  profile.f32[f + AT.inDay / 4] = 0
  if (days < MOST_DAYS) profile.u16[(at + AT.days) / 2] = days + 1
}

function learnToday(profile: ProfileView, f: number): void {
  const inDay = profile.f32[f + AT.inDay / 4]!
  if (inDay > profile.f32[f + AT.today / 4]!) profile.f32[f + AT.today / 4] = inDay
  profile.f32[f + AT.held / 4] = 0
}

function score(record: DayRecord, { profile }: Question, section: Section): number {
  const at = profile.base + section.offset
  if (profile.bytes[at + AT.concerned] === 0) return ABSTAIN
  if (profile.u16[(at + AT.days) / 2]! < record.leastDays) return ABSTAIN
  if (isStale(profile) && !record.speaksOfStale) return ABSTAIN
  const inDay = profile.f32[(at + AT.inDay) / 4]!
  const most = profile.f32[(at + AT.most) / 4]!
  if (inDay <= most) return ABSTAIN
  const surprise = record.scale * Math.log10((inDay + record.noise) / (most + record.noise))
  if (surprise < LEAST_OPINION) return ABSTAIN
  return surprise > MAX_SURPRISE ? MAX_SURPRISE : surprise
}

function explain(record: DayRecord, question: Question, section: Section): readonly Reason[] {
  const surprise = score(record, question, section)
  if (surprise === ABSTAIN) return []
  const { profile } = question
  const f = (profile.base + section.offset) / 4
  const most = Math.round(profile.f32[f + AT.most / 4]!)
  return [
    {
      detector: record.name,
      feature: record.feature(question.event),
      observed: Math.round(profile.f32[f + AT.inDay / 4]!),
      expected: most,
      range: [0, most],
      unit: record.unit,
      surprise,
      weight: 1,
      comparedWith: 'own history',
    },
  ]
}
