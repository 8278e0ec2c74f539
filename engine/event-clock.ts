import { MINUTE_MS } from '../core/time.ts'

const RING = 9
const MAX_LEAD_MS = 2 * MINUTE_MS

/**
 * A partition's idea of the present, in event time. It follows the events but no single one of them can
 * move it more than two minutes beyond the median of the last nine, so a wrongly dated line cannot close
 * everybody's windows and incidents.
 */
export class EventClock {
  /** Epoch ms; 0 before the first event. */
  now = 0
  private readonly ring = new Float64Array(RING)
  private filled = 0
  private next = 0

  /** Takes an event's time. */
  observe(time: number): void {
    this.ring[this.next] = time
    this.next = (this.next + 1) % RING
    if (this.filled < RING) this.filled++
    if (time <= this.now) return
    const moved = this.isNearMedian(time) ? time : Math.min(time, this.median() + MAX_LEAD_MS)
    if (moved > this.now) this.now = moved
  }

  /** Moves the clock when nobody calls (a tick). */
  tick(time: number): void {
    if (time > this.now) this.now = time
  }

  /** True when the median is at most the permitted lead behind: the common case, without sorting. */
  private isNearMedian(time: number): boolean {
    let near = 0
    for (let i = 0; i < this.filled; i++) if (this.ring[i]! >= time - MAX_LEAD_MS) near++
    return near * 2 > this.filled
  }

  private median(): number {
    const sorted = this.ring.slice(0, this.filled).sort()
    return sorted[(this.filled - 1) >> 1]!
  }

  snapshot(): number[] {
    return [this.now, this.filled, this.next, ...this.ring]
  }

  restore(values: readonly number[]): void {
    this.now = values[0] ?? 0
    this.filled = values[1] ?? 0
    this.next = values[2] ?? 0
    for (let i = 0; i < RING; i++) this.ring[i] = values[3 + i] ?? 0
  }
}
