import type { OutboxEntry, StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { cursorDocument } from './outbox-cursor.ts'
import type { Logger } from './worker.ts'

/** Takes one outbox entry; durable on its own side when it resolves, and indifferent to repeats. */
export type TakeEntry = (entry: Omit<OutboxEntry, 'seq'>) => Promise<void>

const POLL_MS = 1_000
const PAGE = 500

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
  /** Until what an earlier process left is taken, nothing is handed on in front of it. */
  private caughtUp = false
  /** Partitions that are still to be read to their end; null before the first look. */
  private unread: Set<number> | null = null
  /** Ids held back, and ids taken, while not caught up. */
  private readonly heldBack = new Set<string>()
  private readonly taken = new Set<string>()

  /** `name` separates the cursors of independent readers. */
  constructor(name: string, store: StateStore, take: TakeEntry, logger: Logger) {
    this.name = name
    this.store = store
    this.take = take
    this.logger = logger
  }

  /**
   * Takes entries that this process has just added, without reading them back; `run` repeats them harmlessly.
   * Not before the entries of an earlier process are taken: a release must not overtake what it lifts.
   */
  handOn(entries: readonly Omit<OutboxEntry, 'seq'>[]): void {
    for (const entry of entries) {
      if (this.caughtUp) this.take(entry).catch((error: unknown) => this.waits(error))
      else if (!this.taken.has(entry.id)) this.heldBack.add(entry.id)
    }
  }

  private waits(error: unknown): void {
    this.logger.warn({ error: String(error) }, 'output waits for the outbox reader')
  }

  /** Runs until `stop`. */
  async run(stop: AbortSignal): Promise<void> {
    const wake = (): void => {
      this.woken = true
      this.wake()
    }
    let unwatch: (() => Promise<void>) | null = null
    const poll = setInterval(() => {
      this.allDue = true
      wake()
    }, POLL_MS)
    stop.addEventListener('abort', wake, { once: true })
    while (!stop.aborted) {
      try {
        // Inside the loop: the store may be away at the start as at any other time.
        unwatch ??= await this.open(wake)
        if (!(await this.pass(await this.due(), stop))) await this.sleep()
      } catch (error) {
        if (!(error instanceof CurfewError) || !error.retriable) throw error
        this.logger.warn({ code: error.code }, 'outbox cannot be read, trying again')
        this.allDue = true
        await this.sleep()
      }
    }
    clearInterval(poll)
    await unwatch?.()
  }

  /** Loads the cursor, then asks to be woken; in this order, so that a failure leaves nothing behind. */
  private async open(wake: () => void): Promise<() => Promise<void>> {
    const document = await this.store.getDocument(this.documentName)
    this.version = document.version
    if (document.version > 0) this.cursor = JSON.parse(document.body) as Record<string, number>
    return await this.store.watchOutbox((partition) => {
      this.grown.add(partition)
      wake()
    })
  }

  private get documentName(): string {
    return cursorDocument(this.name)
  }

  /** All partitions about each second; in between those that grew, so that few decisions cost few reads. */
  private async due(): Promise<readonly number[]> {
    const grown = [...this.grown]
    this.grown.clear()
    if (!this.allDue) return grown
    this.allDue = false
    this.unread = new Set(await this.store.partitions())
    return [...this.unread]
  }

  private async pass(partitions: readonly number[], stop: AbortSignal): Promise<boolean> {
    let any = false
    for (const partition of partitions) {
      const after = this.cursor[partition] ?? 0
      const entries = await this.store.readOutbox(partition, after, PAGE)
      if (entries.length === PAGE) this.grown.add(partition)
      else this.unread?.delete(partition)
      for (const entry of entries) {
        if (stop.aborted) break
        await this.take(entry)
        this.noteTaken(entry.id)
        this.cursor[partition] = entry.seq
        any = true
      }
    }
    if (this.unread?.size === 0 && this.heldBack.size === 0) this.caughtUp = true
    if (any) await this.save()
    return any
  }

  private noteTaken(id: string): void {
    if (this.caughtUp) {
      this.taken.clear()
      return
    }
    this.heldBack.delete(id)
    this.taken.add(id)
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
