import type {
  DeliveryLedger,
  LedgerChange,
  LedgerState,
  PendingDelivery,
  ToldIncident,
} from '../../../alerts/ledger.ts'

/** A ledger that survives as long as the test keeps it: give it to the next dispatcher to play a restart. */
export class MemoryLedger implements DeliveryLedger {
  readonly #pending = new Map<string, PendingDelivery>()
  readonly #told = new Map<string, ToldIncident>()
  readonly #accepted: string[] = []
  readonly #omitted = new Map<string, number>()
  readonly outcomes: { readonly sink: string; readonly id: string; readonly outcome: string }[] = []
  /** Thrown by the next saves, one each. */
  readonly failures: Error[] = []

  async load(): Promise<LedgerState> {
    return structuredClone({
      pending: [...this.#pending.values()],
      told: [...this.#told.values()],
      accepted: this.#accepted,
      omitted: [...this.#omitted].map(([sink, count]) => ({ sink, count })),
    })
  }

  async save(change: LedgerChange): Promise<void> {
    await Promise.resolve()
    const failure = this.failures.shift()
    if (failure !== undefined) throw failure
    if (change.accepted !== undefined) this.#accepted.push(change.accepted)
    for (const row of change.pending ?? [])
      this.#pending.set(key(row.sink, row.alert.id), structuredClone(row))
    for (const id of change.done?.alertIds ?? []) {
      const sink = change.done?.sink ?? ''
      this.#pending.delete(key(sink, id))
      this.outcomes.push({ sink, id, outcome: change.done?.outcome ?? '' })
    }
    for (const told of change.told ?? []) this.#told.set(key(told.sink, told.incident), structuredClone(told))
    for (const { sink, incident } of change.forgotten ?? []) this.#told.delete(key(sink, incident))
    for (const { sink, count } of change.omitted ?? []) this.#omitted.set(sink, count)
  }
}

function key(sink: string, id: string): string {
  return JSON.stringify([sink, id])
}
