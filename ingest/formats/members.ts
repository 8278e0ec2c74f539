import { ABSENT, type Fields, NULL, NUMBER, TEXT } from './json-fields.ts'
import type { Line } from './line.ts'
import type { KnownText } from './text-table.ts'

/** Members that hold what a client wrote. */
const CLIENT_TEXTS = ['uri', 'query', 'userAgent']

/** Slots by the names that a mapping gives to members. */
export type Slots = Readonly<Record<string, number>>

/**
 * The members of one line as gateways with hand-written log formats fill them: numbers may be texts, and an
 * empty text, `-` or null means that there was nothing.
 */
export class Members {
  readonly line: Line
  readonly #f: Fields
  readonly #slots: Slots

  readonly #paths: Readonly<Record<string, string>>

  constructor(f: Fields, slots: Slots, paths: Readonly<Record<string, string>>, line: Line) {
    this.#paths = paths
    this.#f = f
    this.#slots = slots
    this.line = line
  }

  slot(name: string): number {
    return this.#slots[name] ?? -1
  }

  /** Whether the line has the member at all, be it empty. */
  isWritten(name: string): boolean {
    const slot = this.slot(name)
    return slot >= 0 && this.#f.kind(slot) !== ABSENT
  }

  /** Whether the member says something. */
  states(name: string): boolean {
    const slot = this.slot(name)
    if (slot < 0) return false
    const kind = this.#f.kind(slot)
    if (kind === TEXT) return !isNothing(this.#f.known(slot).text)
    return kind !== ABSENT && kind !== NULL
  }

  /** The text with what is remembered of it; null when there is none. */
  known(name: string): KnownText | null {
    const slot = this.slot(name)
    if (slot < 0 || this.#f.kind(slot) !== TEXT) return null
    const known = this.#f.known(slot)
    return isNothing(known.text) ? null : known
  }

  /** The text, or the first of a list of texts (a header that was sent twice). */
  text(name: string): string | null {
    const known = this.known(name)
    if (known !== null) return known.text
    const value = this.value(name)
    const first: unknown = Array.isArray(value) ? value[0] : null
    return typeof first === 'string' && !isNothing(first) ? first : null
  }

  /** A text that may name somebody: no token, not too long, not garbled. */
  name(name: string): string | null {
    return this.known(name) === null ? null : this.line.name(this.#f, this.slot(name))
  }

  /** A number, also one in text; null when there is none; NaN when it is something else. */
  number(name: string): number | null {
    const slot = this.slot(name)
    if (slot < 0) return null
    const kind = this.#f.kind(slot)
    if (kind === NUMBER) return this.#f.number(slot)
    if (kind !== TEXT) return kind === ABSENT || kind === NULL ? null : Number.NaN
    const { text } = this.#f.known(slot)
    if (isNothing(text)) return null
    return /^-?\d{1,32}(?:\.\d{1,32})?$/.test(text) ? Number(text) : Number.NaN
  }

  /**
   * Whether the member is stated in front of every text that a client chose, so that none of these can have
   * put it there. Looks at the bytes: a key that is spelt with escapes is not in front.
   */
  isInFront(name: string): boolean {
    if (!this.states(name)) return false
    const { bytes } = this.line
    const place = (member: string) => bytes.indexOf(`"${this.#paths[member]?.split('.').at(-1)}"`)
    const own = place(name)
    return own >= 0 && CLIENT_TEXTS.every((text) => !this.isWritten(text) || own < place(text))
  }

  value(name: string): unknown {
    const slot = this.slot(name)
    return slot < 0 ? undefined : this.#f.value(slot)
  }
}

/** How log formats spell that a variable was empty. */
export function isNothing(text: string): boolean {
  return text === '' || text === '-'
}
