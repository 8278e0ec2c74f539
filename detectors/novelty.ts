import { ACTIVITY, CORE, HOUR_WINDOW, HOURS_OF_WEEK, TOTAL } from '../baseline/layout.ts'
import { OPERATIONS } from '../baseline/operations.ts'
import type { ProfileView } from '../baseline/slab.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Reason } from '../core/opinion.ts'
import {
  addEvidence,
  DAILY_EVIDENCE_BYTES,
  dropEvidence,
  evidenceDay,
  isKnownCaller,
  logOdds,
  oddsOfNew,
  passTime,
  ratioOfOdds,
  surpriseOfEvidence,
} from './daily-evidence.ts'
import { ABSTAIN, type Detector, type Question, type Section } from './detector.ts'
import { isKnownMark, marksOf, placeOf, rememberMark } from './marks.ts'

const NETWORKS = 6
const AGENTS = 4

/** The section, in bytes from its start; the evidence of operations, hours, networks and clients lies in front. */
const AT = {
  hourOdds: DAILY_EVIDENCE_BYTES, // f32, nats that an active hour such as this one speaks for somebody else
  calls: 24, // u16, calls in the operation counts
  noted: 26, // u16, calls that the two counts below are of
  newNetworks: 28, // u16
  newAgents: 30, // u16
  networks: 32, // u16[NETWORKS], latest first
  agents: 44, // u16[AGENTS], latest first
  since: 52, // u16[NETWORKS], days since the epoch on which they were new
  operations: 64, // u8[OPERATIONS]
} as const

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
 * operations follow from one another.
 */
const HOURS_TOGETHER = 1
const CALLS_TOGETHER = 8
/** How many times likelier somebody else is to bring a network or client that is new. */
const STRANGER_ODDS = 20
/** Calls that a caller is credited with before it has made any, so that the first novelties prove nothing. */
const CREDIT = 20
const MAX_OPERATION = 255
const MAX_NOTED = 4096

/**
 * Whether this is still the same caller, by its own mix of operations, hours, networks and clients; somebody else has the
 * mix of all callers, any hour, another network. How evidence adds up is told in `daily-evidence.ts`.
 */
const novelty: Detector = {
  name: 'novelty',
  place: 2,
  version: 3,
  summary:
    'Operations, hours, networks and clients that speak for somebody else than this caller, added up over a day.',
  sectionBytes: AT.operations + OPERATIONS,
  weight: 1,
  owasp: ['API1:2023', 'API2:2023', 'API5:2023'],
  observe,
  isFromNewNetwork,
  settle(profile, section) {
    dropEvidence(profile, profile.base + section.offset)
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
  const today = evidenceDay(profile, at)
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
const odds = { operation: 0, hour: 0, network: 0, agent: 0 }

function observe(question: Question, section: Section): void {
  const { profile, newHour } = question
  const at = profile.base + section.offset
  const known = isKnown(profile, at)
  passTime(profile, at, known)
  if (!known) return
  if (newHour) profile.f32[(at + AT.hourOdds) / 4] = oddsOfHour(profile)
  weigh(question, at)
  const together = profile.f64[(profile.base + TOTAL) / 8 + HOUR_WINDOW]!
  const damped = 1 / (1 + together / CALLS_TOGETHER)
  const hour = odds.hour / (1 + together / HOURS_TOGETHER)
  const bearer = onceNew(odds.network, damped) + onceNew(odds.agent, damped)
  addEvidence(profile, at, damped * OPERATION_WEIGHT * odds.operation + hour + bearer)
}

/** Whether enough is known of the caller for something to be unlike it. */
function isKnown(profile: ProfileView, at: number): boolean {
  return isKnownCaller(profile, profile.u16[(at + AT.calls) / 2]!)
}

/** Something new is learnt at once, so it counts whole; that the rest of the calls come with it again says less and less. */
function onceNew(nats: number, damped: number): number {
  return nats > 0 ? nats : nats * damped
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

/** Fills {@link odds} for a call. */
function weigh({ event, profile, prior }: Question, at: number): void {
  const { operation, network, agent } = marksOf(event)
  const usual = prior.operations[operation]!
  odds.operation = logOdds(usual / operationShare(profile, at, operation, usual))
  odds.hour = profile.f32[(at + AT.hourOdds) / 4]!
  const u = at / 2
  const noted = profile.u16[u + AT.noted / 2]!
  const knownNetwork = isKnownMark(network, profile, at + AT.networks, NETWORKS)
  odds.network = oddsOfMark(network, knownNetwork, profile.u16[u + AT.newNetworks / 2]!, noted)
  const knownAgent = isKnownMark(agent, profile, at + AT.agents, AGENTS)
  odds.agent = oddsOfMark(agent, knownAgent, profile.u16[u + AT.newAgents / 2]!, noted)
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

/** What a new or known mark says of its bearer; 0 where the log does not tell. */
function oddsOfMark(mark: number, isKnown: boolean, count: number, noted: number): number {
  return mark === 0 ? 0 : oddsOfNew(isKnown, shareOfNew(count, noted), STRANGER_ODDS)
}

function score({ profile }: Question, section: Section): number {
  const at = profile.base + section.offset
  return isKnown(profile, at) ? surpriseOfEvidence(profile, at) : ABSTAIN
}

function learn({ event, profile }: Question, section: Section): void {
  const at = profile.base + section.offset
  const u = at / 2
  const { operation, network, agent } = marksOf(event)
  const cell = at + AT.operations + operation
  profile.bytes[cell]! += 1
  profile.u16[u + AT.calls / 2]! += 1
  if (profile.bytes[cell] === MAX_OPERATION) fadeOperations(profile, at)
  const today = { list: at + AT.since, note: evidenceDay(profile, at) }
  if (rememberMark(network, profile, at + AT.networks, NETWORKS, today)) {
    profile.u16[u + AT.newNetworks / 2]! += 1
  }
  if (rememberMark(agent, profile, at + AT.agents, AGENTS)) profile.u16[u + AT.newAgents / 2]! += 1
  profile.u16[u + AT.noted / 2]! += 1
  if (profile.u16[u + AT.noted / 2] !== MAX_NOTED) return
  halve(profile, u + AT.noted / 2)
  halve(profile, u + AT.newNetworks / 2)
  halve(profile, u + AT.newAgents / 2)
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
  const features = [
    {
      feature: `operation/${event.method} ${event.route}`,
      nats: OPERATION_WEIGHT * odds.operation,
      expected: operationShare(profile, at, operation, prior.operations[operation]!),
    },
    {
      feature: `hour-of-day/${String(hour).padStart(2, '0')}:00 UTC`,
      nats: odds.hour,
      expected: Math.min(1, 1 / Math.max(1e-9, ratioOfOdds(odds.hour)) / 24),
    },
    {
      feature: 'network/new',
      nats: odds.network,
      expected: shareOfNew(count(AT.newNetworks), count(AT.noted)),
    },
    { feature: 'client/new', nats: odds.agent, expected: shareOfNew(count(AT.newAgents), count(AT.noted)) },
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
