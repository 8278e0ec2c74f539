import { CurfewError } from '../../core/errors.ts'

/**
 * A token bucket over every call that is made with it. API Gateway takes 10 requests per second (burst 40) of an
 * account and region, for everybody together, and that cannot be raised: Curfew must leave room for deployments.
 */
export class CallBudget {
  private readonly perSecond: number
  private readonly burst: number
  private tokens: number
  private filledAt = performance.now()
  /** Calls are let through in the order in which they came. */
  private last: Promise<void> = Promise.resolve()

  constructor(perSecond: number, burst: number) {
    this.perSecond = perSecond
    this.burst = burst
    this.tokens = burst
  }

  /** Resolves when a call may be made; throws `ABORTED` when it is no longer wanted by then. */
  async take(stop: AbortSignal): Promise<void> {
    const mine = this.last.then(() => this.wait(stop))
    this.last = mine.catch(() => undefined)
    await mine
  }

  private async wait(stop: AbortSignal): Promise<void> {
    if (stop.aborted) throw new CurfewError('ABORTED', 'aborted', { cause: stop.reason })
    this.fill()
    if (this.tokens < 1) {
      const pauseMs = Math.ceil(((1 - this.tokens) / this.perSecond) * 1_000)
      await new Promise<void>((resolve) => {
        const done = (): void => {
          clearTimeout(timer)
          stop.removeEventListener('abort', done)
          resolve()
        }
        const timer = setTimeout(done, pauseMs)
        stop.addEventListener('abort', done, { once: true })
      })
      if (stop.aborted) throw new CurfewError('ABORTED', 'aborted', { cause: stop.reason })
      this.fill()
    }
    this.tokens -= 1
  }

  private fill(): void {
    const now = performance.now()
    this.tokens = Math.min(this.burst, this.tokens + ((now - this.filledAt) / 1_000) * this.perSecond)
    this.filledAt = now
  }
}
