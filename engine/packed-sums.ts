/** Sums beyond this would no longer be exact once packed. */
const MAX_EXACT = 2 ** 51

/**
 * Packs integers into base64: small ones into one byte, runs of zeros into two. Most counters of a young
 * installation are zero, and whole records of sums go over the wire to every partition. Throws a RangeError for
 * anything but integers whose size stays below 2^51.
 */
export function packIntegers(values: Float64Array): string {
  const bytes: number[] = []
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!
    if (!Number.isInteger(value) || Math.abs(value) >= MAX_EXACT) {
      throw new RangeError(`sums are integers below 2^51, not ${value}`)
    }
    // Zigzag: a sign bit at the low end keeps small negative numbers small.
    push(bytes, value < 0 ? -2 * value - 1 : 2 * value)
    if (value !== 0) continue
    let run = 1
    while (values[i + run] === 0) run++
    push(bytes, run)
    i += run - 1
  }
  return Buffer.from(bytes).toString('base64')
}

/** The integers that {@link packIntegers} packed; null when the text is damaged or holds another number of them. */
export function unpackIntegers(text: string, length: number): Float64Array | null {
  const reader = new Reader(Buffer.from(text, 'base64'))
  const values = new Float64Array(length)
  for (let i = 0; i < length; i++) {
    const code = reader.next()
    if (code === null) return null
    if (code === 0) {
      const run = reader.next()
      if (run === null || run < 1 || run > length - i) return null
      i += run - 1
    } else values[i] = code % 2 === 0 ? code / 2 : -(code + 1) / 2
  }
  return reader.atEnd ? values : null
}

/** Base 128, low digits first; arithmetic instead of bits, because the numbers need more than 32. */
function push(bytes: number[], code: number): void {
  let rest = code
  for (; rest >= 128; rest = Math.floor(rest / 128)) bytes.push((rest % 128) + 128)
  bytes.push(rest)
}

class Reader {
  private readonly bytes: Uint8Array
  private at = 0

  constructor(bytes: Uint8Array) {
    this.bytes = bytes
  }

  get atEnd(): boolean {
    return this.at === this.bytes.length
  }

  next(): number | null {
    let code = 0
    for (let unit = 1; unit < 2 * MAX_EXACT; unit *= 128) {
      const byte = this.bytes[this.at++]
      if (byte === undefined) return null
      code += (byte % 128) * unit
      if (byte < 128) return code
    }
    return null
  }
}
