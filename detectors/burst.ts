import { burstBin, callsOfBin, SLOT_MS } from '../baseline/bursts.ts'
import { CORE } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { PriorSums } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE, studentSurprise } from '../baseline/tail.ts'
import type { Reason } from '../core/opinion.ts'
import { DAY_MS } from '../core/time.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'

/** The section, in bytes from its start. */
const AT = {
  slot: 0, // u32, slots since the epoch
  inSlot: 4, // u16, calls in it
  before: 6, // u16, calls in the slot before it
  calls: 8, // u16, calls within the last ten seconds
  most: 10, // u16, the most of them today, as far as nobody holds them against the caller
  days: 12, // f32, former days
  mean: 16, // f32, of ln(calls in their busiest ten seconds)
  m2: 20, // f32, sum of squared deviations
} as const

const MOST_CALLS = 65_535
const SLOTS_PER_DAY = DAY_MS / SLOT_MS
/** Days that are remembered; beyond, the oldest fade. */
const MEMORY_DAYS = 45
/** Spread of a caller's busiest ten seconds from day to day, as variance in square nats, and the days that it is worth. */
const USUAL_VARIANCE = 0.25
const USUAL_DAYS = 4
/** Tails never get thinner than a Student-t with this many degrees of freedom. */
const MAX_DOF = 30
/** Active days from which a caller counts as known to all. */
const KNOWN_DAYS = 2
/** Weaker bursts are no opinion: that calls are spread out does not speak against what others see in them. */
const LEAST_OPINION = 1

/**
 * Many calls within ten seconds: a script let loose, long before its minute or hour looks large. Two questions: which
 * share of all callers' days has ten seconds this busy, and how far are they above the busiest of this caller's
 * own former days (a Student-t on their logarithm). Only what is improbable both ways surprises: the larger of two
 * p-values is a valid one under any dependence. A newcomer has no past, so its peers decide alone.
 */
const burst: Detector = {
  name: 'burst',
  version: 1,
  summary: 'More calls within ten seconds than this caller and nearly all others have in their busiest ones.',
  sectionBytes: 24,
  weight: 1,
  owasp: ['API4:2023'],
  observe,
  settle(profile, section) {
    const u = (profile.base + section.offset) / 2
    profile.u16[u + AT.inSlot / 2] = 0
    profile.u16[u + AT.before / 2] = 0
    profile.u16[u + AT.calls / 2] = 0
  },
  score,
  explain,
  learn,
}
export default burst

function observe({ profile }: Question, section: Section, common: PriorSums): void {
  const at = profile.base + section.offset
  const time = profile.f64[(profile.base + CORE.lastSeen) / 8]!
  const slot = Math.floor(time / SLOT_MS)
  const former = profile.u32[(at + AT.slot) / 4]!
  const u = at / 2
  if (slot !== former) {
    profile.u32[(at + AT.slot) / 4] = slot
    profile.u16[u + AT.before / 2] = slot === former + 1 ? profile.u16[u + AT.inSlot / 2]! : 0
    profile.u16[u + AT.inSlot / 2] = 0
    if (Math.floor(slot / SLOTS_PER_DAY) !== Math.floor(former / SLOTS_PER_DAY)) closeDay(profile, at, common)
  }
  if (profile.u16[u + AT.inSlot / 2]! < MOST_CALLS) profile.u16[u + AT.inSlot / 2]! += 1
  // As if the calls of the slot before had been spread evenly over it.
  const share = 1 - (time - slot * SLOT_MS) / SLOT_MS
  const calls = profile.u16[u + AT.inSlot / 2]! + Math.floor(share * profile.u16[u + AT.before / 2]!)
  profile.u16[u + AT.calls / 2] = calls < MOST_CALLS ? calls : MOST_CALLS
}

/** The busiest moment of the day that ended becomes part of what is usual; a newcomer's already is, for newcomers. */
function closeDay(profile: ProfileView, at: number, common: PriorSums): void {
  const most = profile.u16[(at + AT.most) / 2]!
  profile.u16[(at + AT.most) / 2] = 0
  if (most === 0) return
  const f = at / 4
  const before = profile.f32[f + AT.days / 4]!
  const kept = before < MEMORY_DAYS ? 1 : (MEMORY_DAYS - 1) / MEMORY_DAYS
  const days = kept * before + 1
  const y = Math.log(most)
  const delta = y - profile.f32[f + AT.mean / 4]!
  profile.f32[f + AT.days / 4] = days
  profile.f32[f + AT.mean / 4]! += delta / days
  profile.f32[f + AT.m2 / 4] =
    kept * profile.f32[f + AT.m2 / 4]! + delta * (y - profile.f32[f + AT.mean / 4]!)
  // The day that began is counted as active already.
  if (profile.u16[(profile.base + CORE.activeDays) / 2]! > KNOWN_DAYS) common.bursts[burstBin(most)]! += 1
}

function learn({ profile }: Question, section: Section, common: PriorSums): void {
  const at = profile.base + section.offset
  const calls = profile.u16[(at + AT.calls) / 2]!
  const most = profile.u16[(at + AT.most) / 2]!
  if (calls <= most) return
  profile.u16[(at + AT.most) / 2] = calls
  if (profile.u16[(profile.base + CORE.activeDays) / 2]! >= KNOWN_DAYS) return
  if (most > 0) common.newcomerBursts[burstBin(most)]! -= 1
  common.newcomerBursts[burstBin(calls)]! += 1
}

function score({ profile, prior }: Question, section: Section): number {
  const at = profile.base + section.offset
  const calls = profile.u16[(at + AT.calls) / 2]!
  // One call is no burst.
  if (calls < 2) return ABSTAIN
  const peers = prior.bursts[burstBin(calls)]!
  if (peers <= LEAST_OPINION) return ABSTAIN
  const own = ownSurprise(profile, at, calls)
  const surprise = own < peers ? own : peers
  if (surprise <= LEAST_OPINION) return ABSTAIN
  return surprise > MAX_SURPRISE ? MAX_SURPRISE : surprise
}

/** How far above the caller's own busiest ten seconds; infinite where none are known, so that the peers decide. */
function ownSurprise(profile: ProfileView, at: number, calls: number): number {
  const f = at / 4
  const days = profile.f32[f + AT.days / 4]!
  if (days === 0 || isStale(profile)) return Number.POSITIVE_INFINITY
  const above = Math.log(calls) - profile.f32[f + AT.mean / 4]!
  if (above <= 0) return 0
  const variance = (USUAL_DAYS * USUAL_VARIANCE + profile.f32[f + AT.m2 / 4]!) / (USUAL_DAYS + days)
  const t = above / Math.sqrt(variance * (1 + 1 / days))
  return studentSurprise(t, Math.min(MAX_DOF, USUAL_DAYS + days))
}

function explain(question: Question, section: Section): readonly Reason[] {
  const surprise = score(question, section)
  if (surprise === ABSTAIN) return []
  const { profile, prior } = question
  const at = profile.base + section.offset
  const days = profile.f32[(at + AT.days) / 4]!
  const hasPast = days > 0 && !isStale(profile)
  const reached = (share: number) => callsOfBin(prior.bursts.findIndex((s) => s >= -Math.log10(share)))
  return [
    {
      detector: 'burst',
      feature: 'requests/10s',
      observed: profile.u16[(at + AT.calls) / 2]!,
      expected: hasPast ? Math.exp(profile.f32[(at + AT.mean) / 4]!) : reached(0.5),
      range: [0, reached(0.01)],
      unit: 'requests',
      surprise,
      weight: 1,
      comparedWith: hasPast ? 'own history and peers' : 'peers',
    },
  ]
}
