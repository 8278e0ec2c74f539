import type { AlertRecord } from '../core/incident.ts'
import type { Clock } from '../core/time.ts'
import type { CoverageView } from '../engine/control-plane.ts'
import { Coverage, type CoverageState, type WatchedSource } from '../engine/coverage/coverage.ts'
import type { FeedState } from '../engine/coverage/feed.ts'
import { MIN_BLIND_MS, OwnWork, type WorkIncident } from '../engine/coverage/own-work.ts'
import { workIncidentView } from '../engine/coverage/view.ts'
import type { SlotCount } from '../ingest/coverage-counter.ts'
import type { SharedMap } from './shared-map.ts'

/** What one process counted and measured since its last report. Plain JSON: workers send it through the store. */
export interface CoverageReport {
  /** Name of the process, unique. */
  readonly writer: string
  /** Wall time, epoch ms. */
  readonly time: number
  /** How long this process did not run, when that was long. */
  readonly gap: { readonly from: number; readonly to: number } | null
  readonly lagMs: number
  /** Up to when it has read each source that it is catching up with, epoch ms. */
  readonly frontiers: Readonly<Record<string, number>>
  /** Length of the slots of `counts`. */
  readonly slotMs: number
  readonly counts: readonly SlotCount[]
}

export interface CoverageMonitorOptions {
  readonly map: SharedMap
  readonly sources: readonly WatchedSource[]
  readonly tenant: string
  /** Length of a slot; an hour is a multiple of it. */
  readonly slotMs: number
  readonly clock: Clock
  /** Durable when it resolves; the same id again changes nothing. */
  readonly tell: (alert: AlertRecord) => Promise<void>
}

/** After a start or a pause readers need some time to say how far behind they are. */
const HOLD_MS = 45_000
/** A process that has not reported for so long has left its work to others. */
const GONE_MS = 30_000
const SAVE_FEEDS_MS = 300_000
const ALIVE_MS = 10_000
const MAX_WRITERS = 1_000

/**
 * The wall-clock edge of coverage: takes the counts of all processes, says how late it is, keeps the state in the
 * store and hands on what people are to be told. Alerts are stored with the state that they follow from.
 */
export class CoverageMonitor {
  private readonly options: CoverageMonitorOptions
  private readonly coverage: Coverage
  private own: OwnWork
  private readonly writers = new Map<string, CoverageReport>()
  private readonly untold = new Map<string, AlertRecord>()
  private heldUntil: number
  private feedsSavedAt = 0
  private aliveAt = 0
  private lastLag = 0

  private constructor(options: CoverageMonitorOptions) {
    this.options = options
    this.coverage = new Coverage(options.sources, options.slotMs)
    this.own = new OwnWork(options.tenant)
    this.heldUntil = options.clock.now() + HOLD_MS
  }

  static async open(options: CoverageMonitorOptions): Promise<CoverageMonitor> {
    const monitor = new CoverageMonitor(options)
    monitor.restore(new Map(options.map.entries()))
    await monitor.save(true)
    return monitor
  }

  /** How far judging is behind the log, ms. */
  get lagMs(): number {
    return this.lastLag
  }

  private restore(stored: ReadonlyMap<string, string>): void {
    const now = this.options.clock.now()
    const state = stored.get('state')
    const known = state !== undefined && this.coverage.restore(JSON.parse(state) as CoverageState)
    const work = stored.get('work')
    if (work !== undefined) this.own = new OwnWork(this.options.tenant, JSON.parse(work) as WorkIncident[])
    for (const [key, body] of stored) {
      if (key.startsWith('feed:') && known) {
        const { source, gateway, ...feed } = JSON.parse(body) as StoredFeed
        this.coverage.restoreFeed(source, gateway, feed)
      } else if (key.startsWith('alert:')) {
        const alert = JSON.parse(body) as AlertRecord
        this.untold.set(alert.id, alert)
      }
    }
    const alive = Number(stored.get('alive') ?? now)
    if (now - alive >= MIN_BLIND_MS) this.wasBlind('Curfew', alive, now)
  }

  private wasBlind(who: string, from: number, to: number): void {
    this.own.blind(who, from, to)
    this.coverage.blind(from, to)
    this.heldUntil = to + HOLD_MS
  }

  /** Takes the report of a process. */
  take(report: CoverageReport): void {
    if (this.writers.size < MAX_WRITERS || this.writers.has(report.writer))
      this.writers.set(report.writer, report)
    if (report.gap !== null) this.wasBlind(`process ${report.writer}`, report.gap.from, report.gap.to)
    // A process that still runs with another length of slots: its slots are not these.
    if (report.slotMs !== this.options.slotMs) return
    for (const { source, gateway, slot, counts } of report.counts) {
      this.coverage.observe(source, gateway, slot, counts)
    }
  }

  /** Takes what a gateway counted by the end of a slot. */
  read(source: string, gateway: string, slot: number, epoch: string, total: number): void {
    this.coverage.read(source, gateway, slot, { epoch, total })
  }

  /** Judges up to now and sees to it that people are told. */
  async tick(): Promise<void> {
    const now = this.options.clock.now()
    for (const request of await this.options.map.takeRequests())
      this.take(JSON.parse(request.body) as CoverageReport)
    const frontiers = this.measure(now)
    for (const { name } of this.options.sources) {
      const frontier = frontiers.get(name)
      if (frontier !== undefined) this.coverage.advance(Math.min(now, frontier), name)
      else if (now >= this.heldUntil) this.coverage.advance(now, name)
    }
    const alerts = [...this.coverage.outputs.splice(0), ...this.own.outputs.splice(0)]
    for (const alert of alerts) this.untold.set(alert.id, alert)
    const feedsDue = now - this.feedsSavedAt >= SAVE_FEEDS_MS
    if (alerts.length > 0 || feedsDue || now - this.aliveAt >= ALIVE_MS) await this.save(feedsDue)
    await this.tellAll()
  }

  /** The lag of those that work, and how far those that catch up have read. */
  private measure(now: number): ReadonlyMap<string, number> {
    const reports = [...this.writers.values()]
    const newest = Math.max(...reports.map(({ time }) => time))
    const frontiers = new Map<string, number>()
    let lag = 0
    for (const report of reports) {
      const isGone = now - report.time > GONE_MS
      if (isGone && report.time < newest) {
        this.writers.delete(report.writer)
        continue
      }
      lag = Math.max(lag, report.lagMs + (isGone ? now - report.time : 0))
      for (const [source, frontier] of Object.entries(report.frontiers)) {
        frontiers.set(source, Math.min(frontiers.get(source) ?? frontier, frontier))
      }
    }
    this.lastLag = lag
    if (reports.length > 0) this.own.lag(now, lag)
    return frontiers
  }

  private async tellAll(): Promise<void> {
    for (const alert of [...this.untold.values()]) {
      await this.options.tell(alert)
      this.untold.delete(alert.id)
      await this.options.map.change(new Map(), [`alert:${alert.id}`])
    }
  }

  private async save(feeds: boolean): Promise<void> {
    const now = this.options.clock.now()
    const puts = new Map([
      ['alive', String(now)],
      ['state', JSON.stringify(this.coverage.state())],
      ['work', JSON.stringify(this.own.open)],
    ])
    for (const [id, alert] of this.untold) puts.set(`alert:${id}`, JSON.stringify(alert))
    const deletes: string[] = []
    if (feeds) {
      this.feedsSavedAt = now
      for (const [source, gateway, feed] of this.coverage.feeds()) {
        const stored: StoredFeed = { source, gateway, ...feed.state() }
        puts.set(feedKey(source, gateway), JSON.stringify(stored))
      }
      for (const [key] of this.options.map.entries()) {
        if (key.startsWith('feed:') && !puts.has(key)) deletes.push(key)
      }
    }
    this.aliveAt = now
    await this.options.map.change(puts, deletes)
  }

  view(): CoverageView {
    const view = this.coverage.view()
    return {
      ...view,
      incidents: [...this.own.open.map((i) => workIncidentView(i, this.options.tenant)), ...view.incidents],
    }
  }

  /** Keeps everything for the next process. */
  async close(): Promise<void> {
    await this.save(true)
    await this.options.map.close()
  }
}

type StoredFeed = FeedState & { readonly source: string; readonly gateway: string | null }

function feedKey(source: string, gateway: string | null): string {
  return `feed:${source}${gateway === null ? '' : `/${gateway}`}`
}
