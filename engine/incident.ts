import { emptyQuarantine, type QuarantinedWindows } from '../baseline/windows.ts'
import type { Action, Entity, Limit, Mode, OnTimeout, Scope } from '../core/decision.ts'
import { type AccessEvent, entityId, type Principal } from '../core/event.ts'
import { idOf } from '../core/hash.ts'
import type { AlertRecord, Severity } from '../core/incident.ts'
import { networkOf } from '../core/network.ts'
import type { Reason, VerdictPart } from '../core/opinion.ts'
import type { UnreadableLines } from '../core/unreadable.ts'
import type { TrafficShare } from './gateway-traffic.ts'
import type { Rise } from './unreadable-watch.ts'

/** A token seen on surprising calls, by the claims that the gateway verified. */
export interface SeenToken {
  readonly iss: string | null
  readonly sub: string | null
  readonly jti: string | null
  readonly iat: number | null
  readonly exp: number | null
  events: number
}

/** A network that surprising calls came from. */
export interface SeenNetwork {
  readonly network: string
  events: number
  /** Whether the caller has used it for days, or nobody can tell: then it is no stranger's. */
  usual: boolean
}

/** A decision that this incident led to. */
export interface IssuedDecision {
  readonly id: string
  readonly action: Action
  /** `enforce` from when somebody agreed, or the time to do so ran out where that means yes. */
  mode: Mode
  readonly scope: Scope
  /** When it was made, or agreed to: event time, epoch ms. */
  at: number
  /** Event time, epoch ms; moved when a person lifts or extends it. */
  holdUntil: number
  /** What a gateway may let pass: set for a throttle, and where one may stand in for it. */
  readonly limit?: Limit
  /** Until when it waits for a person, epoch ms of event time; null or absent where it does not. */
  approveBy?: number | null
  readonly onTimeout?: OnTimeout
  /** Event time of the first call that it refused. */
  refusedAt?: number
  /** Calls that it should have refused and that were told. */
  leaks?: number
  /** Served calls of a throttled caller in the current window. */
  window?: { readonly from: number; served: number }
}

/**
 * The surprising calls of one entity with gaps below `quiet`. Plain JSON, so it is stored as it is; all
 * lists in it are bounded.
 */
export interface Incident {
  readonly id: string
  readonly tenant: string
  /**
   * Set when it is about lines that could not be read: what it is found by. Absent when it is about calls.
   * Nothing is ever enforced because of unreadable lines.
   */
  readonly linesKey?: string
  /** Who called; of an incident about lines, a placeholder that no call can have. */
  readonly principal: Principal
  readonly entity: Entity
  readonly gateway: { readonly kind: string; readonly id: string }
  readonly groups: readonly string[]
  readonly openedAt: number
  /** When it resolved, or null while it is open. */
  resolvedAt: number | null
  lastEventAt: number
  /** Last surprising or refused call: what `quiet` is measured from. */
  lastDemandAt: number
  /** Age of the newest evidence: the earlier of its time and its receipt, epoch ms. */
  evidenceAt: number
  events: number
  surprise: number
  score: number
  severity: Severity
  detectors: readonly string[]
  owasp: readonly string[]
  reasons: readonly Reason[]
  /** What `surprise` was combined from. */
  parts: readonly VerdictPart[]
  records: number
  /** Calls; one that failed counts as a tenth. */
  requests: number
  bytes: number
  tokens: SeenToken[]
  /** Surprising calls without a token, or whose subject found no place in `tokens`. */
  otherTokens: number
  /** The first networks of surprising calls; what finds no place is in `events` only. */
  networks?: SeenNetwork[]
  credential: string | null
  /** Addresses of the surprising calls, at most {@link MAX_ADDRESSES}; absent in incidents of earlier builds. */
  addresses?: string[]
  /** How much of its gateway's traffic the caller was when it opened; absent in incidents about lines. */
  readonly traffic?: TrafficShare
  /** The planned work within which its last surprising call fell. */
  planned?: string | null
  /** Strongest rung taken: 0 none, 1 throttle, 2 block, 3 token, 4 subject revoked, 5 whatever else there is. */
  rung: number
  issued: IssuedDecision[]
  /** Refused calls, or surprising ones that still got through, since the last decision. */
  attempts: number
  /** Impact since the last decision: what a renewal after expiry is measured by. */
  since: { records: number; requests: number; bytes: number; events: number }
  transitions: AlertRecord[]
  quarantine: QuarantinedWindows
  /** Set when open for longer than `maxFreeze` without enforcement: learning has resumed, bounded. */
  stale: boolean
}

const MAX_TOKENS = 8
const MAX_ADDRESSES = 8
const MAX_NETWORKS = 8
/** Transitions kept with an incident: opened, three escalations, a reminder, resolved. */
export const MAX_TRANSITIONS = 6

/** The incident that a surprising call opens. `name` is how people tell its caller from all others. */
export function openIncident(
  event: AccessEvent,
  at: number,
  name: string = entityId(event.principal),
  traffic?: TrafficShare,
): Incident {
  const { tenant, principal, gateway, parents } = event
  const entity: Entity = { type: principal.kind === 'ip' ? 'ip' : 'principal', id: name }
  const id = idOf('inc', tenant, entity.type, principal.kind, principal.id, event.id, at)
  return {
    id,
    tenant,
    principal,
    entity,
    gateway,
    groups: parents,
    ...(traffic === undefined ? {} : { traffic }),
    ...nothingYet(at),
  }
}

/** The incident that a rise of unreadable lines opens, about the address or the source. */
export function openLinesIncident(report: UnreadableLines, rise: Rise, at: number): Incident {
  const { tenant, source, gateway, address } = report
  const isAddress = rise.of === 'address' && address !== null
  const name = isAddress ? `ip:${address}` : `source:${source}`
  const entity: Entity = { type: isAddress ? 'ip' : 'source', id: name }
  const principal: Principal = { kind: 'ip', id: `unreadable lines of ${name}`, label: name, verified: false }
  const id = idOf('inc', tenant, 'unreadable-lines', entity.type, entity.id, source, at)
  return { id, tenant, linesKey: rise.key, principal, entity, gateway, groups: [], ...nothingYet(at) }
}

/** Adds unreadable lines: their surprise, their number, when. */
export function addLines(incident: Incident, report: UnreadableLines, rise: Rise, at: number): void {
  incident.events += report.lines
  incident.requests += report.lines
  incident.lastEventAt = Math.max(incident.lastEventAt, at)
  incident.lastDemandAt = Math.max(incident.lastDemandAt, at)
  incident.evidenceAt = Math.max(
    incident.evidenceAt,
    Number.isNaN(report.receivedAt) ? at : report.receivedAt,
  )
  if (rise.surprise <= incident.surprise) return
  incident.surprise = rise.surprise
  incident.detectors = [UNREADABLE_LINES]
  incident.parts = [{ detector: UNREADABLE_LINES, surprise: rise.surprise, weight: 1 }]
  incident.reasons = [
    {
      detector: UNREADABLE_LINES,
      feature: `${UNREADABLE_LINES}/10m`,
      observed: rise.lines,
      expected: rise.expected,
      range: [0, rise.usualMost],
      unit: 'lines',
      surprise: rise.surprise,
      weight: 1,
      comparedWith: 'own history',
    },
  ]
}

/** Stands where a detector's name stands in incidents about lines. */
export const UNREADABLE_LINES = 'unreadable-lines'

type Blank = Omit<Incident, 'id' | 'tenant' | 'linesKey' | 'principal' | 'entity' | 'gateway' | 'groups'>

function nothingYet(at: number): Blank {
  return {
    openedAt: at,
    resolvedAt: null,
    lastEventAt: at,
    lastDemandAt: at,
    evidenceAt: 0,
    events: 0,
    surprise: 0,
    score: 0,
    severity: 'low',
    detectors: [],
    owasp: [],
    reasons: [],
    parts: [],
    records: 0,
    requests: 0,
    bytes: 0,
    tokens: [],
    otherTokens: 0,
    credential: null,
    addresses: [],
    rung: 0,
    issued: [],
    attempts: 0,
    since: { records: 0, requests: 0, bytes: 0, events: 0 },
    transitions: [],
    quarantine: emptyQuarantine(),
    stale: false,
  }
}

/** What a call that failed counts beside one that was served or refused: it took nothing, but it was work. */
const FAILED_WEIGHT = 0.1
const REFUSALS: readonly number[] = [401, 403, 404]

/**
 * How much a call counts as impact. A client that repeats a failing call without pause (5xx, 409, 422, 429) harms itself
 * first; it takes ten times as many calls as one that gets something, or finds out what it may reach.
 */
function weightOf({ status }: AccessEvent): number {
  return status === null || status < 400 || REFUSALS.includes(status) ? 1 : FAILED_WEIGHT
}

/**
 * Adds a surprising call's impact, time, token and network, which may be known to be new to the caller (true), or not to be
 * (false), or neither (null).
 */
export function addEvidence(
  incident: Incident,
  event: AccessEvent,
  at: number,
  isNew: boolean | null = null,
): void {
  incident.events++
  // A call that comes late does not turn back what is known of later ones.
  incident.lastEventAt = Math.max(incident.lastEventAt, at)
  incident.lastDemandAt = Math.max(incident.lastDemandAt, at)
  noteEvidenceTime(incident, event, at)
  const weight = weightOf(event)
  incident.requests += weight
  incident.since.requests += weight
  incident.since.events++
  if (event.refusedBy === null) {
    incident.records += event.records ?? 0
    incident.bytes += event.responseBytes ?? 0
    incident.since.records += event.records ?? 0
    incident.since.bytes += event.responseBytes ?? 0
  }
  if (event.credential !== null) incident.credential = event.credential
  addToken(incident, event)
  addAddress(incident, event.clientIp)
  addNetwork(incident, networkOf(event.clientIp), isNew)
}

function addAddress(incident: Incident, address: string | null): void {
  incident.addresses ??= []
  const { addresses } = incident
  if (address !== null && addresses.length < MAX_ADDRESSES && !addresses.includes(address))
    addresses.push(address)
}

function addNetwork(incident: Incident, network: string | null, isNew: boolean | null): void {
  if (network === null) return
  incident.networks ??= []
  const { networks } = incident
  const known = networks.find((seen) => seen.network === network)
  if (known !== undefined) {
    known.events++
    known.usual ||= isNew !== true
  } else if (networks.length < MAX_NETWORKS) networks.push({ network, events: 1, usual: isNew !== true })
}

/**
 * Evidence is as old as the earlier of the call and its receipt: a forwarder that kept lines for an hour, or a file
 * that is read late, delivers nothing fresh.
 */
export function noteEvidenceTime(incident: Incident, event: AccessEvent, at: number): void {
  const seen = Number.isNaN(event.receivedAt) ? at : Math.min(at, event.receivedAt)
  incident.evidenceAt = Math.max(incident.evidenceAt, seen)
}

function addToken(incident: Incident, event: AccessEvent): void {
  const { token } = event
  if (token === null || !event.principal.verified) {
    incident.otherTokens++
    return
  }
  const known = incident.tokens.find(
    (t) => t.jti === token.jti && t.iss === token.iss && t.sub === token.sub && t.iat === token.iat,
  )
  if (known !== undefined) {
    known.events++
    return
  }
  const { iss, sub, jti, iat, exp } = token
  if (incident.tokens.length === MAX_TOKENS) {
    // A new token per call is still one subject's.
    const sameSubject = sub !== null && incident.tokens.some((t) => t.iss === iss && t.sub === sub)
    if (!sameSubject) incident.otherTokens++
    return
  }
  incident.tokens.push({ iss, sub, jti, iat, exp, events: 1 })
}

/** When an incident that nobody acts on has frozen its principal for too long, epoch ms of event time; infinite once told. */
export function staleAt(incident: Incident, maxFreezeMs: number): number {
  // Lines teach nothing, so nothing about them is frozen.
  if (incident.stale || incident.linesKey !== undefined) return Number.POSITIVE_INFINITY
  let since = incident.openedAt
  for (const d of incident.issued) {
    if (d.mode === 'enforce' && d.action !== 'release' && d.holdUntil > since) since = d.holdUntil
  }
  return since + maxFreezeMs
}

/** Whether an enforced decision of the incident holds at an instant of event time. */
export function isHeld(incident: Incident, at: number): boolean {
  return incident.issued.some((d) => d.mode === 'enforce' && d.action !== 'release' && d.holdUntil > at)
}

/**
 * Whether a decision of the incident holds at an instant of event time, or waits for a person to agree; those in `ended`
 * are known not to.
 */
export function stands(incident: Incident, at: number, ended: readonly string[]): boolean {
  return incident.issued.some(
    ({ id, mode, action, holdUntil, approveBy }) =>
      mode !== 'observe' &&
      action !== 'release' &&
      Math.max(holdUntil, approveBy ?? 0) > at &&
      !ended.includes(id),
  )
}

/** Whether ordinary calls are learnt: not while their caller is under suspicion, unless that has lasted too long. */
export function teaches(incident: Incident | undefined): boolean {
  return incident === undefined || incident.stale
}
