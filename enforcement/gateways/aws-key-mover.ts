import { setTimeout as sleep } from 'node:timers/promises'
import type { Limit } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'
import type { ApiKeyClient } from './aws-key-client.ts'
import type { KeyMarks } from './aws-key-marks.ts'
import { chooseQuarantine, sharesStage, type UsagePlan } from './aws-quarantine.ts'

/** A move of a key into a quarantine plan. */
export interface KeyMove {
  readonly plan: UsagePlan
  /** Plans to take the key out of first: a key can be in one plan per stage only. */
  readonly leaving: readonly string[]
  /** Plans to give back. */
  readonly wasPlans: readonly string[]
  /** Whether the key is in the plan already. */
  readonly done: boolean
}

/**
 * How long finishing or undoing a half-done move may take, whatever became of the caller: each of its calls may have
 * to wait for the shared budget behind those of all other moves.
 */
const SECOND_HALF_MS = 30_000
const SECOND_HALF_TRIES = 4
const SHORT_PAUSE_MS = 50
const LONG_PAUSE_MS = 1_200

/**
 * Moves keys between usage plans. API Gateway has no move: a key leaves one plan and joins another, and in
 * between it is refused everywhere. So what comes after leaving does not stop with its caller, and where
 * joining fails the key goes back at once.
 */
export class KeyMover {
  private readonly name: string
  private readonly client: ApiKeyClient
  private readonly quarantines: readonly string[]

  constructor(name: string, client: ApiKeyClient, quarantines: readonly string[]) {
    this.name = name
    this.client = client
    this.quarantines = quarantines
  }

  /** What to do so that the strictest of these limits holds. Throws `GATEWAY_REFUSED` where nothing fits. */
  async plan(keyId: string, marks: KeyMarks, limits: readonly Limit[], stop: AbortSignal): Promise<KeyMove> {
    const current = await this.client.plansOf(keyId, stop)
    const candidates: UsagePlan[] = []
    for (const id of this.quarantines) {
      const plan = current.find((one) => one.id === id) ?? (await this.client.planById(id, stop))
      if (plan !== null) candidates.push(plan)
    }
    const mine = current.filter(({ id }) => !this.quarantines.includes(id))
    const remembered = await this.plansById(marks.wasPlans ?? [], stop)
    // Where somebody moved the key meanwhile, that is what it gets back.
    const still = remembered.filter((old) => !mine.some((one) => one.id === old.id || sharesStage(one, old)))
    const byHand = current.filter(({ id }) => this.quarantines.includes(id) && marks.wasPlans === null)
    const before = still.length + mine.length > 0 ? [...still, ...mine] : byHand
    const plan = chooseQuarantine(candidates, before, strictest(limits))
    return {
      plan,
      leaving: current.filter(({ id }) => id !== plan.id).map(({ id }) => id),
      wasPlans: [...new Set([...before, ...byHand].map(({ id }) => id))].sort(),
      done: current.some(({ id }) => id === plan.id),
    }
  }

  /** True when the key is in the plan and in none that it was to leave. */
  async move(keyId: string, { plan, leaving, done }: KeyMove, stop: AbortSignal): Promise<boolean> {
    if (done && leaving.length === 0) return true
    await this.exchange(keyId, leaving, [plan.id], stop)
    const after = (await this.client.plansOf(keyId, stop)).map(({ id }) => id)
    return after.includes(plan.id) && !leaving.some((id) => after.includes(id))
  }

  /**
   * Gives the plans back. A key that somebody else put into another plan meanwhile stays there; one that was
   * left without a plan by a failure gets its own back. True when it was found so afterwards.
   */
  async restore(keyId: string, marks: KeyMarks, stop: AbortSignal): Promise<boolean> {
    const current = await this.client.plansOf(keyId, stop)
    const wanted = marks.wasPlans ?? []
    const ours = ({ id }: UsagePlan): boolean => this.quarantines.includes(id) || id === marks.plan
    const held = current.filter((one) => ours(one) && !wanted.includes(one.id))
    const kept = current.filter((one) => !held.includes(one))
    const known = await this.plansById(wanted, stop)
    const joining = known.filter((old) => !kept.some((one) => one.id === old.id || sharesStage(one, old)))
    if (joining.length === 0 && kept.length === 0) {
      const what = `the plans that API key ${keyId} was in are gone; it stays in quarantine, give it a plan`
      throw new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}`)
    }
    const ids = (plans: readonly UsagePlan[]): readonly string[] => plans.map(({ id }) => id)
    if (held.length + joining.length === 0) return true
    await this.exchange(keyId, ids(held), ids(joining), stop)
    const after = ids(await this.client.plansOf(keyId, stop))
    return ids(joining).every((id) => after.includes(id)) && !ids(held).some((id) => after.includes(id))
  }

  /** Plans that still exist. */
  private async plansById(ids: readonly string[], stop: AbortSignal): Promise<readonly UsagePlan[]> {
    const found: UsagePlan[] = []
    for (const id of ids) {
      const plan = await this.client.planById(id, stop)
      if (plan !== null) found.push(plan)
    }
    return found
  }

  private async exchange(
    keyId: string,
    leaving: readonly string[],
    joining: readonly string[],
    stop: AbortSignal,
  ): Promise<void> {
    if (stop.aborted) throw new CurfewError('ABORTED', `${this.name}: aborted`, { cause: stop.reason })
    const left: string[] = []
    try {
      for (const id of leaving) {
        // Before the call: its answer may be lost while its effect is not.
        left.push(id)
        await this.client.leave(id, keyId, stop)
      }
      const limit = AbortSignal.timeout(SECOND_HALF_MS)
      for (const id of joining) await this.insist(() => this.joined(id, keyId, limit))
    } catch (error) {
      await this.goBack(keyId, left, joining)
      throw error
    }
  }

  /** Undoes a half-done exchange as far as it can; the mark on the key lets the next pass do the rest. */
  private async goBack(keyId: string, left: readonly string[], joining: readonly string[]): Promise<void> {
    const limit = AbortSignal.timeout(SECOND_HALF_MS)
    try {
      for (const id of joining) await this.insist(() => this.client.leave(id, keyId, limit))
      for (const id of left) await this.insist(() => this.joined(id, keyId, limit))
    } catch {
      // What led here is what the caller hears of.
    }
  }

  private async joined(planId: string, keyId: string, stop: AbortSignal): Promise<void> {
    try {
      if (await this.client.join(planId, keyId, stop)) return
    } catch (error) {
      if (!(error instanceof CurfewError) || error.code !== 'GATEWAY_CONFLICT') throw error
      // It is in this plan already, or in another of the same stage.
      if ((await this.client.plansOf(keyId, stop)).some(({ id }) => id === planId)) return
      throw error
    }
    throw new CurfewError(
      'GATEWAY_CONFLICT',
      `${this.name}: usage plan ${planId} or API key ${keyId} is gone`,
    )
  }

  private async insist(act: () => Promise<void>): Promise<void> {
    for (let round = 1; ; round++) {
      try {
        return await act()
      } catch (error) {
        if (!(error instanceof CurfewError) || !error.retriable || round === SECOND_HALF_TRIES) throw error
        await sleep(Math.min(error.retryAfterMs ?? SHORT_PAUSE_MS, LONG_PAUSE_MS))
      }
    }
  }
}

function strictest(limits: readonly Limit[]): Limit {
  const rate = Math.min(...limits.map(({ requests, windowSeconds }) => requests / windowSeconds))
  const requests = Math.min(...limits.map((limit) => limit.requests))
  return { requests, windowSeconds: requests / rate }
}
