import { setTimeout as sleep } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import { entityId, type Principal, profileKey } from '../core/event.ts'
import type { Forgotten } from '../core/forgotten.ts'
import { idOf, partitionOf } from '../core/hash.ts'
import type { AlertRecord } from '../core/incident.ts'
import { type Clock, isoTime } from '../core/time.ts'
import { isLive } from '../enforcement/ledger.ts'
import type { ChangeResult, DecisionView, ForgettingView } from '../engine/control-plane.ts'
import { encodeEffect } from '../engine/control-records.ts'
import { profileStoreKey } from '../engine/partition-state.ts'
import type { Logger } from '../engine/worker.ts'
import type { DeadLetters } from '../ingest/dead-letters.ts'
import type { AuditLog } from './audit-log.ts'
import type { AuditSubject, AuditSubjects } from './audit-subjects.ts'
import { eventPartitions } from './event-partitions.ts'
import { nameSearch, settingsName } from './name-search.ts'
import type { SettingsKeeper } from './settings-keeper.ts'
import type { SharedMap } from './shared-map.ts'

export interface ForgettingOptions {
  readonly store: StateStore
  /** Holds the wishes until they are fulfilled, beside the keys of the audit's principals. */
  readonly map: SharedMap
  readonly subjects: AuditSubjects
  readonly audit: AuditLog
  readonly settings: Pick<SettingsKeeper, 'history' | 'forgetHistory'>
  readonly enforcer: {
    views(): readonly DecisionView[]
    forgetPrincipal(key: string): Promise<boolean>
  }
  readonly dispatcher: { forget(holds: (alert: AlertRecord) => boolean): Promise<void> }
  readonly deadLetters: () => Pick<DeadLetters, 'erase'> | null
  /** See `OpenedLog.renew`. */
  readonly renew: () => Promise<() => boolean>
  /** Partitions of the log. */
  readonly partitions: number
  readonly identityKey: Uint8Array
  readonly clock: Clock
  readonly logger: Logger
}

/** A wish as it is kept until it is fulfilled; nothing of it is left afterwards. */
interface Wish extends AuditSubject {
  readonly request: string
  /** When it was asked for, epoch ms. */
  readonly time: number
  /** Decisions that hold nowhere any more, whatever event time says. */
  readonly ended: readonly string[]
  /** Partitions that have not answered; the principal's own answers first and alone. */
  readonly waiting: readonly number[]
  readonly others: readonly number[]
  /** Incidents that went. */
  readonly incidents: readonly string[]
}

/** A wish in this process. */
interface UnderWay {
  wish: Wish
  refused: boolean
  /** Whether the log before it has left the disk; null before it was asked to. */
  gone: (() => boolean) | null
}

const WISH = 'wish:'
/** Stands for a fulfilled wish until nothing of it is left in the files of the store. */
const RESIDUE = 'residue:'
const POLL_MS = 500
const ANSWER_MS = 5_000
const MAX_WISHES = 100
const MAX_ENDED = 2_000
const PAGE = 500

/**
 * Forgets principals: asks the partitions to, and once they have, takes the name out of everything beside them. Every
 * step may be repeated, so a wish survives a restart at any point and ends fulfilled or refused.
 */
export class Forgetting {
  private readonly options: ForgettingOptions
  private readonly wishes = new Map<string, UnderWay>()

  constructor(options: ForgettingOptions) {
    this.options = options
    for (const [name, body] of options.map.entries()) {
      if (name.startsWith(WISH)) this.note(JSON.parse(body) as Wish)
    }
  }

  private note(wish: Wish): UnderWay {
    const underWay = { wish, refused: false, gone: null }
    this.wishes.set(wish.request, underWay)
    return underWay
  }

  /** Asks that a principal be forgotten. The answer says whether the engine has; the rest follows within a minute. */
  async ask(subject: AuditSubject, actor: string, reason: string): Promise<ChangeResult<ForgettingView>> {
    const objection = await this.objection(subject)
    if (objection !== null) return { ok: false, why: 'conflict', detail: objection }
    const { audit, subjects, clock } = this.options
    const target = `principal/${await subjects.refOf(subject)}`
    await audit.append({ actor, action: 'principal.forget', target, reason }, subject)
    const time = clock.now()
    const { tenant, principal } = subject
    const home = partitionOf(profileKey(tenant, principal), this.options.partitions)
    const present = await eventPartitions(this.options.store)
    const wish: Wish = {
      tenant,
      principal,
      request: idOf('fgt', target, time),
      time,
      ended: this.decisionsOf(subject)
        .map(({ decision }) => decision.id)
        .slice(-MAX_ENDED),
      waiting: [present.includes(home) ? home : (present[0] ?? home)],
      // What an address sent that could not be read is counted where its source is.
      others: principal.kind === 'ip' ? present.filter((partition) => partition !== home) : [],
      incidents: [],
    }
    await this.save(wish)
    const underWay = this.note(wish)
    await this.request(wish)
    for (let waited = 0; waited < ANSWER_MS && this.isAsked(underWay); waited += 50) await sleep(50)
    if (underWay.refused) {
      const detail = 'a decision on this principal stands, or waits for approval: release it first'
      return { ok: false, why: 'conflict', detail }
    }
    const { request, waiting, incidents } = underWay.wish
    return { ok: true, value: { request, judged: waiting.length === 0, incidents: incidents.length } }
  }

  private isAsked({ wish, refused }: UnderWay): boolean {
    return !refused && wish.waiting.length > 0
  }

  /** Why a principal cannot be forgotten now, or null. */
  private async objection(subject: AuditSubject): Promise<string | null> {
    if (this.wishes.size >= MAX_WISHES) return `${MAX_WISHES} principals are being forgotten already`
    const standing = this.decisionsOf(subject).find(
      ({ status }) => isLive(status) || status === 'awaiting-approval',
    )
    if (standing !== undefined)
      return `decision ${standing.decision.id} on this principal is ${standing.status}: release it first`
    const [current] = await this.options.settings.history(1)
    if (current !== undefined && settingsName(current, nameSearch(subject.principal)))
      return 'the settings name this principal, in a rule or in what was said about the last change: take it out first'
    return null
  }

  private decisionsOf({ tenant, principal }: AuditSubject): readonly DecisionView[] {
    const key = profileKey(tenant, principal)
    return this.options.enforcer
      .views()
      .filter(({ decision }) => profileKey(decision.tenant, decision.principal) === key)
  }

  private async save(wish: Wish): Promise<void> {
    await this.options.map.change(new Map([[WISH + wish.request, JSON.stringify(wish)]]), [])
  }

  private async request({ request, tenant, principal, time, ended, waiting }: Wish): Promise<void> {
    const { identityKey, store } = this.options
    const key = profileStoreKey(identityKey, tenant, profileKey(tenant, principal))
    const body = encodeEffect({ kind: 'forget', request, key, time, ended })
    for (const partition of waiting) await store.request(partition, { id: request, kind: 'forget', body })
  }

  /** Takes what a partition answered; durable when resolved, and indifferent to repeats. */
  async take(body: string): Promise<void> {
    const { request, outcome, incidents, partition } = JSON.parse(body) as Forgotten & { partition: number }
    const underWay = this.wishes.get(request)
    if (underWay === undefined || !underWay.wish.waiting.includes(partition)) return
    const { wish } = underWay
    if (outcome === 'refused') {
      await this.end(underWay, 'principal.kept', 'a decision stood')
      underWay.refused = true
      return
    }
    const left = wish.waiting.filter((each) => each !== partition)
    const next: Wish = {
      ...wish,
      incidents: [...wish.incidents, ...incidents],
      waiting: left.length > 0 ? left : wish.others,
      others: left.length > 0 ? wish.others : [],
    }
    // Before the ends of its incidents are told: they come behind this answer.
    await this.takeBack(next)
    await this.save(next)
    underWay.wish = next
    if (next.waiting.length > 0 && left.length === 0) await this.request(next)
  }

  /** What people were told. */
  private async takeBack({ tenant, principal, incidents }: Wish): Promise<void> {
    const gone = new Set(incidents)
    const name = entityId(principal)
    await this.options.dispatcher.forget(
      (alert) => gone.has(alert.incident) || (alert.tenant === tenant && alert.entity.id === name),
    )
  }

  /** Asks again what an earlier process asked, then fulfils wishes until `stop`. Never rejects. */
  async run(stop: AbortSignal): Promise<void> {
    let asked = false
    while (!stop.aborted) {
      try {
        if (!asked) for (const { wish } of this.wishes.values()) await this.request(wish)
        asked = true
        for (const underWay of [...this.wishes.values()]) await this.fulfil(underWay)
        await this.clear()
      } catch (error) {
        if (!stop.aborted)
          this.options.logger.warn({ error: String(error) }, 'forgetting a principal is tried again')
      }
      await sleep(POLL_MS, undefined, { signal: stop }).catch(() => undefined)
    }
  }

  /** Does what is left to do about a wish that the partitions have answered, as far as it can be done now. */
  private async fulfil(underWay: UnderWay): Promise<void> {
    const { wish } = underWay
    if (wish.waiting.length > 0) return
    const { enforcer, deadLetters, settings, renew } = this.options
    const names = nameSearch(wish.principal)
    if (!(await enforcer.forgetPrincipal(profileKey(wish.tenant, wish.principal)))) return
    underWay.gone ??= await renew()
    if (!underWay.gone() || (await this.isInOutbox(wish))) return
    await this.takeBack(wish)
    await deadLetters()?.erase(({ detail, excerpt, clientIp }) =>
      [detail, excerpt, clientIp ?? ''].some((text) => names(text)),
    )
    await settings.forgetHistory((version) => settingsName(version, names))
    await this.end(underWay, 'principal.forgotten', `asked for ${isoTime(wish.time)}`)
    this.options.logger.info({ request: wish.request }, 'a principal is forgotten')
  }

  /** Whether the outbox of a partition still holds what stood before the answer. */
  private async isInOutbox({ request }: Wish): Promise<boolean> {
    const { store } = this.options
    for (const partition of await eventPartitions(store)) {
      for (let after = 0; ; ) {
        const entries = await store.readOutbox(partition, after, PAGE)
        if (entries.some(({ kind, body }) => kind === 'forgotten' && body.includes(request))) return true
        if (entries.length < PAGE) break
        after = entries.at(-1)!.seq
      }
    }
    return false
  }

  /** Puts the outcome on record, then drops the wish; of a fulfilled one the key of the audit goes in the same step. */
  private async end({ wish }: UnderWay, action: string, reason: string): Promise<void> {
    const { audit, subjects, map } = this.options
    const ref = await subjects.refOf(wish)
    const fulfilled = action === 'principal.forgotten'
    await audit.append({ actor: 'curfew', action, target: `principal/${ref}`, reason })
    const deletes = [WISH + wish.request, ...(fulfilled ? [subjects.entryOf(wish)] : [])]
    await map.change(new Map([[RESIDUE + wish.request, '1']]), deletes)
    if (fulfilled) subjects.destroyed(ref)
    this.wishes.delete(wish.request)
  }

  /** Gets what was dropped out of the files as well. */
  private async clear(): Promise<void> {
    const { map, store } = this.options
    const residues = [...map.entries()].map(([name]) => name).filter((name) => name.startsWith(RESIDUE))
    if (residues.length === 0) return
    await store.scour()
    await map.change(new Map(), residues)
  }
}

/** A principal by its stable id, `consumer:6f1c`, as a view has it. */
export function principalOf(stableId: string, entity: string): Principal {
  const [kind, id] = halves(stableId)
  const [, label] = halves(entity)
  return { kind: kind as Principal['kind'], id, label, verified: kind !== 'ip' }
}

function halves(text: string): readonly [string, string] {
  const colon = text.indexOf(':')
  return [text.slice(0, colon), text.slice(colon + 1)]
}
