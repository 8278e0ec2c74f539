import { KnownText } from './text-table.ts'

export const NO_TEXTS: readonly string[] = Object.freeze([])

/** What stands in a slot. */
export const ABSENT = 0
export const TEXT = 1
export const NUMBER = 2
export const TRUE = 3
export const FALSE = 4
export const NULL = 5
export const ARRAY = 6
export const OBJECT = 7

/**
 * The watched members of one line, as either parser found them. Text has no lone surrogates. A slot that
 * was stated twice is ABSENT: which of the two is true cannot be known.
 */
export interface Fields {
  kind(slot: number): number
  /** Only for TEXT. */
  text(slot: number): string
  /** Only for TEXT that is likely to come again, such as names: the same text mostly gives the same object. */
  known(slot: number): KnownText
  /** Only for TEXT: what stands before the first `?`, cut to `max` characters. */
  textBeforeQuery(slot: number, max: number): string
  /** Only for TEXT: what stands behind the first `?`, cut to `max` characters; empty when there is none. */
  query(slot: number, max: number): string
  /** Only for NUMBER; may be infinite or NaN where the line said so. */
  number(slot: number): number
  /** Only for ARRAY: its members when all of them are texts, else null. */
  texts(slot: number): readonly string[] | null
  /** The value as `JSON.parse` gives it; undefined when absent. */
  value(slot: number): unknown
}

/** The list when it holds texts only, else null. */
export function textsIn(list: unknown): readonly string[] | null {
  if (!Array.isArray(list) || !list.every((item) => typeof item === 'string')) return null
  return list.length === 0 ? NO_TEXTS : list.map(wellFormed)
}

/** Replaces halves of surrogate pairs, which no UTF-8 output could carry. */
export function wellFormed(text: string): string {
  return text.replace(/\p{Surrogate}/gu, '\ufffd')
}

/** Fields as plain values, from the strict parser or from what could be salvaged of a line. */
export class ValueFields implements Fields {
  readonly #values: readonly unknown[]

  constructor(values: readonly unknown[]) {
    this.#values = values
  }

  kind(slot: number): number {
    const value = this.#values[slot]
    if (value === undefined) return ABSENT
    if (value === null) return NULL
    if (typeof value === 'string') return TEXT
    if (typeof value === 'number') return NUMBER
    if (typeof value === 'boolean') return value ? TRUE : FALSE
    return Array.isArray(value) ? ARRAY : OBJECT
  }

  text(slot: number): string {
    const value = this.#values[slot]
    return typeof value === 'string' ? wellFormed(value) : ''
  }

  known(slot: number): KnownText {
    return new KnownText(this.text(slot))
  }

  textBeforeQuery(slot: number, max: number): string {
    return beforeQuery(this.text(slot), max)
  }

  query(slot: number, max: number): string {
    return afterQuery(this.text(slot), max)
  }

  number(slot: number): number {
    const value = this.#values[slot]
    return typeof value === 'number' ? value : Number.NaN
  }

  texts(slot: number): readonly string[] | null {
    return textsIn(this.#values[slot])
  }

  value(slot: number): unknown {
    const value = this.#values[slot]
    return typeof value === 'string' ? wellFormed(value) : value
  }
}

/** A copy of what stands before the first `?`, at most `max` characters of it. */
export function beforeQuery(text: string, max: number): string {
  const query = text.indexOf('?')
  const end = Math.min(query < 0 ? text.length : query, max)
  return end === text.length ? text : Buffer.from(text.slice(0, end), 'utf8').toString('utf8')
}

/** A copy of what stands behind the first `?`, at most `max` characters of it. */
export function afterQuery(text: string, max: number): string {
  const query = text.indexOf('?')
  if (query < 0) return ''
  return Buffer.from(text.slice(query + 1, query + 1 + max), 'utf8').toString('utf8')
}
