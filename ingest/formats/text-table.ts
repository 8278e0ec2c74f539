import type { Principal } from '../../core/event.ts'
import type { Address } from '../principal-address.ts'

/** Room for one text and its length; longer texts are not kept. A cache line. */
const KEY_BYTES = 64

/** The end of a text tells names apart best (serial numbers, last groups of a UUID). */
const HASHED_BYTES = 16

/** A repeated text, and what was derived from it: who it names, as an address or as a caller's id, or how many. */
export class KnownText {
  readonly text: string
  /** Undefined until asked for; null when the text is no address. */
  address: Address | null | undefined = undefined
  principal: Principal | null = null
  /** Whether it is a token rather than a name; undefined until asked for. */
  token: boolean | undefined = undefined
  /** The number of records that it states; undefined until asked for, null when it states none. */
  count: number | null | undefined = undefined
  /** What an event keeps of it as a user agent; null until asked for. */
  agent: string | null = null

  constructor(text: string) {
    this.text = text
  }
}

/**
 * Gives the same object for the same ASCII bytes as long as its place in the table is not taken by
 * another: repeated names cost no allocation. A direct-mapped table of fixed size; texts that collide only
 * displace each other, so nobody can make it slow or large, whatever the seed.
 */
export class TextTable {
  readonly #entries: KnownText[]
  /** The bytes of each entry behind their length: comparing here spares touching the strings. */
  readonly #keys: Uint8Array
  readonly #mask: number
  readonly #seed: number

  constructor(bits: number, seed: number) {
    this.#entries = Array.from({ length: 2 ** bits }, () => NOTHING)
    this.#keys = new Uint8Array(2 ** bits * KEY_BYTES)
    this.#mask = 2 ** bits - 1
    this.#seed = seed | 0
  }

  /** The entry of plain ASCII bytes. */
  find(bytes: Buffer, start: number, end: number): KnownText {
    const length = end - start
    if (length >= KEY_BYTES) return new KnownText(bytes.toString('latin1', start, end))
    let h = this.#seed ^ length
    for (let p = length > HASHED_BYTES ? end - HASHED_BYTES : start; p < end; p++)
      h = Math.imul(h ^ bytes[p]!, 0x01000193)
    h ^= h >>> 15
    const place = h & this.#mask
    const keys = this.#keys
    const key = place * KEY_BYTES
    if (keys[key] === length) {
      let i = 0
      while (i < length && keys[key + 1 + i] === bytes[start + i]) i++
      if (i === length) return this.#entries[place]!
    }
    return this.#replace(place, bytes, start, end)
  }

  #replace(place: number, bytes: Buffer, start: number, end: number): KnownText {
    const entry = new KnownText(bytes.toString('latin1', start, end))
    const key = place * KEY_BYTES
    this.#keys[key] = end - start
    for (let p = start; p < end; p++) this.#keys[key + 1 + p - start] = bytes[p]!
    this.#entries[place] = entry
    return entry
  }
}

const NOTHING = new KnownText('')
