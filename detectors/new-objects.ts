import { HOUR_WINDOW, TOTAL } from '../baseline/layout.ts'
import type { ProfileView } from '../baseline/slab.ts'
import type { Reason } from '../core/opinion.ts'
import {
  addEvidence,
  DAILY_EVIDENCE_BYTES,
  dropEvidence,
  isKnownCaller,
  oddsOfNew,
  passTime,
  surpriseOfEvidence,
} from './daily-evidence.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'
import { isKnownObject, marksOf, rememberObject } from './marks.ts'

const OBJECT_BITS = 2_048

/** The section, in bytes from its start; the evidence lies in front. */
const AT = {
  fresh: DAILY_EVIDENCE_BYTES, // u16, calls whose object was new
  noted: DAILY_EVIDENCE_BYTES + 2, // u16, calls with an object that the count above is of
  turn: DAILY_EVIDENCE_BYTES + 4, // u16[2], eighth of the known objects that is forgotten next; bits that are set
  known: 32, // bits of OBJECT_BITS, objects that the caller has used
} as const

/** How many times likelier somebody else is to touch an object that the caller never used. */
const OBJECT_ODDS = 8
/** Objects of one hour are picked one by one, but from one list: k of them are worth this times ln(1 + k / this). */
const TOGETHER = 200
/** Calls that a caller is credited with before it has made any, and how many of them bring something new. */
const CREDIT = 20
const CREDIT_NEW = 5
/** Counts are halved here, so that the share of new objects is that of the last weeks. */
const MAX_NOTED = 512

/**
 * Objects that this caller never used, more of them than it is used to. A stolen or misused credential rarely stays with the
 * orders, files and repositories of its owner; the owner mostly does, each to its own degree. What the caller used is
 * kept in a Bloom filter (Bloom, Comm. ACM 13 (1970) 422) that forgets an eighth whenever it is more than half full.
 */
const newObjects: Detector = {
  name: 'new-objects',
  place: 9,
  version: 1,
  summary: 'Objects that this caller never used before, more of them in a day than it is used to.',
  sectionBytes: AT.known + OBJECT_BITS / 8,
  // Callers whose work brings new objects in waves alarm at full weight (docs/decisions/0032-objects-never-used.md).
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
export default newObjects

function observe({ event, profile }: Question, section: Section): void {
  const at = profile.base + section.offset
  const known = isKnown(profile, at)
  passTime(profile, at, known)
  const { object } = marksOf(event)
  if (object === 0 || !known) return
  const together = profile.f64[(profile.base + TOTAL) / 8 + HOUR_WINDOW]!
  const isOld = isKnownObject(object, profile, at + AT.known, OBJECT_BITS)
  const odds = oddsOfNew(isOld, shareOfNew(profile, at), OBJECT_ODDS)
  addEvidence(profile, at, odds / (1 + together / TOGETHER))
}

/** Whether enough is known of the caller for an object to be unlike it. */
function isKnown(profile: ProfileView, at: number): boolean {
  return isKnownCaller(profile, profile.u16[(at + AT.noted) / 2]!)
}

/** Share of the calls with an object in which the caller itself brings a new one. */
function shareOfNew(profile: ProfileView, at: number): number {
  return (profile.u16[(at + AT.fresh) / 2]! + CREDIT_NEW) / (profile.u16[(at + AT.noted) / 2]! + CREDIT)
}

function score({ profile }: Question, section: Section): number {
  const at = profile.base + section.offset
  return isKnown(profile, at) ? surpriseOfEvidence(profile, at) : ABSTAIN
}

function explain(question: Question, section: Section): readonly Reason[] {
  const surprise = score(question, section)
  if (surprise === ABSTAIN) return []
  const { profile } = question
  return [
    {
      detector: 'new-objects',
      feature: 'object/new',
      observed: 1,
      expected: shareOfNew(profile, profile.base + section.offset),
      range: [0, 1],
      unit: 'share of calls',
      surprise,
      weight: 1,
      comparedWith: 'own history',
    },
  ]
}

function learn({ event, profile }: Question, section: Section): void {
  const { object } = marksOf(event)
  if (object === 0) return
  const at = profile.base + section.offset
  const fresh = (at + AT.fresh) / 2
  const noted = (at + AT.noted) / 2
  if (rememberObject(object, profile, at + AT.known, OBJECT_BITS, at + AT.turn)) profile.u16[fresh]! += 1
  profile.u16[noted]! += 1
  if (profile.u16[noted]! < MAX_NOTED) return
  profile.u16[fresh]! >>= 1
  profile.u16[noted]! >>= 1
}
