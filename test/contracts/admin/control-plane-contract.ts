import { describe, expect, it } from 'vitest'
import type { Actor, AuditView, ControlPlane } from '../../../engine/control-plane.ts'

/** A control plane in a known state, with what the checks ask about. */
export interface ControlPlaneFixture {
  readonly plane: ControlPlane
  /** A known caller; there are at least three callers. */
  readonly principal: { readonly tenant: string; readonly entity: string }
  /** Open, with at least one decision in force. */
  readonly openIncident: string
  readonly inForce: string
  /** Of another incident. */
  readonly awaitingApproval: string
  /** Now, as the plane sees it, epoch ms. */
  now(): number
  /** Makes every later audit entry fail. */
  breakAudit(): void
  close?(): Promise<void>
}

export interface ControlPlaneCheck {
  readonly name: string
  run(fixture: ControlPlaneFixture): Promise<void>
}

const ACTOR: Actor = { name: 'alice', role: 'admin' }
const REASON = 'a planned migration, ticket 4711'
const HOSTILE_IDS = [
  '',
  '__proto__',
  'constructor',
  '../../etc/passwd',
  'a\u0000b',
  '\u202e',
  'x'.repeat(512),
]

/** The effect of a change may take a moment to show; the checks look again for a while. */
async function eventually<T>(read: () => Promise<T>, wanted: (value: T) => boolean): Promise<T> {
  for (let i = 0; ; i++) {
    const value = await read()
    if (wanted(value) || i >= 100) return value
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

async function auditTrail(plane: ControlPlane): Promise<AuditView[]> {
  const all: AuditView[] = []
  for (;;) {
    const next = await plane.audit(all.at(-1)?.seq ?? 0, 100)
    if (next.length === 0) return all
    all.push(...next)
  }
}

async function raised(step: () => Promise<unknown>): Promise<boolean> {
  try {
    await step()
    return false
  } catch {
    return true
  }
}

/** One change of each kind that should succeed on a fresh fixture. */
const CHANGES: readonly { name: string; make(f: ControlPlaneFixture): Promise<{ ok: boolean }> }[] = [
  { name: 'extend', make: (f) => f.plane.extendDecision(f.inForce, 7_200, ACTOR, REASON) },
  { name: 'approve', make: (f) => f.plane.approveDecision(f.awaitingApproval, ACTOR, REASON) },
  { name: 'release', make: (f) => f.plane.releaseDecision(f.inForce, ACTOR, REASON) },
  { name: 'close', make: (f) => f.plane.closeIncident(f.openIncident, 'dismiss', ACTOR, REASON) },
  {
    name: 'settings',
    make: async ({ plane }) => {
      const { version, ...rest } = await plane.settings()
      return plane.putSettings(rest, version, ACTOR, REASON, null)
    },
  },
]

const lookUps: ControlPlaneCheck[] = [
  {
    name: 'names its readiness checks and channels',
    run: async ({ plane }) => {
      const checks = await plane.readiness()
      expect(checks.length).toBeGreaterThan(0)
      for (const each of [...checks, ...(await plane.channels())]) expect(each.name).not.toBe('')
    },
  },
  {
    name: 'shows a known principal with a week of 168 shares',
    run: async ({ plane, principal }) => {
      const view = await plane.principal(principal.tenant, principal.entity)
      expect(view?.entity).toBe(principal.entity)
      expect(view?.hourOfWeek).toHaveLength(168)
      const sum = view?.hourOfWeek.reduce((a, b) => a + b, 0) ?? -1
      expect(sum === 0 || Math.abs(sum - 1) < 1e-6).toBe(true)
    },
  },
  {
    name: 'answers unknown ids with null or not-found and never throws',
    run: async ({ plane, principal }) => {
      for (const id of HOSTILE_IDS) {
        expect(await plane.principal(principal.tenant, id)).toBeNull()
        expect(await plane.incident(id)).toBeNull()
        expect(await plane.decision(id)).toBeNull()
        const changes = [
          await plane.closeIncident(id, 'accept', ACTOR, REASON),
          await plane.releaseDecision(id, ACTOR, REASON),
          await plane.extendDecision(id, 3_600, ACTOR, REASON),
          await plane.approveDecision(id, ACTOR, REASON),
          await plane.forgetPrincipal('default', id, ACTOR, REASON),
        ]
        for (const result of changes) expect(result).toMatchObject({ ok: false, why: 'not-found' })
      }
      expect(await auditTrail(plane)).toHaveLength(0)
    },
  },
  {
    name: 'pages through a list, each entry once',
    run: async ({ plane }) => {
      const whole = await plane.principals({ limit: 500 })
      expect(whole.nextCursor).toBeNull()
      const seen: string[] = []
      let cursor: string | null = null
      for (let i = 0; i < whole.items.length + 2; i++) {
        const page: Awaited<ReturnType<ControlPlane['principals']>> = await plane.principals({
          limit: 2,
          ...(cursor !== null && { cursor }),
        })
        expect(page.items.length).toBeLessThanOrEqual(2)
        seen.push(...page.items.map((p) => `${p.tenant}/${p.entity}`))
        cursor = page.nextCursor
        if (cursor === null) break
      }
      expect(cursor).toBeNull()
      expect(seen.toSorted()).toEqual(whole.items.map((p) => `${p.tenant}/${p.entity}`).toSorted())
    },
  },
  {
    name: 'answers a cursor that names nothing with an empty page',
    run: async ({ plane }) => {
      for (const cursor of ['no-such-cursor', '__proto__', '{"a":1}', '-1']) {
        const query = { limit: 5, cursor }
        expect((await plane.principals(query)).items).toEqual([])
        expect((await plane.incidents(query)).items).toEqual([])
        expect((await plane.decisions(query)).items).toEqual([])
      }
    },
  },
  {
    name: 'filters by tenant, state, entity, status and search',
    run: async ({ plane, principal, openIncident, inForce }) => {
      expect((await plane.principals({ limit: 9, tenant: 'no-such-tenant' })).items).toEqual([])
      expect((await plane.incidents({ limit: 9, tenant: 'no-such-tenant' })).items).toEqual([])
      expect((await plane.decisions({ limit: 9, tenant: 'no-such-tenant' })).items).toEqual([])
      expect((await plane.principals({ limit: 9, search: 'no such name' })).items).toEqual([])
      const named = await plane.principals({ limit: 9, search: principal.entity })
      expect(named.items.map((p) => p.entity)).toEqual([principal.entity])
      const open = await plane.incidents({ limit: 500, state: 'open' })
      expect(open.items.map((i) => i.id)).toContain(openIncident)
      expect(open.items.every((i) => i.state === 'open')).toBe(true)
      const entity = (await plane.incident(openIncident))?.entity ?? ''
      const about = await plane.incidents({ limit: 500, entity })
      expect(about.items.every((i) => i.entity === entity)).toBe(true)
      const holding = await plane.decisions({ limit: 500, status: 'in-force' })
      expect(holding.items.map((d) => d.decision.id)).toContain(inForce)
      expect(holding.items.every((d) => d.status === 'in-force')).toBe(true)
    },
  },
]

const interventions: ControlPlaneCheck[] = [
  {
    name: 'closing an incident resolves it and releases its decisions',
    run: async ({ plane, openIncident, inForce }) => {
      expect(await plane.closeIncident(openIncident, 'accept', ACTOR, REASON)).toMatchObject({ ok: true })
      const closed = await eventually(
        () => plane.incident(openIncident),
        (i) => i?.state === 'resolved',
      )
      expect(closed?.state).toBe('resolved')
      expect(closed?.resolvedAt).not.toBeNull()
      const lifted = await eventually(
        () => plane.decision(inForce),
        (d) => d?.status === 'released',
      )
      expect(lifted?.status).toBe('released')
      const again = await plane.closeIncident(openIncident, 'dismiss', ACTOR, REASON)
      expect(again).toMatchObject({ ok: false, why: 'conflict' })
    },
  },
  {
    name: 'releasing lifts a decision once',
    run: async ({ plane, inForce }) => {
      expect(await plane.releaseDecision(inForce, ACTOR, REASON)).toMatchObject({ ok: true })
      const view = await eventually(
        () => plane.decision(inForce),
        (d) => d?.status === 'released',
      )
      expect(view?.status).toBe('released')
      expect(await plane.releaseDecision(inForce, ACTOR, REASON)).toMatchObject({
        ok: false,
        why: 'conflict',
      })
    },
  },
  {
    name: 'a principal is kept while a decision on it stands, and forgotten once that is released',
    run: async ({ plane, principal, openIncident, inForce }) => {
      const { tenant, entity } = principal
      const forget = () => plane.forgetPrincipal(tenant, entity, ACTOR, REASON)
      expect(await forget()).toMatchObject({ ok: false, why: 'conflict' })
      expect(await plane.principal(tenant, entity)).not.toBeNull()
      expect(await plane.incident(openIncident)).not.toBeNull()
      expect(await plane.releaseDecision(inForce, ACTOR, REASON)).toMatchObject({ ok: true })
      expect(await forget()).toMatchObject({ ok: true, value: { judged: true, incidents: 1 } })
      const left = () => Promise.all([plane.principal(tenant, entity), plane.incident(openIncident)])
      expect(await eventually(left, (views) => views.every((view) => view === null))).toEqual([null, null])
      const entry = (await auditTrail(plane)).find(({ action }) => action === 'principal.forget')
      expect(entry?.target).toMatch(/^principal\/(?!.*orders)/)
    },
  },
  {
    name: 'extending moves the end of the hold',
    run: async ({ plane, inForce, now }) => {
      const before = await plane.decision(inForce)
      expect(await plane.extendDecision(inForce, 86_400, ACTOR, REASON)).toMatchObject({ ok: true })
      const after = await eventually(
        () => plane.decision(inForce),
        (d) => d?.until !== before?.until,
      )
      const left = Date.parse(after?.until ?? '') - now()
      expect(Math.abs(left - 86_400_000)).toBeLessThan(60_000)
    },
  },
  {
    name: 'a hold never ends later than 7 days from now',
    run: async ({ plane, inForce, now }) => {
      await plane.extendDecision(inForce, 30 * 86_400, ACTOR, REASON)
      const until = Date.parse((await plane.decision(inForce))?.until ?? '')
      expect(until - now()).toBeLessThanOrEqual(7 * 86_400_000 + 60_000)
    },
  },
  {
    name: 'approves only what waits for approval',
    run: async ({ plane, awaitingApproval, inForce }) => {
      expect(await plane.approveDecision(inForce, ACTOR, REASON)).toMatchObject({
        ok: false,
        why: 'conflict',
      })
      expect(await plane.approveDecision(awaitingApproval, ACTOR, REASON)).toMatchObject({ ok: true })
      const view = await eventually(
        () => plane.decision(awaitingApproval),
        (d) => d?.status !== 'awaiting-approval',
      )
      expect(['pending', 'in-force', 'failed', 'withheld']).toContain(view?.status)
    },
  },
]

const settings: ControlPlaneCheck[] = [
  {
    name: 'new settings get the next version and are kept with who, why and until when',
    run: async ({ plane, now }) => {
      const { version, ...rest } = await plane.settings()
      const next = { ...rest, values: { ...rest.values, throttleSurprise: 7.5 } }
      const expires = new Date(now() + 86_400_000).toISOString()
      const result = await plane.putSettings(next, version, ACTOR, REASON, expires)
      expect(result).toMatchObject({ ok: true, value: { ...next, version: version + 1 } })
      expect(await plane.settings()).toMatchObject({ ...next, version: version + 1 })
      const history = await plane.settingsHistory(10)
      expect(history[0]).toMatchObject({
        settings: { version: version + 1 },
        actor: 'alice',
        reason: REASON,
        expires,
      })
      expect(history[1]?.settings.version).toBe(version)
      expect(await plane.settingsHistory(1)).toHaveLength(1)
    },
  },
  {
    name: 'settings made against another version are a conflict and change nothing',
    run: async ({ plane }) => {
      const { version, ...rest } = await plane.settings()
      const next = { ...rest, values: { ...rest.values, throttleSurprise: 7.5 } }
      for (const wrong of [version - 1, version + 1]) {
        const result = await plane.putSettings(next, wrong, ACTOR, REASON, null)
        expect(result).toMatchObject({ ok: false, why: 'conflict' })
      }
      const result = await plane.revertSettings(version, version + 1, ACTOR, REASON, null)
      expect(result).toMatchObject({ ok: false, why: 'conflict' })
      expect((await plane.settings()).version).toBe(version)
    },
  },
  {
    name: 'of two changes made at once against one version exactly one wins',
    run: async ({ plane }) => {
      const { version, ...rest } = await plane.settings()
      const put = (throttleSurprise: number) =>
        plane.putSettings(
          { ...rest, values: { ...rest.values, throttleSurprise } },
          version,
          ACTOR,
          REASON,
          null,
        )
      const results = await Promise.all([put(7), put(9)])
      expect(results.filter((r) => r.ok)).toHaveLength(1)
      expect((await plane.settings()).version).toBe(version + 1)
    },
  },
  {
    name: 'reverting brings an earlier version back under a new number',
    run: async ({ plane }) => {
      const { version, ...rest } = await plane.settings()
      const next = { ...rest, values: { ...rest.values, throttleSurprise: 7.5 } }
      await plane.putSettings(next, version, ACTOR, REASON, null)
      expect(await plane.revertSettings(version, version + 1, ACTOR, REASON, null)).toMatchObject({
        ok: true,
      })
      expect(await plane.settings()).toEqual({ ...rest, version: version + 2 })
      const unknown = await plane.revertSettings(987_654, version + 2, ACTOR, REASON, null)
      expect(unknown).toMatchObject({ ok: false, why: 'not-found' })
    },
  },
]

const auditing: ControlPlaneCheck[] = [
  {
    name: 'every change is audited once with who and why',
    run: async (fixture) => {
      for (const [i, change] of CHANGES.entries()) {
        expect(await change.make(fixture), change.name).toMatchObject({ ok: true })
        const trail = await auditTrail(fixture.plane)
        expect(trail, change.name).toHaveLength(i + 1)
        expect(trail.at(-1)).toMatchObject({ seq: i + 1, actor: 'alice', reason: REASON })
      }
    },
  },
  {
    name: 'audit hashes are SHA-256 and no two are alike',
    run: async (fixture) => {
      for (const change of CHANGES) await change.make(fixture)
      const hashes = (await auditTrail(fixture.plane)).map((entry) => entry.hash)
      for (const hash of hashes) expect(hash).toMatch(/^[0-9a-f]{64}$/)
      expect(new Set(hashes).size).toBe(CHANGES.length)
    },
  },
  {
    name: 'what cannot be audited does not happen',
    run: async (fixture) => {
      const look = async () => ({
        incident: await fixture.plane.incident(fixture.openIncident),
        decisions: (await fixture.plane.decisions({ limit: 500 })).items,
        settings: await fixture.plane.settings(),
      })
      const before = await look()
      fixture.breakAudit()
      for (const change of CHANGES) expect(await raised(() => change.make(fixture)), change.name).toBe(true)
      expect(await look()).toEqual(before)
    },
  },
]

/** Every promise of the interface, each with a name that a failing implementation is told. */
export const controlPlaneChecks: readonly ControlPlaneCheck[] = [
  ...lookUps,
  ...interventions,
  ...settings,
  ...auditing,
]

/** Declares the suite for one implementation; `make` is called for every check. */
export function controlPlaneContract(name: string, make: () => Promise<ControlPlaneFixture>): void {
  describe(`control plane contract: ${name}`, () => {
    it.each(controlPlaneChecks)('$name', async (check) => {
      const fixture = await make()
      try {
        await check.run(fixture)
      } finally {
        await fixture.close?.()
      }
    })
  })
}

/** Names of the checks that an implementation fails. */
export async function failedChecks(make: () => Promise<ControlPlaneFixture>): Promise<string[]> {
  const failed: string[] = []
  for (const check of controlPlaneChecks) {
    const fixture = await make()
    if (await raised(() => check.run(fixture))) failed.push(check.name)
    await fixture.close?.()
  }
  return failed
}
