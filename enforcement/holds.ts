import { entityId, type Principal } from '../core/event.ts'
import type { Hold } from './enforcer-judgement.ts'
import type { GatewayAdapter } from './gateway.ts'
import { type AliasView, isLive, type LedgerEntry } from './ledger.ts'
import type { Form, Placement } from './placement.ts'

/** How each rule stands at each gateway, as far as this process knows. */
export class Holds {
  readonly #placement: Placement
  readonly #byDecision = new Map<string, Map<string, Hold>>()

  constructor(placement: Placement) {
    this.#placement = placement
  }

  /** Notes how a rule of a decision stands at a gateway. True when that is news. */
  mark(decision: string, gateway: string, ruleId: string, hold: Hold): boolean {
    const holds = this.#byDecision.get(decision) ?? new Map<string, Hold>()
    this.#byDecision.set(decision, holds)
    const place = placeOf(gateway, ruleId)
    if (holds.get(place) === hold) return false
    holds.set(place, hold)
    return true
  }

  /** Forgets a decision that has ended. */
  forget(decision: string): void {
    this.#byDecision.delete(decision)
  }

  /**
   * How a gateway stands to a decision, all names of the caller together: failed when one name is, held when each is
   * that can be held there; undefined while nobody knows.
   */
  at(gateway: GatewayAdapter, { decision }: LedgerEntry): Hold | undefined {
    const forms = this.#placement.formsAt(gateway, decision)
    const holds = forms.map((form) => this.#of(decision.id, gateway, form))
    if (holds.includes('failed')) return 'failed'
    if (holds.includes(undefined)) return undefined
    return holds.includes('held') ? 'held' : 'unsupported'
  }

  /** Whether a gateway holds a decision under every name under which it holds, or could, the weaker one. */
  replaces(gateway: GatewayAdapter, strong: LedgerEntry, weak: LedgerEntry): boolean {
    const names = this.#placement.formsAt(gateway, strong.decision).map(({ as }) => nameKey(as))
    const needed = this.#placement
      .formsAt(gateway, weak.decision)
      .filter((form) => this.#of(weak.decision.id, gateway, form) !== 'unsupported')
    if (needed.length === 0) return true
    return this.at(gateway, strong) === 'held' && needed.every(({ as }) => names.includes(nameKey(as)))
  }

  /** Where a decision that stands is held under another name than the decided one, and how it stands there. */
  aliases({ decision, status }: LedgerEntry): readonly AliasView[] {
    if (!isLive(status)) return []
    return this.#placement.targets(decision).flatMap((gateway) =>
      this.#placement.formsAt(gateway, decision).flatMap((form) => {
        if (form.as === null) return []
        const state = this.#of(decision.id, gateway, form) ?? 'pending'
        return [{ gateway: gateway.name, principal: entityId(form.as), state }]
      }),
    )
  }

  #of(decision: string, gateway: GatewayAdapter, { ruleId }: Form): Hold | undefined {
    return this.#byDecision.get(decision)?.get(placeOf(gateway.name, ruleId))
  }
}

function placeOf(gateway: string, ruleId: string): string {
  return `${gateway} ${ruleId}`
}

function nameKey(as: Principal | null): string {
  return as === null ? '' : `${as.kind}:${as.id}`
}
