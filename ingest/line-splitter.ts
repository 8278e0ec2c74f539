import { MAX_LINE_BYTES } from './format.ts'

const LF = 0x0a
const CR = 0x0d
const BOM = [0xef, 0xbb, 0xbf] as const
/** A line may come with a byte order mark and a CR that do not count towards its length. */
const MAX_HELD_BYTES = MAX_LINE_BYTES + BOM.length + 1
const FIRST_CAPACITY = 4_096

/** Called with each line without its end; `truncated` when only its first {@link MAX_LINE_BYTES} are given. */
export type OnLine = (bytes: Uint8Array, truncated: boolean) => void

/**
 * Cuts a stream of chunks into lines at LF or CRLF. Lines within one chunk are views of it (valid as long
 * as the caller does not reuse the chunk). Holds at most one line of {@link MAX_LINE_BYTES}; the rest of a
 * longer one is skipped. Empty lines are not delivered. A byte order mark at the start is dropped.
 */
export class LineSplitter {
  #held: Buffer | null = null
  #heldBytes = 0
  #overflowed = false
  #atStart = true

  push(chunk: Uint8Array, onLine: OnLine): void {
    let start = 0
    for (;;) {
      const end = chunk.indexOf(LF, start)
      if (end < 0) break
      this.#finish(chunk.subarray(start, end), onLine)
      start = end + 1
    }
    if (start < chunk.length) this.#hold(chunk.subarray(start))
  }

  /** Delivers a last line that had no line end; the splitter can be used for another stream afterwards. */
  end(onLine: OnLine): void {
    if (this.#heldBytes > 0) this.#finish(new Uint8Array(0), onLine)
    this.#atStart = true
  }

  /** Copies, so that the caller's chunk need not live until the line is complete. */
  #hold(part: Uint8Array): void {
    const room = MAX_HELD_BYTES - this.#heldBytes
    if (part.length > room) this.#overflowed = true
    const kept = part.subarray(0, room)
    const needed = this.#heldBytes + kept.length
    if (this.#held === null || this.#held.length < needed) this.#grow(needed)
    this.#held?.set(kept, this.#heldBytes)
    this.#heldBytes = needed
  }

  #grow(needed: number): void {
    const grown = Buffer.allocUnsafe(Math.max(FIRST_CAPACITY, needed * 2))
    if (this.#held !== null) grown.set(this.#held.subarray(0, this.#heldBytes))
    this.#held = grown
  }

  #finish(last: Uint8Array, onLine: OnLine): void {
    if (this.#heldBytes === 0) {
      this.#deliver(last, false, onLine)
      return
    }
    this.#hold(last)
    const line = this.#held?.subarray(0, this.#heldBytes) ?? last
    const overflowed = this.#overflowed
    this.#held = null
    this.#heldBytes = 0
    this.#overflowed = false
    this.#deliver(line, overflowed, onLine)
  }

  #deliver(line: Uint8Array, overflowed: boolean, onLine: OnLine): void {
    let whole = this.#atStart && BOM.every((byte, i) => line[i] === byte) ? line.subarray(BOM.length) : line
    this.#atStart = false
    if (!overflowed && whole[whole.length - 1] === CR) whole = whole.subarray(0, -1)
    if (whole.length === 0) return
    if (whole.length > MAX_LINE_BYTES) onLine(whole.subarray(0, MAX_LINE_BYTES), true)
    else onLine(whole, overflowed)
  }
}
