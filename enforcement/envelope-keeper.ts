import { setTimeout as sleep } from 'node:timers/promises'
import { type EnvelopeLimits, grantedLimits, type StandingLimits } from '../core/envelope.ts'
import { CurfewError } from '../core/errors.ts'
import { entityId, type Principal } from '../core/event.ts'
import { type Clock, SECOND_MS, wallTime } from '../core/time.ts'
import { type Envelope, type EnvelopeHolder, envelopeId } from './envelope.ts'
import { differs, planEnvelopes, wholeLimits, withPeersKnown } from './envelope-plan.ts'
import { receiptDetail } from './ledger.ts'
import type { EnforcementLogger } from './reconcile.ts'
import { callGateway } from './reconcile-call.ts'

/** The limits that a profile asks for, and why. */
export interface EnvelopeWish {
  readonly tenant: string
  readonly principal: Principal
  readonly limits: EnvelopeLimits
  /** False for a caller that is judged by its peers. */
  readonly known: boolean
  readonly reason: string
  /** What the caller has got in the 10 minutes that are open, and when these began, epoch ms. */
  readonly open: { readonly at: number; readonly records: number; readonly bytes: number }
}

/** Where it is kept what stood when, so that a restart is no way to grow faster. Keys are envelope ids. */
export interface EnvelopeMemory {
  load(): ReadonlyMap<string, StandingLimits>
  save(puts: ReadonlyMap<string, StandingLimits>, deletes: readonly string[]): Promise<void>
}

export interface EnvelopeKeeperOptions {
  readonly mode: 'off' | 'observe' | 'enforce'
  readonly holders: readonly EnvelopeHolder[]
  /** A holder that in observe mode is given envelopes, too, to count what they would refuse; null when there is none. */
  readonly watcher: EnvelopeHolder | null
  /** Every profile that an envelope can be made of. Throws when unsure: then all stays as it is. */
  wishes(): AsyncIterable<EnvelopeWish>
  readonly memory: EnvelopeMemory
  /** Why this caller is never restricted, or null. */
  exempt(tenant: string, entity: string): string | null
  /** Why nothing may be enforced now, or null. */
  latched(): string | null
  readonly growthPerDay: number
  /** Limits that moved by less than this factor are left as they are. */
  readonly changeFactor: number
  readonly holdMs: number
  readonly everyMs: number
  readonly pushesPerSecond: number
  readonly maxCallers: number
  readonly clock: Clock
  readonly logger: EnforcementLogger
}

/** The largest excess over a limit that the log has shown. */
export interface EnvelopeExcess {
  readonly limit: 'recordsPer10min' | 'bytesPer10min'
  readonly observed: number
  /** Begin of the 10 minutes, epoch ms. */
  readonly at: number
}

/** An envelope and where it stands. */
export interface EnvelopeStatus {
  readonly id: string
  readonly tenant: string
  readonly principal: Principal
  readonly limits: EnvelopeLimits
  readonly reason: string
  /** Since when these limits, epoch ms. */
  readonly since: number
  readonly excess: EnvelopeExcess | null
  readonly gateways: readonly {
    readonly name: string
    readonly held: boolean
    readonly detail: string | null
  }[]
}

const CALL_MS = 5 * SECOND_MS

interface Standing extends StandingLimits {
  readonly wish: EnvelopeWish
  excess: EnvelopeExcess | null
}

/**
 * Keeps the envelopes of all callers at the gateways that can hold them: made anew from the profiles now and then,
 * changed only where it matters, so many calls a second at the most, renewed while Curfew lives.
 */
export class EnvelopeKeeper {
  private readonly options: EnvelopeKeeperOptions
  private readonly remembered: Map<string, StandingLimits>
  private standing = new Map<string, Standing>()
  private readonly troubles = new Map<string, string>()
  private readonly held = new Map<string, Set<string>>()
  private readonly accepted = new Set<string>()

  constructor(options: EnvelopeKeeperOptions) {
    this.options = options
    this.remembered = new Map(options.memory.load())
  }

  /** Works until `stop`; when switched off, until nothing of ours is left anywhere. Never rejects. */
  async run(stop: AbortSignal): Promise<void> {
    const { options } = this
    while (!stop.aborted) {
      const isClean = await this.pass(stop)
      if (options.mode === 'off' && isClean) return
      const latched = options.latched()
      // A latch is looked for each second: what stands is lifted at once.
      for (let waited = 0; waited < options.everyMs && options.latched() === latched; waited += SECOND_MS) {
        if (stop.aborted) return
        await sleep(Math.min(SECOND_MS, options.everyMs), undefined, { signal: stop }).catch(() => undefined)
      }
    }
  }

  /** One look at all profiles and gateways. True when every gateway agrees. */
  async pass(stop: AbortSignal): Promise<boolean> {
    const { options } = this
    try {
      if (options.mode === 'off' || options.latched() !== null) this.standing = new Map()
      else await this.look()
    } catch (error) {
      if (stop.aborted) return false
      options.logger.warn({ error: String(error) }, 'profiles cannot be read; envelopes stay as they are')
      return false
    }
    const done = await Promise.all(options.holders.map((holder) => this.agree(holder, stop)))
    return done.every((one) => one)
  }

  /** A person accepted what a caller did: its envelope follows the profile at once. */
  accept(tenant: string, principal: Pick<Principal, 'kind' | 'id'>): void {
    this.accepted.add(envelopeId(tenant, principal))
  }

  /** Every envelope, those whose limits the log has shown exceeded first. */
  views(): readonly EnvelopeStatus[] {
    const shown = [...this.standing].map(([id, { wish, limits, at, excess }]) => ({
      id,
      tenant: wish.tenant,
      principal: wish.principal,
      limits: wholeLimits(limits),
      reason: wish.reason,
      since: at,
      excess,
      gateways: this.options.holders
        .filter((holder) => holder.knows(wish.principal) && this.isGiven(holder))
        .map(({ name }) => ({
          name,
          held: this.held.get(name)?.has(id) ?? false,
          detail: this.troubles.get(name) ?? null,
        })),
    }))
    return shown.sort((a, b) => (b.excess?.at ?? 0) - (a.excess?.at ?? 0) || (a.id < b.id ? -1 : 1))
  }

  private isGiven(holder: EnvelopeHolder): boolean {
    return this.options.mode === 'enforce' || holder === this.options.watcher
  }

  private async look(): Promise<void> {
    const { options } = this
    const next = new Map<string, Standing>()
    const changed = new Map<string, StandingLimits>()
    const now = options.clock.now()
    const wishes: EnvelopeWish[] = []
    for await (const wish of options.wishes()) {
      if (wishes.length >= options.maxCallers) break
      if (options.exempt(wish.tenant, entityId(wish.principal)) === null) wishes.push(wish)
    }
    for (const wish of withPeersKnown(wishes)) {
      const id = envelopeId(wish.tenant, wish.principal)
      const before = this.accepted.delete(id) ? null : (this.remembered.get(id) ?? null)
      const granted = grantedLimits(wish.limits, before, options.growthPerDay, now)
      const isKept = before !== null && !differs(granted, before.limits, options.changeFactor)
      const { limits, at } = isKept ? before : { limits: granted, at: now }
      if (!isKept) changed.set(id, { limits, at })
      const excess = excessOf(wish, limits) ?? this.standing.get(id)?.excess ?? null
      next.set(id, { wish, limits, at, excess })
    }
    const gone = [...this.remembered.keys()].filter((id) => !next.has(id))
    if (changed.size > 0 || gone.length > 0) await options.memory.save(changed, gone)
    for (const [id, standing] of changed) this.remembered.set(id, standing)
    for (const id of gone) this.remembered.delete(id)
    this.standing = withoutNamesakes(next)
  }

  private desired(holder: EnvelopeHolder): readonly Envelope[] {
    if (!this.isGiven(holder)) return []
    const until = wallTime(this.options.clock.now() + this.options.holdMs)
    return [...this.standing]
      .filter(([, { wish }]) => holder.knows(wish.principal))
      .map(([id, { wish, limits }]) => ({
        id,
        principal: wish.principal,
        limits: wholeLimits(limits),
        until,
      }))
  }

  private async agree(holder: EnvelopeHolder, stop: AbortSignal): Promise<boolean> {
    const call = <T>(act: (signal: AbortSignal) => Promise<T>) => callGateway(act, CALL_MS, stop)
    try {
      const found = await call((signal) => holder.list(signal))
      const plan = planEnvelopes(this.desired(holder), found, this.options.clock.now())
      const held = new Set(found.map(({ id }) => id))
      this.held.set(holder.name, held)
      if (plan.remove.length > 0) await call((signal) => holder.remove(new Set(plan.remove), signal))
      for (const id of plan.remove) held.delete(id)
      for (const envelope of plan.put) {
        // Asked again before each: a latch may have fallen meanwhile.
        if (stop.aborted || (this.isGiven(holder) && this.options.latched() !== null)) break
        await call((signal) => holder.put(envelope, signal))
        held.add(envelope.id)
        if (!holder.inProcess) await this.rest(stop)
      }
      await call((signal) => holder.settle(signal))
      this.troubles.delete(holder.name)
      return true
    } catch (error) {
      if (stop.aborted) return false
      const detail = receiptDetail(
        error instanceof CurfewError ? `${error.code}: ${error.message}` : String(error),
      )
      if (this.troubles.get(holder.name) !== detail)
        this.options.logger.warn(
          { gateway: holder.name, detail },
          'envelopes at a gateway cannot be looked after; tried again',
        )
      this.troubles.set(holder.name, detail)
      return false
    }
  }

  private async rest(stop: AbortSignal): Promise<void> {
    await sleep(SECOND_MS / this.options.pushesPerSecond, undefined, { signal: stop }).catch(() => undefined)
  }
}

function excessOf({ open }: EnvelopeWish, limits: EnvelopeLimits): EnvelopeExcess | null {
  const { recordsPer10min, bytesPer10min } = limits
  if (recordsPer10min !== null && open.records > recordsPer10min)
    return { limit: 'recordsPer10min', observed: open.records, at: open.at }
  if (bytesPer10min !== null && open.bytes > bytesPer10min)
    return { limit: 'bytesPer10min', observed: open.bytes, at: open.at }
  return null
}

/** Without callers that a gateway cannot tell apart: those of two tenants with one stable id. */
function withoutNamesakes(envelopes: ReadonlyMap<string, Standing>): Map<string, Standing> {
  const seen = new Map<string, number>()
  const nameOf = ({ wish }: Standing) => `${wish.principal.kind}:${wish.principal.id}`
  for (const one of envelopes.values()) seen.set(nameOf(one), (seen.get(nameOf(one)) ?? 0) + 1)
  return new Map([...envelopes].filter(([, one]) => seen.get(nameOf(one)) === 1))
}
