import { CurfewError } from '../../../core/errors.ts'

/** Compressed data that is damaged or would grow beyond the bound. */
export function badCompression(codec: string, problem: string): CurfewError {
  return new CurfewError('LOG_UNREACHABLE', `cannot decompress ${codec} data: ${problem}`)
}

const FIRST_CAPACITY = 65_536

/** Collects decompressed bytes, grows as needed and never beyond `limit`. */
export class BoundedOutput {
  readonly #codec: string
  readonly #limit: number
  #bytes: Buffer
  #length = 0

  constructor(codec: string, limit: number, expected: number = FIRST_CAPACITY) {
    this.#codec = codec
    this.#limit = limit
    this.#bytes = Buffer.allocUnsafe(Math.min(Math.max(expected, 1), limit))
  }

  get length(): number {
    return this.#length
  }

  /** Appends `count` bytes of `source` from `start`. */
  append(source: Uint8Array, start: number, count: number): void {
    if (count < 0 || start + count > source.length) throw badCompression(this.#codec, 'it ends too early')
    this.#reserve(count)
    this.#bytes.set(source.subarray(start, start + count), this.#length)
    this.#length += count
  }

  /** Appends `count` bytes that stand `distance` bytes back; the ranges may overlap (LZ77). */
  repeat(distance: number, count: number): void {
    if (distance < 1 || distance > this.#length)
      throw badCompression(this.#codec, 'a match points before its start')
    this.#reserve(count)
    const bytes = this.#bytes
    const from = this.#length - distance
    if (distance >= count) bytes.copyWithin(this.#length, from, from + count)
    else for (let i = 0; i < count; i += 1) bytes[this.#length + i] = bytes[from + i] ?? 0
    this.#length += count
  }

  result(): Buffer {
    return this.#bytes.subarray(0, this.#length)
  }

  #reserve(count: number): void {
    const needed = this.#length + count
    if (needed > this.#limit) throw badCompression(this.#codec, `more than ${this.#limit} bytes come out`)
    if (needed <= this.#bytes.length) return
    const grown = Buffer.allocUnsafe(Math.min(this.#limit, Math.max(needed, this.#bytes.length * 2)))
    grown.set(this.#bytes.subarray(0, this.#length))
    this.#bytes = grown
  }
}
