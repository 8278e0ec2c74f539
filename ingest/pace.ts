/** Some 4 lines of 1 kB, each parsed or judged in 30 to 60 microseconds: far less than a round trip takes. */
const BYTES_PER_TURN = 4_096

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
  #spent = 0
  #scheduled = false

  /** `budget`: bytes of records that one turn works on; a larger record has a turn of its own. */
  constructor(budget = BYTES_PER_TURN) {
    this.#budget = budget
  }

  /** Undefined when there is room in this turn; else resolves in the turn that has it. */
  take(bytes: number): Promise<void> | undefined {
    this.#schedule()
    if (this.#waiting.length === 0 && this.#hasRoom(bytes)) {
      this.#spent += bytes
      return undefined
    }
    return new Promise((go) => {
      this.#waiting.push({ bytes, go })
    })
  }

  #hasRoom(bytes: number): boolean {
    return this.#spent === 0 || this.#spent + bytes <= this.#budget
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
