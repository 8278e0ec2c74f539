import { START } from './calendar.ts'
import { hash, mix, type Random } from './random.ts'

/** Objects that exist when the log begins are scattered over the ids; this many more fit behind them. */
const NEVER = 1_000_000_000

/**
 * The objects of a tenant. Each caller owns a stretch of numbers; a keyed permutation per resource turns the
 * numbers into ids, so that neighbours in id have owners without relation, as ids given out in turn have.
 */
export class ObjectSpace {
  private readonly half: number
  private readonly mask: number
  readonly seed: number
  /** Objects per resource at the start of the log. */
  readonly count: number

  constructor(seed: number, count: number) {
    this.seed = seed
    this.count = count
    this.half = Math.max(1, Math.ceil(Math.log2(Math.max(4, count)) / 2))
    this.mask = 2 ** this.half - 1
  }

  /** An object that is made at this time: ids follow on with time, with gaps. */
  made(time: number, random: Random): number {
    return this.count + Math.floor((time - START) / 1_000) * 4 + random.below(4)
  }

  /** An object that does not exist. */
  missing(random: Random): number {
    return NEVER + random.below(NEVER)
  }

  exists(object: number): boolean {
    return object < NEVER
  }

  /** The id in a path. */
  idText(resource: number, uuid: boolean, object: number): string {
    if (uuid) return uuidText(this.seed, resource, object)
    return `${base(resource) + (object < this.count ? this.permuted(resource, object) : object)}`
  }

  /** The object whose id is the n-th of the resource. */
  nth(resource: number, n: number): number {
    let x = n % this.count
    do x = this.back(resource, x)
    while (x >= this.count)
    return x
  }

  private permuted(resource: number, object: number): number {
    let x = object
    do x = this.forth(resource, x)
    while (x >= this.count)
    return x
  }

  /** A Feistel network of four rounds; walked until it falls into range. */
  private forth(resource: number, x: number): number {
    let left = Math.floor(x / (this.mask + 1))
    let right = x & this.mask
    for (let round = 0; round < 4; round++) {
      ;[left, right] = [right, left ^ (this.round(resource, round, right) & this.mask)]
    }
    return left * (this.mask + 1) + right
  }

  private back(resource: number, x: number): number {
    let left = Math.floor(x / (this.mask + 1))
    let right = x & this.mask
    for (let round = 3; round >= 0; round--) {
      ;[left, right] = [right ^ (this.round(resource, round, left) & this.mask), left]
    }
    return left * (this.mask + 1) + right
  }

  private round(resource: number, round: number, value: number): number {
    return mix(this.seed ^ mix(value + 0x1000 * round + 0x9e37 * resource))
  }
}

function base(resource: number): number {
  return 10_000 + 7_919 * resource
}

const HEX = Array.from({ length: 65_536 }, (_, i) => i.toString(16).padStart(4, '0'))

/** 32 bits as eight digits. */
export function hex32(x: number): string {
  return HEX[x >>> 16]! + HEX[x & 65_535]!
}

/** A version 4 UUID made from three numbers. */
export function uuidText(a: number, b: number, c: number): string {
  const w = hash(a, b, c)
  const x = mix(w ^ 0x5bd1e995)
  const y = mix(x + c)
  const z = mix(y ^ w ^ 0x1b873593)
  const third = HEX[0x4000 | (x & 0xfff)]!
  const fourth = HEX[0x8000 | (y & 0x3fff)]!
  return `${hex32(w)}-${HEX[x >>> 16]!}-${third}-${fourth}-${HEX[y >>> 16]!}${hex32(z)}`
}
