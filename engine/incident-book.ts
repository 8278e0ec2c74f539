import type { Action, ApprovalTimeout, Decision, HoldProof, Scope } from '../core/decision.ts'
import { type AccessEvent, entityId, type Principal, profileKey } from '../core/event.ts'
import { type Forgotten, nameless } from '../core/forgotten.ts'
import { idOf } from '../core/hash.ts'
import { type AlertRecord, type IncidentTransition, SEVERITIES } from '../core/incident.ts'
import { DAY_MS, HOUR_MS, isoTime, SECOND_MS } from '../core/time.ts'
import { dropApprovals, firstApprovalDue, passApprovals } from './approvals.ts'
import { blastRadius, tooWide } from './blast-radius.ts'
import { proofsOf } from './hold-proof.ts'
import { type Incident, isHeld, MAX_TRANSITIONS, staleAt } from './incident.ts'
import { lessSevere, plannedFor, plannedText } from './maintenance.ts'
import { allowedBy, modeRuleFor } from './modes.ts'
import type { Step } from './policy.ts'
import type { EngineSettings, MaintenanceWindow } from './settings.ts'
import { severityOf } from './severity.ts'
import { summarise } from './summary.ts'

/** What the engine has to say to people and gateways, in order. */
export type Output =
  | { readonly kind: 'alert'; readonly alert: AlertRecord }
  | { readonly kind: 'decision'; readonly decision: Decision }
  | { readonly kind: 'proof'; readonly proof: HoldProof }
  | { readonly kind: 'approval'; readonly approval: ApprovalTimeout }
  | { readonly kind: 'forgotten'; readonly forgotten: Forgotten }

/** Told what came due, so that profiles follow. */
export interface IncidentsDue {
  resolved(incident: Incident): void
  /** The incident was open for too long without enforcement. */
  stale(incident: Incident): void
}

/** Resolved incidents kept for reading. */
const MAX_RESOLVED = 2_000
/** Ids of resolved incidents that may linger before the set is made anew. */
const SPARE_IDS = 64

/**
 * Open incidents of a partition by principal, and their transitions. Knows no detector and no profile:
 * it is handed numbers and answers with alerts and decisions.
 */
export class IncidentBook {
  readonly outputs: Output[] = []
  private readonly open = new Map<string, Incident>()
  /** Stable ids of callers with an open incident, of any tenant and kind; some may have none any more. */
  private readonly openIds = new Set<string>()
  private readonly byId = new Map<string, Incident>()
  private readonly dirty = new Set<Incident>()
  private readonly removed: string[] = []
  private resolved = 0
  private due = Number.POSITIVE_INFINITY

  get openCount(): number {
    return this.open.size
  }

  /** Earliest instant at which an incident may resolve, epoch ms of event time; infinite when none is open. */
  get nextDue(): number {
    return this.due
  }

  /** The open incident of a caller. Asked for every call, so it builds a key only when the id is known here. */
  ofPrincipal(tenant: string, principal: Principal): Incident | undefined {
    if (this.open.size === 0 || !this.openIds.has(principal.id)) return undefined
    return this.open.get(profileKey(tenant, principal))
  }

  /** The open incident under a key that is no caller's. */
  ofKey(key: string): Incident | undefined {
    return this.open.get(key)
  }

  ofId(id: string): Incident | undefined {
    return this.byId.get(id)
  }

  openIncidents(): Iterable<Incident> {
    return this.open.values()
  }

  add(key: string, incident: Incident): void {
    this.open.set(key, incident)
    this.openIds.add(incident.principal.id)
    this.byId.set(incident.id, incident)
    this.dirty.add(incident)
  }

  /** Notes a change of an incident's content; moves its due time. */
  touch(incident: Incident, settings: EngineSettings): void {
    this.dirty.add(incident)
    this.due = Math.min(this.due, dueAt(incident, settings))
  }

  /** Raises the severity if the evidence does and says so; the first call opens the incident. */
  assess(incident: Incident, settings: EngineSettings): void {
    const planned = this.plannedFor(incident, settings, incident.lastEventAt)
    const severe = severityOf(incident, settings.values)
    const severity = planned === null ? severe : lessSevere(severe)
    if (planned !== null || incident.planned != null)
      incident.planned = planned === null ? null : plannedText(planned)
    const first = incident.transitions.length === 0
    if (!first && SEVERITIES.indexOf(severity) <= SEVERITIES.indexOf(incident.severity)) return
    incident.severity = severity
    this.transition(incident, first ? 'opened' : 'escalated', incident.lastEventAt)
  }

  private plannedFor(incident: Incident, settings: EngineSettings, at: number): MaintenanceWindow | null {
    if (settings.maintenance === undefined || settings.maintenance.length === 0) return null
    const { tenant, principal, groups } = incident
    // Lines that could not be read are nobody's planned work.
    if (incident.linesKey !== undefined) return null
    return plannedFor(settings, { tenant, entity: entityId(principal), groups }, at)
  }

  private transition(incident: Incident, transition: IncidentTransition, at: number, reminder = ''): void {
    const alert = this.alertOf(incident, transition, at, reminder)
    if (incident.transitions.length < MAX_TRANSITIONS) incident.transitions.push(alert)
    this.outputs.push({ kind: 'alert', alert })
  }

  private alertOf(
    incident: Incident,
    transition: IncidentTransition,
    at: number,
    reminder = '',
  ): AlertRecord {
    return {
      id: idOf('alr', incident.id, transition, incident.transitions.length),
      incident: incident.id,
      time: isoTime(at),
      tenant: incident.tenant,
      transition,
      entity: incident.entity,
      detectors: incident.detectors,
      severity: incident.severity,
      score: incident.score,
      surprise: incident.surprise,
      summary: summarise(incident) + (incident.planned == null ? '' : `; ${incident.planned}`) + reminder,
      reasons: incident.reasons,
      owasp: incident.owasp,
      firstEventTime: isoTime(incident.openedAt),
      lastEventTime: isoTime(incident.lastEventAt),
      events: incident.events,
      ...(reminder === '' ? {} : { reminder: true }),
    }
  }

  /** Says what a call of a restricted caller shows about the decisions on it. */
  prove(incident: Incident, event: AccessEvent, at: number): void {
    if (incident.rung === 0) return
    for (const proof of proofsOf(incident, event, at)) this.outputs.push({ kind: 'proof', proof })
  }

  /**
   * Turns a step of the ladder into a decision; nothing for an allowed principal. Who shares a name with
   * another is acted on only when a person agrees.
   */
  decide(
    incident: Incident,
    step: Step,
    settings: EngineSettings,
    at: number,
    sharesName: (incident: Incident) => boolean,
  ): void {
    const name = entityId(incident.principal)
    if (allowedBy(settings, incident.tenant, name, at) !== null) return
    if (this.plannedFor(incident, settings, at) !== null) return
    const rule = modeRuleFor(settings.modes, {
      principal: name,
      groups: incident.groups,
      gateway: incident.gateway.id,
      detector: incident.detectors[0] ?? '',
      action: step.action,
    })
    const { holdSeconds, approvalSeconds } = settings.values
    const blast = blastRadius(incident)
    const wide = tooWide(incident, step, blast, settings.values)
    const caution = sharesName(incident) ? `two callers share the name ${name}` : wide
    const because = rule.mode === 'observe' ? null : caution
    const mode = because === null ? rule.mode : 'approve'
    const approveBy = at + approvalSeconds * SECOND_MS
    // What a safeguard handed to a person never happens without one.
    const onTimeout = because !== null && rule.onTimeout === 'act' ? 'drop' : (rule.onTimeout ?? 'drop')
    const waits = mode === 'approve' ? { approveBy, onTimeout } : {}
    const decision = this.decision(incident, step.action, step.scope, at, {
      mode,
      holdSeconds,
      limit: step.limit,
      tokenExp: step.tokenExp,
      blast,
      ...(mode === 'approve' ? { approval: { by: isoTime(approveBy), onTimeout, because } } : {}),
      ...(step.wider === undefined ? {} : { wider: step.wider }),
    })
    incident.rung = Math.max(incident.rung, step.rung)
    incident.attempts = 0
    incident.since = { records: 0, requests: 0, bytes: 0, events: 0 }
    const { id, action, scope } = decision
    const holdUntil = at + holdSeconds * SECOND_MS
    const most = step.limit ?? step.wider?.limit ?? null
    const limit = most === null ? {} : { limit: most }
    incident.issued.push({ id, action, mode, scope, at, holdUntil, ...limit, ...waits })
    if (incident.issued.length > 16) incident.issued.shift()
    this.outputs.push({ kind: 'decision', decision })
  }

  private decision(
    incident: Incident,
    action: Action,
    scope: Scope,
    at: number,
    rest: Pick<Decision, 'mode' | 'holdSeconds' | 'limit' | 'tokenExp' | 'approval' | 'blast' | 'wider'>,
  ): Decision {
    return {
      id: idOf('dec', incident.id, action, scope.kind, at, incident.events),
      time: isoTime(at),
      tenant: incident.tenant,
      entity: incident.entity,
      action,
      scope,
      mode: rest.mode,
      holdSeconds: rest.holdSeconds,
      limit: rest.limit,
      incident: incident.id,
      reason: summarise(incident),
      principal: incident.principal,
      gateway: incident.gateway,
      tokenExp: rest.tokenExp,
      groups: incident.groups,
      evidenceAt: incident.evidenceAt,
      ...(rest.approval === undefined ? {} : { approval: rest.approval }),
      ...(rest.blast === undefined ? {} : { blast: rest.blast }),
      ...(rest.wider === undefined ? {} : { wider: rest.wider }),
    }
  }

  /**
   * Does what time alone brings: what has been quiet for long enough resolves, what nobody acted on for too
   * long is marked and told once more. Transitions carry the time at which they were due.
   */
  passTime(now: number, settings: EngineSettings, onDue: IncidentsDue): void {
    if (now < this.due) return
    const quiet = settings.values.quietSeconds * SECOND_MS
    const maxFreeze = settings.values.maxFreezeSeconds * SECOND_MS
    const due = [...this.open.values()].filter((i) => dueAt(i, settings) <= now)
    due.sort((a, b) => dueAt(a, settings) - dueAt(b, settings) || (a.id < b.id ? -1 : 1))
    for (const incident of due) {
      const frozenAt = staleAt(incident, maxFreeze)
      const quietAt = incident.lastDemandAt + quiet
      if (quietAt > firstApprovalDue(incident)) this.passApprovals(incident, now, quietAt, settings)
      if (frozenAt <= now && frozenAt < quietAt) {
        this.remind(incident, frozenAt)
        onDue.stale(incident)
      }
      if (quietAt > now) continue
      this.resolve(incident, quietAt)
      onDue.resolved(incident)
    }
    this.due = Number.POSITIVE_INFINITY
    for (const i of this.open.values()) this.due = Math.min(this.due, dueAt(i, settings))
  }

  private passApprovals(incident: Incident, now: number, quietAt: number, settings: EngineSettings): void {
    const overAt = Math.min(quietAt, staleAt(incident, settings.values.maxFreezeSeconds * SECOND_MS))
    const until = Math.min(now, quietAt - 1)
    for (const approval of passApprovals(incident, until, incident.stale ? 0 : overAt, settings.values))
      this.outputs.push({ kind: 'approval', approval })
    this.dirty.add(incident)
  }

  private remind(incident: Incident, at: number): void {
    incident.stale = true
    const days = Math.round((at - incident.openedAt) / DAY_MS)
    const since = days >= 2 ? `${days} days` : `${Math.round((at - incident.openedAt) / HOUR_MS)} hours`
    this.transition(incident, 'escalated', at, `; open for ${since} and not acted on: learning resumes`)
    this.dirty.add(incident)
  }

  /** Ends an open incident and tells people; decisions stand until they expire. */
  resolve(incident: Incident, at: number): void {
    for (const approval of dropApprovals(incident, at)) this.outputs.push({ kind: 'approval', approval })
    incident.resolvedAt = at
    this.transition(incident, 'resolved', at)
    this.leaveOpen(incident)
    this.dirty.add(incident)
    this.resolved++
    this.forgetOldest()
  }

  private leaveOpen(incident: Incident): void {
    for (const [key, open] of this.open) if (open === incident) this.open.delete(key)
    if (this.open.size === 0) this.openIds.clear()
    else if (this.openIds.size > 2 * this.open.size + SPARE_IDS) this.forgetClosedIds()
  }

  private forgetClosedIds(): void {
    this.openIds.clear()
    for (const open of this.open.values()) this.openIds.add(open.principal.id)
  }

  /** Lifts the decisions of an incident that still hold, because a person said so. */
  releaseAll(incident: Incident, at: number): void {
    const held = isHeld(incident, at)
    for (const issued of incident.issued) issued.holdUntil = Math.min(issued.holdUntil, at)
    const last = incident.issued.at(-1)
    if (!held || last === undefined) return
    const rest = { mode: 'enforce' as const, holdSeconds: 0, limit: null, tokenExp: null }
    this.outputs.push({
      kind: 'decision',
      decision: this.decision(incident, 'release', last.scope, at, rest),
    })
    this.dirty.add(incident)
  }

  private forgetOldest(): void {
    if (this.resolved <= MAX_RESOLVED) return
    let oldest: Incident | null = null
    for (const incident of this.byId.values()) {
      if (incident.resolvedAt === null) continue
      if (
        oldest === null ||
        incident.resolvedAt < oldest.resolvedAt! ||
        (incident.resolvedAt === oldest.resolvedAt && incident.id < oldest.id)
      ) {
        oldest = incident
      }
    }
    if (oldest !== null) this.remove(oldest)
  }

  /** Drops resolved incidents that ended before an instant, epoch ms of event time. */
  forgetResolvedBefore(instant: number): void {
    for (const incident of this.byId.values()) {
      if (incident.resolvedAt !== null && incident.resolvedAt < instant) this.remove(incident)
    }
  }

  private remove(incident: Incident): void {
    this.drop(incident)
    this.resolved--
  }

  private drop(incident: Incident): void {
    this.byId.delete(incident.id)
    this.dirty.delete(incident)
    this.removed.push(incident.id)
  }

  /** Incidents of which a statement holds, open or not, by id. */
  where(holds: (incident: Incident) => boolean): readonly Incident[] {
    return [...this.byId.values()].filter(holds).sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** Drops an incident whatever its state. People are told, without a name, that an open one has ended. */
  forget(incident: Incident, at: number): void {
    if (incident.resolvedAt !== null) {
      this.remove(incident)
      return
    }
    this.leaveOpen(incident)
    this.drop(incident)
    this.outputs.push({ kind: 'alert', alert: nameless(this.alertOf(incident, 'resolved', at)) })
  }

  /** Incidents changed and ids removed since the last call. */
  takeChanges(): { changed: readonly Incident[]; removed: readonly string[] } {
    const changes = { changed: [...this.dirty], removed: this.removed.splice(0) }
    this.dirty.clear()
    return changes
  }

  restore(incident: Incident, settings: EngineSettings): void {
    const key = incident.linesKey ?? profileKey(incident.tenant, incident.principal)
    this.byId.set(incident.id, incident)
    if (incident.resolvedAt !== null) {
      this.resolved++
      return
    }
    this.open.set(key, incident)
    this.openIds.add(incident.principal.id)
    this.due = Math.min(this.due, dueAt(incident, settings))
  }
}

/** When time alone changes an open incident, epoch ms. */
function dueAt(incident: Incident, settings: EngineSettings): number {
  const { quietSeconds, maxFreezeSeconds } = settings.values
  return Math.min(
    incident.lastDemandAt + quietSeconds * SECOND_MS,
    staleAt(incident, maxFreezeSeconds * SECOND_MS),
    firstApprovalDue(incident),
  )
}
