/** Some 8 lines of 1 kB, each parsed or judged in 20 to 40 microseconds: far less than a round trip takes. */
const BYTES_PER_TURN = 8_192
/**
 * A turn that finds more waiting works on this share of it. After a pause of the process, such as a collection of
 * garbage, a fixed budget would let what piled up wait for a hundred turns, each with its own overhead.
 */
const SHARE_PER_TURN = 1 / 8

interface Waiting {
  readonly bytes: number
  readonly go: () => void
}

/**
 * Cuts a burst of work into turns of the event loop, so that what a caller's incident waits for, an answer of the
 * state store or of a gateway, is not held up by the calls of everybody else. Work is admitted in the order
 * in which it was asked for.
 */
export class Pace {
  readonly #budget: number
  readonly #waiting: Waiting[] = []
  #waitingBytes = 0
  /** Bytes that the last one who asked knows to wait behind its own. */
  #behind = 0
  #spent = 0
  #scheduled = false

  /**
   * `budget`: bytes of records that one turn works on, more while eight times as much waits; a larger record has
   * a turn of its own.
   */
  constructor(budget = BYTES_PER_TURN) {
    this.#budget = budget
  }

  /**
   * Undefined when there is room in this turn; else resolves in the turn that has it. `behind`: bytes of work that
   * will be asked for after this, as far as the caller knows.
   */
  take(bytes: number, behind = 0): Promise<void> | undefined {
    this.#schedule()
    this.#behind = behind
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) {
      this.#spent += bytes
      return undefined
    }
    return new Promise((go) => {
      this.#waiting.push({ bytes, go })
      this.#waitingBytes += bytes
    })
  }

  #hasRoom(bytes: number): boolean {
    return this.#spent === 0 || this.#spent + bytes <= this.#room()
  }

  #room(): number {
    const open = this.#spent + this.#waitingBytes + this.#behind
    return Math.max(this.#budget, open * SHARE_PER_TURN)
  }

  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => this.#turn())
  }

  #turn(): void {
    this.#scheduled = false
    this.#spent = 0
    for (
      let next = this.#waiting[0];
      next !== undefined && this.#hasRoom(next.bytes);
      next = this.#waiting[0]
    ) {
      this.#waiting.shift()
      this.#waitingBytes -= next.bytes
      this.#spent += next.bytes
      next.go()
    }
    if (this.#spent > 0) this.#schedule()
  }
}

/** Bytes of records. */
export function sizeOf(records: readonly { readonly bytes: Uint8Array }[]): number {
  return records.reduce((sum, record) => sum + record.bytes.length, 0)
}
