import { type DecisionLedger, isLive, type LedgerEntry } from './ledger.ts'
import type { EnforcementLogger } from './reconcile.ts'

/** Ended decisions kept in memory; older ones live on in the ledger and the audit. */
export const MAX_ENDED = 10_000
/** Decisions that may wait for a person at the same time; beyond, the oldest are forgotten first. */
export const MAX_WAITING = 10_000

/** The decisions in memory, oldest first, each change on its way to the ledger in order. */
export class EntryBook {
  readonly #ledger: DecisionLedger
  readonly #logger: EnforcementLogger
  readonly #onChange: (id: string) => void
  readonly #entries = new Map<string, LedgerEntry>()
  readonly #saving = new Map<string, Promise<void>>()
  /** Ids in the order in which they stopped acting. */
  readonly #ended = new Set<string>()
  readonly #waiting = new Set<string>()
  /** Ids whose new state is on its way to the ledger and not in effect yet. */
  readonly #changing = new Set<string>()

  constructor(ledger: DecisionLedger, logger: EnforcementLogger, onChange: (id: string) => void) {
    this.#ledger = ledger
    this.#logger = logger
    this.#onChange = onChange
  }

  get(id: string): LedgerEntry | undefined {
    return this.#entries.get(id)
  }

  values(): IterableIterator<LedgerEntry> {
    return this.#entries.values()
  }

  /** Takes over what the ledger holds already. */
  remember(entry: LedgerEntry): void {
    const id = entry.decision.id
    this.#entries.set(id, entry)
    this.#ended.delete(id)
    this.#waiting.delete(id)
    if (entry.status === 'awaiting-approval') this.#waiting.add(id)
    else if (!isLive(entry.status)) this.#ended.add(id)
    this.#forget(this.#ended, MAX_ENDED)
    this.#forget(this.#waiting, MAX_WAITING)
  }

  /**
   * Durable first, in effect after; rejects with what the ledger says. What gateways answer meanwhile is kept,
   * and never overwrites the new state in the ledger.
   */
  async save(entry: LedgerEntry): Promise<void> {
    const id = entry.decision.id
    this.#changing.add(id)
    try {
      await this.#queue(entry)
    } finally {
      this.#changing.delete(id)
    }
    const current = this.#entries.get(id)
    const kept =
      current === undefined ? entry : { ...entry, receipts: current.receipts, startedAt: current.startedAt }
    this.update(kept)
  }

  /** In effect at once, durable soon: for what can be found out again at the gateways. */
  update(entry: LedgerEntry): void {
    const id = entry.decision.id
    const isNew = !this.#entries.has(id)
    this.remember(entry)
    this.#onChange(id)
    if (this.#changing.has(id) || isNew) return
    this.#queue(entry).catch((error: unknown) => {
      const detail = error instanceof Error ? error.message : String(error)
      this.#logger.error({ decision: id, detail }, 'the state of a decision could not be saved')
    })
  }

  /** Resolves when every change so far was saved or given up. */
  async settled(): Promise<void> {
    while (this.#saving.size > 0)
      await Promise.all([...this.#saving.values()].map((s) => s.catch(() => undefined)))
  }

  #queue(entry: LedgerEntry): Promise<void> {
    const id = entry.decision.id
    const before = this.#saving.get(id)
    const saving =
      before === undefined
        ? this.#ledger.save(entry)
        : before.catch(() => undefined).then(() => this.#ledger.save(entry))
    this.#saving.set(id, saving)
    const clear = () => {
      if (this.#saving.get(id) === saving) this.#saving.delete(id)
    }
    saving.then(clear, clear)
    return saving
  }

  #forget(ids: Set<string>, bound: number): void {
    for (const id of ids) {
      if (ids.size <= bound) return
      ids.delete(id)
      this.#entries.delete(id)
    }
  }
}
