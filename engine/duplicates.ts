import type { AccessEvent } from '../core/event.ts'

/** Calls per generation; a repeat is recognised for at least this many later calls of the partition. */
export const GENERATION = 65_536
const SLOTS = GENERATION * 2

/**
 * Recognises a call that the log delivered twice: same gateway request id and same content. A reused id
 * with other content is another call. Two generations of open-addressing tables, so memory and horizon
 * are fixed and the answer depends on the sequence of calls alone.
 */
export class DuplicateFilter {
  private readonly seed: number
  private current = new Float64Array(SLOTS)
  private previous = new Float64Array(SLOTS)
  private order = new Float64Array(GENERATION)
  /** Keys accepted since the beginning. */
  private accepted = 0
  private exported = 0

  constructor(seed: number) {
    this.seed = seed
  }

  /** True when the call was seen before; remembers it otherwise. */
  seen(event: AccessEvent): boolean {
    const key = this.keyOf(event)
    if (find(this.previous, key) || find(this.current, key)) return true
    this.insert(key)
    return false
  }

  private insert(key: number): void {
    if (this.accepted > 0 && this.accepted % GENERATION === 0) {
      const oldest = this.previous
      this.previous = this.current
      this.current = oldest.fill(0)
    }
    add(this.current, key)
    this.order[this.accepted % GENERATION] = key
    this.accepted++
  }

  private keyOf(event: AccessEvent): number {
    const { id } = event
    let high = this.seed
    let low = this.seed ^ 0x5bd1e995
    for (let i = 0; i < id.length; i++) {
      const unit = id.charCodeAt(i)
      high = Math.imul(high ^ unit, 0x01000193) + (high >>> 15)
      low = Math.imul(low + unit, 0x85ebca6b) ^ (low >>> 13)
    }
    high = mix(high, event.time)
    high = mix(high, event.status ?? -1)
    high = mix(high, event.responseBytes ?? -1)
    low = mix(low, event.path.length)
    // 53 bits: a positive integer that a double holds exactly; 0 marks an empty slot.
    return (finish(high) >>> 0) * 2_097_152 + (finish(low) >>> 11) + 1
  }

  /** Keys accepted since the last export, with the number of the first; null when there are none. */
  exportNew(): { first: number; keys: Float64Array } | null {
    const count = Math.min(this.accepted - this.exported, GENERATION)
    if (count === 0) return null
    const first = this.accepted - count
    const keys = new Float64Array(count)
    for (let i = 0; i < count; i++) keys[i] = this.order[(first + i) % GENERATION]!
    this.exported = this.accepted
    return { first, keys }
  }

  /** First key number still needed; older exports may be deleted. */
  get horizon(): number {
    return Math.max(0, (Math.ceil(this.accepted / GENERATION) - 2) * GENERATION)
  }

  /** Puts exported keys back, oldest first; `first` of the first export must be a multiple of GENERATION or 0 keys precede it. */
  restore(exports: readonly { first: number; keys: Float64Array }[]): void {
    const sorted = [...exports].sort((a, b) => a.first - b.first)
    if (sorted.length === 0) return
    this.accepted = sorted[0]!.first
    for (const part of sorted) for (const key of part.keys) this.insert(key)
    this.exported = this.accepted
  }
}

function mix(h: number, value: number): number {
  let k =
    Math.imul((value % 4_294_967_296) | 0, 0xcc9e2d51) ^ Math.imul((value / 4_294_967_296) | 0, 0x85ebca6b)
  k = (k << 15) | (k >>> 17)
  h ^= Math.imul(k, 0x1b873593)
  h = (h << 13) | (h >>> 19)
  return (Math.imul(h, 5) + 0xe6546b64) | 0
}

function finish(h: number): number {
  h ^= h >>> 16
  h = Math.imul(h, 0x85ebca6b)
  h ^= h >>> 13
  h = Math.imul(h, 0xc2b2ae35)
  return h ^ (h >>> 16)
}

function find(table: Float64Array, key: number): boolean {
  let at = key % SLOTS
  for (;;) {
    const found = table[at]!
    if (found === key) return true
    if (found === 0) return false
    at = (at + 1) % SLOTS
  }
}

function add(table: Float64Array, key: number): void {
  let at = key % SLOTS
  while (table[at] !== 0) at = (at + 1) % SLOTS
  table[at] = key
}
