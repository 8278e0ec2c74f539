import { setTimeout as sleep } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import { entityId, type Principal } from '../core/event.ts'
import type { Clock } from '../core/time.ts'
import type { Enforcer } from '../enforcement/enforcer.ts'
import { isLive } from '../enforcement/ledger.ts'
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
  PrincipalView,
  ReadinessCheck,
  SettingsVersion,
} from '../engine/control-plane.ts'
import { type ControlEffect, encodeEffect } from '../engine/control-records.ts'
import type { EngineSettings } from '../engine/settings.ts'
import { scrubText } from '../ingest/scrub.ts'
import type { AuditLog } from './audit-log.ts'
import type { Envelopes } from './build-envelopes.ts'
import { type Forgetting, principalOf } from './forgetting.ts'
import { incidentView } from './incident-view.ts'
import type { NextSettings, SettingsKeeper } from './settings-keeper.ts'
import { FIRST_SHARED_PARTITION } from './shared-map.ts'
import { type FoundIncident, type IncidentQuery, StoredIncidents } from './stored-incidents.ts'
import { StoredPrincipals } from './stored-principals.ts'

export interface LiveControlPlaneOptions {
  readonly store: StateStore
  /** Partitions that may hold state; shared state among them is left out. */
  readonly partitions: () => Promise<readonly number[]>
  readonly enforcer: Enforcer
  readonly settings: SettingsKeeper
  readonly audit: AuditLog
  readonly clock: Clock
  readonly readiness: () => Promise<readonly ReadinessCheck[]>
  readonly channels: () => readonly ChannelView[]
  readonly coverage: () => CoverageView
  readonly envelopes: () => Pick<Envelopes, 'view' | 'accepted'>
  readonly forgetting: Pick<Forgetting, 'ask'>
  /** Key of the hashes under which profiles are stored. */
  readonly identityKey: Uint8Array
}

/** How long the answer to a closing waits for the worker's commit. */
const CLOSE_WAIT_MS = 2_000
const CLOSE_POLL_MS = 50
/** Closings that are remembered until their incident shows as resolved. */
const MAX_CLOSING = 10_000

/**
 * The control plane of a running Curfew. What people give as a reason is kept without secrets and addresses. Reads what the workers committed, at most about a second old, so it
 * does not matter which process detects; changes reach the workers as requests, and the enforcer at once.
 */
export function createLiveControlPlane(options: LiveControlPlaneOptions): ControlPlane {
  return new LiveControlPlane(options)
}

class LiveControlPlane implements ControlPlane {
  private readonly options: LiveControlPlaneOptions
  private readonly storedIncidents: StoredIncidents
  private readonly storedPrincipals: StoredPrincipals
  /** Changes go one after another, so that what one checks still holds when it acts. */
  private turn: Promise<unknown> = Promise.resolve()
  /** Incidents whose end was asked for. */
  private readonly closing = new Set<string>()

  constructor(options: LiveControlPlaneOptions) {
    const { store, clock, identityKey } = options
    const partitions = async () => (await options.partitions()).filter((p) => p < FIRST_SHARED_PARTITION)
    this.options = options
    this.storedIncidents = new StoredIncidents({ store, clock, partitions })
    this.storedPrincipals = new StoredPrincipals({ store, partitions, identityKey })
  }

  readiness(): Promise<readonly ReadinessCheck[]> {
    return this.options.readiness()
  }

  async channels(): Promise<readonly ChannelView[]> {
    return this.options.channels()
  }

  async coverage(): Promise<CoverageView> {
    return this.options.coverage()
  }

  async envelopes(limit: number): Promise<EnvelopesView> {
    return this.options.envelopes().view(limit)
  }

  principals(query: Parameters<ControlPlane['principals']>[0]): Promise<Page<PrincipalView>> {
    return this.storedPrincipals.page(query)
  }

  principal(tenant: string, entity: string): Promise<PrincipalView | null> {
    return this.storedPrincipals.one(tenant, entity)
  }

  async forgetPrincipal(
    tenant: string,
    entity: string,
    actor: Actor,
    said: string,
  ): Promise<ChangeResult<ForgettingView>> {
    return this.inTurn(async () => {
      const principal = await this.anyOf(tenant, entity)
      if (principal === null) return notFound(`no principal ${entity.slice(0, 80)}`)
      const asked = await this.options.forgetting.ask({ tenant, principal }, actor.name, scrubText(said))
      if (asked.ok) this.storedPrincipals.forget(tenant, entityId(principal))
      return asked
    })
  }

  /** A principal of whom anything is kept, by its stable id or its name: a profile, an incident or a decision. */
  private async anyOf(tenant: string, entity: string): Promise<Principal | null> {
    const profile =
      (await this.storedPrincipals.byStableId(tenant, entity)) ??
      (await this.storedPrincipals.one(tenant, entity))
    if (profile !== null) return principalOf(profile.stableId, profile.entity)
    const isIt = (principal: Principal) =>
      entityId(principal) === entity || `${principal.kind}:${principal.id}` === entity
    const decided = this.options.enforcer
      .views()
      .find(({ decision }) => decision.tenant === tenant && isIt(decision.principal))
    if (decided !== undefined) return decided.decision.principal
    const { items } = await this.storedIncidents.page({ tenant, entity, limit: 1 })
    const [found] = items
    if (found === undefined) return null
    if (found.incident.linesKey === undefined) return found.incident.principal
    return found.incident.entity.type === 'ip' ? principalOf(entity, entity) : null
  }

  async incidents(query: IncidentQuery): Promise<Page<IncidentView>> {
    const { items, nextCursor } = await this.storedIncidents.page(query)
    const shown = new Set(items.map(({ incident }) => incident.id))
    const decisions = this.options.enforcer.views().filter((view) => shown.has(view.decision.incident))
    const of = (id: string) => decisions.filter((view) => view.decision.incident === id)
    return { items: items.map(({ incident }) => incidentView(incident, of(incident.id))), nextCursor }
  }

  async incident(id: string): Promise<IncidentView | null> {
    const found = await this.storedIncidents.one(id)
    return found === null ? null : this.viewOf(found)
  }

  private viewOf({ incident }: FoundIncident): IncidentView {
    return incidentView(incident, this.decisionsOf(incident.id))
  }

  private decisionsOf(incident: string): readonly DecisionView[] {
    return this.options.enforcer.viewsOf(incident)
  }

  async closeIncident(
    id: string,
    verdict: 'accept' | 'dismiss',
    actor: Actor,
    said: string,
  ): Promise<ChangeResult<IncidentView>> {
    const reason = scrubText(said)
    const asked = await this.inTurn(async (): Promise<ChangeResult<FoundIncident>> => {
      const found = await this.storedIncidents.one(id)
      if (found === null) return notFound(`no incident ${id.slice(0, 80)}`)
      if (found.incident.resolvedAt !== null) return conflict(`incident ${id} is resolved already`)
      if (this.closing.has(id)) return conflict(`incident ${id} is being closed`)
      const { store, enforcer, audit } = this.options
      const change = { actor: actor.name, action: `incident.${verdict}`, target: id, reason }
      await audit.append(change, found.incident)
      const body = encodeEffect({ kind: 'close-incident', incident: id, verdict })
      await store.request(found.partition, { id: `close-${id}`, kind: 'close-incident', body })
      this.noteClosing(id)
      const { tenant, principal } = found.incident
      if (verdict === 'accept') this.options.envelopes().accepted(tenant, principal)
      for (const { decision, status } of this.decisionsOf(id)) {
        if (isOpen(status))
          await enforcer.release(decision.id, `${actor.name} closed the incident (${verdict}): ${reason}`)
      }
      return { ok: true, value: found }
    })
    return asked.ok ? { ok: true, value: this.viewOf(await this.untilResolved(asked.value)) } : asked
  }

  private noteClosing(id: string): void {
    if (this.closing.size >= MAX_CLOSING) this.closing.delete(this.closing.keys().next().value!)
    this.closing.add(id)
  }

  /** What is committed once the worker resolved the incident, or what there is after a while. */
  private async untilResolved(found: FoundIncident): Promise<FoundIncident> {
    let latest = found
    for (
      let waited = 0;
      waited < CLOSE_WAIT_MS && latest.incident.resolvedAt === null;
      waited += CLOSE_POLL_MS
    ) {
      await sleep(CLOSE_POLL_MS)
      latest = (await this.storedIncidents.one(found.incident.id)) ?? latest
    }
    return latest
  }

  async decisions(query: Parameters<ControlPlane['decisions']>[0]): Promise<Page<DecisionView>> {
    const newestFirst = this.options.enforcer.views().toReversed()
    const last =
      query.cursor === undefined ? -1 : newestFirst.findIndex((view) => view.decision.id === query.cursor)
    if (query.cursor !== undefined && last === -1) return { items: [], nextCursor: null }
    const matching = newestFirst
      .slice(last + 1)
      .filter((view) => query.tenant === undefined || view.decision.tenant === query.tenant)
      .filter((view) => query.status === undefined || view.status === query.status)
    const items = matching.slice(0, query.limit)
    return { items, nextCursor: items.length < matching.length ? (items.at(-1)?.decision.id ?? null) : null }
  }

  async decision(id: string): Promise<DecisionView | null> {
    return this.options.enforcer.view(id)
  }

  releaseDecision(id: string, actor: Actor, said: string): Promise<ChangeResult<DecisionView>> {
    const reason = scrubText(said)
    return this.changeDecision(id, isOpen, 'release', actor, reason, async ({ decision }) => {
      const released = await this.options.enforcer.release(id, `${actor.name}: ${reason}`)
      const effect = { kind: 'decision-released', incident: decision.incident, decision: id } as const
      if (released.ok) await this.tellEngine(`release-${id}`, decision.incident, effect)
      return released
    })
  }

  /** Has the owner of an incident take a change of a hold at a stated position of its log. */
  private async tellEngine(id: string, incident: string, effect: ControlEffect): Promise<void> {
    const holder = await this.storedIncidents.one(incident)
    if (holder === null) return
    await this.options.store.request(holder.partition, { id, kind: effect.kind, body: encodeEffect(effect) })
  }

  extendDecision(
    id: string,
    holdSeconds: number,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<DecisionView>> {
    return this.changeDecision(id, isLive, 'extend', actor, reason, async ({ decision }) => {
      const extended = await this.options.enforcer.extend(id, holdSeconds)
      if (!extended.ok || extended.value.until === null) return extended
      const until = Date.parse(extended.value.until)
      const effect = { kind: 'decision-extended', incident: decision.incident, decision: id, until } as const
      await this.tellEngine(`extend-${id}-${until}`, decision.incident, effect)
      return extended
    })
  }

  approveDecision(id: string, actor: Actor, reason: string): Promise<ChangeResult<DecisionView>> {
    const waits = (status: DecisionStatusName) => status === 'awaiting-approval'
    return this.changeDecision(id, waits, 'approve', actor, reason, async ({ decision }) => {
      const approved = await this.options.enforcer.approve(id)
      if (!approved.ok || approved.value.until === null) return approved
      const until = Date.parse(approved.value.until)
      const effect = { kind: 'decision-approved', incident: decision.incident, decision: id, until } as const
      await this.tellEngine(`approve-${id}`, decision.incident, effect)
      return approved
    })
  }

  private changeDecision(
    id: string,
    allows: (status: DecisionStatusName) => boolean,
    verb: string,
    actor: Actor,
    reason: string,
    change: (view: DecisionView) => Promise<ChangeResult<DecisionView>>,
  ): Promise<ChangeResult<DecisionView>> {
    return this.inTurn(async () => {
      const view = this.options.enforcer.view(id)
      if (view === null) return notFound(`no decision ${id.slice(0, 80)}`)
      if (!allows(view.status)) return conflict(`decision ${id} is ${view.status}`)
      const entry = { actor: actor.name, action: `decision.${verb}`, target: id, reason: scrubText(reason) }
      await this.options.audit.append(entry, view.decision)
      return change(view)
    })
  }

  settings(): Promise<EngineSettings> {
    return this.options.settings.refresh()
  }

  putSettings(
    next: NextSettings,
    expectedVersion: number,
    actor: Actor,
    reason: string,
    expires: string | null,
  ): Promise<ChangeResult<EngineSettings>> {
    return this.inTurn(() =>
      this.changeSettings('settings.put', next, expectedVersion, actor, reason, expires),
    )
  }

  revertSettings(
    version: number,
    expectedVersion: number,
    actor: Actor,
    reason: string,
    expires: string | null,
  ): Promise<ChangeResult<EngineSettings>> {
    return this.inTurn(async () => {
      const earlier = await this.options.settings.version(version)
      if (earlier === null) return notFound(`no version ${version} of the settings`)
      return this.changeSettings('settings.revert', earlier, expectedVersion, actor, reason, expires)
    })
  }

  private async changeSettings(
    action: string,
    wanted: NextSettings,
    expectedVersion: number,
    actor: Actor,
    said: string,
    expires: string | null,
  ): Promise<ChangeResult<EngineSettings>> {
    const reason = scrubText(said)
    const allow = wanted.allow.map((rule) => ({ ...rule, reason: scrubText(rule.reason) }))
    const maintenance = wanted.maintenance?.map((window) => ({ ...window, reason: scrubText(window.reason) }))
    const next = { ...wanted, allow, ...(maintenance === undefined ? {} : { maintenance }) }
    const { settings, audit } = this.options
    const { version } = await settings.refresh()
    if (version !== expectedVersion) return conflict(`the settings are at version ${version}`)
    await audit.append({ actor: actor.name, action, target: `settings/${version + 1}`, reason })
    const made = await settings.put(next, expectedVersion, actor.name, reason, expires)
    return made === null
      ? conflict('somebody else changed the settings at the same time')
      : { ok: true, value: made }
  }

  settingsHistory(limit: number): Promise<readonly SettingsVersion[]> {
    return this.options.settings.history(limit)
  }

  audit(afterSeq: number, limit: number): Promise<readonly AuditView[]> {
    return this.options.audit.read(afterSeq, limit)
  }

  private inTurn<T>(change: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(change)
    this.turn = mine.catch(() => undefined)
    return mine
  }
}

function isOpen(status: DecisionStatusName): boolean {
  return isLive(status) || status === 'awaiting-approval'
}

function notFound(detail: string): { ok: false; why: 'not-found'; detail: string } {
  return { ok: false, why: 'not-found', detail }
}

function conflict(detail: string): { ok: false; why: 'conflict'; detail: string } {
  return { ok: false, why: 'conflict', detail }
}
