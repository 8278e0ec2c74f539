import { hashOf } from '../../../core/hash.ts'
import { type Clock, isoTime } from '../../../core/time.ts'
import type {
  Actor,
  AuditView,
  ChangeResult,
  ChannelView,
  ControlPlane,
  CoverageView,
  DecisionStatusName,
  DecisionView,
  EnvelopesView,
  ForgettingView,
  IncidentView,
  Page,
  PageQuery,
  PrincipalView,
  ReadinessCheck,
  SettingsVersion,
} from '../../../engine/control-plane.ts'
import { DEFAULT_SETTINGS, type EngineSettings } from '../../../engine/settings.ts'

export interface Seed {
  readonly principals?: readonly PrincipalView[]
  /** Without decisions; those stand in `decisions`. */
  readonly incidents?: readonly IncidentView[]
  readonly decisions?: readonly DecisionView[]
  readonly settings?: Partial<Omit<EngineSettings, 'version'>>
}

const ACTIVE: readonly DecisionStatusName[] = ['awaiting-approval', 'pending', 'in-force', 'failed']
const MAX_HOLD_SECONDS = 604_800

/** A control plane that keeps everything in memory: the reference of the contract, and the tests' engine. */
export class MemoryControlPlane implements ControlPlane {
  checks: readonly ReadinessCheck[] = [{ name: 'store', ok: true, detail: 'in memory' }]
  /** Set to make every audit entry fail from now on. */
  auditBroken = false
  protected readonly trail: AuditView[] = []
  protected readonly versions: SettingsVersion[] = []
  protected readonly incidentsById = new Map<string, IncidentView>()
  protected readonly decisionsById = new Map<string, DecisionView>()
  seen: CoverageView = { judgedTo: null, feeds: [], incidents: [] }
  protected callers: readonly PrincipalView[]
  protected readonly clock: Clock

  constructor(clock: Clock, seed: Seed = {}) {
    this.clock = clock
    this.callers = seed.principals ?? []
    for (const each of seed.decisions ?? []) this.decisionsById.set(each.decision.id, each)
    for (const each of seed.incidents ?? []) this.incidentsById.set(each.id, each)
    const settings = { version: 1, values: DEFAULT_SETTINGS, modes: [], allow: [], ...seed.settings }
    this.versions.push({ settings, time: this.now(), actor: 'configuration', reason: 'start', expires: null })
  }

  async readiness(): Promise<readonly ReadinessCheck[]> {
    return this.checks
  }

  async channels(): Promise<readonly ChannelView[]> {
    return [{ name: 'siem', waiting: 0, sent: 3, lastError: null }]
  }

  async envelopes(): Promise<EnvelopesView> {
    return { mode: 'off', callers: 0, items: [] }
  }

  async coverage(): Promise<CoverageView> {
    return this.seen
  }

  async principals(query: Parameters<ControlPlane['principals']>[0]): Promise<Page<PrincipalView>> {
    const { search, state } = query
    const items = this.callers.filter(
      (p) =>
        (search === undefined || p.entity.includes(search)) && (state === undefined || p.state === state),
    )
    return pageOf(items, query, (p) => `${p.tenant}/${p.entity}`)
  }

  async principal(tenant: string, entity: string): Promise<PrincipalView | null> {
    return this.callers.find((p) => p.tenant === tenant && p.entity === entity) ?? null
  }

  async forgetPrincipal(
    tenant: string,
    entity: string,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<ForgettingView>> {
    const found = this.callers.find((p) => p.tenant === tenant && [p.entity, p.stableId].includes(entity))
    if (found === undefined) return notFound('principal')
    const held = [...this.decisionsById.values()].some(
      ({ decision, status }) => decision.entity.id === found.entity && ACTIVE.includes(status),
    )
    if (held) return conflict('a decision on it stands')
    this.record(actor, 'principal.forget', 'principal/1', reason)
    this.callers = this.callers.filter((p) => p !== found)
    const incidents = [...this.incidentsById.values()].filter((i) => i.entity === found.entity)
    for (const { id } of incidents) this.incidentsById.delete(id)
    return { ok: true, value: { request: 'fgt_1', judged: true, incidents: incidents.length } }
  }

  async incidents(query: Parameters<ControlPlane['incidents']>[0]): Promise<Page<IncidentView>> {
    const { state, entity } = query
    const items = [...this.incidentsById.values()]
      .filter(
        (i) => (state === undefined || i.state === state) && (entity === undefined || i.entity === entity),
      )
      .map((i) => this.withDecisions(i))
    return pageOf(items, query, (i) => i.id)
  }

  async incident(id: string): Promise<IncidentView | null> {
    const incident = this.incidentsById.get(id)
    return incident === undefined ? null : this.withDecisions(incident)
  }

  async closeIncident(
    id: string,
    verdict: 'accept' | 'dismiss',
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<IncidentView>> {
    const incident = this.incidentsById.get(id)
    if (incident === undefined) return notFound('incident')
    if (incident.state === 'resolved') return conflict('the incident is closed already')
    this.record(actor, `incident.${verdict}`, id, reason)
    const before = incident.transitions.at(-1)
    const closing = before && {
      ...before,
      id: `${id}-resolved`,
      transition: 'resolved' as const,
      time: this.now(),
      summary: `Closed by ${actor.name} (${verdict})`,
    }
    this.incidentsById.set(id, {
      ...incident,
      state: 'resolved',
      resolvedAt: this.now(),
      transitions: closing === undefined ? incident.transitions : [...incident.transitions, closing],
    })
    for (const [key, each] of this.decisionsById) {
      if (each.decision.incident !== id || !ACTIVE.includes(each.status)) continue
      this.decisionsById.set(key, {
        ...each,
        status: 'released',
        statusReason: `incident closed: ${verdict}`,
      })
    }
    return { ok: true, value: this.withDecisions(this.incidentsById.get(id)!) }
  }

  async decisions(query: Parameters<ControlPlane['decisions']>[0]): Promise<Page<DecisionView>> {
    const items = [...this.decisionsById.values()].filter(
      (d) => query.status === undefined || d.status === query.status,
    )
    const shown = items.map((view) => ({ tenant: view.decision.tenant, view }))
    const page = pageOf(shown, query, (d) => d.view.decision.id)
    return { items: page.items.map((d) => d.view), nextCursor: page.nextCursor }
  }

  async decision(id: string): Promise<DecisionView | null> {
    return this.decisionsById.get(id) ?? null
  }

  async releaseDecision(id: string, actor: Actor, reason: string): Promise<ChangeResult<DecisionView>> {
    return this.changeDecision(id, ACTIVE, 'release', actor, reason, () => ({ status: 'released' }))
  }

  async extendDecision(
    id: string,
    holdSeconds: number,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<DecisionView>> {
    const until = isoTime(this.clock.now() + Math.min(holdSeconds, MAX_HOLD_SECONDS) * 1_000)
    return this.changeDecision(id, ['pending', 'in-force'], 'extend', actor, reason, () => ({ until }))
  }

  async approveDecision(id: string, actor: Actor, reason: string): Promise<ChangeResult<DecisionView>> {
    return this.changeDecision(id, ['awaiting-approval'], 'approve', actor, reason, (view) => ({
      status: 'pending',
      issuedAt: this.now(),
      until: isoTime(this.clock.now() + view.decision.holdSeconds * 1_000),
    }))
  }

  async settings(): Promise<EngineSettings> {
    return this.versions.at(-1)!.settings
  }

  async putSettings(
    next: Omit<EngineSettings, 'version'>,
    expectedVersion: number,
    actor: Actor,
    reason: string,
    expires: string | null,
  ): Promise<ChangeResult<EngineSettings>> {
    return this.newVersion('settings.put', next, expectedVersion, actor, reason, expires)
  }

  async settingsHistory(limit: number): Promise<readonly SettingsVersion[]> {
    return this.versions.toReversed().slice(0, limit)
  }

  async revertSettings(
    version: number,
    expectedVersion: number,
    actor: Actor,
    reason: string,
    expires: string | null,
  ): Promise<ChangeResult<EngineSettings>> {
    const target = this.versions.find((v) => v.settings.version === version)
    if (target === undefined) return notFound('version')
    return this.newVersion('settings.revert', target.settings, expectedVersion, actor, reason, expires)
  }

  async audit(afterSeq: number, limit: number): Promise<readonly AuditView[]> {
    return this.trail.slice(afterSeq, afterSeq + limit)
  }

  protected newVersion(
    action: string,
    next: Omit<EngineSettings, 'version'>,
    expectedVersion: number,
    actor: Actor,
    reason: string,
    expires: string | null,
  ): ChangeResult<EngineSettings> {
    const current = this.versions.at(-1)!.settings
    if (current.version !== expectedVersion) return conflict(`the settings are at version ${current.version}`)
    const { values, modes, allow } = next
    const settings = { version: current.version + 1, values, modes, allow }
    this.record(actor, action, `settings/${settings.version}`, reason)
    this.versions.push({ settings, time: this.now(), actor: actor.name, reason, expires })
    return { ok: true, value: settings }
  }

  protected changeDecision(
    id: string,
    from: readonly DecisionStatusName[],
    verb: string,
    actor: Actor,
    reason: string,
    change: (view: DecisionView) => Partial<DecisionView>,
  ): ChangeResult<DecisionView> {
    const view = this.decisionsById.get(id)
    if (view === undefined) return notFound('decision')
    if (!from.includes(view.status)) return conflict(`the decision is ${view.status}`)
    this.record(actor, `decision.${verb}`, id, reason)
    const value = { ...view, ...change(view) }
    this.decisionsById.set(id, value)
    return { ok: true, value }
  }

  protected record(actor: Actor, action: string, target: string, reason: string): void {
    if (this.auditBroken) throw new Error('the audit cannot be written')
    const entry = { seq: this.trail.length + 1, time: this.now(), actor: actor.name, action, target, reason }
    const hash = hashOf(this.trail.at(-1)?.hash ?? '', ...Object.values(entry))
    this.trail.push({ ...entry, hash })
  }

  protected now(): string {
    return isoTime(this.clock.now())
  }

  private withDecisions(incident: IncidentView): IncidentView {
    const decisions = [...this.decisionsById.values()].filter((d) => d.decision.incident === incident.id)
    return { ...incident, decisions }
  }
}

function notFound(what: string): { ok: false; why: 'not-found'; detail: string } {
  return { ok: false, why: 'not-found', detail: `no such ${what}` }
}

function conflict(detail: string): { ok: false; why: 'conflict'; detail: string } {
  return { ok: false, why: 'conflict', detail }
}

/** The cursor is the key of the last item shown. */
function pageOf<T extends { readonly tenant: string }>(
  all: readonly T[],
  query: PageQuery,
  keyOf: (item: T) => string,
): Page<T> {
  const items = all.filter((item) => query.tenant === undefined || item.tenant === query.tenant)
  const after = query.cursor === undefined ? -1 : items.findIndex((item) => keyOf(item) === query.cursor)
  if (query.cursor !== undefined && after === -1) return { items: [], nextCursor: null }
  const shown = items.slice(after + 1, after + 1 + query.limit)
  const last = shown.at(-1)
  const more = after + 1 + shown.length < items.length
  return { items: shown, nextCursor: more && last !== undefined ? keyOf(last) : null }
}
