import type { ShapeNode } from './json-shape.ts'

/** Longer keys are read byte by byte each time. */
const MAX_KEY_BYTES = 48
/** Keys remembered of one object; hostile lines with ever new keys only displace each other. */
const MAX_KEYS = 64

/**
 * A member of an object as it was last seen: its bytes from the opening quote to the colon, and which
 * member came next. A gateway writes its members in much the same order in every line, so a scanner tries
 * the expected bytes, four at a time, before it reads a key. A wrong guess costs time, never an answer.
 */
export class SeenKey {
  /** What the shape says about this member; null when nobody reads it. */
  readonly node: ShapeNode | null
  /** Bytes of `"key":`. */
  readonly length: number
  /** The member that last followed this one; null when none did. */
  next: SeenKey | null = null
  /** The first member of the object that is this member's value. */
  inside: SeenKey | null = null
  /** Little-endian words at 0, 4, 8 and so on; the last ends with the last byte, so it may overlap. */
  readonly #words: Int32Array
  readonly #within: SeenKey[] = []

  /** `from` and `to` enclose `"key":` in the bytes that `view` looks at. */
  constructor(node: ShapeNode | null, view: DataView, from: number, to: number) {
    this.node = node
    this.length = to - from
    const count = this.length < 4 ? 0 : (this.length + 3) >> 2
    this.#words = Int32Array.from({ length: count }, (_, i) =>
      view.getInt32(Math.min(from + 4 * i, to - 4), true),
    )
  }

  /** Whether exactly these bytes stand at `at`; `end` is the end of the line. Both count from the view's start. */
  standsAt(view: DataView, at: number, end: number): boolean {
    const tail = at + this.length - 4
    if (tail + 4 > end) return false
    const words = this.#words
    const last = words.length - 1
    // Keys of a log line share their beginnings more often than their ends.
    if (last < 0 || view.getInt32(tail, true) !== words[last]) return false
    for (let i = 0, p = at; i < last; i++, p += 4) if (view.getInt32(p, true) !== words[i]) return false
    return true
  }

  /** The remembered member of this object with the key at `from`; null when it is new. */
  find(view: DataView, from: number, to: number): SeenKey | null {
    for (const key of this.#within) if (key.length === to - from && key.standsAt(view, from, to)) return key
    return null
  }

  /** Remembers a member of this object; false when it is not worth it. */
  keep(key: SeenKey): boolean {
    if (key.length > MAX_KEY_BYTES || key.length < 4) return false
    if (this.#within.length >= MAX_KEYS) this.#within.length = 0
    this.#within.push(key)
    return true
  }
}
