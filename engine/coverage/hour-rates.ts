import { HOURS_OF_WEEK, hourOfWeek } from '../../baseline/layout.ts'

/** Weight of the newest week against all earlier ones. */
const NEWEST = 0.3

/** Lines per hour in each hour of the week (UTC), learnt week by week. */
export class HourRates {
  readonly lines: number[]
  /** How many times each hour was observed; 0 = its rate is not known. */
  readonly weeks: number[]

  constructor(lines?: readonly number[], weeks?: readonly number[]) {
    this.lines = sized(lines)
    this.weeks = sized(weeks)
  }

  /** Takes the count of an hour that was observed from its start to its end. */
  learn(hourIndex: number, lines: number): void {
    const hour = hourOfWeek(hourIndex)
    const known = this.lines[hour]!
    this.lines[hour] = this.weeks[hour] === 0 ? lines : known + NEWEST * (lines - known)
    this.weeks[hour]!++
  }

  /**
   * What may be counted on, in lines per hour: the lowest of the hour and its two neighbours, so that a working
   * day which begins or ends somewhat earlier is not missed lines. 0 where one of the three is not known.
   */
  careful(hourIndex: number): number {
    const before = hourOfWeek(hourIndex - 1)
    const own = hourOfWeek(hourIndex)
    const after = hourOfWeek(hourIndex + 1)
    const { weeks, lines } = this
    if (weeks[before] === 0 || weeks[own] === 0 || weeks[after] === 0) return 0
    return Math.min(lines[before]!, lines[own]!, lines[after]!)
  }

  /** How often the least observed of the three hours behind {@link careful} was seen. */
  observed(hourIndex: number): number {
    const seen = (i: number) => this.weeks[hourOfWeek(hourIndex + i)]!
    return Math.min(seen(-1), seen(0), seen(1))
  }
}

function sized(values: readonly number[] | undefined): number[] {
  return Array.from({ length: HOURS_OF_WEEK }, (_, i) => values?.[i] ?? 0)
}
