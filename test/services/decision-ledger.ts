import type { Decision } from '../../core/decision.ts'
import { type Clock, type WallTimeMs, wallTime } from '../../core/time.ts'
import { type DecisionLedger, isLive, type LedgerEntry } from '../../enforcement/ledger.ts'
import type { EnforcementLogger } from '../../enforcement/reconcile.ts'

/** A ledger that lives as long as the test; copies like a real store, so that no reference leaks. */
export class MemoryLedger implements DecisionLedger {
  readonly #entries = new Map<string, string>()
  /** Statuses in the order in which they were saved, as `<id> <status>`. */
  readonly history: string[] = []
  failing = false

  load(): Promise<readonly LedgerEntry[]> {
    return Promise.resolve([...this.#entries.values()].map((text) => JSON.parse(text) as LedgerEntry))
  }

  save(entry: LedgerEntry): Promise<void> {
    if (this.failing) return Promise.reject(new Error('the store is away'))
    this.#entries.set(entry.decision.id, JSON.stringify(entry))
    this.history.push(`${entry.decision.id} ${entry.status}`)
    return Promise.resolve()
  }

  forgetEnded(holds: (entry: LedgerEntry) => boolean): Promise<void> {
    for (const entry of [...this.#entries.values()].map((text) => JSON.parse(text) as LedgerEntry)) {
      if (!isLive(entry.status) && holds(entry)) this.#entries.delete(entry.decision.id)
    }
    return Promise.resolve()
  }
}

/** A clock that a test moves. */
export class HandClock implements Clock {
  #now: number
  constructor(now: number) {
    this.#now = now
  }
  now(): WallTimeMs {
    return wallTime(this.#now)
  }
  advance(ms: number): void {
    this.#now += ms
  }
}

export const quietLogger: EnforcementLogger = {
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
}

/** Throttles `alice` of the test issuer; every field can be set. */
export function sampleDecision(changes: Partial<Decision> & { readonly evidenceAt: number }): Decision {
  const principal = changes.principal ?? {
    kind: 'sub',
    id: JSON.stringify(['https://idp.test/realm', 'alice']),
    label: 'alice',
    verified: true,
  }
  return {
    id: 'dec_1',
    time: '2026-11-23T03:00:00.000Z',
    tenant: 'default',
    entity: { type: 'principal', id: `${principal.kind}:${principal.label}` },
    action: 'throttle',
    scope: { kind: 'principal', principal },
    mode: 'enforce',
    holdSeconds: 3_600,
    limit: { requests: 2, windowSeconds: 10 },
    incident: 'inc_1',
    reason: 'records/10m 400, expected 5',
    principal,
    gateway: { kind: 'haproxy', id: 'edge' },
    tokenExp: null,
    ...changes,
  }
}

/** Resolves when `done` holds; fails after 10 s with what was waited for. */
export async function eventually(done: () => boolean | Promise<boolean>, what: string): Promise<void> {
  for (let attempt = 0; attempt < 2_000; attempt++) {
    if (await done()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error(`still waiting for: ${what}`)
}
