import type { Finding } from './finding.ts'
import { LINES, type SlotRing, WINDOWS } from './slots.ts'

/** Requests that a gateway says it has served, at the end of a slot. */
export interface CounterReading {
  /** Another process of the gateway counts from 0 again: its name or start. */
  readonly epoch: string
  readonly total: number
}

const MIN_MISSING = 20
/** Calls under way and other counting differences stay below this share. */
const MAX_SHARE = 0.025
const FEW = 0.01
/** The shortest window: two minutes of usual slots. */
const SHORTEST = 1
/** Beyond this share of late lines only the longest window is compared. */
const MAX_LATE = 0.01
/** A shortfall must be there at the end of so many slots in a row. */
const PERSIST = 2

/**
 * Holds the lines of a gateway against what the gateway itself counts. Needs no history, so it also sees a
 * twentieth of the lines being dropped, or a log that never came.
 */
export class GatewayCount {
  /** One per closed slot, newest last; null where the gateway did not answer. */
  private readonly readings: (CounterReading | null)[] = []
  private readonly waiting = new Map<number, CounterReading>()
  private seen = 0
  private readonly slotMs: number

  constructor(slotMs: number) {
    this.slotMs = slotMs
  }

  /** Takes a reading made at the end of a slot. At most the longest window of them waits. */
  read(slot: number, reading: CounterReading): void {
    if (this.waiting.size < WINDOWS.at(-1)!) this.waiting.set(slot, reading)
  }

  /** The slot is closed: its lines are all here. */
  close(slot: number): void {
    const reading = this.waiting.get(slot) ?? null
    this.waiting.delete(slot)
    for (const old of this.waiting.keys()) if (old < slot) this.waiting.delete(old)
    this.readings.push(reading)
    if (this.readings.length > WINDOWS.at(-1)! + 1) this.readings.shift()
  }

  /** Null while the log keeps up with the gateway, or that cannot be told. `lateShare`: lines that came late. */
  missing(ring: SlotRing, lateShare: number, time: number): Finding | null {
    let found: Finding | null = null
    for (let w = lateShare > MAX_LATE ? WINDOWS.length - 1 : SHORTEST; w < WINDOWS.length; w++) {
      const requests = this.over(WINDOWS[w]!)
      if (requests === null || ring.filled < WINDOWS[w]!) continue
      const lines = ring.sum(w, LINES)
      if (requests - lines < Math.max(MIN_MISSING, MAX_SHARE * requests)) continue
      const windowMs = WINDOWS[w]! * this.slotMs
      found = {
        kind: 'uncounted',
        aspect: 'lines',
        observed: lines,
        expected: requests,
        since: time - windowMs,
        windowMs,
      }
      break
    }
    this.seen = found === null ? 0 : this.seen + 1
    return this.seen >= PERSIST ? found : null
  }

  /** Whether the log keeps up again; null when that cannot be told. */
  keepsUp(ring: SlotRing): boolean | null {
    const requests = this.over(WINDOWS[SHORTEST])
    if (requests === null || !ring.isFull(SHORTEST)) return null
    return requests - ring.sum(SHORTEST, LINES) <= Math.max(MIN_MISSING / 4, FEW * requests)
  }

  /** Whether the gateway has not answered for the longest window. */
  get isGone(): boolean {
    return this.readings.length > WINDOWS.at(-1)! && this.readings.every((reading) => reading === null)
  }

  /** Requests of the last slots; null without a reading at both ends, or when the gateway began anew. */
  private over(slots: number): number | null {
    const to = this.readings.at(-1)
    const from = this.readings.at(-1 - slots)
    if (to == null || from == null || from.epoch !== to.epoch || to.total < from.total) return null
    return to.total - from.total
  }
}
