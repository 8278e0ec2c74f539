import { DAY, DAYS, START } from './calendar.ts'
import type { Call } from './event-buffer.ts'
import type { World } from './world.ts'

/** Events per person in 62 days (5, 25, 50, 75, 95 %): activity of GitHub accounts, MSR 2023 data set. */
const GITHUB_62_DAYS = [1, 10, 43, 184, 762]
const GITHUB_AT = [0.05, 0.25, 0.5, 0.75, 0.95]
/** Requests per client in a day (50, 90, 99 %): SEC EDGAR access log, 1 January 2017, sampled. */
const EDGAR_DAY = [1, 39, 1_778]
const EDGAR_AT = [0.5, 0.9, 0.99]
const PERSONS: readonly string[] = ['human', 'mobile', 'admin']

/** The value at each share of the sorted list. */
export function quantiles(values: readonly number[], at: readonly number[]): number[] {
  const sorted = [...values].sort((a, b) => a - b)
  return at.map((share) => sorted[Math.round(share * (sorted.length - 1))] ?? 0)
}

/** Counts what the tails of the world are judged by. */
export class TailCounter {
  private readonly world: World
  private readonly days: Uint32Array[] = []
  private calls = 0
  private refusals = 0
  private failures = 0

  constructor(world: World) {
    this.world = world
  }

  add(call: Call): void {
    this.calls++
    if (call.status >= 500) this.failures++
    else if (call.status >= 400) this.refusals++
    if (call.principal < 0) return
    const day = Math.floor((call.time - START) / DAY)
    this.days[day] ??= new Uint32Array(this.world.principals.length)
    this.days[day][call.principal]!++
  }

  principalDays(): number {
    return this.perDay().length
  }

  /** Shares of answers 4xx and 5xx. */
  errorShares(): Record<string, number> {
    return { '4xx': this.refusals / this.calls, '5xx': this.failures / this.calls }
  }

  /** Own quantiles beside the ones that they follow. */
  table(): Record<string, unknown> {
    const persons = this.world.principals.filter((p) => PERSONS.includes(p.is.archetype) && p.events > 0)
    const scaled = GITHUB_62_DAYS.map((n) => Math.round((n * DAYS * 10) / 62) / 10)
    const all = this.world.principals.filter((p) => p.events > 0).map((p) => p.events)
    return {
      personsIn28Days: {
        at: GITHUB_AT,
        measured: quantiles(
          persons.map((p) => p.events),
          GITHUB_AT,
        ),
        github: scaled,
      },
      principalDay: { at: EDGAR_AT, measured: quantiles(this.perDay(), EDGAR_AT), edgar: EDGAR_DAY },
      everybodyIn28Days: { at: GITHUB_AT, measured: quantiles(all, GITHUB_AT) },
    }
  }

  private perDay(): number[] {
    return this.days.flatMap((counts) => Array.from(counts).filter((n) => n > 0))
  }
}
