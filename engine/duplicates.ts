import type { AccessEvent } from '../core/event.ts'
import { hash32 } from '../core/hash.ts'

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
    let h = hash32(event.id, this.seed)
    const low = hash32(event.id, h ^ 0x5bd1e995)
    h = mix(h, event.time)
    h = mix(h, event.status ?? -1)
    h = mix(h, event.responseBytes ?? -1)
    h = mix(h, event.path.length)
    // 53 bits: a positive integer that a double holds exactly; 0 marks an empty slot.
    return (h >>> 0) * 2_097_152 + (low >>> 11) + 1
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
