import { playDay } from './behaviour.ts'
import { DAY, DAYS, HOUR, START, weekday } from './calendar.ts'
import { sinkOf } from './episodes.ts'
import type { Call } from './event-buffer.ts'
import type { Principal } from './principal.ts'
import type { Random } from './random.ts'
import { OP } from './routes.ts'
import { isWrite } from './world.ts'

/** Quantities that an attack can push beyond a caller's own spread. */
export const MEASURES = ['requests', 'records', 'errors', 'writes'] as const
export type Measure = (typeof MEASURES)[number]

/** One ordinary call, remembered to draw from. */
interface Sample {
  readonly time: number
  readonly route: number
}

const MAX_SAMPLES = 6_000

/** Adds what a call counts for to a place of each measure. */
export function measure(
  call: Call,
  op: number,
  into: Readonly<Record<Measure, Float64Array>>,
  at: number,
): void {
  into.requests[at]!++
  if (call.records > 0) into.records[at]! += call.records
  if (call.status >= 400) into.errors[at]!++
  if (isWrite(op) && call.status < 400) into.writes[at]!++
}

export function measures(length: number): Record<Measure, Float64Array> {
  return {
    requests: new Float64Array(length),
    records: new Float64Array(length),
    errors: new Float64Array(length),
    writes: new Float64Array(length),
  }
}

/**
 * The caller's own model, learnt by letting a twin live the four weeks once: counts by hour, and ordinary calls
 * to draw from. From it come the size of an attack in standard deviations and what a mimic repeats.
 */
export class OwnModel {
  readonly hours = measures(24 * DAYS)
  readonly samples: Sample[] = []
  /** Calls by route. */
  readonly routes = new Map<number, number>()
  calls = 0
  private readonly spreads = new Map<string, number>()

  constructor(p: Principal, seed: number) {
    const twin = p.twin(seed)
    const { routes } = p.is.tenant.table
    const sink = sinkOf((call) => {
      const hour = Math.floor((call.time - START) / HOUR)
      if (call.principal < 0 || hour < 0 || hour >= 24 * DAYS) return
      this.calls++
      measure(call, OP[routes[call.route]!.op], this.hours, hour)
      this.routes.set(call.route, (this.routes.get(call.route) ?? 0) + 1)
      if (this.samples.length < MAX_SAMPLES) this.samples.push({ time: call.time, route: call.route })
    })
    for (let day = 0; day < DAYS; day++) playDay(twin, day, sink)
  }

  /**
   * Standard deviation of a measure's total over the hours (or days) in which the caller is active at all, but
   * at least that of a Poisson count and at least one call. When it is active is a matter of context, not size.
   */
  spread(of: Measure, window: 'hour' | 'day'): number {
    const key = `${of}/${window}`
    const known = this.spreads.get(key)
    if (known !== undefined) return known
    const width = window === 'hour' ? 1 : 24
    const totals: number[] = []
    for (let from = 0; from < 24 * DAYS; from += width) {
      let calls = 0
      let sum = 0
      for (let h = from; h < from + width; h++) {
        calls += this.hours.requests[h]!
        sum += this.hours[of][h]!
      }
      if (calls > 0) totals.push(sum)
    }
    const mean = totals.reduce((x, y) => x + y, 0) / Math.max(1, totals.length)
    const variance = totals.reduce((x, y) => x + (y - mean) ** 2, 0) / Math.max(1, totals.length - 1)
    const floor = of === 'records' ? Math.max(1, this.meanRecords()) : 1
    const spread = Math.max(Math.sqrt(variance), Math.sqrt(mean * floor), floor)
    this.spreads.set(key, spread)
    return spread
  }

  /** Calls on the average day with any. */
  perActiveDay(): number {
    let active = 0
    for (let day = 0; day < DAYS; day++) if (this.callsOn(day) > 0) active++
    return this.calls / Math.max(1, active)
  }

  /** Records on the average day with any call. */
  recordsPerActiveDay(): number {
    return this.perActiveDay() * this.meanRecords()
  }

  callsOn(day: number): number {
    let sum = 0
    for (let h = 0; h < 24; h++) sum += this.hours.requests[day * 24 + h]!
    return sum
  }

  /** Share of its calls that fall within an hour of this one, on any day. */
  shareAt(hourOfDay: number): number {
    let sum = 0
    for (let i = 0; i < 24 * DAYS; i++) {
      const apart = Math.abs((i % 24) - hourOfDay)
      if (Math.min(apart, 24 - apart) <= 1) sum += this.hours.requests[i]!
    }
    return sum / Math.max(1, this.calls)
  }

  /** An ordinary time of this day of the log. */
  timeOn(day: number, random: Random): number {
    const isWeekend = weekday(day) >= 5
    for (let tries = 0; ; tries++) {
      const { time } = random.pick(this.samples)
      const of = Math.floor((time - START) / DAY)
      if (tries < 20 && weekday(of) >= 5 !== isWeekend) continue
      const within = ((time - START) % DAY) + random.between(-900_000, 900_000)
      return START + day * DAY + ((within + DAY) % DAY)
    }
  }

  private meanRecords(): number {
    return this.hours.records.reduce((a, b) => a + b, 0) / Math.max(1, this.calls)
  }
}
