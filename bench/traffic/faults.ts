import { DAY, HOUR, JUDGE_FROM, MINUTE, SECOND } from './calendar.ts'
import { hash, Random } from './random.ts'

/** A line and the event time at which it would arrive if nothing went wrong. */
export interface Arrival {
  readonly time: number
  readonly line: string
}

const CLOCK_ERROR = 90 * SECOND
const OUTAGE = 10 * MINUTE
const GATEWAYS = 6

/**
 * What a transport does to a log: lines that come late, twice or broken, a gateway whose clock is wrong, a
 * stretch without any line and then all of them at once. Events and ids stay as they are.
 */
export class TransportFaults {
  private readonly random: Random
  private readonly outageFrom: number
  /** Lines on their way, soonest last. */
  private readonly late: Arrival[] = []
  private readonly held: string[] = []

  constructor(seed: number) {
    this.random = new Random(seed, 41)
    this.outageFrom = JUDGE_FROM + this.random.between(1, 12) * DAY
  }

  /** Milliseconds by which the gateway that logged this call has its clock wrong. */
  readonly wrongClock = (id: string): number => {
    return hash(Number.parseInt(id.slice(0, 8), 16), 43) % GATEWAYS === 0 ? CLOCK_ERROR : 0
  };

  /** What arrives up to the time of this line. */
  *pass(arrival: Arrival): Generator<string> {
    const { time, line } = arrival
    while (this.late.length > 0 && this.late.at(-1)!.time <= time) yield this.late.pop()!.line
    const isOut = time >= this.outageFrom && time < this.outageFrom + OUTAGE
    if (!isOut && this.held.length > 0) yield* this.held.splice(0)
    const u = this.random.next()
    if (u < 0.0005) return this.delay(line, time + this.random.between(5 * MINUTE, 2 * HOUR))
    if (u < 0.0055) return this.delay(line, time + this.random.between(SECOND, 5 * MINUTE))
    if (isOut) this.held.push(line)
    else yield line
    if (u < 0.0065) this.delay(line, time + this.random.between(0, MINUTE))
    else if (u < 0.0066) yield this.poison(line)
  }

  *rest(): Generator<string> {
    yield* this.held.splice(0)
    for (let next = this.late.pop(); next !== undefined; next = this.late.pop()) yield next.line
  }

  private delay(line: string, time: number): void {
    let at = this.late.length
    while (at > 0 && this.late[at - 1]!.time < time) at--
    this.late.splice(at, 0, { time, line })
  }

  /** A record that is none: cut, not JSON, of another kind, of wrong types. */
  private poison(line: string): string {
    const kind = this.random.below(5)
    if (kind === 0) return line.slice(0, 30 + this.random.below(60))
    if (kind === 1) return `level=warn msg="buffer flushed" n=${this.random.below(1_000)}`
    if (kind === 2) return '{"started_at":"yesterday","request":7}'
    return kind === 3 ? '[]]' : '"\\ud800"'
  }
}
