import { MINUTE_MS } from '../core/time.ts'

const RING = 9
const MAX_LEAD_MS = 2 * MINUTE_MS
/** Sources whose times are told apart; further ones share one ring. */
const MAX_SOURCES = 256
const OTHER = ''

/** The clock as it is stored. */
export interface ClockSnapshot {
  readonly now: number
  /** Per source: name, how many times are known, where the next one goes, the times. */
  readonly sources: readonly (readonly [string, number, number, readonly number[]])[]
}

/** The latest times of one source. */
class Ring {
  readonly times = new Float64Array(RING)
  filled = 0
  next = 0

  add(time: number): void {
    this.times[this.next] = time
    this.next = (this.next + 1) % RING
    if (this.filled < RING) this.filled++
  }

  /** True when the median is at most the permitted lead behind: the common case, without sorting. */
  isNearMedian(time: number): boolean {
    let near = 0
    for (let i = 0; i < this.filled; i++) if (this.times[i]! >= time - MAX_LEAD_MS) near++
    return near * 2 > this.filled
  }

  /** The lower one of two middles, so that of two times the sober one counts. */
  median(): number {
    const sorted = this.times.slice(0, this.filled).sort()
    return sorted[(this.filled - 1) >> 1]!
  }
}

/**
 * A partition's idea of the present, in event time. It follows the events but no single one of them can
 * move it more than two minutes beyond the median of its source's last nine, and the first of a source
 * cannot move it at all, so a wrongly dated line cannot close everybody's windows and incidents.
 */
export class EventClock {
  /** Epoch ms; 0 before there is anything to go by. */
  now = 0
  private readonly rings = new Map<string, Ring>()
  /** The ring used last: consecutive events mostly share their source. */
  private lastSource: string | null = null
  private lastRing: Ring = new Ring()

  /** Takes an event's time; `source` names where its record came from. */
  observe(time: number, source: string): void {
    if (source !== this.lastSource) {
      this.lastRing = this.ringOf(source)
      this.lastSource = source
    }
    const ring = this.lastRing
    ring.add(time)
    if (time <= this.now || ring.filled === 1) return
    const moved = ring.isNearMedian(time) ? time : Math.min(time, ring.median() + MAX_LEAD_MS)
    if (moved > this.now) this.now = moved
  }

  private ringOf(source: string): Ring {
    const name = this.rings.has(source) || this.rings.size < MAX_SOURCES ? source : OTHER
    const ring = this.rings.get(name) ?? new Ring()
    this.rings.set(name, ring)
    return ring
  }

  /** Moves the clock when nobody calls (a tick). */
  tick(time: number): void {
    if (time > this.now) this.now = time
  }

  snapshot(): ClockSnapshot {
    const sources = [...this.rings].map(
      ([name, r]) => [name, r.filled, r.next, [...r.times]] as [string, number, number, number[]],
    )
    return { now: this.now, sources }
  }

  restore({ now, sources }: ClockSnapshot): void {
    this.now = now
    this.rings.clear()
    this.lastSource = null
    for (const [name, filled, next, times] of sources) {
      const ring = new Ring()
      ring.filled = filled
      ring.next = next
      ring.times.set(times)
      this.rings.set(name, ring)
    }
  }
}
