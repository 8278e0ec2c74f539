import { playDay } from './behaviour.ts'
import { DAY, DAYS, dayOf, END, JUDGE_FROM, START } from './calendar.ts'
import { EpisodeBook } from './episodes.ts'
import { type Call, type CallSink, EventBuffer, emptyCall } from './event-buffer.ts'
import { type Arrival, TransportFaults } from './faults.ts'
import { KongLines } from './kong-line.ts'
import { BENCH_VERSION, type LabelLine, type Size } from './labels.ts'
import { addressText } from './networks.ts'
import { plot } from './plot.ts'
import { PLANS, World, type WorldPlan } from './world.ts'

export interface TrafficOptions {
  readonly size: Size
  readonly seed: number
  readonly faults: boolean
  /** Instead of the plan of the size (tests use small ones). */
  readonly plan?: WorldPlan
}

/** Log ids in one line of labels. */
const IDS_PER_LINE = 500

/** One world: its log, line by line, and afterwards its labels. */
export class Traffic {
  readonly world: World
  readonly book = new EpisodeBook()
  /** Events written, repeated ones apart. */
  events = 0
  attackEvents = 0
  private readonly options: TrafficOptions
  private readonly heldOut: { readonly attacks: readonly string[]; readonly lookalikes: readonly string[] }
  private readonly kong: KongLines
  private readonly addresses = new Map<number, number>()
  private readonly watchers: ((call: Call) => void)[] = []

  constructor(options: TrafficOptions) {
    this.options = options
    this.world = new World(options.seed, options.plan ?? PLANS[options.size])
    this.heldOut = plot(this.world, this.book)
    this.kong = new KongLines(this.world)
  }

  /** Shows every call as it is written, in event-time order; the object is reused. */
  watch(watcher: (call: Call) => void): void {
    this.watchers.push(watcher)
  }

  /** The log in order of arrival, without line ends. To be read once, to its end. */
  *lines(): Generator<string> {
    if (!this.options.faults) {
      for (const { line } of this.arrivals(null)) yield line
      return
    }
    const faults = new TransportFaults(this.options.seed)
    for (const arrival of this.arrivals(faults.wrongClock)) yield* faults.pass(arrival)
    yield* faults.rest()
  }

  /** Complete once all lines were read. */
  *labels(): Generator<LabelLine> {
    const { seed, size, faults } = this.options
    const { tenants, principals } = this.world
    yield {
      line: 'header',
      version: BENCH_VERSION,
      seed,
      size,
      faults,
      tenantField: 'workspace_name',
      tenants: tenants.map((t) => t.name),
      learnFrom: START,
      judgeFrom: JUDGE_FROM,
      judgeTo: END,
      heldOutAttacks: this.heldOut.attacks,
      heldOutLookalikes: this.heldOut.lookalikes,
    }
    for (const p of principals) {
      if (p.events === 0) continue
      const tenant = p.is.tenant
      yield {
        line: 'principal',
        tenant: tenant.name,
        id: `consumer:${p.is.username}`,
        archetype: p.is.archetype,
        org: `org:${tenant.orgs[p.is.org % 10_000]!.name}`,
        allowListed: p.allowListed,
        events: p.events,
      }
    }
    for (const [key, events] of this.addresses) {
      const tenant = tenants[Math.floor(key / 2 ** 32)]!.name
      const id = `ip:${addressText(key % 2 ** 32)}`
      yield { line: 'principal', tenant, id, archetype: 'address', org: null, allowListed: false, events }
    }
    yield* this.book.labels()
    for (const { id, ids } of this.book.episodes) {
      for (let i = 0; i < ids.length; i += IDS_PER_LINE) {
        yield { line: 'events', episode: id, ids: ids.slice(i, i + IDS_PER_LINE) }
      }
    }
  }

  private *arrivals(wrongClock: ((id: string) => number) | null): Generator<Arrival> {
    const call = emptyCall()
    for (const { buffer, from } of this.days()) {
      for (const index of buffer.order(from)) {
        buffer.read(index, call)
        const id = this.kong.idOf(this.events++)
        this.count(call, id)
        yield { time: call.time, line: this.kong.line(call, id, wrongClock?.(id) ?? 0) }
      }
    }
  }

  /** All calls, one day of the log after the other; memory holds two or three days at most. */
  private *days(): Generator<{ readonly buffer: EventBuffer; readonly from: number }> {
    const { days } = this.book
    let written = -1
    const router: CallSink = {
      add: (call) => {
        const day = dayOf(call.time)
        if (day < 0 || day >= DAYS) return
        if (day <= written) throw new Error(`a call for day ${day}, which is written`)
        days[day]!.add(call)
      },
    }
    for (let day = -1; day < DAYS; day++) {
      for (const p of this.world.principals) playDay(p, day, router)
      if (day < 0) continue
      yield { buffer: days[day]!, from: START + day * DAY }
      days[day] = new EventBuffer()
      written = day
    }
  }

  private count(call: Call, id: string): void {
    if (call.principal >= 0) this.world.principals[call.principal]!.events++
    else {
      const key = call.tenant * 2 ** 32 + call.ip
      this.addresses.set(key, (this.addresses.get(key) ?? 0) + 1)
    }
    if (call.episode >= 0) {
      this.book.write(call, id, this.isWrite(call))
      if (this.book.episodes[call.episode]!.kind === 'attack') this.attackEvents++
    }
    for (const watcher of this.watchers) watcher(call)
  }

  private isWrite(call: Call): boolean {
    const { table } = this.world.tenants[call.tenant]!
    return call.status < 400 && table.routes[call.route]!.method !== 'GET'
  }
}
