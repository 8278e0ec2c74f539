import { describe, expect, it } from 'vitest'
import type { Actor, ChangeResult, DecisionView, IncidentView } from '../../../engine/control-plane.ts'
import { type ControlPlaneFixture, controlPlaneContract, failedChecks } from './control-plane-contract.ts'
import { MemoryControlPlane } from './memory-control-plane.ts'
import { NIGHT, nightClock, sampleSeed } from './sample-state.ts'

type Plane = new (...args: ConstructorParameters<typeof MemoryControlPlane>) => MemoryControlPlane

const fixtureOf = (Kind: Plane) => async (): Promise<ControlPlaneFixture> => {
  const plane = new Kind(nightClock, sampleSeed())
  return {
    plane,
    principal: { tenant: 'default', entity: 'consumer:orders-svc' },
    openIncident: 'inc_1',
    inForce: 'dec_2',
    awaitingApproval: 'dec_3',
    now: () => NIGHT,
    breakAudit: () => {
      plane.auditBroken = true
    },
  }
}

controlPlaneContract('in memory', fixtureOf(MemoryControlPlane))

class HidesTheChannel extends MemoryControlPlane {
  override channels = async () => [{ name: '', waiting: 0, sent: 0, lastError: null }]
}

class AuditsAfterwards extends MemoryControlPlane {
  override async releaseDecision(
    id: string,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<DecisionView>> {
    const view = this.decisionsById.get(id)
    if (view === undefined || view.status === 'released') return super.releaseDecision(id, actor, reason)
    const value = { ...view, status: 'released' as const }
    this.decisionsById.set(id, value)
    this.record(actor, 'decision.release', id, reason)
    return { ok: true, value }
  }
}

class ForgetsTheAudit extends MemoryControlPlane {
  override async approveDecision(
    id: string,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<DecisionView>> {
    const result = await super.approveDecision(id, actor, reason)
    if (result.ok) this.trail.pop()
    return result
  }
}

class IgnoresTheVersion extends MemoryControlPlane {
  override async putSettings(
    ...[next, , actor, reason, expires]: Parameters<MemoryControlPlane['putSettings']>
  ) {
    return super.putSettings(next, (await this.settings()).version, actor, reason, expires)
  }
}

class ChecksTheVersionTooEarly extends MemoryControlPlane {
  override async putSettings(...[next, expected, ...rest]: Parameters<MemoryControlPlane['putSettings']>) {
    const current = (await this.settings()).version
    if (expected !== current) return super.putSettings(next, expected, ...rest)
    await new Promise((resolve) => setTimeout(resolve, 5))
    return super.putSettings(next, (await this.settings()).version, ...rest)
  }
}

class ForgetsTheEnd extends MemoryControlPlane {
  override async putSettings(
    ...[next, expected, actor, reason]: Parameters<MemoryControlPlane['putSettings']>
  ) {
    return super.putSettings(next, expected, actor, reason, null)
  }
}

class AcceptsUnknownIds extends MemoryControlPlane {
  override async releaseDecision(
    id: string,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<DecisionView>> {
    const result = await super.releaseDecision(id, actor, reason)
    if (result.ok || result.why !== 'not-found') return result
    return { ok: true, value: [...this.decisionsById.values()][0]! }
  }
}

class LeavesDecisionsInForce extends MemoryControlPlane {
  override async closeIncident(
    ...args: Parameters<MemoryControlPlane['closeIncident']>
  ): Promise<ChangeResult<IncidentView>> {
    const kept = new Map(this.decisionsById)
    const result = await super.closeIncident(...args)
    for (const [id, view] of kept) this.decisionsById.set(id, view)
    return result
  }
}

class ForgetsWhatIsHeld extends MemoryControlPlane {
  override async forgetPrincipal(...args: Parameters<MemoryControlPlane['forgetPrincipal']>) {
    const kept = new Map(this.decisionsById)
    this.decisionsById.clear()
    const result = await super.forgetPrincipal(...args)
    for (const [id, view] of kept) this.decisionsById.set(id, view)
    return result
  }
}

class ApprovesAnything extends MemoryControlPlane {
  override async approveDecision(
    id: string,
    actor: Actor,
    reason: string,
  ): Promise<ChangeResult<DecisionView>> {
    const from = ['awaiting-approval', 'in-force', 'observed'] as const
    return this.changeDecision(id, from, 'approve', actor, reason, () => ({ status: 'pending' }))
  }
}

class HoldsForAMonth extends MemoryControlPlane {
  override async extendDecision(id: string, seconds: number, actor: Actor, reason: string) {
    const until = new Date(NIGHT + seconds * 1_000).toISOString()
    return this.changeDecision(id, ['in-force'], 'extend', actor, reason, () => ({ until }))
  }
}

class StartsOverAtAnUnknownCursor extends MemoryControlPlane {
  override async incidents(query: Parameters<MemoryControlPlane['incidents']>[0]) {
    const page = await super.incidents(query)
    if (page.items.length > 0 || query.cursor === undefined) return page
    const { cursor: _, ...rest } = query
    return super.incidents(rest)
  }
}

class RevertsUnderTheOldNumber extends MemoryControlPlane {
  override async revertSettings(...args: Parameters<MemoryControlPlane['revertSettings']>) {
    const result = await super.revertSettings(...args)
    const made = result.ok ? this.versions.pop() : undefined
    if (made !== undefined) this.versions.push({ ...made, settings: { ...made.settings, version: args[0] } })
    return result
  }
}

class ShowsOtherTenants extends MemoryControlPlane {
  override async decisions(query: Parameters<MemoryControlPlane['decisions']>[0]) {
    const { tenant: _, ...rest } = query
    return super.decisions(rest)
  }
}

const TWINS: readonly (readonly [Plane, string])[] = [
  [HidesTheChannel, 'names its readiness checks and channels'],
  [AuditsAfterwards, 'what cannot be audited does not happen'],
  [ForgetsTheAudit, 'every change is audited once with who and why'],
  [IgnoresTheVersion, 'settings made against another version are a conflict and change nothing'],
  [ChecksTheVersionTooEarly, 'of two changes made at once against one version exactly one wins'],
  [ForgetsTheEnd, 'new settings get the next version and are kept with who, why and until when'],
  [AcceptsUnknownIds, 'answers unknown ids with null or not-found and never throws'],
  [LeavesDecisionsInForce, 'closing an incident resolves it and releases its decisions'],
  [
    ForgetsWhatIsHeld,
    'a principal is kept while a decision on it stands, and forgotten once that is released',
  ],
  [ApprovesAnything, 'approves only what waits for approval'],
  [HoldsForAMonth, 'a hold never ends later than 7 days from now'],
  [StartsOverAtAnUnknownCursor, 'answers a cursor that names nothing with an empty page'],
  [RevertsUnderTheOldNumber, 'reverting brings an earlier version back under a new number'],
  [ShowsOtherTenants, 'filters by tenant, state, entity, status and search'],
]

describe('control plane contract: wrong twins', () => {
  it.each(TWINS.map(([kind, check]) => ({ twin: kind.name, kind, check })))(
    'rejects $twin',
    async ({ kind, check }) => {
      expect(await failedChecks(fixtureOf(kind))).toContain(check)
    },
  )
})
