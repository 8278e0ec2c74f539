/**
 * Collects work while earlier work is being made durable, so that one sync serves many callers. `flush`
 * gets everything waiting, in order, and returns how much of it it took (at least one).
 */
export class GroupQueue<Work> {
  readonly #flush: (waiting: readonly Work[]) => Promise<number>
  #waiting: Work[] = []
  #running: Promise<void> | undefined

  /** `flush` must not throw: failures belong to the callers of the work it took. */
  constructor(flush: (waiting: readonly Work[]) => Promise<number>) {
    this.#flush = flush
  }

  push(work: Work): void {
    this.#waiting.push(work)
    this.#running ??= this.#drain()
  }

  /** Resolves when nothing is waiting or under way. */
  async idle(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  async #drain(): Promise<void> {
    // Lets all callers of the same turn join the first group.
    await Promise.resolve()
    while (this.#waiting.length > 0) {
      const taken = await this.#flush(this.#waiting)
      this.#waiting = this.#waiting.slice(taken)
    }
    this.#running = undefined
  }
}
