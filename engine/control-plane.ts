import type { Decision, OnTimeout } from '../core/decision.ts'
import type { EnvelopeLimit, EnvelopeLimits } from '../core/envelope.ts'
import type { AlertRecord, Severity } from '../core/incident.ts'
import type { VerdictPart } from '../core/opinion.ts'
import type { EngineSettings } from './settings.ts'

/** How much is known about a principal. */
export type PrincipalState = 'LEARNING' | 'PROVISIONAL' | 'MATURE' | 'STALE'

/** What is normal for one feature and window of a principal. */
export interface NormalRange {
  readonly feature: string
  readonly window: '1m' | '10m' | '1h' | '1d'
  readonly expected: number
  readonly range: readonly [number, number]
  readonly unit: string
}

/** A principal as people see it. */
export interface PrincipalView {
  readonly tenant: string
  /** `consumer:orders-svc` */
  readonly entity: string
  /** Stable id, `consumer:<uuid>`. */
  readonly stableId: string
  readonly state: PrincipalState
  readonly events: number
  readonly firstSeen: string
  readonly lastSeen: string
  readonly normal: readonly NormalRange[]
  /** Weight of each hour of the week in UTC, Monday 00:00 first; 168 numbers that add up to 1 (or all 0). */
  readonly hourOfWeek: readonly number[]
}

/** An incident with its history and what was done about it. */
export interface IncidentView {
  readonly id: string
  readonly tenant: string
  readonly entity: string
  readonly state: 'open' | 'resolved'
  readonly severity: Severity
  /** Open for so long without enforcement that its principal is STALE: learning has resumed. */
  readonly stale: boolean
  readonly openedAt: string
  readonly resolvedAt: string | null
  /** Every transition in order; the last one carries the current reasons. */
  readonly transitions: readonly AlertRecord[]
  /** Highest surprise so far, -log10 p. */
  readonly surprise?: number
  /** What `surprise` was combined from; recomputing from them gives the same number. */
  readonly parts?: readonly VerdictPart[]
  readonly decisions: readonly DecisionView[]
}

/** One thing done at one gateway, as it came out. */
export interface ReceiptView {
  readonly time: string
  readonly gateway: string
  readonly operation: 'put' | 'remove' | 'list'
  readonly outcome: 'done' | 'failed' | 'refused'
  readonly detail: string
}

/** One gateway that knows the caller of a decision by another name, and how it stands under that name. */
export interface AliasHoldView {
  readonly gateway: string
  /** `sub:orders-svc` */
  readonly principal: string
  readonly state: 'held' | 'failed' | 'unsupported' | 'pending'
}

/** How far a decision has come. */
export type DecisionStatusName =
  | 'observed'
  | 'awaiting-approval'
  | 'withheld'
  | 'pending'
  | 'in-force'
  | 'failed'
  | 'expired'
  | 'released'
  | 'superseded'

/** A decision and what became of it at the gateways. */
export interface DecisionView {
  readonly decision: Decision
  readonly status: DecisionStatusName
  /** Why a decision was withheld (guard, allow list, stale evidence) or failed. */
  readonly statusReason: string | null
  readonly issuedAt: string | null
  readonly until: string | null
  /** When the slowest gateway must have it in force. */
  readonly effectiveBy: string | null
  /** Of one that waits for a person: until when, in event time, and what happens then; null for all others. */
  readonly approval: { readonly by: string; readonly onTimeout: OnTimeout } | null
  /** What the traffic has shown: refused, let through what it should refuse, or nothing yet; null where nothing acts. */
  readonly proof: { readonly state: 'held' | 'leaking' | 'untested'; readonly at: string | null } | null
  /** Where it stands under other names of the caller than the decided one; empty for one that does not act. */
  readonly aliases: readonly AliasHoldView[]
  readonly receipts: readonly ReceiptView[]
}

/** Part of a list; `nextCursor` asks for the next part, null is the end. */
export interface Page<T> {
  readonly items: readonly T[]
  readonly nextCursor: string | null
}

/** Which part of a list is asked for. */
export interface PageQuery {
  readonly tenant?: string
  readonly limit: number
  /** `nextCursor` of an earlier page; one that names nothing gives an empty page. */
  readonly cursor?: string
}

/** Who asks for a change; written into the audit. */
export interface Actor {
  readonly name: string
  readonly role: 'viewer' | 'responder' | 'tuner' | 'admin'
}

/** One entry of the audit log. */
export interface AuditView {
  readonly seq: number
  readonly time: string
  readonly actor: string
  readonly action: string
  readonly target: string
  /** Of an entry about a principal sealed with a key of that principal's, `sealed:<reference>:<text>`. */
  readonly reason: string
  /** What a sealed reason says; null once the principal was forgotten, absent where nothing is sealed. */
  readonly said?: string | null
  /** SHA-256 over the previous entry's hash and this entry. */
  readonly hash: string
}

/** Answer to a change: `not-found` and `conflict` are values that the API maps to 404 and 409. */
export type ChangeResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly why: 'not-found' | 'conflict'; readonly detail: string }

/** One version of the settings, who made it and why. */
export interface SettingsVersion {
  readonly settings: EngineSettings
  readonly time: string
  readonly actor: string
  readonly reason: string
  /** When what this version loosened ends, ISO 8601; null for a change without an end. */
  readonly expires: string | null
}

/** One thing that must work before traffic is taken. */
export interface ReadinessCheck {
  readonly name: string
  readonly ok: boolean
  readonly detail: string
}

/** How the delivery of alerts to one channel goes; counted since the process started. */
export interface ChannelView {
  readonly name: string
  /** Messages that wait to be sent. */
  readonly waiting: number
  /** Messages that the channel took, edits included. */
  readonly sent: number
  /** Why the last attempt failed; null after a success. */
  readonly lastError: string | null
}

/** How completely a source, or one gateway of it, is seen. */
export interface FeedView {
  readonly source: string
  /** Null for all gateways of the source together. */
  readonly gateway: string | null
  /** `learning` until each hour of the week was observed once; meanwhile only some losses are noticed. */
  readonly state: 'learning' | 'complete' | 'missing'
  /** `lines`, `principal`, `records` or `jti`. */
  readonly missing: readonly string[]
  readonly lastLine: string | null
  readonly linesIn5Minutes: number
  /** Lines usual in this hour of the week; null while not known. */
  readonly usualPerHour: number | null
  /** Hours of the week observed at least once, of 168. */
  readonly knownHours: number
}

/** Something was not seen: an incident that never leads to a decision. */
export interface CoverageIncidentView {
  readonly id: string
  readonly tenant: string
  /** Null when it is about Curfew itself. */
  readonly source: string | null
  readonly gateway: string | null
  readonly aspect: string
  readonly kind: 'silent' | 'low' | 'uncounted' | 'field' | 'blind' | 'lag'
  readonly severity: Severity
  readonly state: 'open' | 'resolved'
  readonly openedAt: string
  /** Since when something was missing. */
  readonly since: string
  readonly resolvedAt: string | null
  readonly summary: string
}

/** What is seen and what is not. */
export interface CoverageView {
  /** Event time up to which coverage was judged; null before anything was. */
  readonly judgedTo: string | null
  readonly feeds: readonly FeedView[]
  /** Open ones first, then the newest that are over. */
  readonly incidents: readonly CoverageIncidentView[]
}

/** What a caller may do at most, and where that is held. */
export interface EnvelopeView {
  readonly id: string
  readonly tenant: string
  readonly entity: string
  readonly limits: EnvelopeLimits
  readonly reason: string
  /** Since when these limits, ISO 8601. */
  readonly since: string
  /** The latest 10 minutes of the log that held more than a limit; null when none did. */
  readonly exceeded: { readonly limit: EnvelopeLimit; readonly observed: number; readonly at: string } | null
  /** Calls that the decision endpoint refused for it, or in observe mode would have. */
  readonly refusedByEndpoint: number
  readonly gateways: readonly {
    readonly name: string
    readonly held: boolean
    readonly detail: string | null
  }[]
}

/** Standing limits of callers; those that the log has shown exceeded come first. */
export interface EnvelopesView {
  readonly mode: 'off' | 'observe' | 'enforce'
  /** Callers that have an envelope. */
  readonly callers: number
  readonly items: readonly EnvelopeView[]
}

/** How far the forgetting of a principal has come. */
export interface ForgettingView {
  readonly request: string
  /** Whether the engine has forgotten it; everything else follows by itself. False: the engine has not answered yet. */
  readonly judged: boolean
  /** Incidents that went with it. */
  readonly incidents: number
}

/** What the admin API may ask and change. Every change is audited by the implementation before it takes effect. */
export interface ControlPlane {
  readiness(): Promise<readonly ReadinessCheck[]>
  channels(): Promise<readonly ChannelView[]>
  coverage(): Promise<CoverageView>
  envelopes(limit: number): Promise<EnvelopesView>
  principals(
    query: PageQuery & { readonly search?: string; readonly state?: PrincipalState },
  ): Promise<Page<PrincipalView>>
  principal(tenant: string, entity: string): Promise<PrincipalView | null>
  /**
   * Forgets a principal, named by its entity or stable id. `conflict` while a decision on it stands or waits, or while
   * the settings name it.
   */
  forgetPrincipal(
    tenant: string,
    entity: string,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<ForgettingView>>
  incidents(
    query: PageQuery & { readonly state?: 'open' | 'resolved'; readonly entity?: string },
  ): Promise<Page<IncidentView>>
  incident(id: string): Promise<IncidentView | null>
  /** `accept` teaches what was quarantined; `dismiss` drops it. Both close the incident and release its decisions. */
  closeIncident(
    id: string,
    verdict: 'accept' | 'dismiss',
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<IncidentView>>
  decisions(query: PageQuery & { readonly status?: DecisionStatusName }): Promise<Page<DecisionView>>
  decision(id: string): Promise<DecisionView | null>
  releaseDecision(id: string, actor: Actor, reason: string): Promise<ChangeResult<DecisionView>>
  /** Moves the end of the hold; at most 7 days from now. */
  extendDecision(
    id: string,
    holdSeconds: number,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<DecisionView>>
  approveDecision(id: string, actor: Actor, reason: string): Promise<ChangeResult<DecisionView>>
  settings(): Promise<EngineSettings>
  /**
   * Fails with `conflict` when `expectedVersion` is not the current one. `expires` (ISO 8601) is kept in the
   * history: what the change loosened goes back to what it was before from then on; null for no end.
   */
  putSettings(
    next: Omit<EngineSettings, 'version'>,
    expectedVersion: number,
    actor: Actor,
    reason: string,
    expires: string | null,
  ): Promise<ChangeResult<EngineSettings>>
  /** Newest first, the current version included. */
  settingsHistory(limit: number): Promise<readonly SettingsVersion[]>
  /** Makes an earlier version current again under a new version number; the rest as for `putSettings`. */
  revertSettings(
    version: number,
    expectedVersion: number,
    actor: Actor,
    reason: string,
    expires: string | null,
  ): Promise<ChangeResult<EngineSettings>>
  audit(afterSeq: number, limit: number): Promise<readonly AuditView[]>
}
