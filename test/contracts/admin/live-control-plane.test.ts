import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { verifyAudit } from '../../../cli/audit-chain.ts'
import { openAuditLog } from '../../../cli/audit-log.ts'
import { AuditSubjects } from '../../../cli/audit-subjects.ts'
import { Forgetting } from '../../../cli/forgetting.ts'
import { createLiveControlPlane } from '../../../cli/live-control-plane.ts'
import { openSettingsKeeper } from '../../../cli/settings-keeper.ts'
import { FIRST_SHARED_PARTITION, SharedMap } from '../../../cli/shared-map.ts'
import { CurfewError } from '../../../core/errors.ts'
import { createEnforcer } from '../../../enforcement/enforcer.ts'
import type { Capability, GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { OutboxReader } from '../../../engine/outbox-reader.ts'
import { DEFAULT_SETTINGS } from '../../../engine/settings.ts'
import { eventually, HandClock, MemoryLedger, quietLogger } from '../../services/decision-ledger.ts'
import { partitionWorker } from '../../services/partition-worker.ts'
import { type ControlPlaneFixture, controlPlaneContract } from './control-plane-contract.ts'

const NOW = Date.parse('2026-11-23T03:04:00.000Z')
const IDENTITY_KEY = new TextEncoder().encode('a test key')
const ACTOR = { name: 'alice', role: 'admin' } as const

const CAN: readonly Capability[] = (['throttle', 'block', 'revoke-token'] as const).map((action) => ({
  action,
  scope: 'principal',
  worstCaseDelayMs: 50,
}))

/** A gateway in memory. */
function memoryGateway(): GatewayAdapter & { readonly rules: ReadonlyMap<string, Rule> } {
  const rules = new Map<string, Rule>()
  return {
    name: 'edge',
    kind: 'test',
    can: CAN,
    rules,
    list: async () => [...rules.values()],
    put: async (rule) => void rules.set(rule.id, rule),
    remove: async (id) => void rules.delete(id),
    check: async () => undefined,
  }
}

/** The store with a switch that makes audit entries fail. */
function withAuditSwitch(store: StateStore) {
  let broken = false
  const guarded = new Proxy(store, {
    get(target, name: keyof StateStore) {
      if (name === 'appendLine') {
        return async (log: string, body: string) => {
          if (broken && log === 'audit')
            throw new CurfewError('STORE_UNREACHABLE', 'the audit cannot be written')
          return target.appendLine(log, body)
        }
      }
      const member = target[name]
      return typeof member === 'function' ? member.bind(target) : member
    },
  })
  return {
    store: guarded,
    breakAudit: () => {
      broken = true
    },
  }
}

/** A running installation in miniature: real store, worker, keeper, audit and enforcer; one gateway in memory. */
async function installation() {
  const folder = await mkdtemp(join(tmpdir(), 'curfew-control-'))
  const { store, breakAudit } = withAuditSwitch(await openEmbeddedStore({ folder }))
  const clock = new HandClock(NOW)
  const settings = await openSettingsKeeper({
    store,
    initial: { values: DEFAULT_SETTINGS, modes: [], allow: [] },
    clock,
  })
  const audit = await openAuditLog({ store, writer: 'admin', clock })
  const gateway = memoryGateway()
  const enforcer = createEnforcer({
    gateways: [gateway],
    ledger: new MemoryLedger(),
    clock,
    random: () => 0.5,
    logger: quietLogger,
    isAllowed: () => null,
    intervalMs: 20,
  })
  const stop = new AbortController()
  await enforcer.load()
  enforcer.start(stop.signal)
  const worker = await partitionWorker({
    store,
    partition: 3,
    identityKey: IDENTITY_KEY,
    now: NOW,
    settings: settings.current(),
  })
  const night = await worker.night()
  for (const decision of night.decisions) await enforcer.accept(decision)
  await eventually(() => enforcer.view(night.inForce.id)?.status === 'in-force', 'the throttle in force')
  const map = await SharedMap.open(store, 4)
  const subjects = new AuditSubjects(map, IDENTITY_KEY)
  const forgetting = new Forgetting({
    store,
    map,
    subjects,
    audit,
    settings,
    enforcer,
    dispatcher: { forget: async () => undefined },
    deadLetters: () => ({ erase: async () => undefined }),
    renew: async () => () => true,
    partitions: 64,
    identityKey: IDENTITY_KEY,
    clock,
    logger: quietLogger,
  })
  const reader = new OutboxReader(
    'control',
    store,
    async ({ kind, body }) => (kind === 'forgotten' ? forgetting.take(body) : undefined),
    quietLogger,
  )
  const reading = reader.run(stop.signal)
  const plane = createLiveControlPlane({
    forgetting,
    store,
    partitions: async () => [...(await store.partitions()), FIRST_SHARED_PARTITION],
    enforcer,
    settings,
    audit,
    clock,
    readiness: async () => [{ name: 'store', ok: true, detail: 'embedded' }],
    channels: () => [{ name: 'siem', waiting: 0, sent: 0, lastError: null }],
    coverage: () => ({ judgedTo: null, feeds: [], incidents: [] }),
    envelopes: () => ({
      view: () => ({ mode: 'off', callers: 0, items: [] }),
      accepted: () => undefined,
    }),
    identityKey: IDENTITY_KEY,
  })
  const close = async () => {
    await worker.close()
    stop.abort()
    await enforcer.drain()
    await reading
    await store.close()
    await rm(folder, { recursive: true, force: true })
  }
  return { plane, store, breakAudit, clock, settings, gateway, enforcer, worker, night, close }
}

async function fixture(): Promise<ControlPlaneFixture> {
  const { plane, breakAudit, night, close } = await installation()
  return {
    plane,
    principal: { tenant: 'default', entity: 'consumer:orders-svc' },
    openIncident: night.openIncident,
    inForce: night.inForce.id,
    awaitingApproval: night.awaitingApproval.id,
    now: () => NOW,
    breakAudit,
    close,
  }
}

controlPlaneContract('live', fixture)

/** Runs a story in an installation that is taken down whatever happens. */
async function story(tell: (made: Awaited<ReturnType<typeof installation>>) => Promise<void>): Promise<void> {
  const made = await installation()
  try {
    await tell(made)
  } finally {
    await made.close()
  }
}

describe('live control plane', () => {
  it('shows what is normal for a principal from its stored profile', () =>
    story(async ({ plane }) => {
      const view = await plane.principal('default', 'consumer:orders-svc')
      expect(view).toMatchObject({ stableId: 'consumer:6f1c', state: 'PROVISIONAL' })
      expect(view?.events).toBeGreaterThan(0)
      const hourly = view?.normal.find((range) => range.feature === 'requests' && range.window === '1h')
      expect(hourly?.range[0]).toBeLessThanOrEqual(hourly!.expected)
      expect(hourly?.range[1]).toBeGreaterThanOrEqual(hourly!.expected)
      expect(view?.hourOfWeek.some((share) => share > 0)).toBe(true)
    }))

  it('shows an incident with reasons, the parts of its surprise and its decisions', () =>
    story(async ({ plane, night }) => {
      const view = await plane.incident(night.openIncident)
      expect(view?.transitions[0]?.transition).toBe('opened')
      expect(view?.parts?.length).toBeGreaterThan(0)
      expect(view?.decisions.map((d) => d.decision.id)).toContain(night.inForce.id)
    }))

  it('lifts the rule at the gateway and frees the principal in the engine when an incident is closed', () =>
    story(async ({ plane, gateway, night, worker }) => {
      expect([...gateway.rules.keys()]).toEqual([night.inForce.id])
      const closed = await plane.closeIncident(night.openIncident, 'dismiss', ACTOR, 'a planned export')
      expect(closed).toMatchObject({ ok: true, value: { state: 'resolved' } })
      await eventually(() => gateway.rules.size === 0, 'the rule lifted')
      expect(worker.isHeld(night.openIncident)).toBe(false)
    }))

  it('frees the principal in the engine when a decision is released', () =>
    story(async ({ plane, night, worker }) => {
      expect(worker.isHeld(night.openIncident)).toBe(true)
      await plane.releaseDecision(night.inForce.id, ACTOR, 'a planned export')
      await eventually(() => !worker.isHeld(night.openIncident), 'the release applied')
    }))

  it('moves the hold of the engine along when a decision is extended', () =>
    story(async ({ plane, night, worker }) => {
      const { id, time, holdSeconds } = night.inForce
      expect(worker.holdUntil(night.openIncident, id)).toBe(Date.parse(time) + holdSeconds * 1_000)
      const extended = await plane.extendDecision(id, 86_400, ACTOR, 'still under review')
      const until = Date.parse((extended.ok && extended.value.until) || '')
      expect(until).toBe(NOW + 86_400_000)
      await eventually(() => worker.holdUntil(night.openIncident, id) === until, 'the extension applied')
    }))

  it('tells the engine that a person agreed, so that the hold counts there too', () =>
    story(async ({ plane, night, worker }) => {
      const { id, incident } = night.awaitingApproval
      expect(worker.isHeld(incident)).toBe(false)
      expect(await plane.approveDecision(id, ACTOR, 'looked at it')).toMatchObject({ ok: true })
      await eventually(() => worker.isHeld(incident), 'the approval applied')
    }))

  it('closes an incident once, even when two ask at the same time', () =>
    story(async ({ plane, night }) => {
      const close = (verdict: 'accept' | 'dismiss') =>
        plane.closeIncident(night.openIncident, verdict, ACTOR, 'twice')
      const results = await Promise.all([close('accept'), close('dismiss')])
      expect(results.map((r) => r.ok)).toEqual([true, false])
      expect(await plane.audit(0, 10)).toHaveLength(1)
    }))

  it('brings new settings to the partitions', () =>
    story(async ({ plane, worker }) => {
      const { version, ...rest } = await plane.settings()
      const next = { ...rest, values: { ...rest.values, throttleSurprise: 7.5 } }
      await plane.putSettings(next, version, ACTOR, 'quieter', null)
      await eventually(() => worker.settings().version === version + 1, 'the settings applied')
      expect(worker.settings().values.throttleSurprise).toBe(7.5)
    }))

  it('keeps an audit that verifies', () =>
    story(async ({ plane, store, night }) => {
      await plane.extendDecision(night.inForce.id, 7_200, ACTOR, 'line\nbreak \u202e')
      await plane.releaseDecision(night.inForce.id, ACTOR, 'enough')
      const lines = await store.readLines('audit', 0, 10)
      expect(verifyAudit(lines)).toMatchObject({ entries: 2, problem: null })
      const exported = (await plane.audit(0, 10)).map((entry) => ({
        seq: entry.seq,
        body: JSON.stringify(entry),
      }))
      expect(verifyAudit(exported)).toMatchObject({ entries: 2, problem: null })
    }))

  it('pages through incidents, newest first', () =>
    story(async ({ plane }) => {
      const all = (await plane.incidents({ limit: 10 })).items
      expect(all.map((i) => i.openedAt)).toEqual(
        all
          .map((i) => i.openedAt)
          .toSorted()
          .toReversed(),
      )
      const first = await plane.incidents({ limit: 1 })
      const second = await plane.incidents({ limit: 1, cursor: first.nextCursor! })
      expect([...first.items, ...second.items].map((i) => i.id)).toEqual(all.map((i) => i.id))
      expect(second.nextCursor).toBeNull()
    }))
})
