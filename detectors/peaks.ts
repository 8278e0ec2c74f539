import { burstBin, callsOfBin } from '../baseline/bursts.ts'
import type { DailyBursts } from '../baseline/envelope.ts'
import { CORE } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { PeakName, PriorSums } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE, studentSurprise } from '../baseline/tail.ts'
import { countsForAll } from '../baseline/windows.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'
import { DAY_MS } from '../core/time.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'

/** The section, in bytes from its start. */
const AT = {
  slot: 0, // u32, slots since the epoch
  inSlot: 4, // u16, what was counted in it
  before: 6, // u16, and in the slot before it
  now: 8, // u16, peak size within one slot's length up to the call; 0 where the call does not count
  most: 10, // u16, the largest of them today, as far as nobody holds them against the caller
  days: 12, // f32, former days
  mean: 16, // f32, of ln(the day's largest)
  m2: 20, // f32, sum of squared deviations
} as const
const PEAK_BYTES = 24
/** Behind that, of what is rare: u16, former active days that the three values above speak of. */
const COUNTED_DAYS = 24
const RARE_BYTES = 28

const MOST = 65_535
/** Days that are remembered; beyond, the oldest fade. */
const MEMORY_DAYS = 45
/** Spread of a caller's daily peaks, as variance in square nats, and the days that it is worth. */
const USUAL_VARIANCE = 0.25
const USUAL_DAYS = 4
/** Tails never get thinner than a Student-t with this many degrees of freedom. */
const MAX_DOF = 30
/** Active days from which a caller counts as known to all. */
const KNOWN_DAYS = 2
/** Weaker peaks are no opinion: that calls are spread out does not speak against what others see in them. */
const LEAST_OPINION = 1

/** What is counted, over how long, and what it is called. */
export interface Peak {
  readonly name: string
  /** As of a detector. */
  readonly place: number
  readonly summary: string
  readonly owasp: readonly string[]
  /** As of a detector; 1 when not given. */
  readonly weight?: number
  /** Length of a slot, ms; divides a day. */
  readonly slotMs: number
  /** Feature and unit of its reason. */
  readonly feature: string
  readonly unit: string
  /** Which histograms of all callers hold its peaks. */
  readonly of: PeakName
  /** What most callers have none of on most days: nothing is written for those days, yet they count as days without. */
  readonly rare: boolean
  /** Bytes at the end of the section that `counts` may use. */
  readonly marks: number
  /** Whether a call counts; may note it from byte `marks` of the profile on. */
  counts(event: AccessEvent, profile: ProfileView, marks: number): boolean
}

/**
 * A detector of peaks: so much of something within a short time. Two questions: which share of all callers' days
 * has a peak this large, and how far is it above the largest of this caller's own former days (a Student-t on their
 * logarithm). Only what is improbable both ways surprises: the larger of two p-values is a valid one under any
 * dependence. A newcomer has no past, so its peers decide alone.
 */
export function peakDetector(peak: Peak): Detector {
  return {
    name: peak.name,
    place: peak.place,
    version: 1,
    summary: peak.summary,
    sectionBytes: marksOfPeak(peak) + peak.marks,
    weight: peak.weight ?? 1,
    owasp: peak.owasp,
    observe: (question, section, common) => observe(peak, question, section, common),
    settle(profile, section) {
      const u = (profile.base + section.offset) / 2
      profile.u16[u + AT.inSlot / 2] = 0
      profile.u16[u + AT.before / 2] = 0
      profile.u16[u + AT.now / 2] = 0
    },
    score: (question, section) => score(peak, question, section),
    explain: (question, section) => explain(peak, question, section),
    learn: ({ profile }, section, common) => learn(peak, profile, profile.base + section.offset, common),
  }
}

function marksOfPeak({ rare }: Peak): number {
  return rare ? RARE_BYTES : PEAK_BYTES
}

function observe(peak: Peak, { event, profile }: Question, section: Section, common: PriorSums): void {
  const at = profile.base + section.offset
  const u = at / 2
  if (!peak.counts(event, profile, at + marksOfPeak(peak))) {
    profile.u16[u + AT.now / 2] = 0
    return
  }
  const time = profile.f64[(profile.base + CORE.lastSeen) / 8]!
  const slot = Math.floor(time / peak.slotMs)
  const former = profile.u32[(at + AT.slot) / 4]!
  if (slot !== former) {
    profile.u32[(at + AT.slot) / 4] = slot
    profile.u16[u + AT.before / 2] = slot === former + 1 ? profile.u16[u + AT.inSlot / 2]! : 0
    profile.u16[u + AT.inSlot / 2] = 0
    const perDay = DAY_MS / peak.slotMs
    if (Math.floor(slot / perDay) !== Math.floor(former / perDay)) closeDay(peak, profile, at, common)
  }
  if (profile.u16[u + AT.inSlot / 2]! < MOST) profile.u16[u + AT.inSlot / 2]! += 1
  // As if what was counted in the slot before had been spread evenly over it.
  const share = 1 - (time - slot * peak.slotMs) / peak.slotMs
  const now = profile.u16[u + AT.inSlot / 2]! + Math.floor(share * profile.u16[u + AT.before / 2]!)
  profile.u16[u + AT.now / 2] = now < MOST ? now : MOST
}

/** The peak of the day that ended becomes part of what is usual; a newcomer's already is, for newcomers. */
function closeDay(peak: Peak, profile: ProfileView, at: number, common: PriorSums): void {
  const most = profile.u16[(at + AT.most) / 2]!
  profile.u16[(at + AT.most) / 2] = 0
  if (most === 0) return
  // The day that began is counted as active already.
  const former = profile.u16[(profile.base + CORE.activeDays) / 2]! - 1
  if (peak.rare) {
    addDaysWithout(profile, at, former - 1)
    profile.u16[(at + COUNTED_DAYS) / 2] = former
  }
  const f = at / 4
  const before = profile.f32[f + AT.days / 4]!
  const kept = before < MEMORY_DAYS ? 1 : (MEMORY_DAYS - 1) / MEMORY_DAYS
  const days = kept * before + 1
  const y = sizeOf(peak, most)
  const delta = y - profile.f32[f + AT.mean / 4]!
  profile.f32[f + AT.days / 4] = days
  profile.f32[f + AT.mean / 4]! += delta / days
  profile.f32[f + AT.m2 / 4] =
    kept * profile.f32[f + AT.m2 / 4]! + delta * (y - profile.f32[f + AT.mean / 4]!)
  if (former >= KNOWN_DAYS && countsForAll(profile)) common.peaks[peak.of].known[burstBin(most)]! += 1
}

/** What a peak counts in the statistics of former days: its logarithm; of what is rare so that none is 0. */
function sizeOf({ rare }: Peak, count: number): number {
  return Math.log(rare ? 1 + count : count)
}

/** Former days up to `former` on which nothing was counted join the statistics (Chan, Golub, LeVeque 1979). */
function addDaysWithout(profile: ProfileView, at: number, former: number): void {
  const without = former - profile.u16[(at + COUNTED_DAYS) / 2]!
  if (without <= 0) return
  const f = at / 4
  const days = profile.f32[f + AT.days / 4]!
  const mean = profile.f32[f + AT.mean / 4]!
  const all = days + without
  const kept = all > MEMORY_DAYS ? MEMORY_DAYS / all : 1
  profile.f32[f + AT.m2 / 4] = kept * (profile.f32[f + AT.m2 / 4]! + (mean * mean * days * without) / all)
  profile.f32[f + AT.mean / 4] = (mean * days) / all
  profile.f32[f + AT.days / 4] = kept * all
}

function learn(peak: Peak, profile: ProfileView, at: number, common: PriorSums): void {
  const now = profile.u16[(at + AT.now) / 2]!
  const most = profile.u16[(at + AT.most) / 2]!
  if (now <= most) return
  profile.u16[(at + AT.most) / 2] = now
  if (profile.u16[(profile.base + CORE.activeDays) / 2]! >= KNOWN_DAYS) return
  const { newcomers } = common.peaks[peak.of]
  if (most > 0) newcomers[burstBin(most)]! -= 1
  newcomers[burstBin(now)]! += 1
}

function score(peak: Peak, { profile, prior }: Question, section: Section): number {
  const at = profile.base + section.offset
  const now = profile.u16[(at + AT.now) / 2]!
  // One is no peak.
  if (now < 2) return ABSTAIN
  const peers = prior.peaks[peak.of][burstBin(now)]!
  if (peers <= LEAST_OPINION) return ABSTAIN
  const past = pastOf(peak, profile, at)
  const own = past === null ? Number.POSITIVE_INFINITY : ownSurprise(past, sizeOf(peak, now))
  const surprise = own < peers ? own : peers
  if (surprise <= LEAST_OPINION) return ABSTAIN
  return surprise > MAX_SURPRISE ? MAX_SURPRISE : surprise
}

/** What the busiest slots of a caller's former days were like; see {@link pastOf} for what is rare. */
export function dailyPeaks(profile: ProfileView, section: Section): DailyBursts {
  const at = profile.base + section.offset
  return {
    days: profile.f32[(at + AT.days) / 4]!,
    mean: profile.f32[(at + AT.mean) / 4]!,
    m2: profile.f32[(at + AT.m2) / 4]!,
    today: profile.u16[(at + AT.most) / 2]!,
  }
}

interface Past {
  days: number
  mean: number
  m2: number
}

const past: Past = { days: 0, mean: 0, m2: 0 }

/** What the former days of the caller were like; null where none are known, so that the peers decide. Scratch memory. */
function pastOf({ rare }: Peak, profile: ProfileView, at: number): Past | null {
  const f = at / 4
  const days = profile.f32[f + AT.days / 4]!
  const without = rare
    ? profile.u16[(profile.base + CORE.activeDays) / 2]! - 1 - profile.u16[(at + COUNTED_DAYS) / 2]!
    : 0
  const all = without > 0 ? days + without : days
  if (all <= 0 || isStale(profile)) return null
  const mean = profile.f32[f + AT.mean / 4]!
  past.days = Math.min(MEMORY_DAYS, all)
  past.mean = (mean * days) / all
  past.m2 = (past.days / all) * (profile.f32[f + AT.m2 / 4]! + mean * mean * days * (1 - days / all))
  return past
}

function ownSurprise({ days, mean, m2 }: Past, size: number): number {
  const above = size - mean
  if (above <= 0) return 0
  const variance = (USUAL_DAYS * USUAL_VARIANCE + m2) / (USUAL_DAYS + days)
  const t = above / Math.sqrt(variance * (1 + 1 / days))
  return studentSurprise(t, Math.min(MAX_DOF, USUAL_DAYS + days))
}

function explain(peak: Peak, question: Question, section: Section): readonly Reason[] {
  const surprise = score(peak, question, section)
  if (surprise === ABSTAIN) return []
  const { profile, prior } = question
  const at = profile.base + section.offset
  const own = pastOf(peak, profile, at)
  const tail = prior.peaks[peak.of]
  const reached = (share: number) => {
    const bin = tail.findIndex((s) => s >= -Math.log10(share))
    return bin === 0 && peak.rare ? 0 : callsOfBin(bin)
  }
  return [
    {
      detector: peak.name,
      feature: peak.feature,
      observed: profile.u16[(at + AT.now) / 2]!,
      expected: own === null ? reached(0.5) : Math.exp(own.mean) - (peak.rare ? 1 : 0),
      range: [0, reached(0.01)],
      unit: peak.unit,
      surprise,
      weight: 1,
      comparedWith: own === null ? 'peers' : 'own history and peers',
    },
  ]
}
