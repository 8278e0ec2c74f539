import { setTimeout as sleep } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { profileKey } from '../core/event.ts'
import { partitionOf } from '../core/hash.ts'
import type { AlertRecord } from '../core/incident.ts'
import type { Clock } from '../core/time.ts'
import type { Enforcer } from '../enforcement/enforcer.ts'
import type { EnforcementView } from '../enforcement/ledger.ts'
import { encodeEffect } from '../engine/control-records.ts'
import type { Logger } from '../engine/worker.ts'
import type { AuditLog } from './audit-log.ts'
import type { OpenedLog } from './build-storage.ts'
import type { Config } from './config/schema.ts'
import { gatewaysOf } from './gateways.ts'
import { isRecorded, signsOfLoss } from './installation.ts'
import { LatchKeeper, newLatch } from './latch.ts'
import { LatchFolder } from './latch-folder.ts'
import { latchNotice, storeNotice } from './notices.ts'

export interface SafetyParts {
  readonly config: Config
  readonly store: StateStore
  readonly opened: OpenedLog
  readonly clock: Clock
  readonly logger: Logger
  readonly audit: AuditLog
}

/** What the watch tells others. */
export interface SafetyListener {
  readonly enforcer: Enforcer
  readonly alert: (alert: AlertRecord) => Promise<void>
  /** Something that only a new start mends. */
  readonly fail: (error: CurfewError) => void
}

/** How soon a running Curfew sees a latch that a command sets; `curfew panic` relies on it. */
export const LATCH_POLL_MS = 500
const RECORD_CHECK_MS = 2_000
const STORE_CHECK_MS = 10_000
const LIFT_RETRY_MS = 5_000
/** Decisions that came to nothing are told to the engine once none has come for so long: catching up is over. */
const TELL_AFTER_MS = 10_000

/** Keeps enforcement within what is known to be safe: latches, lost state, a store that may lose more. */
export class Safety {
  private readonly parts: SafetyParts
  private readonly latches: LatchKeeper
  private readonly announced = new Set<string>()
  /** Decisions whose hold the engine was told not to count on. */
  private readonly told = new Set<string>()
  private liftedAt = Number.NEGATIVE_INFINITY
  private checkedAt = Number.NEGATIVE_INFINITY
  private recordedAt = Number.NEGATIVE_INFINITY
  private untoldAt: number | null
  private storeFault: string | null = null
  private syncFault: string | null = null

  private constructor(parts: SafetyParts) {
    this.parts = parts
    const folder = new LatchFolder(parts.config.enforcement.folder)
    const audit = async (latches: readonly { readonly id: string }[], reason: string): Promise<void> => {
      const target = latches.map(({ id }) => id).join(' ')
      await parts.audit.append({ actor: 'command line', action: 'enforcement.resume', target, reason })
    }
    this.latches = new LatchKeeper({ folder, store: parts.store, audit })
    this.untoldAt = parts.clock.now()
  }

  /** Reads the latches, and latches when the store lost what it held. Comes before anything can be enforced. */
  static async open(parts: SafetyParts): Promise<Safety> {
    const safety = new Safety(parts)
    await safety.latches.sync()
    const signs = await signsOfLoss({ ...parts, gateways: gatewaysOf(parts.config) })
    if (signs.length > 0) await safety.lost(signs.join(', '))
    return safety
  }

  /** Latches because what was learnt is gone. */
  async lost(detail: string): Promise<void> {
    if (this.latches.active().some(({ cause }) => cause === 'baselines-lost')) return
    this.parts.logger.error({ detail }, 'what was learnt is gone; Curfew only observes until it is resumed')
    await this.latches.set(newLatch('baselines-lost', detail, this.parts.clock.now()))
  }

  readonly latched = (): string | null => this.latches.reason()

  readonly liftsAll = (): boolean => this.latches.active().some(({ cause }) => cause === 'panic')

  /** After a loss the gateways know more than we do; after a panic nothing of ours may stay. */
  readonly keepsUnknownRules = (): boolean => {
    const active = this.latches.active()
    return active.length > 0 && !this.liftsAll()
  }

  /** Lifts what a panic wants lifted; before the start, so that nothing is refused that was to be free. */
  readonly liftFirst = async (enforcer: Enforcer): Promise<void> => {
    const panic = this.latches
      .active()
      .find(({ id, cause }) => cause === 'panic' && !this.latches.isLifted(id))
    const now = this.parts.clock.now()
    if (panic === undefined || now - this.liftedAt < LIFT_RETRY_MS) return
    this.liftedAt = now
    const troubles = await enforcer.liftAll(this.latches.reason() ?? 'curfew panic')
    const own = this.parts.config.enforcement.gateways.find(({ kind }) => kind === 'decision')?.name
    // Other gateways are asked by the command itself, and go on being asked by their reconcilers.
    if (!troubles.some(({ gateway }) => gateway === own)) await this.latches.mark('lifted', panic.id)
  }

  /** A decision changed: one that came to nothing must not count as a hold. */
  noteChange(view: EnforcementView): void {
    if (isVoid(view)) this.untoldAt = this.parts.clock.now()
  }

  /** Watches until `stop`. Never rejects. */
  async watch(listener: SafetyListener, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await this.look(listener).catch((error: unknown) => {
        if (!stop.aborted) this.parts.logger.warn({ error: String(error) }, 'latches cannot be kept in step')
      })
      await sleep(LATCH_POLL_MS, undefined, { signal: stop }).catch(() => undefined)
    }
  }

  private async look(listener: SafetyListener): Promise<void> {
    const { clock, logger } = this.parts
    const before = this.latches.active().length
    await this.syncLatches()
    const active = this.latches.active()
    for (const latch of active) {
      if (this.announced.has(latch.id)) continue
      logger.warn(
        { latch: latch.id, cause: latch.cause, reason: latch.reason },
        'Curfew only observes until resumed',
      )
      // At once, and whether the store can be written or not.
      listener.enforcer.recheck()
      await this.latches.mark('seen', latch.id).catch(() => undefined)
      await listener.alert(latchNotice(latch, clock.now()))
      this.announced.add(latch.id)
    }
    if (before > 0 && active.length === 0) {
      logger.warn({}, 'resumed: Curfew acts again as its settings say')
      this.untoldAt = clock.now() - TELL_AFTER_MS
    }
    await this.liftFirst(listener.enforcer)
    if (active.length === 0) await this.tellEngine(listener.enforcer)
    await this.checkRecord(listener)
    await this.checkStore(listener)
  }

  /** A store that is away keeps nobody from being latched by the folder; it is told once per outage. */
  private async syncLatches(): Promise<void> {
    try {
      await this.latches.sync()
      this.syncFault = null
    } catch (error) {
      if (!(error instanceof CurfewError)) throw error
      if (this.syncFault !== error.code)
        this.parts.logger.warn(
          { code: error.code, detail: error.message },
          'latches of one place cannot be read',
        )
      this.syncFault = error.code
    }
  }

  /** Has the engine decide anew, on fresh evidence, about whom nothing holds. */
  private async tellEngine(enforcer: Enforcer): Promise<void> {
    const { store, opened, clock } = this.parts
    const now = clock.now()
    if (this.untoldAt === null || now - this.untoldAt < TELL_AFTER_MS) return
    this.untoldAt = null
    const open = enforcer
      .views()
      .filter((view) => isVoid(view) && view.decision.evidenceAt + view.decision.holdSeconds * 1_000 > now)
    const ids = new Set(open.map(({ decision }) => decision.id))
    for (const id of this.told) if (!ids.has(id)) this.told.delete(id)
    for (const { decision } of open) {
      if (this.told.has(decision.id)) continue
      const { id, incident, tenant, principal } = decision
      const body = encodeEffect({ kind: 'decision-released', incident, decision: id })
      const partition = partitionOf(profileKey(tenant, principal), opened.log.partitions)
      await store.request(partition, { id: `release-${id}`, kind: 'decision-released', body })
      this.told.add(id)
    }
  }

  private async checkRecord({ fail }: SafetyListener): Promise<void> {
    const { store, clock } = this.parts
    if (clock.now() - this.recordedAt < RECORD_CHECK_MS) return
    this.recordedAt = clock.now()
    if (await isRecorded(store)) return
    await this.lost('the state store was emptied while Curfew ran')
    fail(
      new CurfewError(
        'STORE_CORRUPT',
        'the state store was emptied while Curfew ran; started again, it observes',
      ),
    )
  }

  /** Eviction may be switched on while we run; nothing else tells before state is gone. */
  private async checkStore({ alert }: SafetyListener): Promise<void> {
    const { store, clock, logger } = this.parts
    if (clock.now() - this.checkedAt < STORE_CHECK_MS) return
    this.checkedAt = clock.now()
    try {
      await store.check()
      this.storeFault = null
    } catch (error) {
      const fault = error instanceof CurfewError && error.code === 'STORE_MAY_EVICT' ? error.message : null
      if (fault === null || fault === this.storeFault) return
      this.storeFault = fault
      logger.error({ detail: fault }, 'the state store may lose state')
      await alert(storeNotice(fault, clock.now()))
    }
  }
}

/** A decision that was to act and came to nothing, for a reason that has passed by itself. */
function isVoid({ decision, status, statusReason }: EnforcementView): boolean {
  if (decision.mode === 'observe' || statusReason === null) return false
  if (status === 'withheld' && statusReason.startsWith('stale evidence')) return true
  return (
    ['observed', 'withheld', 'released'].includes(status) && statusReason.startsWith('latched to observe')
  )
}
