import type { Decision } from '../core/decision.ts'
import { profileKey } from '../core/event.ts'
import { DAY_MS } from '../core/time.ts'
import { type DecisionLedger, endedAt, isLive, type LedgerEntry, waitsUntil } from './ledger.ts'
import type { EnforcementLogger } from './reconcile.ts'

/** Ended decisions kept in memory; older ones live on in the ledger and the audit. */
export const MAX_ENDED = 10_000
/** Decisions that may wait for a person at the same time; beyond, the oldest are forgotten first. */
export const MAX_WAITING = 10_000

/** The engine says when the time to agree is over; one that says nothing for this long has lost the incident. */
const MAX_SILENCE_MS = 7 * DAY_MS

function principalOf(decision: Decision): string {
  return profileKey(decision.tenant, decision.principal)
}

/** When an open entry ends: the rule, or the wait for a person. Epoch ms. */
function endOf(entry: LedgerEntry): number {
  if (isLive(entry.status)) return entry.until ?? 0
  return waitsUntil(entry) + (entry.approveBy == null ? 0 : MAX_SILENCE_MS)
}

/** Ids under a key, in the order in which they came. */
class Index {
  readonly #ids = new Map<string, Set<string>>()

  get(key: string): Iterable<string> {
    return this.#ids.get(key) ?? []
  }

  add(key: string, id: string): void {
    const ids = this.#ids.get(key)
    if (ids === undefined) this.#ids.set(key, new Set([id]))
    else ids.add(id)
  }

  delete(key: string, id: string): void {
    const ids = this.#ids.get(key)
    ids?.delete(id)
    if (ids?.size === 0) this.#ids.delete(key)
  }
}

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
  /** Ids by what they are about: whoever looks for relatives does not go through all of them. */
  readonly #byPrincipal = new Index()
  readonly #byIncident = new Index()
  /** Ids that act although the ledger has not saved them yet. */
  readonly #unsaved = new Set<string>()
  readonly #open = new Set<string>()
  #nextDue = Number.POSITIVE_INFINITY

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

  /** Those that act or wait for a person, oldest first. */
  open(): readonly LedgerEntry[] {
    return this.#listed(this.#open)
  }

  /** Open entries whose time is over at `now`, epoch ms; costs nothing before one is due. */
  due(now: number): readonly LedgerEntry[] {
    if (now < this.#nextDue) return []
    this.#nextDue = Number.POSITIVE_INFINITY
    const due: LedgerEntry[] = []
    for (const entry of this.open()) {
      const end = endOf(entry)
      if (end <= now) due.push(entry)
      else this.#nextDue = Math.min(this.#nextDue, end)
    }
    return due
  }

  /** How many act. */
  get live(): number {
    return this.#open.size - this.#waiting.size
  }

  ofPrincipal(decision: Decision): readonly LedgerEntry[] {
    return this.#listed(this.#byPrincipal.get(principalOf(decision)))
  }

  ofIncident(incident: string): readonly LedgerEntry[] {
    return this.#listed(this.#byIncident.get(incident))
  }

  #listed(ids: Iterable<string>): readonly LedgerEntry[] {
    const entries: LedgerEntry[] = []
    for (const id of ids) {
      const entry = this.#entries.get(id)
      if (entry !== undefined) entries.push(entry)
    }
    return entries
  }

  /** Takes over what the ledger holds already. */
  remember(entry: LedgerEntry): void {
    const id = entry.decision.id
    this.#entries.set(id, entry)
    this.#byPrincipal.add(principalOf(entry.decision), id)
    this.#byIncident.add(entry.decision.incident, id)
    this.#ended.delete(id)
    this.#waiting.delete(id)
    if (entry.status === 'awaiting-approval') this.#waiting.add(id)
    else if (!isLive(entry.status)) this.#ended.add(id)
    if (this.#ended.has(id)) this.#open.delete(id)
    else {
      this.#open.add(id)
      this.#nextDue = Math.min(this.#nextDue, endOf(entry))
    }
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

  /**
   * In effect at once, durable when resolved: for a decision that is durable elsewhere already, in the outbox.
   * Rejects with what the ledger says; the entry stays in effect then, and {@link resave} tries again.
   */
  async begin(entry: LedgerEntry): Promise<void> {
    const id = entry.decision.id
    this.#unsaved.add(id)
    this.remember(entry)
    this.#onChange(id)
    await this.#queue(entry)
    this.#unsaved.delete(id)
  }

  /** False when the ledger has the entry already. */
  async resave(id: string): Promise<boolean> {
    const entry = this.#entries.get(id)
    if (entry === undefined || !this.#unsaved.has(id)) return false
    await this.#queue(entry)
    this.#unsaved.delete(id)
    return true
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

  /** Drops ended decisions whose hold was over before an instant, epoch ms. Rejects with what the ledger says. */
  async forgetEnded(before: number): Promise<void> {
    await this.#forgetThose((entry) => endedAt(entry) < before)
  }

  /** Drops the ended decisions about a principal. False while others act or wait for a person; they stay. */
  async forgetPrincipal(key: string): Promise<boolean> {
    for (const id of this.#byPrincipal.get(key)) await this.#saving.get(id)?.catch(() => undefined)
    await this.#forgetThose((entry) => principalOf(entry.decision) === key)
    return this.#listed(this.#byPrincipal.get(key)).length === 0
  }

  async #forgetThose(holds: (entry: LedgerEntry) => boolean): Promise<void> {
    await this.#ledger.forgetEnded((entry) => entry.status !== 'awaiting-approval' && holds(entry))
    for (const id of this.#ended) {
      const entry = this.#entries.get(id)
      if (entry !== undefined && holds(entry) && !this.#saving.has(id)) this.#drop(this.#ended, id)
    }
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
      this.#drop(ids, id)
    }
  }

  #drop(ids: Set<string>, id: string): void {
    const decision = this.#entries.get(id)?.decision
    ids.delete(id)
    this.#open.delete(id)
    this.#unsaved.delete(id)
    this.#entries.delete(id)
    if (decision === undefined) return
    this.#byPrincipal.delete(principalOf(decision), id)
    this.#byIncident.delete(decision.incident, id)
  }
}
