import { idOf } from '../core/hash.ts'
import type { AlertRecord, Severity } from '../core/incident.ts'
import { SEVERITIES } from '../core/incident.ts'
import { HOUR_MS, MINUTE_MS } from '../core/time.ts'
import type { PendingDelivery, ToldIncident } from './ledger.ts'
import { backoffMs, RETRY_FOR_MS, SentTimes } from './pacing.ts'

/** Alerts that may wait at one sink; further ones are only counted. */
export const MAX_QUEUED = 100_000

/** Incidents of one sink whose message can still be edited or whose end must be told. */
export const MAX_TOLD = 10_000

/** Time between two messages to one sink: Slack takes one per second and channel. */
const SPACING_MS = 1_100

/** Slack takes 50 edits per minute. */
const EDIT_SPACING_MS = 1_500

/** How long a storm is collected before it is sent as one message. */
const FOLD_MS = MINUTE_MS

/** Digests come no faster than this once the budget of the hour is used up. */
const OVER_BUDGET_MS = 10 * MINUTE_MS

const MAX_EDIT_TRIES = 8

export interface ChannelLimits {
  readonly minSeverity: Severity
  /** Single messages per hour; more go into digests. */
  readonly budgetPerHour: number
  /** Messages per minute, the last of which is kept for a digest. */
  readonly burst: number
}

/** What to send next. */
export type Job =
  | {
      readonly kind: 'message'
      readonly alert: AlertRecord
      readonly alertIds: readonly string[]
      readonly handle: string | null
    }
  | { readonly kind: 'digest'; readonly digest: FoldedAlerts; readonly fresh: boolean }
  | { readonly kind: 'edit'; readonly told: ToldIncident }

/** A digest whose content is settled, so that a repeat is the same message. */
export interface FoldedAlerts {
  readonly id: string
  readonly rows: readonly PendingDelivery[]
  readonly omitted: number
}

/** A job, or how long there is none: until a time (epoch ms), or (null) until something new arrives. */
export type Step =
  | { readonly kind: 'send'; readonly job: Job }
  | { readonly kind: 'wait'; readonly until: number | null }

/** What became of the alerts that were forgotten. */
export interface ForgottenAlerts {
  /** Ids of alerts that nobody will be told of. */
  readonly dropped: readonly string[]
  /** What people were told, without a name. */
  readonly retold: readonly ToldIncident[]
}

interface WaitingIncident {
  readonly rows: PendingDelivery[]
  tries: number
  notBefore: number
}

/**
 * What waits for one sink and in which order it leaves. Plain bookkeeping: time comes in as an argument,
 * nothing is sent from here. Transitions of one incident that wait together leave as one message, the newest.
 */
export class Channel {
  readonly name: string
  readonly #limits: ChannelLimits
  readonly #random: () => number
  readonly #waiting = new Map<string, WaitingIncident>()
  readonly #digests: { folded: FoldedAlerts; fresh: boolean }[] = []
  readonly #told = new Map<string, ToldIncident>()
  readonly #changed = new Map<string, number>()
  readonly #sent = new SentTimes()
  #queued = 0
  #omitted = 0
  #failures = 0
  #pausedUntil = 0
  #lastEdit = Number.NEGATIVE_INFINITY
  #lastDigest = Number.NEGATIVE_INFINITY
  #foldSince: number | null = null

  constructor(name: string, limits: ChannelLimits, random: () => number) {
    this.name = name
    this.#limits = limits
    this.#random = random
  }

  /** Whether people at this sink are to hear of it: severe enough, or the next part of what they heard. */
  wants(alert: AlertRecord): boolean {
    const severeEnough = SEVERITIES.indexOf(alert.severity) >= SEVERITIES.indexOf(this.#limits.minSeverity)
    return severeEnough || this.#told.has(alert.incident) || this.#waiting.has(alert.incident)
  }

  get full(): boolean {
    return this.#queued >= MAX_QUEUED
  }

  /** Alerts that wait, those in an unsent digest included. */
  get queued(): number {
    return this.#queued
  }

  /** Alerts that were only counted and that no digest has reported yet. */
  get omitted(): number {
    return this.#omitted
  }

  get idle(): boolean {
    return this.#queued === 0 && this.#omitted === 0 && this.#changed.size === 0
  }

  add(row: PendingDelivery): void {
    this.#queued++
    const known = this.#waiting.get(row.alert.incident)
    if (known === undefined) this.#waiting.set(row.alert.incident, { rows: [row], tries: 0, notBefore: 0 })
    else known.rows.push(row)
  }

  addOmitted(count: number): void {
    this.#omitted += count
  }

  /** Takes back a digest that an earlier process may already have sent. */
  restoreDigest(id: string, rows: readonly PendingDelivery[]): void {
    this.#queued += rows.length
    const omitted = this.#digests.length === 0 ? this.#omitted : 0
    this.#digests.push({ folded: { id, rows, omitted }, fresh: false })
  }

  /** Remembers what people were told; returns the incidents forgotten to stay within the bound. */
  remember(told: ToldIncident): readonly string[] {
    this.#told.delete(told.incident)
    if (told.handle === null) this.#changed.delete(told.incident)
    if (told.handle === null && told.alert.transition === 'resolved') return [told.incident]
    this.#told.set(told.incident, told)
    if (this.#told.size <= MAX_TOLD) return []
    const oldest = this.#told.keys().next().value
    if (oldest === undefined) return []
    this.#told.delete(oldest)
    this.#changed.delete(oldest)
    return [oldest]
  }

  /** Marks a message for an edit when it can be edited and shows something else than `shown`. */
  markChanged(incident: string, shown: string): void {
    const told = this.#told.get(incident)
    if (told === undefined || told.handle === null) return
    if (told.shown === shown) this.#changed.delete(incident)
    else this.#changed.set(incident, this.#changed.get(incident) ?? 0)
  }

  /**
   * Drops what waits about alerts of which a statement holds, and returns what people were told about them. What
   * `told` makes of that is remembered in its place, and shown where a message can be edited.
   */
  forget(
    holds: (alert: AlertRecord) => boolean,
    told: (before: ToldIncident) => ToldIncident,
  ): ForgottenAlerts {
    const dropped: string[] = []
    const left = (rows: readonly PendingDelivery[]) => {
      const [gone, kept] = [
        rows.filter(({ alert }) => holds(alert)),
        rows.filter(({ alert }) => !holds(alert)),
      ]
      dropped.push(...gone.map(({ alert }) => alert.id))
      return kept
    }
    for (const [id, waiting] of this.#waiting) {
      const rows = left(waiting.rows)
      if (rows.length === waiting.rows.length) continue
      this.#waiting.delete(id)
      if (rows.length > 0) this.#waiting.set(id, { ...waiting, rows: [...rows] })
    }
    for (const digest of this.#digests) digest.folded = { ...digest.folded, rows: left(digest.folded.rows) }
    this.#queued -= dropped.length
    const retold: ToldIncident[] = []
    for (const before of [...this.#told.values()]) {
      if (!holds(before.alert)) continue
      const after = told(before)
      this.#told.set(after.incident, after)
      if (after.handle !== null) this.#changed.set(after.incident, 0)
      retold.push(after)
    }
    return { dropped, retold }
  }

  told(): Iterable<ToldIncident> {
    return this.#told.values()
  }

  /** What to do at `now`. `hurry` sends a storm without collecting further. */
  next(now: number, hurry: boolean): Step {
    const ready = Math.max(this.#pausedUntil, this.#sent.last() + SPACING_MS)
    if (now < ready && !this.idle) return { kind: 'wait', until: ready }
    while (this.#digests[0]?.folded.rows.length === 0 && this.#digests[0].folded.omitted === 0)
      this.#digests.shift()
    const settled = this.#digests[0]
    if (settled !== undefined) return send({ kind: 'digest', digest: settled.folded, fresh: settled.fresh })
    if (this.#waiting.size === 0 && this.#omitted === 0) return this.#nextEdit(now)
    const singles = this.#sent.within(MINUTE_MS, now) < Math.max(1, this.#limits.burst - 1)
    if (this.#foldSince === null && singles && this.#withinBudget(now) && this.#waiting.size > 0) {
      return this.#nextMessage(now)
    }
    this.#foldSince ??= now
    const due = this.#digestDue(now, hurry)
    return now < due ? { kind: 'wait', until: due } : this.#endFold(now)
  }

  #withinBudget(now: number): boolean {
    return this.#sent.within(HOUR_MS, now) < this.#limits.budgetPerHour
  }

  #digestDue(now: number, hurry: boolean): number {
    const collected = (this.#foldSince ?? now) + (hurry ? 0 : FOLD_MS)
    return Math.max(collected, this.#lastDigest + (this.#withinBudget(now) ? FOLD_MS : OVER_BUDGET_MS))
  }

  #nextMessage(now: number): Step {
    let soonest = Number.POSITIVE_INFINITY
    for (const incident of this.#waiting.values()) {
      const newest = incident.rows.at(-1)
      if (newest === undefined) continue
      if (incident.notBefore <= now) return send(this.#message(incident, newest.alert))
      soonest = Math.min(soonest, incident.notBefore)
    }
    const edit = this.#nextEdit(now)
    if (edit.kind === 'send') return edit
    return { kind: 'wait', until: Math.min(soonest, edit.until ?? Number.POSITIVE_INFINITY) }
  }

  #message(incident: WaitingIncident, alert: AlertRecord): Job {
    const handle = this.#told.get(alert.incident)?.handle ?? null
    return { kind: 'message', alert, alertIds: incident.rows.map((row) => row.alert.id), handle }
  }

  /** One incident alone leaves as itself, more as a digest. */
  #endFold(now: number): Step {
    this.#foldSince = null
    const [only, second] = this.#waiting.values()
    const newest = only?.rows.at(-1)
    if (only !== undefined && newest !== undefined && second === undefined && this.#omitted === 0) {
      const room = this.#sent.within(MINUTE_MS, now) < this.#limits.burst && this.#withinBudget(now)
      if (room && only.notBefore <= now) return send(this.#message(only, newest.alert))
    }
    const rows = [...this.#waiting.values()].flatMap((incident) => incident.rows)
    const ids = JSON.stringify(rows.map((row) => row.alert.id))
    const id = idOf('digest', this.name, now, this.#omitted, ids)
    this.#waiting.clear()
    const folded = { id, rows: rows.map((row) => ({ ...row, digest: id })), omitted: this.#omitted }
    this.#digests.push({ folded, fresh: true })
    return send({ kind: 'digest', digest: folded, fresh: true })
  }

  #nextEdit(now: number): Step {
    const [incident] = this.#changed.keys()
    const told = incident === undefined ? undefined : this.#told.get(incident)
    if (told === undefined) return { kind: 'wait', until: null }
    const ready = Math.max(this.#lastEdit + EDIT_SPACING_MS, this.#pausedUntil)
    return now < ready ? { kind: 'wait', until: ready } : send({ kind: 'edit', told })
  }

  /** The content of a fresh digest is on record: from now on it only repeats. */
  settled(id: string): void {
    for (const digest of this.#digests) if (digest.folded.id === id) digest.fresh = false
  }

  /** The job is over, well or not: it is not sent again. */
  finish(job: Job, now: number, delivered: boolean): void {
    if (delivered) this.#failures = 0
    this.#pausedUntil = delivered ? 0 : Math.max(this.#pausedUntil, now + SPACING_MS)
    if (job.kind === 'edit') {
      this.#lastEdit = now
      this.#changed.delete(job.told.incident)
      return
    }
    if (delivered) this.#sent.add(now)
    if (job.kind === 'digest') {
      if (delivered) this.#lastDigest = now
      // Some of it may have been forgotten meanwhile.
      const { rows } = this.#digests.shift()?.folded ?? job.digest
      this.#queued -= rows.length
      this.#omitted -= job.digest.omitted
      return
    }
    this.#changed.delete(job.alert.incident)
    this.#drop(job.alert.incident, job.alertIds)
  }

  #drop(incidentId: string, alertIds: readonly string[]): void {
    const incident = this.#waiting.get(incidentId)
    if (incident === undefined) return
    const ids = new Set(alertIds)
    const left = incident.rows.filter((row) => !ids.has(row.alert.id))
    this.#queued -= incident.rows.length - left.length
    this.#waiting.delete(incidentId)
    if (left.length > 0) this.#waiting.set(incidentId, { rows: left, tries: 0, notBefore: 0 })
  }

  /** Books a failure that may pass. Returns whether the job is given up. */
  fail(job: Job, now: number, retryAfterMs: number | undefined): boolean {
    this.#failures++
    this.#pausedUntil = now + (retryAfterMs ?? backoffMs(this.#failures, this.#random))
    if (job.kind === 'edit') return this.#failEdit(job.told.incident, now)
    const rows = job.kind === 'digest' ? job.digest.rows : this.#waiting.get(job.alert.incident)?.rows
    const acceptedAt = rows?.[0]?.acceptedAt ?? now
    if (now - acceptedAt >= RETRY_FOR_MS) {
      this.finish(job, now, false)
      return true
    }
    const incident = job.kind === 'message' ? this.#waiting.get(job.alert.incident) : undefined
    if (job.kind === 'message' && incident !== undefined) {
      incident.tries++
      incident.notBefore = now + (retryAfterMs ?? backoffMs(incident.tries, this.#random))
      // To the end, so that a message which alone fails does not stand in the way of the others.
      this.#waiting.delete(job.alert.incident)
      this.#waiting.set(job.alert.incident, incident)
    }
    return false
  }

  #failEdit(incident: string, now: number): boolean {
    this.#lastEdit = now
    const tries = (this.#changed.get(incident) ?? 0) + 1
    this.#changed.delete(incident)
    if (tries >= MAX_EDIT_TRIES) return true
    this.#changed.set(incident, tries)
    return false
  }
}

function send(job: Job): Step {
  return { kind: 'send', job }
}
