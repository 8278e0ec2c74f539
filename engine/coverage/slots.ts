/**
 * Lines are counted in slots of event time; every judgement falls on the end of one. The usual length, ms. A shorter
 * one, of which an hour is a multiple, shortens every window with it: what is missing is told sooner where lines
 * are many.
 */
export const SLOT_MS = 10_000
/** Slots of the longest window. */
const RING_SLOTS = 360

/** What is counted of the lines of a slot, in this order. */
export const LINES = 0
/** Calls that were served (2xx, 3xx): only they are expected to have the fields below. */
export const SERVED = 1
/** Fields whose loss is noticed, in the order of their counts behind {@link SERVED}. */
export const FIELDS = ['principal', 'records', 'jti'] as const
export type CoverageField = (typeof FIELDS)[number]
/** Numbers per slot. */
export const COUNTS = SERVED + 1 + FIELDS.length

/** Windows in slots: 1, 2, 5, 15 and 60 minutes of usual slots. */
export const WINDOWS = [6, 12, 30, 90, RING_SLOTS] as const

/** The slot that an instant falls into. */
export function slotOf(ms: number, slotMs: number): number {
  return Math.floor(ms / slotMs)
}

/** The counts of the longest window, slot by slot, with running sums over {@link WINDOWS}. */
export class SlotRing {
  /** Slots taken so far; a window longer than this is not full. */
  filled = 0
  private readonly width: number
  private readonly cells: Float64Array
  private readonly sums: Float64Array
  private next = 0

  constructor(width: number) {
    this.width = width
    this.cells = new Float64Array(RING_SLOTS * width)
    this.sums = new Float64Array(WINDOWS.length * width)
  }

  /** Takes the counts of the slot that follows; null = nothing was counted. */
  push(counts: readonly number[] | null): void {
    const { width, cells, sums } = this
    for (let w = 0; w < WINDOWS.length; w++) {
      const leaving = ((this.next - WINDOWS[w]! + RING_SLOTS) % RING_SLOTS) * width
      for (let i = 0; i < width; i++) sums[w * width + i]! += (counts?.[i] ?? 0) - cells[leaving + i]!
    }
    for (let i = 0; i < width; i++) cells[this.next * width + i] = counts?.[i] ?? 0
    this.next = (this.next + 1) % RING_SLOTS
    if (this.filled < RING_SLOTS) this.filled++
  }

  /** Sum of one count over one of {@link WINDOWS}. */
  sum(window: number, index: number): number {
    return this.sums[window * this.width + index]!
  }

  /** Sum over the window of the same length in front; for windows of at most half an hour. */
  sumBefore(window: number, index: number): number {
    const slots = WINDOWS[window]!
    let sum = 0
    for (let back = slots + 1; back <= 2 * slots; back++) {
      sum += this.cells[((this.next - back + RING_SLOTS) % RING_SLOTS) * this.width + index]!
    }
    return sum
  }

  isFull(window: number): boolean {
    return this.filled >= WINDOWS[window]!
  }

  clear(): void {
    this.cells.fill(0)
    this.sums.fill(0)
    this.filled = 0
  }
}
