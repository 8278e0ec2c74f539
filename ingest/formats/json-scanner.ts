import { MAX_DEPTH } from '../format.ts'
import {
  CLOSE_ARRAY,
  CLOSE_OBJECT,
  COLON,
  COMMA,
  OPEN_ARRAY,
  OPEN_OBJECT,
  openBytes,
  plainEnd,
  QUOTE,
  skipLiteral,
  skipNumber,
  skipSpace,
  skipString,
  skipValue,
} from './json-bytes.ts'
import {
  ABSENT,
  ARRAY,
  afterQuery,
  beforeQuery,
  FALSE,
  type Fields,
  NO_TEXTS,
  NULL,
  NUMBER,
  OBJECT,
  TEXT,
  TRUE,
  textsIn,
  wellFormed,
} from './json-fields.ts'
import { MAX_SLOTS, type Shape, type ShapeNode } from './json-shape.ts'
import { SeenKey } from './seen-key.ts'
import { KnownText, type TextTable } from './text-table.ts'

/** A text with escapes; seen as TEXT from outside. */
const ESCAPED_TEXT = 8
const EMPTY = Buffer.alloc(0)
/** All is forgotten when lines have shown this many different keys: few of them can be the gateway's own. */
const MAX_SEEN_KEYS = 2_048

/**
 * Reads the watched members of a JSON object in one pass over its bytes. It checks the whole syntax, but
 * gives up (false) on anything out of the ordinary: a watched key stated twice, an escape in a key of a
 * watched object, bytes beyond ASCII, deep nesting, any error. The strict parser then decides.
 *
 * One scanner holds one line at a time: its fields are valid until the next `scan`.
 */
export class JsonScanner implements Fields {
  readonly #kinds = new Uint8Array(MAX_SLOTS)
  readonly #starts = new Int32Array(MAX_SLOTS)
  readonly #ends = new Int32Array(MAX_SLOTS)
  readonly #texts: TextTable
  #bytes: Buffer = EMPTY
  #view: DataView = new DataView(EMPTY.buffer)
  #shape: Shape | null = null
  #root: SeenKey = new SeenKey(null, this.#view, 0, 0)
  #roots = new WeakMap<Shape, SeenKey>()
  #learnt = 0
  /** Where the key ends that was read last, colon included. */
  #keyEnd = 0

  constructor(texts: TextTable) {
    this.#texts = texts
  }

  /** True when the bytes are one well-formed, ordinary object. */
  scan(bytes: Buffer, shape: Shape): boolean {
    this.#bytes = bytes
    this.#view = openBytes(bytes)
    this.#kinds.fill(ABSENT, 0, shape.nodes.length)
    const start = skipSpace(bytes, 0)
    if (bytes[start] !== OPEN_OBJECT) return false
    const end = this.#members(bytes, this.#rootOf(shape), start + 1, 1)
    return end > 0 && skipSpace(bytes, end) === bytes.length
  }

  /** What earlier lines of this shape taught about the order of members. */
  #rootOf(shape: Shape): SeenKey {
    if (shape === this.#shape && this.#learnt < MAX_SEEN_KEYS) return this.#root
    if (this.#learnt >= MAX_SEEN_KEYS) {
      this.#learnt = 0
      this.#roots = new WeakMap()
    }
    this.#shape = shape
    this.#root = this.#roots.get(shape) ?? new SeenKey(shape.root, this.#view, 0, 0)
    this.#roots.set(shape, this.#root)
    return this.#root
  }

  /**
   * The members of an object whose brace stands before `from`. Members of an object that nobody reads are
   * only checked.
   */
  #members(b: Buffer, object: SeenKey, from: number, depth: number): number {
    if (depth > MAX_DEPTH) return -1
    let p = skipSpace(b, from)
    if (b[p] === CLOSE_OBJECT) return p + 1
    const view = this.#view
    const base = b.byteOffset
    const end = base + b.length
    let key = object.inside
    let previous: SeenKey | null = null
    for (;;) {
      if (key === null || !key.standsAt(view, base + p, end)) {
        key = this.#readKey(b, object, p)
        if (key === null) return -1
        if (previous === null) object.inside = key
        else previous.next = key
        p = this.#keyEnd
      } else {
        p += key.length
      }
      p = skipSpace(b, p)
      p = key.node === null ? this.#unread(b, key, p, depth) : this.#watched(b, key, key.node, p, depth)
      if (p < 0) return -1
      p = skipSpace(b, p)
      const c = b[p]
      if (c === CLOSE_OBJECT) return p + 1
      if (c !== COMMA) return -1
      p = skipSpace(b, p + 1)
      previous = key
      key = key.next
    }
  }

  /** Reads `"key" :` the long way and leaves its end in `#keyEnd`; null when it is odd. */
  #readKey(b: Buffer, object: SeenKey, from: number): SeenKey | null {
    if (b[from] !== QUOTE) return null
    let p = plainEnd(b, from + 1)
    const isPlain = b[p] === QUOTE
    if (!isPlain) {
      // An escape may spell a watched name; where nothing is watched it is only checked.
      p = object.node === null ? skipString(b, p) - 1 : -1
      if (p < 0) return null
    }
    const close = p
    p = skipSpace(b, close + 1)
    if (b[p] !== COLON) return null
    this.#keyEnd = p + 1
    const { byteOffset } = b
    const isExact = isPlain && p === close + 1
    const known = isExact ? object.find(this.#view, byteOffset + from, byteOffset + p + 1) : null
    if (known !== null) return known
    const node = object.node === null ? null : object.node.find(b, from + 1, close)
    const key = new SeenKey(node, this.#view, byteOffset + from, byteOffset + p + 1)
    if (isExact && this.#learnt < MAX_SEEN_KEYS && object.keep(key)) this.#learnt++
    return key
  }

  #unread(b: Buffer, key: SeenKey, start: number, depth: number): number {
    const c = b[start]
    if (c === QUOTE) return skipString(b, start + 1)
    return c === OPEN_OBJECT ? this.#members(b, key, start + 1, depth + 1) : skipValue(b, start, depth)
  }

  #watched(b: Buffer, key: SeenKey, node: ShapeNode, start: number, depth: number): number {
    const slot = node.slot
    if (this.#kinds[slot] !== ABSENT) return -1
    const c = b[start]!
    if (c === QUOTE) return this.#string(b, slot, start + 1)
    let kind = NUMBER
    let end: number
    if (c === OPEN_OBJECT) {
      kind = OBJECT
      this.#kinds[slot] = OBJECT
      end = node.children.size > 0 ? this.#members(b, key, start + 1, depth + 1) : skipValue(b, start, depth)
    } else if (c === OPEN_ARRAY) {
      kind = ARRAY
      end = skipValue(b, start, depth)
    } else if (c === 0x74 || c === 0x66 || c === 0x6e) {
      kind = c === 0x74 ? TRUE : c === 0x66 ? FALSE : NULL
      end = skipLiteral(b, start)
    } else {
      end = skipNumber(b, start)
    }
    this.#kinds[slot] = kind
    this.#starts[slot] = start
    this.#ends[slot] = end
    return end
  }

  #string(b: Buffer, slot: number, start: number): number {
    let p = plainEnd(b, start)
    let kind = TEXT
    if (b[p] !== QUOTE) {
      kind = ESCAPED_TEXT
      p = skipString(b, p) - 1
      if (p < 0) return -1
    }
    this.#kinds[slot] = kind
    this.#starts[slot] = start
    this.#ends[slot] = p
    return p + 1
  }

  kind(slot: number): number {
    const kind = this.#kinds[slot]!
    return kind === ESCAPED_TEXT ? TEXT : kind
  }

  text(slot: number): string {
    const start = this.#starts[slot]!
    const end = this.#ends[slot]!
    if (this.#kinds[slot] === TEXT) return this.#bytes.toString('latin1', start, end)
    return wellFormed(JSON.parse(this.#bytes.toString('latin1', start - 1, end + 1)))
  }

  known(slot: number): KnownText {
    if (this.#kinds[slot] !== TEXT) return new KnownText(this.text(slot))
    return this.#texts.find(this.#bytes, this.#starts[slot]!, this.#ends[slot]!)
  }

  textBeforeQuery(slot: number, max: number): string {
    if (this.#kinds[slot] !== TEXT) return beforeQuery(this.text(slot), max)
    const b = this.#bytes
    const start = this.#starts[slot]!
    const limit = Math.min(this.#ends[slot]!, start + max)
    let end = start
    while (end < limit && b[end] !== 0x3f) end++
    return b.toString('latin1', start, end)
  }

  query(slot: number, max: number): string {
    if (this.#kinds[slot] !== TEXT) return afterQuery(this.text(slot), max)
    const end = this.#ends[slot]!
    let p = this.#starts[slot]!
    while (p < end && this.#bytes[p] !== 0x3f) p++
    return p === end ? '' : this.#bytes.toString('latin1', p + 1, Math.min(end, p + 1 + max))
  }

  number(slot: number): number {
    const b = this.#bytes
    const start = this.#starts[slot]!
    const end = this.#ends[slot]!
    if (end - start > 15) return Number(b.toString('latin1', start, end))
    let n = 0
    for (let p = start; p < end; p++) {
      const digit = b[p]! - 0x30
      if (digit < 0 || digit > 9) return Number(b.toString('latin1', start, end))
      n = n * 10 + digit
    }
    return n
  }

  texts(slot: number): readonly string[] | null {
    const b = this.#bytes
    const texts: string[] = []
    let p = skipSpace(b, this.#starts[slot]! + 1)
    if (b[p] === CLOSE_ARRAY) return NO_TEXTS
    for (;;) {
      const end = b[p] === QUOTE ? plainEnd(b, p + 1) : -1
      if (end < 0 || b[end] !== QUOTE) return textsIn(this.value(slot))
      texts.push(b.toString('latin1', p + 1, end))
      p = skipSpace(b, end + 1)
      if (b[p] === CLOSE_ARRAY) return texts
      p = skipSpace(b, p + 1)
    }
  }

  value(slot: number): unknown {
    const kind = this.kind(slot)
    if (kind === ABSENT) return undefined
    if (kind === TEXT) return this.text(slot)
    if (kind === NUMBER) return this.number(slot)
    return JSON.parse(this.#bytes.toString('latin1', this.#starts[slot]!, this.#ends[slot]!))
  }
}
