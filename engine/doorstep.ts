import { hash32 } from '../core/hash.ts'
import { DAY_MS } from '../core/time.ts'

/** Calls of a day with which a caller that nobody vouches for gets a stored profile. */
export const CALLS_FOR_PROFILE = 8
/** Counters of one stored piece. */
const PIECE = 256
const PIECES = 512
/** Bytes of a stored piece: the day that it counts, and its counters. */
const PIECE_BYTES = 4 + PIECE

/**
 * Counts the calls of strangers without a profile, per day, in fixed memory: one byte per bucket of
 * addresses. Two addresses in one bucket only get their profiles a little sooner.
 */
export class Doorstep {
  private readonly seed: number
  private readonly counters = new Uint8Array(PIECES * PIECE)
  private readonly days = new Uint32Array(PIECES)
  private readonly dirty = new Set<number>()

  constructor(seed: number) {
    this.seed = seed
  }

  /**
   * Counts a call of a stranger at an instant of event time; true from the eighth of the day on. A call
   * dated more than a day beyond `now`, the partition's present (0 before there is one), counts there.
   */
  admits(tenant: string, id: string, at: number, now: number): boolean {
    const place = hash32(`${tenant}\u0000${id}`, this.seed) % (PIECES * PIECE)
    const piece = (place / PIECE) | 0
    const day = Math.floor((now > 0 ? Math.min(at, now + DAY_MS) : at) / DAY_MS)
    if (day > this.days[piece]!) {
      this.days[piece] = day
      this.counters.fill(0, piece * PIECE, (piece + 1) * PIECE)
    }
    const count = this.counters[place]!
    if (count + 1 >= CALLS_FOR_PROFILE) return true
    this.counters[place] = count + 1
    this.dirty.add(piece)
    return false
  }

  /** Pieces changed since the last call, by number. */
  takeChanges(): Map<number, Uint8Array> {
    const pieces = new Map<number, Uint8Array>()
    for (const piece of [...this.dirty].sort((a, b) => a - b)) {
      const bytes = new Uint8Array(PIECE_BYTES)
      new DataView(bytes.buffer).setUint32(0, this.days[piece]!, true)
      bytes.set(this.counters.subarray(piece * PIECE, (piece + 1) * PIECE), 4)
      pieces.set(piece, bytes)
    }
    this.dirty.clear()
    return pieces
  }

  /** Puts a stored piece back; anything else than a piece is left out. */
  restore(piece: number, bytes: Uint8Array): void {
    if (!Number.isInteger(piece) || piece < 0 || piece >= PIECES || bytes.length !== PIECE_BYTES) return
    this.days[piece] = new DataView(bytes.buffer, bytes.byteOffset, bytes.length).getUint32(0, true)
    this.counters.set(bytes.subarray(4), piece * PIECE)
  }
}
