import { strict as assert } from 'node:assert'
import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../core/errors.ts'
import { nameless } from '../core/forgotten.ts'
import { hashOf } from '../core/hash.ts'
import type { AlertRecord } from '../core/incident.ts'
import type { Job } from './channel.ts'
import { Channel } from './channel.ts'
import type { Dispatcher, DispatcherOptions, SinkStatus } from './dispatcher-options.ts'
import { DEFAULT_BUDGET_PER_HOUR, DEFAULT_BURST } from './dispatcher-options.ts'
import type { DeliveryOutcome, LedgerChange, PendingDelivery, ToldIncident } from './ledger.ts'
import { MAX_REMEMBERED_IDS } from './ledger.ts'
import { inert, mapStrings } from './log-text.ts'
import { backoffMs } from './pacing.ts'
import type { AlertSink, DecisionStatus } from './sink.ts'

/** Longest single wait: a timer cannot be set further ahead than 2^31 ms, and clocks are corrected. */
const MAX_WAIT_MS = 60_000

const MAX_STORED_TEXT = 1_000
const MAX_STORED_ITEMS = 10

/** Behind this many waiting alerts only a digest can follow, which shows no reasons. */
const KEEP_REASONS_BELOW = 1_000

/** Builds the dispatcher; nothing happens before `load` and `start`. */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const names = options.sinks.map(({ sink }) => sink.name)
  for (const [index, name] of names.entries()) {
    if (names.indexOf(name) === index) continue
    throw new CurfewError('CONFIG_INVALID', `two alert sinks are named ${inert(name, 80)}`)
  }
  return new AlertDispatcher(options)
}

/** Callers that may be forgotten while a single message is on its way. */
const MAX_FORGOTTEN = 100

const DONE = Promise.resolve()

interface Lane {
  readonly sink: AlertSink
  readonly channel: Channel
  wake: AbortController
  busy: boolean
  sent: number
  folded: number
  abandoned: number
  refused: number
  lastError: string | null
}

class AlertDispatcher implements Dispatcher {
  readonly #options: DispatcherOptions
  readonly #lanes: readonly Lane[]
  readonly #accepted = new Map<string, Promise<void>>()
  #saving: Promise<void> = DONE
  /** What was forgotten lately: a message about it may be on its way. */
  #forgotten: readonly ((alert: AlertRecord) => boolean)[] = []
  #loaded = false
  #running = 0
  #draining: (() => void)[] = []

  constructor(options: DispatcherOptions) {
    this.#options = options
    this.#lanes = options.sinks.map(({ sink, minSeverity, budgetPerHour, burst }) => {
      const limits = {
        minSeverity,
        budgetPerHour: budgetPerHour ?? DEFAULT_BUDGET_PER_HOUR,
        burst: burst ?? DEFAULT_BURST,
      }
      const channel = new Channel(sink.name, limits, options.random)
      const counters = { sent: 0, folded: 0, abandoned: 0, refused: 0 }
      return { sink, channel, wake: new AbortController(), busy: false, lastError: null, ...counters }
    })
  }

  async load(): Promise<void> {
    const state = await this.#options.ledger.load()
    for (const id of state.accepted) this.#accepted.set(id, DONE)
    for (const { channel } of this.#lanes) {
      const own = <T extends { readonly sink: string }>(items: readonly T[]): readonly T[] =>
        items.filter((item) => item.sink === channel.name)
      for (const { count } of own(state.omitted)) channel.addOmitted(count)
      for (const told of own(state.told)) channel.remember(told)
      const digests = new Map<string, PendingDelivery[]>()
      for (const row of own(state.pending)) {
        const digest = row.digest === null ? undefined : digests.get(row.digest)
        if (row.digest === null) channel.add(row)
        else if (digest === undefined) digests.set(row.digest, [row])
        else digest.push(row)
      }
      for (const [id, rows] of digests) channel.restoreDigest(id, rows)
    }
    this.#loaded = true
  }

  accept(alert: AlertRecord): Promise<void> {
    assert(this.#loaded, 'load() comes before accept()')
    const known = this.#accepted.get(alert.id)
    if (known !== undefined) return known
    const previous = this.#saving
    const saved = previous
      .then(() => this.#save(alert))
      .then(
        () => this.#remembered(alert.id),
        (error: unknown) => {
          this.#accepted.delete(alert.id)
          throw error
        },
      )
    this.#accepted.set(alert.id, saved)
    // One after the other, so that the transitions of an incident keep their order whatever the ledger does.
    this.#saving = saved.catch(() => undefined)
    return saved
  }

  #remembered(id: string): void {
    this.#accepted.set(id, DONE)
    const oldest = this.#accepted.keys().next().value
    if (this.#accepted.size > MAX_REMEMBERED_IDS && oldest !== undefined) this.#accepted.delete(oldest)
  }

  async #save(alert: AlertRecord): Promise<void> {
    const wanting = this.#lanes.filter(({ channel }) => channel.wants(alert))
    if (wanting.length === 0) return
    const stored = mapStrings(alert, MAX_STORED_ITEMS, (text) => text.slice(0, MAX_STORED_TEXT))
    const queues = wanting.filter(({ channel }) => !channel.full)
    const acceptedAt = this.#options.clock.now()
    const rows = queues.map(({ channel }): readonly [Lane['channel'], PendingDelivery] => {
      const kept = channel.queued < KEEP_REASONS_BELOW ? stored : { ...stored, reasons: [] }
      return [channel, { sink: channel.name, alert: kept, acceptedAt, digest: null }]
    })
    const overfull = wanting.filter(({ channel }) => channel.full)
    const omitted = overfull.map(({ channel }) => ({ sink: channel.name, count: channel.omitted + 1 }))
    await this.#options.ledger.save({ accepted: alert.id, pending: rows.map(([, row]) => row), omitted })
    for (const [channel, row] of rows) channel.add(row)
    for (const { channel } of overfull) channel.addOmitted(1)
    for (const lane of wanting) lane.wake.abort()
  }

  forget(holds: (alert: AlertRecord) => boolean): Promise<void> {
    assert(this.#loaded, 'load() comes before forget()')
    this.#forgotten = [...this.#forgotten, holds].slice(-MAX_FORGOTTEN)
    const done = this.#saving.then(async () => {
      for (const lane of this.#lanes) {
        const { channel } = lane
        const { dropped, retold } = channel.forget(holds, unnamed)
        if (dropped.length === 0 && retold.length === 0) continue
        const over = { sink: channel.name, alertIds: dropped, outcome: 'abandoned' } as const
        await this.#options.ledger.save({ done: over, told: retold })
        lane.wake.abort()
      }
    })
    this.#saving = done.catch(() => undefined)
    return done
  }

  refresh(incident: string): void {
    const decisions = this.#options.statusOf(incident)
    if (decisions.length === 0) return
    for (const lane of this.#lanes) {
      lane.channel.markChanged(incident, fingerprint(decisions))
      lane.wake.abort()
    }
  }

  async start(stop: AbortSignal): Promise<void> {
    assert(this.#loaded, 'load() comes before start()')
    for (const { channel } of this.#lanes) for (const { incident } of channel.told()) this.refresh(incident)
    this.#running = this.#lanes.length
    await Promise.all(this.#lanes.map((lane) => this.#run(lane, stop)))
  }

  drain(): Promise<void> {
    return new Promise((resolve) => {
      this.#draining.push(resolve)
      for (const lane of this.#lanes) lane.wake.abort()
      this.#checkDrained()
    })
  }

  #checkDrained(): void {
    if (this.#running > 0 && this.#lanes.some(({ channel, busy }) => busy || !channel.idle)) return
    for (const resolve of this.#draining.splice(0)) resolve()
  }

  status(): readonly SinkStatus[] {
    return this.#lanes.map(({ channel, sent, folded, abandoned, refused, lastError }) => {
      const { name: sink, queued, omitted } = channel
      return { sink, queued, sent, folded, abandoned, refused, omitted, lastError }
    })
  }

  async #run(lane: Lane, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      lane.wake = new AbortController()
      const now = this.#options.clock.now()
      const step = lane.channel.next(now, this.#draining.length > 0)
      lane.busy = step.kind === 'send'
      if (step.kind === 'send') await this.#send(lane, step.job, stop)
      else
        await this.#wait(
          Math.min(MAX_WAIT_MS, (step.until ?? now + MAX_WAIT_MS) - now),
          lane.wake.signal,
          stop,
        )
      lane.busy = false
      this.#checkDrained()
    }
    this.#running--
    this.#checkDrained()
  }

  async #wait(ms: number, wake: AbortSignal, stop: AbortSignal): Promise<void> {
    const either = new AbortController()
    const end = (): void => either.abort()
    stop.addEventListener('abort', end, { once: true })
    wake.addEventListener('abort', end, { once: true })
    if (stop.aborted || wake.aborted) end()
    const wait = this.#options.wait ?? ((time, signal) => sleep(time, undefined, { signal }))
    await wait(Math.max(1, ms), either.signal).catch(() => undefined)
    stop.removeEventListener('abort', end)
    wake.removeEventListener('abort', end)
  }

  async #send(lane: Lane, job: Job, stop: AbortSignal): Promise<void> {
    const { channel } = lane
    if (job.kind === 'digest' && job.fresh) {
      await this.#persist({ pending: job.digest.rows }, stop)
      if (stop.aborted) return
      channel.settled(job.digest.id)
    }
    let told: readonly ToldIncident[]
    try {
      told = await this.#deliver(lane.sink, job, stop)
    } catch (error) {
      await this.#failed(lane, job, error, stop)
      return
    }
    lane.sent++
    lane.lastError = null
    if (job.kind === 'digest') lane.folded += job.digest.rows.length
    await this.#close(lane, job, 'delivered', told, stop)
  }

  /** Sends the job and returns what people were told that can be edited or continued later. */
  async #deliver(sink: AlertSink, job: Job, stop: AbortSignal): Promise<readonly ToldIncident[]> {
    if (job.kind === 'digest') {
      const alerts = newestPerIncident(job.digest.rows)
      await sink.deliverDigest({ id: job.digest.id, alerts, omitted: job.digest.omitted }, stop)
      return []
    }
    const alert = job.kind === 'edit' ? job.told.alert : job.alert
    const decisions = this.#options.statusOf(alert.incident)
    const message = {
      id: alert.id,
      alert,
      decisions,
      incidentUrl: this.#options.incidentUrl(alert.incident),
      undo: this.#options.undo(alert.incident, decisions),
    }
    const handle = await sink.deliver(message, job.kind === 'edit' ? job.told.handle : job.handle, stop)
    const told = { sink: sink.name, incident: alert.incident, handle, alert, shown: fingerprint(decisions) }
    // Forgotten while the message was on its way.
    return [this.#forgotten.some((holds) => holds(alert)) ? unnamed(told) : told]
  }

  async #failed(lane: Lane, job: Job, error: unknown, stop: AbortSignal): Promise<void> {
    if (stop.aborted) return
    const known = error instanceof CurfewError ? error : null
    lane.lastError = inert(error instanceof Error ? error.message : String(error), 500)
    const fields = { sink: lane.channel.name, job: job.kind, error: lane.lastError }
    if (known?.code === 'SINK_REFUSED') {
      if (job.kind !== 'edit') lane.refused += idsOf(job).length
      this.#options.logger.error({ ...fields, alerts: idsOf(job).slice(0, 20) }, 'alert refused by its sink')
      await this.#close(lane, job, 'refused', [], stop)
      return
    }
    const ids = idsOf(job)
    if (!lane.channel.fail(job, this.#options.clock.now(), known?.retryAfterMs)) {
      this.#options.logger.warn(fields, 'alert not delivered yet')
      return
    }
    this.#options.logger.error({ ...fields, alerts: ids.slice(0, 20) }, 'alert given up')
    lane.abandoned += ids.length
    await this.#persist(this.#doneChange(lane, job, 'abandoned'), stop)
  }

  async #close(
    lane: Lane,
    job: Job,
    outcome: DeliveryOutcome,
    told: readonly ToldIncident[],
    stop: AbortSignal,
  ): Promise<void> {
    const { channel } = lane
    channel.finish(job, this.#options.clock.now(), outcome === 'delivered')
    const forgotten = told.flatMap((incident) => channel.remember(incident))
    const change = {
      ...this.#doneChange(lane, job, outcome),
      told: told.filter(({ incident }) => !forgotten.includes(incident)),
      forgotten: forgotten.map((incident) => ({ sink: channel.name, incident })),
    }
    await this.#persist(change, stop)
    // A decision may have changed while the message about it was under way.
    for (const { incident } of told) this.refresh(incident)
  }

  #doneChange({ channel }: Lane, job: Job, outcome: DeliveryOutcome): LedgerChange {
    const omitted = { sink: channel.name, count: channel.omitted }
    return {
      ...(job.kind === 'edit' ? {} : { done: { sink: channel.name, alertIds: idsOf(job), outcome } }),
      ...(job.kind === 'digest' ? { omitted: [omitted] } : {}),
    }
  }

  /** Saves, again and again if need be: going on without would repeat every message after a restart. */
  async #persist(change: LedgerChange, stop: AbortSignal): Promise<void> {
    for (let failures = 0; ; ) {
      try {
        await this.#options.ledger.save(change)
        return
      } catch (error) {
        failures++
        const text = inert(error instanceof Error ? error.message : String(error), 500)
        this.#options.logger.error({ error: text, failures }, 'delivery ledger cannot be written')
        if (stop.aborted) return
        await this.#wait(backoffMs(failures, this.#options.random), NEVER, stop)
      }
    }
  }
}

function unnamed(told: ToldIncident): ToldIncident {
  return { ...told, alert: nameless(told.alert), shown: '' }
}

const NEVER = new AbortController().signal

function idsOf(job: Job): readonly string[] {
  if (job.kind === 'message') return job.alertIds
  return job.kind === 'digest' ? job.digest.rows.map((row) => row.alert.id) : []
}

function newestPerIncident(rows: readonly PendingDelivery[]): readonly AlertRecord[] {
  const newest = new Map<string, AlertRecord>()
  for (const { alert } of rows) newest.set(alert.incident, alert)
  return [...newest.values()]
}

/** Changes when what a message shows about decisions changes. */
function fingerprint(decisions: readonly DecisionStatus[]): string {
  return hashOf(
    ...decisions.flatMap(({ decision, status, until, approval, proof, aliases = [] }) => [
      decision.id,
      status,
      until,
      approval?.by ?? null,
      proof ?? null,
      ...aliases.flatMap(({ gateway, principal, state }) => [gateway, principal, state]),
    ]),
  )
}
