import { CurfewError } from '../../core/errors.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { Turns } from '../turns.ts'
import { untilAgreed } from './agreement.ts'
import { ApigeeCallers, wordsOf } from './apigee-callers.ts'
import type { ApigeeClient } from './apigee-client.ts'
import { ApigeeStore, type NotedRule } from './apigee-store.ts'
import { type ApigeeTarget, perMinute, quotaEntry, targetKey, targetOf } from './apigee-targets.ts'

export interface ApigeeOptions {
  readonly client: ApigeeClient
  /** Key value map of the environment that is ours alone. */
  readonly map: string
  /** Whether proxies run the shared flow that reads quotas from the map. */
  readonly throttles: boolean
}

/** Message processors keep statuses for about 3 min and map entries for 5 min (`ExpiryTimeInSecs`) or what the flow says. */
export const APIGEE_WORST_CASE_DELAY_MS = 300_000

/**
 * Apps, keys and developers of Apigee X. Block and revoke-credential change a status, which is reversible; a
 * throttle is an entry that the shared flow of `samples/apigee` reads. Rules and what to restore are noted in a
 * key value map first, so that whoever finds a half-done change can finish it or undo it.
 */
export class ApigeeGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'apigee'
  readonly can: readonly Capability[]
  private readonly store: ApigeeStore
  private readonly callers: ApigeeCallers
  private readonly turns = new Turns()

  constructor({ client, map, throttles }: ApigeeOptions) {
    this.name = client.name
    this.store = new ApigeeStore(client, map)
    this.callers = new ApigeeCallers(client)
    const supported = [
      ...(throttles ? [['throttle', 'principal'] as const] : []),
      ['block', 'principal'] as const,
      ['block', 'credential'] as const,
      ['revoke-credential', 'principal'] as const,
      ['revoke-credential', 'credential'] as const,
    ]
    this.can = supported.map(([action, scope]) => ({
      action,
      scope,
      worstCaseDelayMs: APIGEE_WORST_CASE_DELAY_MS,
    }))
  }

  /** Every rule of ours; one that does not hold any more is listed as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const entries = await this.store.entries(stop)
    const noted = this.store.rulesIn(entries)
    const shut = await this.shut(noted, stop)
    return noted.map(({ rule }) => {
      const target = targetOf(rule)
      const holds =
        target !== null &&
        (rule.action === 'throttle'
          ? holdsQuota(entries, target, rule)
          : shut.get(targetKey(target)) === true)
      return holds ? rule : { ...rule, until: wallTime(0) }
    })
  }

  /** Which targets of rules are shut, each asked once. */
  private async shut(noted: readonly NotedRule[], stop: AbortSignal): Promise<ReadonlyMap<string, boolean>> {
    const targets = new Map<string, ApigeeTarget>()
    for (const { rule } of noted) {
      const target = rule.action === 'throttle' ? null : targetOf(rule)
      if (target !== null) targets.set(targetKey(target), target)
    }
    const hasKeys = [...targets.values()].some(({ kind }) => kind === 'key')
    const keys = hasKeys ? await this.callers.keyStatuses(stop) : null
    const shut = new Map<string, boolean>()
    for (const [key, target] of targets) {
      const status =
        target.kind === 'key' ? keys?.get(target.credential) : await this.callers.statusOf(target, stop)
      shut.set(key, status === wordsOf(target).shut)
    }
    return shut
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const target = this.supported(rule)
    await this.turns.run(targetKey(target), () =>
      untilAgreed(this.name, 'entry', () => this.hold(target, rule, stop)),
    )
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.turns.run(id, () => untilAgreed(this.name, 'entry', () => this.lift(id, stop)))
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.store.entries(stop)
  }

  private supported(rule: Rule): ApigeeTarget {
    const refuse = (why: string): never => {
      const what = `${this.name}: Apigee cannot hold ${rule.action} of a ${rule.scope.kind}: ${why}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', what)
    }
    if (capabilityFor(this, rule) === null) return refuse('use the decision endpoint or a security action')
    if (!RULE_ID.test(rule.id)) return refuse('the decision id does not fit into an entry')
    if ((rule.action === 'throttle') !== (rule.limit !== null))
      return refuse('a limit goes with a throttle and with nothing else')
    const target = targetOf(rule)
    if (target === null) return refuse('the caller is no verified app, key or developer')
    if (rule.limit === null) return target
    if (target.kind !== 'app') return refuse('quotas are counted by app')
    return perMinute(rule.limit) === null ? refuse('less than one request per minute: block instead') : target
  }

  private async hold(target: ApigeeTarget, rule: Rule, stop: AbortSignal): Promise<boolean> {
    // The state first: a change of ours that it shows was noted before, and is found below.
    const isThrottle = rule.action === 'throttle'
    const status = isThrottle ? null : await this.callers.statusOf(target, stop)
    if (!isThrottle && status === null) {
      throw new CurfewError('GATEWAY_REFUSED', `${this.name}: no such ${target.kind}`)
    }
    const entries = await this.store.entries(stop)
    const noted = this.store.rulesIn(entries)
    const beside = this.beside(noted, target, isThrottle)
    const before = beside[0]?.was ?? (isThrottle ? foreignQuota(entries, target, beside) : status)
    const note: NotedRule = { rule, was: beside.length > 0 ? beside[0]!.was : before }
    const old = noted.find((one) => one.rule.id === rule.id)
    // The same id about something else: what it was is lifted first.
    const oldTarget = old === undefined ? null : targetOf(old.rule)
    const moved = oldTarget !== null && targetKey(oldTarget) !== targetKey(target)
    if (old !== undefined && (moved || (old.rule.action === 'throttle') !== isThrottle))
      if (!(await this.lift(rule.id, stop))) return false
    await this.store.putRule(note, stop)
    // Without the note nobody could give back what it says: it must be there before anything changes.
    const written = this.store.rulesIn(await this.store.entries(stop)).find((one) => one.rule.id === rule.id)
    if (written === undefined || written.was !== note.was) return false
    const rest = beside.filter((one) => one.rule.id !== rule.id)
    await this.apply(target, [note, ...rest], isThrottle, stop)
    return this.isHeld(target, rule, stop)
  }

  private async isHeld(target: ApigeeTarget, rule: Rule, stop: AbortSignal): Promise<boolean> {
    const entries = await this.store.entries(stop)
    const kept = this.store.rulesIn(entries).find((one) => one.rule.id === rule.id)?.rule
    if (kept === undefined || kept.until !== rule.until || kept.action !== rule.action) return false
    if (rule.action === 'throttle')
      return kept.limit?.requests === rule.limit?.requests && holdsQuota(entries, target, rule)
    return (await this.callers.statusOf(target, stop)) === wordsOf(target).shut
  }

  private async lift(id: string, stop: AbortSignal): Promise<boolean> {
    const entries = await this.store.entries(stop)
    const noted = this.store.rulesIn(entries)
    const note = noted.find((one) => one.rule.id === id)
    if (note === undefined) return true
    const target = targetOf(note.rule)
    if (target !== null) {
      const isThrottle = note.rule.action === 'throttle'
      const rest = this.beside(noted, target, isThrottle).filter((one) => one.rule.id !== id)
      if (rest.length > 0) await this.apply(target, rest, isThrottle, stop)
      else if (!(await this.restore(target, note, entries, stop))) return false
    }
    await this.store.removeRule(id, stop)
    return !this.store.rulesIn(await this.store.entries(stop)).some((one) => one.rule.id === id)
  }

  /** Rules of ours about the same target that need the same change. */
  private beside(
    noted: readonly NotedRule[],
    target: ApigeeTarget,
    isThrottle: boolean,
  ): readonly NotedRule[] {
    return noted.filter(({ rule }) => {
      const other = targetOf(rule)
      return (
        other !== null &&
        targetKey(other) === targetKey(target) &&
        (rule.action === 'throttle') === isThrottle
      )
    })
  }

  private async apply(
    target: ApigeeTarget,
    notes: readonly NotedRule[],
    isThrottle: boolean,
    stop: AbortSignal,
  ): Promise<void> {
    if (!isThrottle) await this.callers.act(target, false, stop)
    else if (target.kind === 'app')
      await this.store.put(quotaEntry(target.developer, target.app), String(quotaOf(notes)), stop)
  }

  /** Gives back what was there, unless somebody else has changed it; true when it was found so afterwards. */
  private async restore(
    target: ApigeeTarget,
    note: NotedRule,
    entries: ReadonlyMap<string, string>,
    stop: AbortSignal,
  ): Promise<boolean> {
    if (note.rule.action !== 'throttle') {
      const words = wordsOf(target)
      if (note.was !== words.open) return true
      if (!(await this.callers.act(target, true, stop))) return true
      const status = await this.callers.statusOf(target, stop)
      return status === null || status === words.open
    }
    if (target.kind !== 'app') return true
    const name = quotaEntry(target.developer, target.app)
    if (entries.get(name) !== String(quotaOf([note]))) return true
    if (note.was === null) await this.store.remove(name, stop)
    else await this.store.put(name, note.was, stop)
    return ((await this.store.entries(stop)).get(name) ?? null) === note.was
  }
}

/** The quota that holds for all of these: no looser than any, nor than what somebody else had set. */
function quotaOf(notes: readonly NotedRule[]): number {
  const ours = notes.map(({ rule }) => (rule.limit === null ? null : perMinute(rule.limit)) ?? 1)
  const theirs = notes.map(({ was }) => (was === null ? Number.NaN : Number(was))).filter((n) => n >= 0)
  return Math.min(...ours, ...theirs)
}

function holdsQuota(entries: ReadonlyMap<string, string>, target: ApigeeTarget, rule: Rule): boolean {
  if (target.kind !== 'app' || rule.limit === null) return false
  const value = Number(entries.get(quotaEntry(target.developer, target.app)) ?? Number.NaN)
  return value <= (perMinute(rule.limit) ?? 0)
}

function foreignQuota(
  entries: ReadonlyMap<string, string>,
  target: ApigeeTarget,
  beside: readonly NotedRule[],
): string | null {
  if (target.kind !== 'app' || beside.length > 0) return null
  return entries.get(quotaEntry(target.developer, target.app)) ?? null
}
