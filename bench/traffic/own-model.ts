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
  readonly routes = new Set<number>()
  calls = 0

  constructor(p: Principal, seed: number) {
    const twin = p.twin(seed)
    const { routes } = p.is.tenant.table
    const sink = sinkOf((call) => {
      const hour = Math.floor((call.time - START) / HOUR)
      if (call.principal < 0 || hour < 0 || hour >= 24 * DAYS) return
      this.calls++
      measure(call, OP[routes[call.route]!.op], this.hours, hour)
      this.routes.add(call.route)
      if (this.samples.length < MAX_SAMPLES) this.samples.push({ time: call.time, route: call.route })
    })
    for (let day = 0; day < DAYS; day++) playDay(twin, day, sink)
  }

  /**
   * Standard deviation of a measure's total over a window that begins at this hour of the day, over days of
   * the same kind (working or not), but at least that of a Poisson count and at least one call.
   */
  spread(of: Measure, hourOfDay: number, hours: number, isWeekend: boolean): number {
    const totals: number[] = []
    for (let day = 0; day + Math.ceil((hourOfDay + hours) / 24) <= DAYS; day++) {
      if (weekday(day) >= 5 !== isWeekend) continue
      let sum = 0
      for (let h = 0; h < hours; h++) sum += this.hours[of][day * 24 + hourOfDay + h]!
      totals.push(sum)
    }
    const mean = totals.reduce((a, b) => a + b, 0) / totals.length
    const variance = totals.reduce((a, b) => a + (b - mean) ** 2, 0) / Math.max(1, totals.length - 1)
    const floor = of === 'records' ? Math.max(1, this.meanRecords()) : 1
    return Math.max(Math.sqrt(variance), Math.sqrt(mean * floor), floor)
  }

  /** Calls on the average day with any. */
  perActiveDay(): number {
    let active = 0
    for (let day = 0; day < DAYS; day++) if (this.callsOn(day) > 0) active++
    return this.calls / Math.max(1, active)
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
      return START + day * DAY + ((time - START) % DAY) + random.between(-900_000, 900_000)
    }
  }

  private meanRecords(): number {
    return this.hours.records.reduce((a, b) => a + b, 0) / Math.max(1, this.calls)
  }
}
