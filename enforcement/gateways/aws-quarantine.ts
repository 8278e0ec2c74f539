import type { Limit } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'

/** Requests per second and the size of a burst; null where there is no limit. */
export interface PlanThrottle {
  readonly rate: number | null
  readonly burst: number | null
}

/** A usage plan as far as moving a key needs it. */
export interface UsagePlan {
  readonly id: string
  readonly throttle: PlanThrottle
  readonly quota: { readonly limit: number; readonly period: string } | null
  /** Stages as `<api>/<stage>`, each with the limits of single methods. */
  readonly stages: ReadonlyMap<string, readonly PlanThrottle[]>
}

/** Plans that share a stage: a key can be in only one of them. */
export function sharesStage(a: UsagePlan, b: UsagePlan): boolean {
  return [...a.stages.keys()].some((stage) => b.stages.has(stage))
}

function within(throttle: PlanThrottle, bound: PlanThrottle): boolean {
  const below = (mine: number | null, theirs: number | null): boolean =>
    theirs === null || (mine !== null && mine <= theirs)
  return below(throttle.rate, bound.rate) && below(throttle.burst, bound.burst)
}

/** Why `quarantine` would take access away, give more or loosen a limit; null when it would not. */
function obstacleOf(quarantine: UsagePlan, before: readonly UsagePlan[]): string | null {
  if (before.length === 0) return 'the key is in no usage plan'
  const stages = new Set(before.flatMap((plan) => [...plan.stages.keys()]))
  const missing = [...stages].find((stage) => !quarantine.stages.has(stage))
  if (missing !== undefined) return `it lacks stage ${missing}`
  const more = [...quarantine.stages.keys()].find((stage) => !stages.has(stage))
  if (more !== undefined) return `it would open stage ${more}`
  return before.map((plan) => loosening(quarantine, plan)).find((reason) => reason !== null) ?? null
}

function loosening(quarantine: UsagePlan, plan: UsagePlan): string | null {
  const bounds = [plan.throttle, ...[...plan.stages.values()].flat()]
  if (!bounds.every((bound) => within(quarantine.throttle, bound))) return `it is looser than plan ${plan.id}`
  if (plan.quota === null) return null
  const { quota } = quarantine
  const holds = quota !== null && quota.period === plan.quota.period && quota.limit <= plan.quota.limit
  return holds ? null : `it does not hold the quota of plan ${plan.id}`
}

/**
 * The quarantine plan for a throttle: the loosest that lets out no more than asked, loosens nothing that held
 * before and is for exactly the stages that the key has. Throws `GATEWAY_REFUSED` with the reason for each plan when there is none.
 */
export function chooseQuarantine(
  quarantines: readonly UsagePlan[],
  before: readonly UsagePlan[],
  limit: Limit,
): UsagePlan {
  const bound = { rate: limit.requests / limit.windowSeconds, burst: limit.requests }
  const reasons: string[] = []
  let best: UsagePlan | null = null
  for (const quarantine of quarantines) {
    const why = within(quarantine.throttle, bound)
      ? obstacleOf(quarantine, before)
      : `it lets out more than ${limit.requests} requests per ${limit.windowSeconds} s`
    if (why !== null) reasons.push(`${quarantine.id}: ${why}`)
    else if (best === null || (quarantine.throttle.rate ?? 0) > (best.throttle.rate ?? 0)) best = quarantine
  }
  if (best !== null) return best
  throw new CurfewError('GATEWAY_REFUSED', `no quarantine plan fits (${reasons.join('; ') || 'none exists'})`)
}
