import type { AlertRecord } from '../../core/incident.ts'
import { DAY_MS, isoTime } from '../../core/time.ts'
import type { CoverageView, FeedView } from '../control-plane.ts'
import {
  type CoverageIncident,
  coverageAlert,
  escalateCoverageIncident,
  openCoverageIncident,
} from './coverage-alert.ts'
import { Feed, type FeedState } from './feed.ts'
import type { Aspect, Finding } from './finding.ts'
import type { CounterReading } from './gateway-count.ts'
import { COUNTS, FIELDS, SLOT_MS, slotOf } from './slots.ts'
import { feedView, incidentView } from './view.ts'

/** A source whose coverage is watched. */
export interface WatchedSource {
  readonly name: string
  readonly tenant: string
  /** A longer silence always counts, whatever is usual; null = only unusual ones count. */
  readonly maxSilenceMs: number | null
}

/** Lines of a closed slot may still arrive for so long after its end. */
export const GRACE_MS = 15_000
/** Gateways that are told apart within a source; further ones count for the source only. */
export const MAX_GATEWAYS = 64
/** Slots that may wait to be closed, all sources together: what a catching-up reader may run ahead. */
const MAX_WAITING = 50_000
/** After so long what is missing is the new state of things. */
const MAX_OPEN_MS = 3 * DAY_MS
const FORGET_GATEWAY_DAYS = 30
const MAX_RESOLVED = 100
const ASPECTS: readonly Aspect[] = ['lines', ...FIELDS]

interface Watched {
  readonly source: WatchedSource
  total: Feed
  readonly gateways: Map<string, Feed>
  /** Counts by slot and gateway that wait for their slot to close. */
  readonly waiting: Map<number, Map<string, number[]>>
  /** The last closed slot; NaN before the first. */
  closed: number
}

/** What must outlive the process, beside the feeds. */
export interface CoverageState {
  /** Length of the slots; absent = {@link SLOT_MS}. */
  readonly slotMs?: number
  /** Last closed slot of each source. */
  readonly closed: Readonly<Record<string, number>>
  readonly open: readonly CoverageIncident[]
  readonly resolved: readonly CoverageIncident[]
}

/**
 * Notices what is missing: sources and gateways that fall silent, thin out, lag behind their own counters or
 * lose a field. Event time only: the same counts and the same `advance` give the same incidents with the same
 * ids, whether a log is read live or again. Never decides anything but whom to tell.
 */
export class Coverage {
  /** What people are to be told, oldest first; the caller takes it out. */
  readonly outputs: AlertRecord[] = []
  /** Lines that came too far ahead of the slots being closed to be counted. */
  dropped = 0
  private readonly sources = new Map<string, Watched>()
  private readonly open = new Map<string, CoverageIncident>()
  private readonly resolved: CoverageIncident[] = []
  private blindFrom = Number.POSITIVE_INFINITY
  private blindTo = Number.NEGATIVE_INFINITY
  private waiting = 0
  private readonly slotMs: number

  /** `slotMs`: length of a slot; an hour is a multiple of it. */
  constructor(sources: readonly WatchedSource[], slotMs: number = SLOT_MS) {
    this.slotMs = slotMs
    for (const source of sources) {
      const total = new Feed(slotMs, Number.NaN)
      this.sources.set(source.name, {
        source,
        total,
        gateways: new Map(),
        waiting: new Map(),
        closed: Number.NaN,
      })
    }
  }

  /** Event time up to which every source is judged, epoch ms; NaN before the first slot of each. */
  get judgedTo(): number {
    return Math.min(...[...this.sources.values()].map((watched) => this.endOf(watched)))
  }

  /** Counts lines of a gateway in a slot; late ones count in the next slot that closes. */
  observe(source: string, gateway: string, slot: number, counts: readonly number[]): void {
    const watched = this.sources.get(source)
    if (watched === undefined) return
    const isLate = slot <= watched.closed
    const at = isLate ? watched.closed + 1 : slot
    let cells = watched.waiting.get(at)
    if (cells === undefined) {
      if (this.waiting >= MAX_WAITING) {
        this.dropped += counts[0] ?? 0
        return
      }
      cells = new Map()
      watched.waiting.set(at, cells)
      this.waiting++
    }
    const known = cells.get(gateway)
    if (known === undefined) cells.set(gateway, counts.slice(0, COUNTS))
    else for (let i = 0; i < COUNTS; i++) known[i]! += counts[i] ?? 0
    if (isLate) watched.gateways.get(gateway)?.noteLate(counts[0] ?? 0)
  }

  /** Takes what a gateway counted by the end of a slot. */
  read(source: string, gateway: string, slot: number, reading: CounterReading): void {
    const watched = this.sources.get(source)
    if (watched === undefined || slot <= watched.closed) return
    this.gateway(watched, gateway, slot)?.read(slot, reading)
  }

  /** Curfew did not run from `from` to `to`: what did not come meanwhile is not missing. */
  blind(from: number, to: number): void {
    this.blindFrom = from
    this.blindTo = to
  }

  /**
   * Closes and judges every slot that ended {@link GRACE_MS} before `time`, in order: of all sources, or of one
   * whose lines are read at another pace.
   */
  advance(time: number, source?: string): void {
    const last = slotOf(time - GRACE_MS, this.slotMs) - 1
    for (const watched of this.sources.values()) {
      if (source !== undefined && watched.source.name !== source) continue
      if (Number.isNaN(watched.closed)) watched.closed = Math.min(last, ...watched.waiting.keys()) - 1
      while (watched.closed < last) this.close(watched, ++watched.closed)
    }
  }

  /**
   * Takes incidents and the position from an earlier process; its feeds come after. False, and nothing taken, where
   * that one counted in slots of another length: what was usual over its windows says nothing about these.
   */
  restore(state: CoverageState): boolean {
    if ((state.slotMs ?? SLOT_MS) !== this.slotMs) return false
    for (const [source, closed] of Object.entries(state.closed)) {
      const watched = this.sources.get(source)
      if (watched !== undefined) watched.closed = closed
    }
    for (const incident of state.open)
      this.open.set(keyOf(incident.source, incident.gateway, incident.aspect), incident)
    this.resolved.push(...state.resolved)
    return true
  }

  restoreFeed(source: string, gateway: string | null, state: FeedState): void {
    const watched = this.sources.get(source)
    if (watched === undefined) return
    // Silence is measured anew from the restart, unless it has been told already.
    const isMissing = this.open.has(keyOf(source, gateway, 'lines'))
    const feed = new Feed(
      this.slotMs,
      isMissing ? state.lastLineAt : Math.max(state.lastLineAt, this.endOf(watched)),
      state,
    )
    if (gateway === null) watched.total = feed
    else watched.gateways.set(gateway, feed)
  }

  state(): CoverageState {
    const closed: Record<string, number> = {}
    for (const [name, watched] of this.sources) {
      if (!Number.isNaN(watched.closed)) closed[name] = watched.closed
    }
    return { slotMs: this.slotMs, closed, open: [...this.open.values()], resolved: this.resolved }
  }

  *feeds(): Iterable<readonly [source: string, gateway: string | null, feed: Feed]> {
    for (const [name, { total, gateways }] of this.sources) {
      yield [name, null, total]
      for (const [id, feed] of gateways) yield [name, id, feed]
    }
  }

  /** How things stand, for people. */
  view(): CoverageView {
    const feeds: FeedView[] = []
    for (const [source, gateway, feed] of this.feeds()) {
      const missing = ASPECTS.filter((aspect) => this.open.has(keyOf(source, gateway, aspect)))
      feeds.push(feedView(source, gateway, feed, missing, this.endOf(this.sources.get(source)!)))
    }
    const incidents = [...this.open.values(), ...this.resolved.toReversed()].map(incidentView)
    return { judgedTo: Number.isFinite(this.judgedTo) ? isoTime(this.judgedTo) : null, feeds, incidents }
  }

  /** Up to when a source is judged. */
  private endOf({ closed }: Watched): number {
    return (closed + 1) * this.slotMs
  }

  private gateway(watched: Watched, id: string, slot: number): Feed | null {
    let feed = watched.gateways.get(id)
    if (feed === undefined && watched.gateways.size < MAX_GATEWAYS) {
      feed = new Feed(this.slotMs, slot * this.slotMs)
      watched.gateways.set(id, feed)
    }
    return feed ?? null
  }

  private close(watched: Watched, slot: number): void {
    const { source, total, gateways } = watched
    const { slotMs } = this
    const time = (slot + 1) * slotMs
    const cells = watched.waiting.get(slot) ?? null
    if (cells !== null) {
      watched.waiting.delete(slot)
      this.waiting--
      for (const id of cells.keys()) this.gateway(watched, id, slot)
    }
    if (Number.isNaN(total.lastLineAt)) total.lastLineAt = time - slotMs
    const blind = slot * slotMs >= this.blindFrom - slotMs && slot * slotMs <= this.blindTo
    const sum = cells === null ? null : sumOf(cells)
    total.close(slot, sum, this.missing(source.name, null), blind)
    for (const [id, feed] of gateways)
      feed.close(slot, cells?.get(id) ?? null, this.missing(source.name, id), blind)
    if (!blind) this.judge(watched, time)
    for (const [id, feed] of gateways) {
      if (feed.isGone(time, FORGET_GATEWAY_DAYS)) this.forget(watched, id)
    }
  }

  private missing(source: string, gateway: string | null): boolean[] {
    if (this.open.size === 0) return NOTHING
    return ASPECTS.map((aspect) => this.open.has(keyOf(source, gateway, aspect)))
  }

  /** With one gateway only that one is judged; with several a finding about all of them goes before. */
  private judge(watched: Watched, time: number): void {
    const { source, total, gateways } = watched
    if (gateways.size < 2) {
      const [only] = gateways
      this.judgeFeed(watched, only?.[0] ?? null, only?.[1] ?? total, time, NEVER)
      return
    }
    const explains = [...gateways].some(
      ([id, feed]) => feed.suspect || this.open.has(keyOf(source.name, id, 'lines')),
    )
    this.judgeFeed(watched, null, total, time, (finding) => finding.kind === 'low' && explains)
    const told = (finding: Finding) => {
      const incident = this.open.get(keyOf(source.name, null, finding.aspect))
      return incident !== undefined && (finding.kind !== 'silent' || incident.kind === 'silent')
    }
    for (const [id, feed] of gateways) this.judgeFeed(watched, id, feed, time, told)
  }

  private judgeFeed(
    watched: Watched,
    gateway: string | null,
    feed: Feed,
    time: number,
    isTold: (finding: Finding) => boolean,
  ): void {
    const { source } = watched
    for (const [i, aspect] of ASPECTS.entries()) {
      const incident = this.open.get(keyOf(source.name, gateway, aspect))
      const finding = i === 0 ? feed.missingLines(time, source.maxSilenceMs) : feed.missingField(i - 1, time)
      if (incident === undefined) {
        if (finding !== null && !isTold(finding)) this.start(watched, gateway, finding, time)
        continue
      }
      if (finding?.kind === 'silent' && incident.kind !== 'silent') {
        escalateCoverageIncident(incident, finding)
        this.outputs.push(coverageAlert(incident, 'escalated', time, finding))
      }
      const isBack =
        i === 0
          ? feed.linesAreBack(incident.kind, time, source.maxSilenceMs)
          : feed.fieldIsBack(i - 1, incident.expected)
      if (isBack) {
        this.end(incident, time, 'Complete again.')
        if (i === 0) this.restart(watched, gateway === null ? [...watched.gateways.values()] : [feed])
      } else if (incident.kind === 'uncounted' && feed.count.isGone) {
        this.end(incident, time, 'Its counter cannot be read any more.')
      } else if (time - incident.openedAt > MAX_OPEN_MS) this.accept(watched, incident, feed, time)
    }
  }

  /** The windows of whoever missed lines begin anew, and those of the source, where they were missing too. */
  private restart({ total }: Watched, feeds: readonly Feed[]): void {
    for (const feed of [total, ...feeds]) feed.restart()
  }

  private start(watched: Watched, gateway: string | null, finding: Finding, time: number): void {
    const { tenant, name } = watched.source
    const incident = openCoverageIncident({ tenant, source: name, gateway }, finding, time)
    this.open.set(keyOf(name, gateway, finding.aspect), incident)
    this.outputs.push(coverageAlert(incident, 'opened', time, finding))
  }

  private end(incident: CoverageIncident, time: number, how: string): void {
    incident.resolvedAt = time
    incident.summary = `${how} It was: ${incident.summary}`
    this.open.delete(keyOf(incident.source, incident.gateway, incident.aspect))
    this.resolved.push(incident)
    if (this.resolved.length > MAX_RESOLVED) this.resolved.shift()
    this.outputs.push(coverageAlert(incident, 'resolved', time, null))
  }

  /** Nobody changed it for days. A source without any line stays an incident; everything else is learnt anew. */
  private accept(watched: Watched, incident: CoverageIncident, feed: Feed, time: number): void {
    if (incident.kind === 'silent' && incident.gateway === null) return
    this.end(incident, time, 'Not changed for three days, taken as usual from now on.')
    feed.relearn()
    if (incident.kind === 'silent') this.forget(watched, incident.gateway!)
  }

  private forget(watched: Watched, gateway: string): void {
    watched.gateways.delete(gateway)
    for (const aspect of ASPECTS) this.open.delete(keyOf(watched.source.name, gateway, aspect))
  }
}

const NOTHING = ASPECTS.map(() => false)
const NEVER = () => false

function keyOf(source: string, gateway: string | null, aspect: Aspect): string {
  return `${source}\u0000${gateway ?? ''}\u0000${aspect}`
}

function sumOf(cells: ReadonlyMap<string, readonly number[]>): number[] {
  const sum = new Array<number>(COUNTS).fill(0)
  for (const counts of cells.values()) for (let i = 0; i < COUNTS; i++) sum[i]! += counts[i]!
  return sum
}
