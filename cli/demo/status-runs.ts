import type { ClientAnswer } from './client.ts'
import type { Screen } from './screen.ts'
import { clockTime, grouped } from './screen.ts'

/** The status codes that one client saw, as runs: `200 x 11`, `429 x 10`, `401 x 5`. */
export class StatusRuns {
  readonly runs: { readonly status: number; count: number; records: number }[] = []

  add({ status, records }: ClientAnswer): void {
    const last = this.runs.at(-1)
    if (last?.status === status) {
      last.count++
      last.records += records
    } else this.runs.push({ status, count: 1, records })
  }

  /** Records that the client got. */
  get records(): number {
    return this.runs.reduce((sum, run) => sum + run.records, 0)
  }

  /** Records that it got before the first refusal. */
  get recordsBeforeHold(): number {
    const refused = this.runs.findIndex((run) => run.status !== 200)
    return this.runs.slice(0, refused < 0 ? undefined : refused).reduce((sum, run) => sum + run.records, 0)
  }

  text(screen: Screen): string {
    return this.runs.map(({ status, count }) => `${screen.status(status)} x ${count}`).join(' -> ')
  }
}

/** Prints a client's status runs as each of them ends. */
export class RunPrinter {
  readonly seen = new StatusRuns()
  private readonly screen: Screen
  private readonly label: string
  private readonly now: () => number

  constructor(screen: Screen, label: string, now: () => number) {
    this.screen = screen
    this.label = label
    this.now = now
  }

  add(answer: ClientAnswer): void {
    const before = this.seen.runs.length
    this.seen.add(answer)
    if (this.seen.runs.length > before && before > 0) this.print(before - 1)
  }

  /** Prints the run under way. */
  end(): void {
    if (this.seen.runs.length > 0) this.print(this.seen.runs.length - 1)
  }

  private print(index: number): void {
    const { status, count, records } = this.seen.runs[index]!
    const got = records > 0 ? `, ${grouped(records)} records` : ''
    this.screen.line(
      `  ${clockTime(this.now())}  ${this.label}: ${this.screen.status(status)} x ${count}${got}`,
    )
  }
}
