import { ACTIVITY, CORE, HOUR_WINDOW, HOURS_OF_WEEK, TOTAL } from '../baseline/layout.ts'
import { OPERATIONS } from '../baseline/operations.ts'
import { isStale } from '../baseline/predictive.ts'
import type { ProfileView } from '../baseline/slab.ts'
import { MAX_SURPRISE } from '../baseline/tail.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'
import { DAY_MS, MINUTE_MS } from '../core/time.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'
import { isKnownMark, marksOf, objectsKnown, placeOf, rememberMark, rememberObject } from './marks.ts'

const NETWORKS = 6
const AGENTS = 4
const OBJECT_BITS = 256

/** The section, in bytes from its start. */
const AT = {
  evidence: 0, // f32, nats of operations, hours, networks and clients that speak for somebody else
  objects: 4, // f32, nats of objects that do
  dayMost: 8, // f32, largest sum of the two today
  mostSum: 12, // f32, sum of the largest of former days
  days: 16, // f32, of so many days
  minute: 20, // u32, minutes since the epoch to which the evidence has faded
  hourOdds: 24, // f32, nats that an active hour such as this one speaks for somebody else
  calls: 28, // u16, calls in the operation counts
  noted: 30, // u16, calls that the two counts below are of
  newNetworks: 32, // u16
  newAgents: 34, // u16
  newObjects: 36, // u16
  notedObjects: 38, // u16, calls with an object that the count above is of
  networks: 40, // u16[NETWORKS], latest first
  agents: 52, // u16[AGENTS], latest first
  turn: 60, // u16[2], eighth of the known objects that is forgotten next; known bits
  operations: 64, // u8[OPERATIONS]
  known: 64 + OPERATIONS, // bits of OBJECT_BITS, objects that the caller has used
  since: 64 + OPERATIONS + OBJECT_BITS / 8, // u16[NETWORKS], days since the epoch on which they were new
} as const

/** Calls and active days that must be known before anything can be unlike them: hours of one day come together. */
const MIN_CALLS = 20
const MIN_DAYS = 3
/** Calls that the mix of all callers is worth in the own one. */
const PEERS_CALLS = 5
/** Active hours that an even spread over the day is worth. */
const EVEN_HOURS = 8
/** Neighbouring hours share a quarter of their weight each. */
const NEIGHBOUR = 0.25
/** Operations of one visit follow from one another: they count half. */
const OPERATION_WEIGHT = 0.5
/**
 * Calls of one hour come together: k of them are worth this times ln(1 + k / this). Their hour is one choice, their
 * operations follow from one another, objects are picked one by one.
 */
const HOURS_TOGETHER = 1
const CALLS_TOGETHER = 8
const OBJECTS_TOGETHER = 50
/** Share of itself by which evidence fades: 5 % an hour, as what happened a day ago says little about now. */
const FADE_PER_MINUTE = 0.05 / 60
/** Share of somebody else's calls that are just like the caller's own. */
const ALIKE = 0.5
/** How many times likelier somebody else is to bring a network or client, or to touch an object, that is new. */
const STRANGER_ODDS = 20
const OBJECT_ODDS = 8
/** Calls that a caller is credited with before it has made any, so that the first novelties prove nothing. */
const CREDIT = 20
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
const MAX_OPERATION = 255
const MAX_NOTED = 4096

/**
 * Whether this is still the same caller. Every call is a bet between two explanations: the caller itself
 * (its own mix of operations, hours, networks, clients, objects) and somebody else (the mix of all callers, any
 * hour, another network). The logarithms of the odds add up, never fall below nothing and fade within a day: a
 * CUSUM of likelihood ratios (Page, Biometrika 41 (1954) 100), whose false alarms stay bounded whatever the
 * alternative is worth (Shin, Ramdas, Rinaldo, "E-detectors", 2024), so that nobody who moves the mix of all
 * callers can frame one. Real calls depend on one another, so the sum is held against the largest sums of this
 * caller's former days: an exponential tail whose mean is learnt, which makes a Lomax distribution.
 */
const novelty: Detector = {
  name: 'novelty',
  place: 2,
  version: 2,
  summary:
    'Operations, hours, networks, clients and objects that speak for somebody else than this caller, added up over a day.',
  sectionBytes: 64 + OPERATIONS + OBJECT_BITS / 8 + 16,
  weight: 1,
  owasp: ['API1:2023', 'API2:2023', 'API5:2023'],
  observe,
  isFromNewNetwork,
  settle(profile, section) {
    const f = (profile.base + section.offset) / 4
    profile.f32[f + AT.evidence / 4] = 0
    profile.f32[f + AT.objects / 4] = 0
    profile.f32[f + AT.dayMost / 4] = 0
  },
  score,
  explain,
  learn,
}
export default novelty

/** Days after which a network is one of the caller's: a thief is new for that long, whatever it does first. */
const USUAL_AFTER_DAYS = 3

/** The network of a call against those that the caller has used for days. */
function isFromNewNetwork(event: AccessEvent, profile: ProfileView, section: Section): boolean | null {
  const at = profile.base + section.offset
  const { network } = marksOf(event)
  if (network === 0 || !isKnown(profile, at)) return null
  const networks = (at + AT.networks) / 2
  const place = placeOf(network, profile, networks, NETWORKS)
  const today = dayOf(profile.u32[at / 4 + AT.minute / 4]!)
  let usual = false
  for (let i = 0; i < NETWORKS; i++) {
    if (profile.u16[networks + i] === 0) continue
    const days = today - profile.u16[(at + AT.since) / 2 + i]!
    if (days < USUAL_AFTER_DAYS) continue
    if (i === place) return false
    usual = true
  }
  return usual ? true : null
}

/** What the last call that was weighed says, in nats, before damping. Scratch memory, filled and read in one go. */
const odds = { operation: 0, hour: 0, network: 0, agent: 0, object: 0 }

function observe(question: Question, section: Section): void {
  const { profile, newHour } = question
  const at = profile.base + section.offset
  const f = at / 4
  const minute = Math.floor(profile.f64[(profile.base + CORE.lastSeen) / 8]! / MINUTE_MS)
  const before = profile.u32[f + AT.minute / 4]!
  let evidence = profile.f32[f + AT.evidence / 4]!
  let objects = profile.f32[f + AT.objects / 4]!
  if (minute > before) {
    const kept = Math.exp(-FADE_PER_MINUTE * (minute - before))
    evidence *= kept
    objects *= kept
    profile.u32[f + AT.minute / 4] = minute
    if (dayOf(minute) !== dayOf(before)) closeDay(profile, at)
  }
  if (isKnown(profile, at)) {
    if (newHour) profile.f32[f + AT.hourOdds / 4] = oddsOfHour(profile)
    weigh(question, at)
    const together = profile.f64[(profile.base + TOTAL) / 8 + HOUR_WINDOW]!
    const damped = 1 / (1 + together / CALLS_TOGETHER)
    const hour = odds.hour / (1 + together / HOURS_TOGETHER)
    const bearer = onceNew(odds.network, damped) + onceNew(odds.agent, damped)
    evidence = Math.max(0, evidence + damped * OPERATION_WEIGHT * odds.operation + hour + bearer)
    objects = Math.max(0, objects + odds.object / (1 + together / OBJECTS_TOGETHER))
    const most = f + AT.dayMost / 4
    if (evidence + objects > profile.f32[most]!) profile.f32[most] = evidence + objects
  }
  profile.f32[f + AT.evidence / 4] = evidence
  profile.f32[f + AT.objects / 4] = objects
}

/** Whether enough is known of the caller for something to be unlike it. */
function isKnown(profile: ProfileView, at: number): boolean {
  return (
    profile.u16[(at + AT.calls) / 2]! >= MIN_CALLS &&
    profile.u16[(profile.base + CORE.activeDays) / 2]! >= MIN_DAYS
  )
}

function dayOf(minute: number): number {
  return Math.floor((minute * MINUTE_MS) / DAY_MS)
}

/** Something new is learnt at once, so it counts whole; that the rest of the calls come with it again says less and less. */
function onceNew(nats: number, damped: number): number {
  return nats > 0 ? nats : nats * damped
}

function closeDay(profile: ProfileView, at: number): void {
  const f = at / 4
  if (isKnown(profile, at)) {
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

/** How much an active hour at this time of the day speaks for somebody without habits. */
function oddsOfHour(profile: ProfileView): number {
  const hour = profile.u32[(profile.base + CORE.hourIndex) / 4]! % 24
  const active = profile.f32[(profile.base + CORE.activeHours) / 4]!
  const near = activeAt(profile, hour) * (1 - 2 * NEIGHBOUR)
  const beside = NEIGHBOUR * (activeAt(profile, (hour + 1) % 24) + activeAt(profile, (hour + 23) % 24))
  return logOdds((active + EVEN_HOURS) / (24 * (near + beside) + EVEN_HOURS))
}

/** Active hours known at an hour of the day, over all days of the week. */
function activeAt(profile: ProfileView, hour: number): number {
  let active = 0
  for (let h = hour; h < HOURS_OF_WEEK; h += 24) active += profile.bytes[profile.base + ACTIVITY + h]!
  return active
}

/** Nats of a likelihood ratio, when a part of somebody else's calls is like the caller's own anyway. */
function logOdds(ratio: number): number {
  return Math.log(ALIKE + (1 - ALIKE) * ratio)
}

/** Fills {@link odds} for a call. */
function weigh({ event, profile, prior }: Question, at: number): void {
  const { operation, network, agent, object } = marksOf(event)
  const usual = prior.operations[operation]!
  odds.operation = logOdds(usual / operationShare(profile, at, operation, usual))
  odds.hour = profile.f32[(at + AT.hourOdds) / 4]!
  const u = at / 2
  const noted = profile.u16[u + AT.noted / 2]!
  const knownNetwork = isKnownMark(network, profile, at + AT.networks, NETWORKS)
  odds.network = oddsOfNew(network, knownNetwork, profile.u16[u + AT.newNetworks / 2]!, noted, STRANGER_ODDS)
  const knownAgent = isKnownMark(agent, profile, at + AT.agents, AGENTS)
  odds.agent = oddsOfNew(agent, knownAgent, profile.u16[u + AT.newAgents / 2]!, noted, STRANGER_ODDS)
  const bit = at + AT.known
  const knownObject = objectsKnown(object, profile, bit, OBJECT_BITS)
  const objects = profile.u16[u + AT.notedObjects / 2]!
  odds.object = oddsOfNew(object, knownObject, profile.u16[u + AT.newObjects / 2]!, objects, OBJECT_ODDS)
}

/** Share of an operation in the caller's own calls, with what is usual for all where little is known. */
function operationShare(profile: ProfileView, at: number, operation: number, usual: number): number {
  const own = profile.bytes[at + AT.operations + operation]! + PEERS_CALLS * usual
  return own / (profile.u16[(at + AT.calls) / 2]! + PEERS_CALLS)
}

/** Share of calls in which the caller itself brings something new. */
function shareOfNew(count: number, noted: number): number {
  return (count + 0.5) / (noted + CREDIT)
}

/** What something new or known says of its bearer; 0 where the log does not tell. */
function oddsOfNew(mark: number, isKnown: boolean, count: number, noted: number, factor: number): number {
  if (mark === 0) return 0
  const own = shareOfNew(count, noted)
  const others = (own * factor) / (1 + own * (factor - 1))
  return logOdds(isKnown ? (1 - others) / (1 - own) : others / own)
}

function score({ profile }: Question, section: Section): number {
  const at = profile.base + section.offset
  if (!isKnown(profile, at) || isStale(profile)) return ABSTAIN
  const evidence = profile.f32[(at + AT.evidence) / 4]! + profile.f32[(at + AT.objects) / 4]!
  // USUAL_MOST * SHAPE in front: for a usual caller and little evidence these are the nats in decades.
  const surprise = USUAL_MOST * SHAPE * Math.log10(1 + evidence / (SHAPE * usualMost(profile, at)))
  if (surprise < LEAST_OPINION) return ABSTAIN
  return surprise > MAX_SURPRISE ? MAX_SURPRISE : surprise
}

function learn({ event, profile }: Question, section: Section): void {
  const at = profile.base + section.offset
  const u = at / 2
  const { operation, network, agent, object } = marksOf(event)
  const cell = at + AT.operations + operation
  profile.bytes[cell]! += 1
  profile.u16[u + AT.calls / 2]! += 1
  if (profile.bytes[cell] === MAX_OPERATION) fadeOperations(profile, at)
  const today = { list: at + AT.since, note: dayOf(profile.u32[at / 4 + AT.minute / 4]!) }
  if (rememberMark(network, profile, at + AT.networks, NETWORKS, today)) {
    profile.u16[u + AT.newNetworks / 2]! += 1
  }
  if (rememberMark(agent, profile, at + AT.agents, AGENTS)) profile.u16[u + AT.newAgents / 2]! += 1
  profile.u16[u + AT.noted / 2]! += 1
  if (profile.u16[u + AT.noted / 2] === MAX_NOTED) {
    halve(profile, u + AT.noted / 2)
    halve(profile, u + AT.newNetworks / 2)
    halve(profile, u + AT.newAgents / 2)
  }
  if (object === 0) return
  if (rememberObject(object, profile, at + AT.known, OBJECT_BITS, at + AT.turn)) {
    profile.u16[u + AT.newObjects / 2]! += 1
  }
  profile.u16[u + AT.notedObjects / 2]! += 1
  if (profile.u16[u + AT.notedObjects / 2] !== MAX_NOTED) return
  halve(profile, u + AT.notedObjects / 2)
  halve(profile, u + AT.newObjects / 2)
}

function halve(profile: ProfileView, at: number): void {
  profile.u16[at]! >>= 1
}

/** Halves all counts, so that habits fade. */
function fadeOperations(profile: ProfileView, at: number): void {
  let calls = 0
  for (let i = at + AT.operations; i < at + AT.operations + OPERATIONS; i++) {
    profile.bytes[i]! >>= 1
    calls += profile.bytes[i]!
  }
  profile.u16[(at + AT.calls) / 2] = calls
}

function explain(question: Question, section: Section): readonly Reason[] {
  const surprise = score(question, section)
  if (surprise === ABSTAIN) return []
  const { event, profile, prior } = question
  const at = profile.base + section.offset
  weigh(question, at)
  const { operation } = marksOf(event)
  const count = (offset: number) => profile.u16[(at + offset) / 2]!
  const hour = profile.u32[(profile.base + CORE.hourIndex) / 4]! % 24
  const ratio = Math.max(ALIKE, Math.exp(odds.hour)) - ALIKE
  const features = [
    {
      feature: `operation/${event.method} ${event.route}`,
      nats: OPERATION_WEIGHT * odds.operation,
      expected: operationShare(profile, at, operation, prior.operations[operation]!),
    },
    {
      feature: `hour-of-day/${String(hour).padStart(2, '0')}:00 UTC`,
      nats: odds.hour,
      expected: Math.min(1, (1 - ALIKE) / Math.max(1e-9, ratio) / 24),
    },
    {
      feature: 'network/new',
      nats: odds.network,
      expected: shareOfNew(count(AT.newNetworks), count(AT.noted)),
    },
    { feature: 'client/new', nats: odds.agent, expected: shareOfNew(count(AT.newAgents), count(AT.noted)) },
    {
      feature: 'object/new',
      nats: odds.object,
      expected: shareOfNew(count(AT.newObjects), count(AT.notedObjects)),
    },
  ]
  return reasonsOf(features, surprise)
}

interface Feature {
  readonly feature: string
  readonly nats: number
  readonly expected: number
}

/** The strongest features of the call that speak for somebody else, or its operation when none does. */
function reasonsOf(features: readonly Feature[], surprise: number): readonly Reason[] {
  const speaking = features.filter(({ nats }) => nats > 0).sort((a, b) => b.nats - a.nats)
  const told = speaking.length > 0 ? speaking.slice(0, 4) : features.slice(0, 1)
  const sum = told.reduce((total, { nats }) => total + nats, 0)
  return told.map(({ feature, nats, expected }) => {
    const weight = speaking.length > 0 ? nats / sum : 1
    return {
      detector: 'novelty',
      feature,
      observed: 1,
      expected,
      range: [0, 1] as const,
      unit: 'share of calls',
      surprise: weight * surprise,
      weight,
      comparedWith: 'own history and peers',
    }
  })
}
