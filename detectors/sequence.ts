import { HOUR_WINDOW, TOTAL } from '../baseline/layout.ts'
import { OPERATIONS } from '../baseline/operations.ts'
import type { Prior } from '../baseline/prior.ts'
import type { ProfileView } from '../baseline/slab.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'
import {
  addEvidence,
  DAILY_EVIDENCE_BYTES,
  dropEvidence,
  evidenceMinute,
  isKnownCaller,
  logOdds,
  passTime,
  surpriseOfEvidence,
} from './daily-evidence.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'
import { marksOf } from './marks.ts'

/** What a visit begins with, in place of a former operation. */
const BEGINNING = OPERATIONS
const STEPS = 128

/** The section, in bytes from its start; the evidence lies in front. */
const AT = {
  before: DAILY_EVIDENCE_BYTES, // u8, operation before the call that was weighed last
  last: DAILY_EVIDENCE_BYTES + 1, // u8, its own operation; both plus 1, 0 for none yet
  calls: DAILY_EVIDENCE_BYTES + 2, // u16, calls in the counts below
  from: 24, // u8[OPERATIONS + 1], steps that left an operation, or a beginning
  to: 24 + OPERATIONS + 8, // u8[OPERATIONS], steps that came to an operation
  steps: 24 + 2 * OPERATIONS + 8, // u8[STEPS], from one to another; several pairs share a count
} as const
const SECTION_BYTES = AT.steps + STEPS

/** A caller that was silent for so many minutes begins anew. */
const VISIT_MINUTES = 30
/** Calls that the mix of all callers is worth in the own one, and the own mix in what follows an operation. */
const PEERS_CALLS = 5
const MIX_STEPS = 4
/** Share of somebody else's steps that repeat the operation; the others are as if drawn from what all callers do. */
const REPEATS = 0.4
/** Steps of one hour follow from one another: k of them are worth this times ln(1 + k / this). */
const TOGETHER = 300
const MOST = 255

/**
 * What follows what. A program walks through an API in its own steps, a person by the pages of an app; whoever uses
 * their credential for something else asks in another order, most of all for the same again and again. Each call is
 * weighed by how likely its operation is to follow the one before for this caller (a first-order Markov chain with
 * its own mix as back-off) and for somebody without habits; how that adds up is told in `daily-evidence.ts`. Calls that
 * failed on the service's side are no steps: they are asked again for no other reason.
 */
const sequence: Detector = {
  name: 'sequence',
  place: 10,
  version: 1,
  summary: 'Operations in an order that speaks for somebody else than this caller, added up over a day.',
  sectionBytes: SECTION_BYTES,
  // Chosen on tuning seeds (docs/decisions/0037-what-follows-what.md).
  weight: 0.7,
  owasp: ['API1:2023', 'API6:2023'],
  observe,
  settle(profile, section) {
    dropEvidence(profile, profile.base + section.offset)
  },
  score,
  explain,
  learn,
}
export default sequence

function observe({ event, profile, prior }: Question, section: Section): void {
  const at = profile.base + section.offset
  const known = isKnown(profile, at)
  const former = evidenceMinute(profile, at)
  passTime(profile, at, known)
  if (!isStep(event)) return
  const { operation } = marksOf(event)
  const isNewVisit = evidenceMinute(profile, at) - former > VISIT_MINUTES
  const last = profile.bytes[at + AT.last]!
  const before = last === 0 || isNewVisit ? BEGINNING : last - 1
  profile.bytes[at + AT.before] = before + 1
  profile.bytes[at + AT.last] = operation + 1
  if (!known) return
  const together = profile.f64[(profile.base + TOTAL) / 8 + HOUR_WINDOW]!
  addEvidence(profile, at, oddsOfStep(profile, prior, at, before, operation) / (1 + together / TOGETHER))
}

/** Whether the answer is the caller's doing. */
function isStep({ status }: AccessEvent): boolean {
  return status === null || (status < 500 && status !== 429 && status !== 408)
}

function isKnown(profile: ProfileView, at: number): boolean {
  return isKnownCaller(profile, profile.u16[(at + AT.calls) / 2]!)
}

function oddsOfStep(
  profile: ProfileView,
  prior: Prior,
  at: number,
  before: number,
  operation: number,
): number {
  const usual = prior.operations[operation]!
  const others = (before === operation ? REPEATS : 0) + (1 - REPEATS) * usual
  return logOdds(others / ownShare(profile, usual, at, before, operation))
}

/** How likely the caller is to go on from one operation, or a beginning, to another. */
function ownShare(
  profile: ProfileView,
  usual: number,
  at: number,
  before: number,
  operation: number,
): number {
  const calls = profile.u16[(at + AT.calls) / 2]!
  const mix = (profile.bytes[at + AT.to + operation]! + PEERS_CALLS * usual) / (calls + PEERS_CALLS)
  const step = profile.bytes[at + AT.steps + stepAt(before, operation)]!
  return (step + MIX_STEPS * mix) / (profile.bytes[at + AT.from + before]! + MIX_STEPS)
}

/** The count that a pair of operations shares with others. */
function stepAt(before: number, operation: number): number {
  const hash = Math.imul(before * (OPERATIONS + 1) + operation + 1, 0x9e37_79b1) >>> 16
  return hash & (STEPS - 1)
}

function score({ profile }: Question, section: Section): number {
  const at = profile.base + section.offset
  return isKnown(profile, at) ? surpriseOfEvidence(profile, at) : ABSTAIN
}

function learn({ event, profile }: Question, section: Section): void {
  const at = profile.base + section.offset
  const before = profile.bytes[at + AT.before]!
  if (!isStep(event) || before === 0) return
  const { operation } = marksOf(event)
  const from = at + AT.from + before - 1
  const to = at + AT.to + operation
  const step = at + AT.steps + stepAt(before - 1, operation)
  if (profile.bytes[from] === MOST || profile.bytes[to] === MOST || profile.bytes[step] === MOST)
    fade(profile, at)
  profile.bytes[from]! += 1
  profile.bytes[to]! += 1
  profile.bytes[step]! += 1
  profile.u16[(at + AT.calls) / 2]! += 1
}

/** Halves all counts, so that habits fade. */
function fade(profile: ProfileView, at: number): void {
  for (let i = at + AT.from; i < at + SECTION_BYTES; i++) profile.bytes[i]! >>= 1
  let calls = 0
  for (let i = at + AT.to; i < at + AT.to + OPERATIONS; i++) calls += profile.bytes[i]!
  profile.u16[(at + AT.calls) / 2] = calls
}

function explain(question: Question, section: Section): readonly Reason[] {
  const surprise = score(question, section)
  if (surprise === ABSTAIN) return []
  const { event, profile, prior } = question
  const at = profile.base + section.offset
  const { operation } = marksOf(event)
  const before = Math.max(0, profile.bytes[at + AT.before]! - 1)
  return [
    {
      detector: 'sequence',
      feature: `sequence/${event.method} ${event.route}`,
      observed: 1,
      expected: ownShare(profile, prior.operations[operation]!, at, before, operation),
      range: [0, 1],
      unit: 'share of calls',
      surprise,
      weight: 1,
      comparedWith: 'own history and peers',
    },
  ]
}
