import { agentClass, SDKS } from './agents.ts'
import { DAY, HOUR, offsetAt, SECOND, START } from './calendar.ts'
import { type Manner, makeCall, routeOf, usualObject, usualPage } from './calls.ts'
import { type Call, type CallSink, EventBuffer } from './event-buffer.ts'
import type { Feature } from './labels.ts'
import { addressAt, strangeNetwork } from './networks.ts'
import type { Measure, OwnModel } from './own-model.ts'
import type { Principal } from './principal.ts'
import { hash, type Random } from './random.ts'
import { OP, type Op, type Route } from './routes.ts'

/** One call that somebody means to make. */
export interface Step {
  readonly route: Route
  readonly object: number
  readonly page?: number
}

/** How many of the victim's own days a bulk theft takes, in records. */
const MIN_TIMES = 5
const MAX_TIMES = 50

/** One attempt at an attack, kept apart from the log until its level is known. */
export class Raid implements CallSink {
  readonly calls = new EventBuffer()
  /** Contexts that the victim never had; found out while the raid is made. */
  readonly novel = new Set<Feature>()
  harmFrom = 0
  readonly p: Principal
  readonly model: OwnModel
  readonly random: Random
  /** Standard deviations that the raid aims at. */
  readonly sigmas: number
  /** First and last day of the log on which it may happen. */
  readonly firstDay: number
  readonly lastDay: number
  /** Calls that {@link quota} does not go below. */
  readonly leastCalls: number
  readonly seed: number

  constructor(of: {
    readonly p: Principal
    readonly model: OwnModel
    readonly random: Random
    readonly sigmas: number
    readonly firstDay: number
    readonly lastDay: number
    readonly leastCalls?: number
    readonly seed: number
  }) {
    this.p = of.p
    this.model = of.model
    this.random = of.random
    this.sigmas = of.sigmas
    this.firstDay = of.firstDay
    this.lastDay = of.lastDay
    this.leastCalls = of.leastCalls ?? 0
    this.seed = of.seed
  }

  add(call: Call): void {
    this.calls.add(call)
  }

  /** A day on which it may begin, with room for so many days. */
  day(days = 1): number {
    return this.firstDay + this.random.below(Math.max(1, this.lastDay - this.firstDay + 2 - days))
  }

  /** A time of a day at which the victim is usually active. */
  usualTime(day = this.day()): number {
    return this.model.timeOn(day, this.random)
  }

  /** A time in the victim's night, which is a new context where it hardly ever calls then. */
  nightTime(day = this.day()): number {
    const local = this.random.between(1, 4.5) * HOUR
    const time =
      START + day * DAY + ((((local - offsetAt(this.p.is.zone, START + day * DAY)) % DAY) + DAY) % DAY)
    if (this.model.shareAt(hourOf(time)) < 0.03) this.novel.add('hours')
    return time
  }

  /** Calls that exceed the victim's own hour and day by the standard deviations aimed at. */
  quota(hours = 1, of: Measure = 'requests'): number {
    const most = Math.min(
      this.model.spread(of, 'hour') * hours,
      this.model.spread(of, 'day') * Math.ceil(hours / 24),
    )
    return Math.max(3, this.leastCalls, Math.round(this.sigmas * most))
  }

  /**
   * Calls that take what bulk theft takes: 5 to 50 times the records of the victim's own day, and no less than the
   * standard deviations aimed at, of which records are the measure. `perCall` is what one call brings.
   */
  quotaOfRecords(perCall: number): number {
    const most = Math.min(this.model.spread('records', 'hour'), this.model.spread('records', 'day'))
    const times = this.random.logNormal(Math.sqrt(MIN_TIMES * MAX_TIMES), 0.6)
    const records = Math.min(MAX_TIMES, Math.max(MIN_TIMES, times)) * this.model.recordsPerActiveDay()
    return Math.max(3, this.leastCalls, Math.ceil(Math.max(records, this.sigmas * most) / perCall))
  }

  /** As the victim itself would call. */
  own(extra: Partial<Manner> = {}): Manner {
    return { episode: 0, random: this.random, ...extra }
  }

  /** From elsewhere, with another client. */
  stranger(extra: Partial<Manner> = {}): Manner {
    const network = strangeNetwork(this.seed, this.p.is.zone, hash(this.seed, this.p.is.index, 17))
    const agent = agentClass(this.random.pick(SDKS)) + this.random.below(3)
    this.novel.add('network')
    if (!this.sameAgent(agent)) this.novel.add('agent')
    return this.own({ address: (time) => addressAt(network, time, 1), agent, ...extra })
  }

  private sameAgent(agent: number): boolean {
    return Math.floor(agent / 3) === Math.floor(this.p.is.agentBase / 3)
  }

  /** So many calls from a time on, with the victim's own pauses. Returns when the last was complete. */
  burst(start: number, calls: number, manner: Manner, step: (i: number, time: number) => Step): number {
    const [gap, sigma] = this.p.is.model.gap
    let time = start
    for (let i = 0; i < calls; i++) {
      const { route, object, page = 0 } = step(i, time)
      if (!this.model.routes.has(route.index)) this.novel.add('route')
      time = makeCall(this, this.p, route, time, object, page, manner)
      time += this.random.logNormal(gap, sigma) * SECOND
    }
    return time
  }

  /** So many calls within about so many hours, in sittings of usual length. */
  spreadOut(
    start: number,
    hours: number,
    calls: number,
    manner: Manner,
    step: (i: number, time: number) => Step,
  ): void {
    const most = Math.max(2, Math.ceil(calls / (3 * hours)))
    let done = 0
    while (done < calls) {
      const size = Math.min(calls - done, most, this.random.geometric(this.p.is.model.burst))
      const from = done
      this.burst(start + this.random.next() * hours * HOUR, size, manner, (i, t) => step(from + i, t))
      done += size
    }
  }

  /** Sittings at the victim's own hours of a day. */
  blendIn(day: number, calls: number, manner: Manner, step: (i: number, time: number) => Step): void {
    let done = 0
    while (done < calls) {
      const size = Math.min(calls - done, this.random.geometric(this.p.is.model.burst))
      const from = done
      this.burst(this.usualTime(day), size, manner, (i, t) => step(from + i, t))
      done += size
    }
  }

  /** A call such as the victim makes, drawn from its own. */
  ownStep(time: number): Step {
    const { table } = this.p.is.tenant
    let route = table.routes[this.random.pick(this.model.samples).route]!
    if (route === table.login) route = table.me
    return this.stepOf(route, time)
  }

  /** The victim's own kind of call on objects of others. */
  strangeStep(time: number): Step {
    const { route, object, page } = this.ownStep(time) as Required<Step>
    return { route, object: object < 0 ? -1 : this.othersObject(), page }
  }

  /** An operation on a resource that the victim uses. */
  opStep(op: Op, time: number, resource = this.resource()): Step {
    return this.stepOf(routeOf(this.p, OP[op], resource, this.random), time)
  }

  othersObject(): number {
    return this.random.below(this.p.is.tenant.objects.count)
  }

  resource(): number {
    return this.p.is.resources[this.random.weighted(this.p.is.resourceWeights)]!
  }

  /** A route of these operations that the victim has used, else one of a resource of its own. */
  knownRoute(ops: readonly Op[]): Route {
    const { table } = this.p.is.tenant
    const known = [...this.model.routes.keys()].map((r) => table.routes[r]!).filter((r) => ops.includes(r.op))
    return known.length > 0 ? this.random.pick(known) : table.of(this.resource(), ops[0]!)
  }

  private stepOf(route: Route, time: number): Step {
    const page = usualPage(this.p, route, this.random)
    const made = this.p.created
    const object = usualObject(this.p, route, time, this.random)
    this.p.created = made
    return { route, object, page }
  }
}

function hourOf(time: number): number {
  return Math.floor((time - START) / HOUR) % 24
}
