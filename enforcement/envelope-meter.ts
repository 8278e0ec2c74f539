import type { EnvelopeLimit, EnvelopeLimits } from '../core/envelope.ts'

const SHORT_MS = 10_000
const LONG_MS = 600_000
/** Callers counted at once. Those who were not heard of longest are forgotten first, with what they have counted. */
const MAX_CALLERS = 100_000

/** What was counted in the slot of time that is open, and in the one before it. */
class Slots {
  private readonly lengthMs: number
  private slot = 0
  private inSlot = 0
  private before = 0

  constructor(lengthMs: number) {
    this.lengthMs = lengthMs
  }

  add(amount: number, now: number): void {
    this.advance(now)
    this.inSlot += amount
  }

  /** Of both slots together: all that came within one length of time up to now, and up to one more. */
  both(now: number): number {
    this.advance(now)
    return this.inSlot + this.before
  }

  /** Within one length of time up to now, as if what came in the slot before had been spread evenly over it. */
  spread(now: number): number {
    this.advance(now)
    const share = 1 - (now - this.slot * this.lengthMs) / this.lengthMs
    return this.inSlot + Math.floor(share * this.before)
  }

  private advance(now: number): void {
    const slot = Math.floor(now / this.lengthMs)
    // A clock that was set back adds to the slot it was in.
    if (slot <= this.slot) return
    this.before = slot === this.slot + 1 ? this.inSlot : 0
    this.inSlot = 0
    this.slot = slot
  }
}

class Count {
  inFlight = 0
  readonly requests = new Slots(SHORT_MS)
  readonly records = new Slots(LONG_MS)
  readonly bytes = new Slots(LONG_MS)
}

/**
 * Counts callers against their envelopes, for whoever stands in the way of their calls. Only calls that pass are
 * counted, so a caller that keeps knocking still gets what its envelope leaves it. Needs to be told the time.
 */
export class EnvelopeMeter {
  private readonly callers = new Map<string, Count>()

  /** Which limit one more call of the caller would exceed, or null. Asking counts nothing. */
  exceeded(caller: string, limits: EnvelopeLimits, now: number): EnvelopeLimit | null {
    const count = this.callers.get(caller) ?? new Count()
    if (count.inFlight + 1 > limits.inFlight) return 'inFlight'
    if (count.requests.spread(now) + 1 > limits.requestsPer10s) return 'requestsPer10s'
    // How much a call will bring is not known before it is over: the one that crosses the limit is the last, and
    // counts in full for at least ten minutes.
    if (limits.recordsPer10min !== null && count.records.both(now) >= limits.recordsPer10min)
      return 'recordsPer10min'
    if (limits.bytesPer10min !== null && count.bytes.both(now) >= limits.bytesPer10min) return 'bytesPer10min'
    return null
  }

  /** A call passes. */
  begin(caller: string, now: number): void {
    const count = this.callers.get(caller) ?? new Count()
    this.callers.delete(caller)
    this.callers.set(caller, count)
    count.inFlight += 1
    count.requests.add(1, now)
    if (this.callers.size > MAX_CALLERS) this.callers.delete(this.callers.keys().next().value!)
  }

  /** A call that passed is over; `records` is null where nobody said how many. */
  end(caller: string, records: number | null, bytes: number, now: number): void {
    const count = this.callers.get(caller)
    if (count === undefined) return
    if (count.inFlight > 0) count.inFlight -= 1
    count.records.add(records ?? 0, now)
    count.bytes.add(bytes, now)
  }

  /** A caller whose envelope is gone. */
  forget(caller: string): void {
    this.callers.delete(caller)
  }
}
