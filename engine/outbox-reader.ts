import type { OutboxEntry, StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { Logger } from './worker.ts'

/** Takes one outbox entry; durable on its own side when it resolves, and indifferent to repeats. */
export type TakeEntry = (entry: OutboxEntry) => Promise<void>

const POLL_MS = 1_000
const PAGE = 500
const CURSOR_DOCUMENT = 'outbox-cursor'

/**
 * Reads the outboxes of all partitions and hands on every entry at least once, in order per partition.
 * The cursor is stored after an entry was taken, so a restart repeats at most what was under way.
 */
export class OutboxReader {
  private readonly store: StateStore
  private readonly take: TakeEntry
  private readonly logger: Logger
  private readonly name: string
  private cursor: Record<string, number> = {}
  private version = 0
  /** Partitions whose outbox is said to have grown. */
  private readonly grown = new Set<number>()
  /** Whether all partitions are due to be read, whatever was said about them. */
  private allDue = true
  private wake: () => void = () => undefined
  private woken = false

  /** `name` separates the cursors of independent readers. */
  constructor(name: string, store: StateStore, take: TakeEntry, logger: Logger) {
    this.name = name
    this.store = store
    this.take = take
    this.logger = logger
  }

  /** Runs until `stop`. */
  async run(stop: AbortSignal): Promise<void> {
    const document = await this.store.getDocument(this.documentName)
    this.version = document.version
    if (document.version > 0) this.cursor = JSON.parse(document.body) as Record<string, number>
    const wake = (): void => {
      this.woken = true
      this.wake()
    }
    const unwatch = await this.store.watchOutbox((partition) => {
      this.grown.add(partition)
      wake()
    })
    const poll = setInterval(() => {
      this.allDue = true
      wake()
    }, POLL_MS)
    stop.addEventListener('abort', wake, { once: true })
    while (!stop.aborted) {
      try {
        if (!(await this.pass(await this.due(), stop))) await this.sleep()
      } catch (error) {
        if (!(error instanceof CurfewError) || !error.retriable) throw error
        this.logger.warn({ code: error.code }, 'outbox cannot be read, trying again')
        this.allDue = true
        await this.sleep()
      }
    }
    clearInterval(poll)
    await unwatch()
  }

  private get documentName(): string {
    return `${CURSOR_DOCUMENT}:${this.name}`
  }

  /** All partitions about each second; in between those that grew, so that few decisions cost few reads. */
  private async due(): Promise<readonly number[]> {
    const grown = [...this.grown]
    this.grown.clear()
    if (!this.allDue) return grown
    this.allDue = false
    return await this.store.partitions()
  }

  private async pass(partitions: readonly number[], stop: AbortSignal): Promise<boolean> {
    let any = false
    for (const partition of partitions) {
      const after = this.cursor[partition] ?? 0
      const entries = await this.store.readOutbox(partition, after, PAGE)
      if (entries.length === PAGE) this.grown.add(partition)
      for (const entry of entries) {
        if (stop.aborted) break
        await this.take(entry)
        this.cursor[partition] = entry.seq
        any = true
      }
    }
    if (any) await this.save()
    return any
  }

  private async save(): Promise<void> {
    const next = await this.store.putDocument(this.documentName, this.version, JSON.stringify(this.cursor))
    if (next !== null) {
      this.version = next
      return
    }
    // Another reader of the same name moved on: what it took, we may repeat.
    this.version = (await this.store.getDocument(this.documentName)).version
  }

  /** Until woken or for the poll interval; a wake-up during the last pass ends it at once. */
  private sleep(): Promise<void> {
    return new Promise((resolve) => {
      if (this.woken) {
        this.woken = false
        resolve()
        return
      }
      const end = (): void => {
        clearTimeout(timer)
        this.wake = () => undefined
        this.woken = false
        resolve()
      }
      const timer = setTimeout(end, POLL_MS)
      this.wake = end
    })
  }
}
