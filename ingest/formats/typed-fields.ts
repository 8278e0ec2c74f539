import { cutText } from '../scrub.ts'
import { ABSENT, ARRAY, FALSE, type Fields, NULL, NUMBER, OBJECT, TEXT, TRUE } from './json-fields.ts'
import type { ShapeNode } from './json-shape.ts'
import type { Line } from './line.ts'

/**
 * Reads members that must have the right type when they are there at all. The first that has not is noted
 * on the line; `failed` then says that the line is to be rejected.
 */
export class TypedFields {
  readonly #f: Fields
  readonly #nodes: readonly ShapeNode[]
  readonly #line: Line
  failed = false

  constructor(f: Fields, nodes: readonly ShapeNode[], line: Line) {
    this.#f = f
    this.#nodes = nodes
    this.#line = line
  }

  #wrong(reason: 'wrong-type' | 'bad-number', slot: number): null {
    this.failed = true
    return this.#line.nothing(reason, this.#nodes[slot]?.path ?? '', this.#f.value(slot) ?? null)
  }

  missing(slot: number): null {
    this.failed = true
    return this.#line.nothing('missing-field', this.#nodes[slot]?.path ?? '')
  }

  wrongType(slot: number): null {
    return this.#wrong('wrong-type', slot)
  }

  /** True when the member is neither absent nor null. */
  states(slot: number): boolean {
    const kind = this.#f.kind(slot)
    return kind !== ABSENT && kind !== NULL
  }

  text(slot: number, max: number): string | null {
    const kind = this.#f.kind(slot)
    if (kind === TEXT) return cutText(this.#f.text(slot), max)
    return kind === ABSENT || kind === NULL ? null : this.#wrong('wrong-type', slot)
  }

  /** As {@link text}, for texts that are likely to come again. */
  repeated(slot: number, max: number): string | null {
    return this.#f.kind(slot) === TEXT ? cutText(this.#f.known(slot).text, max) : this.text(slot, max)
  }

  oneOf<T extends string>(slot: number, allowed: readonly T[]): T | null {
    const kind = this.#f.kind(slot)
    if (kind === ABSENT || kind === NULL) return null
    if (kind !== TEXT) return this.#wrong('wrong-type', slot)
    const text = this.#f.known(slot).text
    return allowed.find((word) => word === text) ?? this.#wrong('wrong-type', slot)
  }

  flag(slot: number, otherwise: boolean): boolean {
    const kind = this.#f.kind(slot)
    if (kind === TRUE || kind === FALSE) return kind === TRUE
    if (kind !== ABSENT) this.#wrong('wrong-type', slot)
    return otherwise
  }

  /** A number of at least 0; whole unless `fractions`. */
  amount(slot: number, max: number, fractions = false): number | null {
    const kind = this.#f.kind(slot)
    if (kind === ABSENT || kind === NULL) return null
    if (kind !== NUMBER) return this.#wrong('wrong-type', slot)
    const value = this.#f.number(slot)
    const usable = value >= 0 && value <= max && (fractions || Number.isInteger(value))
    return usable ? value + 0 : this.#wrong('bad-number', slot)
  }

  texts(slot: number, maxItems: number, maxChars: number): readonly string[] | null {
    const kind = this.#f.kind(slot)
    if (kind === ABSENT || kind === NULL) return null
    const list = kind === ARRAY ? this.#f.texts(slot) : null
    if (list === null) return this.#wrong('wrong-type', slot)
    return list.length === 0 ? list : list.slice(0, maxItems).map((item) => cutText(item, maxChars))
  }

  /** Whether the member is an object; anything else but absence and null is wrong. */
  object(slot: number): boolean {
    const kind = this.#f.kind(slot)
    if (kind === OBJECT) return true
    if (kind !== ABSENT && kind !== NULL) this.#wrong('wrong-type', slot)
    return false
  }
}
