import type { AccessEvent } from '../core/event.ts'

/** Calls per generation; a repeat is recognised for at least this many later calls of the partition. */
export const GENERATION = 65_536
/** A power of two, so that a place in a table is a mask away. */
const SLOTS = GENERATION * 2
/** Request ids of which the last with the same place is remembered. A power of two. */
const IDS = 65_536
/** Keys remembered in the order of their calls: as many as two generations hold. */
const ORDER = GENERATION * 2

/**
 * Recognises a call that the log delivered twice: same gateway request id and same content. A reused id
 * with other content is another call, and counted. Two generations of open-addressing tables, so memory and horizon
 * are fixed and the answer depends on the sequence of calls alone.
 */
export class DuplicateFilter {
  private readonly seed: number
  private current = new Float64Array(SLOTS)
  private previous = new Float64Array(SLOTS)
  private readonly order = new Float64Array(ORDER)
  /** Keys accepted since the beginning. */
  private accepted = 0
  private exported = 0
  /** A hash of the last id at each place. Only for counting, so it is not stored. */
  private readonly ids = new Int32Array(IDS)
  /** Whether the last call, seen for the first time, had the id of an earlier one, as far as remembered. */
  reusedId = false
  private idHash = 0

  constructor(seed: number) {
    this.seed = seed
  }

  /** True when the call was seen before; remembers it otherwise. */
  seen(event: AccessEvent): boolean {
    const key = this.keyOf(event)
    this.reusedId = false
    if (find(this.previous, key) || find(this.current, key)) return true
    this.insert(key)
    const place = this.idHash & (IDS - 1)
    this.reusedId = this.ids[place] === this.idHash
    this.ids[place] = this.idHash
    return false
  }

  private insert(key: number): void {
    if (this.accepted > 0 && this.accepted % GENERATION === 0) {
      const oldest = this.previous
      this.previous = this.current
      this.current = oldest.fill(0)
    }
    add(this.current, key)
    this.order[this.accepted % ORDER] = key
    this.accepted++
  }

  private keyOf(event: AccessEvent): number {
    // Twice, so that two ids whose halves agree once are still told apart.
    const highOfId = mixText(this.seed, event.id)
    const lowOfId = mixText(this.seed ^ 0x5bd1e995, event.id)
    this.idHash = finish(lowOfId)
    const high = mixOutcome(highOfId, event)
    const low = mixTexts(mixAmounts(lowOfId, event), event)
    // 53 bits: a positive integer that a double holds exactly; 0 marks an empty slot.
    return (finish(high) >>> 0) * 2_097_152 + (finish(low) >>> 11) + 1
  }

  /** Keys accepted since the last export and still remembered, with the number of the first; null when there are none. */
  exportNew(): { first: number; keys: Float64Array } | null {
    const first = Math.max(this.exported, this.horizon)
    const count = this.accepted - first
    if (count === 0) return null
    const keys = new Float64Array(count)
    for (let i = 0; i < count; i++) keys[i] = this.order[(first + i) % ORDER]!
    this.exported = this.accepted
    return { first, keys }
  }

  /** First key number still needed; older exports may be deleted. */
  get horizon(): number {
    return Math.max(0, (Math.ceil(this.accepted / GENERATION) - 2) * GENERATION)
  }

  /** Puts exported keys back. Between two exports whole generations may be missing that were forgotten by then. */
  restore(exports: readonly { first: number; keys: Float64Array }[]): void {
    for (const { first, keys } of [...exports].sort((a, b) => a.first - b.first)) {
      if (first !== this.accepted) {
        this.current.fill(0)
        this.previous.fill(0)
        this.accepted = first
      }
      for (const key of keys) this.insert(key)
    }
    this.exported = this.accepted
  }
}

// Functions of their own, small enough that the compiler inlines what they call: in one it does not, at three times the cost.

function mixOutcome(h: number, { time, status, responseBytes, requestBytes }: AccessEvent): number {
  return mix(mix(mix(mix(h, time), status ?? -1), responseBytes ?? -1), requestBytes ?? -1)
}

function mixAmounts(h: number, { records, latencyMs }: AccessEvent): number {
  return mix(mix(h, records ?? -1), latencyMs ?? -1)
}

function mixTexts(h: number, { tenant, principal, method, path }: AccessEvent): number {
  return mixText(mixText(mixText(mixText(h, tenant), principal.id), method), path)
}

/** Folds a text and where it ends, so that neighbouring texts cannot run into each other. */
function mixText(h: number, text: string): number {
  const { length } = text
  let i = 0
  for (; i + 4 <= length; i += 4) {
    const a = text.charCodeAt(i)
    const b = text.charCodeAt(i + 1)
    const c = text.charCodeAt(i + 2)
    const d = text.charCodeAt(i + 3)
    h = scatter(h ^ (a | (b << 8) | (c << 16) | (d << 24)))
    // Units that a byte does not hold overlap in the word above, so they are folded once more where they do not.
    if ((a | b | c | d) > 255) h = scatter(scatter(h ^ (a | (b << 16))) ^ (c | (d << 16)))
  }
  for (; i < length; i++) h = scatter(h ^ text.charCodeAt(i))
  return scatter(h ^ length)
}

/**
 * Two multiplications: behind one, a difference in the highest bit stays a known difference whatever the seed is, and the
 * next word of a text could take it back.
 */
function scatter(h: number): number {
  h = Math.imul(h, 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 15), 0xc2b2ae35)
  return h ^ (h >>> 13)
}

function mix(h: number, value: number): number {
  let k = Math.imul(value | 0, 0xcc9e2d51) ^ Math.imul((value / 4_294_967_296) | 0, 0x85ebca6b)
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
  let at = key & (SLOTS - 1)
  for (;;) {
    const found = table[at]!
    if (found === key) return true
    if (found === 0) return false
    at = (at + 1) & (SLOTS - 1)
  }
}

function add(table: Float64Array, key: number): void {
  let at = key & (SLOTS - 1)
  while (table[at] !== 0) at = (at + 1) & (SLOTS - 1)
  table[at] = key
}
