/** Runs work about one key in the order in which it came, and work about other keys beside it. */
export class Turns {
  readonly #last = new Map<string, Promise<unknown>>()

  /** Starts at once when nothing about the key is under way; a failure stops nobody behind it. */
  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#last.get(key)
    const mine = before === undefined ? work() : before.then(work, work)
    this.#last.set(key, mine)
    const clear = () => {
      if (this.#last.get(key) === mine) this.#last.delete(key)
    }
    mine.then(clear, clear)
    return mine
  }
}
