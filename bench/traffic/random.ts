/** Seeded random numbers of the traffic (sfc32, public domain by C. Doty-Humphrey). */
export class Random {
  private a: number
  private b: number
  private c: number
  private d = 1

  constructor(...seed: readonly number[]) {
    this.a = hash(0x9e3779b9, ...seed)
    this.b = hash(0x243f6a88, ...seed)
    this.c = hash(0xb7e15162, ...seed)
    for (let i = 0; i < 12; i++) this.next()
  }

  /** Uniform in [0, 1). */
  next(): number {
    const t = (((this.a + this.b) | 0) + this.d) | 0
    this.d = (this.d + 1) | 0
    this.a = this.b ^ (this.b >>> 9)
    this.b = (this.c + (this.c << 3)) | 0
    this.c = (this.c << 21) | (this.c >>> 11)
    this.c = (this.c + t) | 0
    return (t >>> 0) / 4_294_967_296
  }

  chance(p: number): boolean {
    return this.next() < p
  }

  /** Uniform in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.next()
  }

  /** A whole number from 0 to n - 1. */
  below(n: number): number {
    return Math.floor(this.next() * n)
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)]!
  }

  /** A standard normal deviate (Box and Muller 1958). */
  gaussian(): number {
    return Math.sqrt(-2 * Math.log(1 - this.next())) * Math.cos(2 * Math.PI * this.next())
  }

  logNormal(median: number, sigma: number): number {
    return median * Math.exp(sigma * this.gaussian())
  }

  exponential(mean: number): number {
    return -mean * Math.log(1 - this.next())
  }

  /** Knuth's product for small means, the rounded normal beyond. */
  poisson(mean: number): number {
    if (mean > 40) return Math.max(0, Math.round(mean + Math.sqrt(mean) * this.gaussian()))
    const limit = Math.exp(-mean)
    let n = 0
    for (let product = this.next(); product > limit; product *= this.next()) n++
    return n
  }

  /** At least 1; geometric with this mean. */
  geometric(mean: number): number {
    return mean <= 1 ? 1 : 1 + Math.floor(Math.log(1 - this.next()) / Math.log(1 - 1 / mean))
  }

  /** The place in cumulative weights where a uniform draw falls. */
  weighted(cumulative: ArrayLike<number>, from = 0, count = cumulative.length): number {
    const x = this.next() * cumulative[from + count - 1]!
    for (let i = 0; i < count - 1; i++) if (x < cumulative[from + i]!) return i
    return count - 1
  }

  /** In place (Fisher and Yates). */
  shuffle<T>(list: T[]): T[] {
    for (let i = list.length - 1; i > 0; i--) {
      const j = this.below(i + 1)
      ;[list[i], list[j]] = [list[j]!, list[i]!]
    }
    return list
  }
}

/** 32 bits from numbers (murmur3's finalizer over each). */
export function hash(...parts: readonly number[]): number {
  let h = 0x811c9dc5
  for (const part of parts) h = mix(h ^ Math.imul(part | 0, 0xcc9e2d51) ^ Math.floor(part / 4_294_967_296))
  return h >>> 0
}

/** A bijection of 32 bits (murmur3's finalizer). */
export function mix(x: number): number {
  let h = x
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return (h ^ (h >>> 16)) >>> 0
}

/** Cumulative sums, as {@link Random.weighted} wants them. */
export function cumulative(weights: readonly number[]): Float64Array {
  let sum = 0
  return Float64Array.from(weights, (w) => {
    sum += w
    return sum
  })
}
