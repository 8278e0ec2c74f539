import { setTimeout as sleep } from 'node:timers/promises'

const MAX_BATCH = 100
const MAX_QUEUED = 10_000
const RETRY_MS = 200
const CALL_TIMEOUT_MS = 5_000

/**
 * Sends log lines to `POST /ingest/kong` as Kong's http-log plugin does: at once, one object alone or
 * several in an array, again when the receiver could not take them.
 */
export class LogPush {
  private readonly url: string
  private readonly token: string
  private readonly queue: string[] = []
  private sending: Promise<void> | null = null
  private closed = false

  /** `url` of the receiver and the bearer token of its source. */
  constructor(url: string, token: string) {
    this.url = url
    this.token = token
  }

  /** Takes a line; the newest are dropped when the receiver has been away for long. */
  line(text: string): void {
    if (this.closed || this.queue.length >= MAX_QUEUED) return
    this.queue.push(text)
    this.sending ??= this.sendAll().finally(() => {
      this.sending = null
    })
  }

  /** Sends what is left, once. */
  async close(): Promise<void> {
    this.closed = true
    await this.sending
  }

  private async sendAll(): Promise<void> {
    while (this.queue.length > 0) {
      const batch = this.queue.slice(0, MAX_BATCH)
      const body = batch.length === 1 ? batch[0]! : `[${batch.join(',')}]`
      if (await this.send(body)) this.queue.splice(0, batch.length)
      else if (this.closed) return
      else await sleep(RETRY_MS)
    }
  }

  private async send(body: string): Promise<boolean> {
    try {
      const response = await fetch(this.url, {
        method: 'POST',
        headers: { authorization: `Bearer ${this.token}`, 'content-type': 'application/json' },
        body,
        signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      })
      await response.arrayBuffer()
      return response.ok
    } catch {
      return false
    }
  }
}
