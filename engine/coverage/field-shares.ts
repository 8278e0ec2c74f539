import { hourOfWeek, levelCell } from '../../baseline/layout.ts'
import type { Finding } from './finding.ts'
import { FIELDS, SERVED, type SlotRing, WINDOWS } from './slots.ts'

/** Hours of the day, apart for working days and weekends. */
const CELLS = 48
const MIN_SERVED = 30
/** A field that fewer calls have than this is not missed. */
const MIN_USUAL = 0.1
/** Near none: below this part of the lowest usual share. */
const LOST = 0.2
/** Found again: at least this part of it. */
const FOUND = 0.5
/** Calls that have the field must have become rarer too: a flood of others is no loss. */
const RARER = 0.25
/** How fast a lowest share forgets, per hour of its cell. */
const FORGET = 0.3
const SHORTEST = 0
const LONGEST = 4

/**
 * The share of served calls that have each field. Usual is the lowest share of a window of six slots in the same hour of
 * the day (and its neighbours) on earlier days: callers without the field may have an hour to themselves.
 */
export class FieldShares {
  /** Lowest share by field and cell; -1 = not seen yet. */
  readonly lowest: number[]
  private readonly current = FIELDS.map(() => Number.POSITIVE_INFINITY)

  private readonly slotMs: number

  constructor(slotMs: number, lowest?: readonly number[]) {
    this.slotMs = slotMs
    this.lowest = Array.from({ length: FIELDS.length * CELLS }, (_, i) => lowest?.[i] ?? -1)
  }

  /** Notes the shares of the last six slots. */
  note(ring: SlotRing, learns: readonly boolean[]): void {
    const served = ring.sum(SHORTEST, SERVED)
    if (served < MIN_SERVED) return
    for (let f = 0; f < FIELDS.length; f++) {
      if (learns[f]!) this.current[f] = Math.min(this.current[f]!, share(ring, f, served))
    }
  }

  /** An hour is over: its lowest shares are what is usual from its next day on. */
  closeHour(hourIndex: number): void {
    const cell = levelCell(hourOfWeek(hourIndex))
    for (let f = 0; f < FIELDS.length; f++) {
      const seen = this.current[f]!
      const at = f * CELLS + cell
      const known = this.lowest[at]!
      this.current[f] = Number.POSITIVE_INFINITY
      if (!Number.isFinite(seen)) continue
      this.lowest[at] = known < 0 || seen <= known ? seen : known + FORGET * (seen - known)
    }
  }

  /** Null while the share of the field is as usual or not known. */
  lost(field: number, ring: SlotRing, hourIndex: number, time: number): Finding | null {
    const usual = this.usual(field, hourIndex)
    const served = ring.sum(SHORTEST, SERVED)
    if (usual < MIN_USUAL || served < MIN_SERVED || ring.filled < 3 * WINDOWS[SHORTEST]) return null
    const observed = ring.sum(SHORTEST, SERVED + 1 + field)
    if (observed > LOST * usual * served) return null
    const earlier = ring.sum(LONGEST, SERVED + 1 + field) - observed
    const perWindow = (earlier * WINDOWS[SHORTEST]) / (ring.filled - WINDOWS[SHORTEST])
    if (observed > RARER * perWindow || perWindow < 1) return null
    const windowMs = WINDOWS[SHORTEST] * this.slotMs
    return {
      kind: 'field',
      aspect: FIELDS[field]!,
      observed: observed / served,
      expected: usual,
      since: time - windowMs,
      windowMs,
    }
  }

  /** Whether enough calls have it again; `expected` is what was usual when it was lost. */
  found(field: number, ring: SlotRing, expected: number): boolean {
    const served = ring.sum(SHORTEST, SERVED)
    return served >= MIN_SERVED && share(ring, field, served) >= FOUND * expected
  }

  private usual(field: number, hourIndex: number): number {
    let usual = this.at(field, hourIndex)
    if (usual < 0) return -1
    for (const near of [this.at(field, hourIndex - 1), this.at(field, hourIndex + 1)]) {
      if (near >= 0) usual = Math.min(usual, near)
    }
    return usual
  }

  private at(field: number, hourIndex: number): number {
    return this.lowest[field * CELLS + levelCell(hourOfWeek(hourIndex))]!
  }
}

function share(ring: SlotRing, field: number, served: number): number {
  return ring.sum(SHORTEST, SERVED + 1 + field) / served
}
