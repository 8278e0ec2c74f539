import { CORE } from '../baseline/layout.ts'
import { isStale } from '../baseline/predictive.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE } from '../baseline/tail.ts'
import { DAY_MS, MINUTE_MS } from '../core/time.ts'
import { ABSTAIN } from './detector.ts'

/** Calls and active days that must be known before anything can be unlike a caller: hours of one day come together. */
const MIN_CALLS = 20
const MIN_DAYS = 3

/** What a detector keeps of its evidence, in bytes from the start of its section. */
const AT = {
  evidence: 0, // f32, nats that speak for somebody else
  dayMost: 4, // f32, the most of them today
  mostSum: 8, // f32, sum of the largest of former days
  days: 12, // f32, of so many days
  minute: 16, // u32, minutes since the epoch to which the evidence has faded
} as const
/** Bytes that it takes, at the start of the section. */
export const DAILY_EVIDENCE_BYTES = 20

/** Share of itself by which evidence fades: 5 % an hour, as what happened a day ago says little about now. */
const FADE_PER_MINUTE = 0.05 / 60
/** Share of somebody else's calls that are just like the caller's own. */
const ALIKE = 0.5
/** Days that the usual largest evidence of anybody is worth, and how much that is, in nats. */
const USUAL_DAYS = 8
const USUAL_MOST = 3
/** A day teaches at most so many times what is usual for the caller. */
const CLIP = 3
const MAX_DAYS = 60
/** Shape of the tail: it falls no faster than the power -4, as with a mean learnt from four days. */
const SHAPE = 12
/**
 * Weaker evidence is no opinion: that a call looks like its caller does not speak against what others see in it, as a
 * thief may well look alike.
 */
const LEAST_OPINION = 2

/*
 * Whether this is still the same caller. Every call is a bet between two explanations: the caller itself, and somebody
 * else. The logarithms of the odds add up, never fall below nothing and fade within a day: a CUSUM of likelihood
 * ratios (Page, Biometrika 41 (1954) 100), whose false alarms stay bounded whatever the alternative is worth (Shin,
 * Ramdas, Rinaldo, "E-detectors", 2024), so that nobody who moves what all callers do can frame one. Real calls depend
 * on one another, so the sum is held against the largest sums of this caller's former days: an exponential tail whose
 * mean is learnt, which makes a Lomax distribution.
 */

/**
 * Lets the evidence fade to the time of the call that was just counted, and ends the day that passed; `isKnown` says
 * whether that day teaches what is usual. `at` is the first byte of the section.
 */
export function passTime(profile: ProfileView, at: number, isKnown: boolean): void {
  const f = at / 4
  const minute = Math.floor(profile.f64[(profile.base + CORE.lastSeen) / 8]! / MINUTE_MS)
  const before = profile.u32[f + AT.minute / 4]!
  if (minute <= before) return
  profile.f32[f]! *= Math.exp(-FADE_PER_MINUTE * (minute - before))
  profile.u32[f + AT.minute / 4] = minute
  if (dayOfMinute(minute) !== dayOfMinute(before)) closeDay(profile, at, isKnown)
}

/** Minutes since the epoch to which the evidence has faded; 0 before the first call. */
export function evidenceMinute(profile: ProfileView, at: number): number {
  return profile.u32[(at + AT.minute) / 4]!
}

/** Days since the epoch to which the evidence has faded. */
export function evidenceDay(profile: ProfileView, at: number): number {
  return dayOfMinute(profile.u32[(at + AT.minute) / 4]!)
}

function dayOfMinute(minute: number): number {
  return Math.floor((minute * MINUTE_MS) / DAY_MS)
}

function closeDay(profile: ProfileView, at: number, isKnown: boolean): void {
  const f = at / 4
  if (isKnown) {
    const most = profile.f32[f + AT.dayMost / 4]!
    const days = profile.f32[f + AT.days / 4]!
    const kept = days < MAX_DAYS ? 1 : (MAX_DAYS - 1) / MAX_DAYS
    const lesson = Math.min(most, CLIP * usualMost(profile, at))
    profile.f32[f + AT.mostSum / 4] = kept * profile.f32[f + AT.mostSum / 4]! + lesson
    profile.f32[f + AT.days / 4] = kept * days + 1
  }
  profile.f32[f + AT.dayMost / 4] = 0
}

/** Mean of the largest evidence per day, own and anybody's, in nats. */
function usualMost(profile: ProfileView, at: number): number {
  const sum = profile.f32[(at + AT.mostSum) / 4]!
  return (sum + USUAL_DAYS * USUAL_MOST) / (profile.f32[(at + AT.days) / 4]! + USUAL_DAYS)
}

/** Adds what a call says, in nats; negative where it speaks for the caller itself. */
export function addEvidence(profile: ProfileView, at: number, nats: number): void {
  const f = at / 4
  const evidence = Math.max(0, profile.f32[f]! + nats)
  profile.f32[f] = evidence
  if (evidence > profile.f32[f + AT.dayMost / 4]!) profile.f32[f + AT.dayMost / 4] = evidence
}

/** Drops the evidence of today. */
export function dropEvidence(profile: ProfileView, at: number): void {
  profile.f32[at / 4] = 0
  profile.f32[(at + AT.dayMost) / 4] = 0
}

/** Whether enough is known of a caller, so many calls of which were noted, for something to be unlike it. */
export function isKnownCaller(profile: ProfileView, calls: number): boolean {
  return calls >= MIN_CALLS && profile.u16[(profile.base + CORE.activeDays) / 2]! >= MIN_DAYS
}

/**
 * The surprise of evidence as large as this for this caller, in decades; ABSTAIN where it is weak, or where what was
 * usual for the caller is too long ago.
 */
export function surpriseOfEvidence(profile: ProfileView, at: number): number {
  if (isStale(profile)) return ABSTAIN
  // USUAL_MOST * SHAPE in front: for a usual caller and little evidence these are the nats in decades.
  const surprise =
    USUAL_MOST * SHAPE * Math.log10(1 + profile.f32[at / 4]! / (SHAPE * usualMost(profile, at)))
  if (surprise < LEAST_OPINION) return ABSTAIN
  return surprise > MAX_SURPRISE ? MAX_SURPRISE : surprise
}

/** Nats of a likelihood ratio, when a part of somebody else's calls is like the caller's own anyway. */
export function logOdds(ratio: number): number {
  return Math.log(ALIKE + (1 - ALIKE) * ratio)
}

/** The likelihood ratio that so many nats stand for; at least 0. */
export function ratioOfOdds(nats: number): number {
  return (Math.max(ALIKE, Math.exp(nats)) - ALIKE) / (1 - ALIKE)
}

/**
 * What it says of the bearer of a call that something is new, or is not, in nats; `own` is the share of calls in which the
 * caller itself brings something new, `factor` how many times likelier somebody else is to.
 */
export function oddsOfNew(isKnown: boolean, own: number, factor: number): number {
  const others = (own * factor) / (1 + own * (factor - 1))
  return logOdds(isKnown ? (1 - others) / (1 - own) : others / own)
}
