import { setImmediate as turn } from 'node:timers/promises'
import type { Clock, WallTimeMs } from '../../../core/time.ts'
import { wallTime } from '../../../core/time.ts'

/** Time that moves only when the test says so, with the waits that hang on it. */
export class ManualClock implements Clock {
  #now: number
  readonly #timers = new Set<{ readonly at: number; readonly fire: () => void }>()

  constructor(start = Date.UTC(2026, 10, 23, 3, 0, 0)) {
    this.#now = start
  }

  now(): WallTimeMs {
    return wallTime(this.#now)
  }

  readonly wait = (ms: number, stop: AbortSignal): Promise<void> =>
    new Promise((resolve) => {
      if (stop.aborted) return resolve()
      const fire = (): void => {
        this.#timers.delete(timer)
        stop.removeEventListener('abort', fire)
        resolve()
      }
      const timer = { at: this.#now + ms, fire }
      this.#timers.add(timer)
      stop.addEventListener('abort', fire, { once: true })
    })

  /** Lets everything that needs no time happen. */
  async settle(): Promise<void> {
    for (let i = 0; i < 12; i++) await turn()
  }

  /** Moves on by `ms`, firing each wait at its own time. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms
    await this.settle()
    for (;;) {
      const next = [...this.#timers].sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > end) break
      this.#now = Math.max(this.#now, next.at)
      next.fire()
      await this.settle()
    }
    this.#now = end
  }
}
