import type { Decision, Wider } from '../core/decision.ts'
import { type Principal, profileKey } from '../core/event.ts'
import { wallTime } from '../core/time.ts'
import {
  type Alias,
  Aliases,
  type AliasMember,
  formsAs,
  namesAdapter,
  namesAt,
  otherNames,
  ruleIdAs,
} from './aliases.ts'
import { capabilityFor, type GatewayAdapter, type Rule } from './gateway.ts'
import type { LedgerEntry } from './ledger.ts'

/** One rule of a decision at one gateway, before anything says until when. */
export interface Form extends Wider {
  readonly ruleId: string
  /** The other name under which it stands; null for the name that was decided about. */
  readonly as: Principal | null
}

/** Says at which gateways a decision is to be held, in which form and under which names of its caller. Pure. */
export class Placement {
  readonly #gateways: readonly GatewayAdapter[]
  readonly #onlyFor: ReadonlyMap<string, readonly string[]>
  readonly #aliases: Aliases

  constructor(
    gateways: readonly GatewayAdapter[],
    onlyFor: ReadonlyMap<string, readonly string[]> = new Map(),
    aliases: readonly Alias[] = [],
  ) {
    this.#gateways = gateways
    this.#onlyFor = onlyFor
    this.#aliases = new Aliases(aliases)
  }

  /** Gateways that can hold a decision and are meant for it. */
  targets(decision: Decision): readonly GatewayAdapter[] {
    return this.#gateways.filter((gateway) => this.formsAt(gateway, decision).length > 0)
  }

  /** What a gateway is to hold for a decision; empty where it is not meant or not able. */
  formsAt(gateway: GatewayAdapter, decision: Decision): readonly Form[] {
    const { action, scope, limit, wider, principal, id } = decision
    if (action === 'release') return []
    const alias = scope.kind === 'token' || scope.kind === 'token-issue' ? null : this.#aliases.of(decision)
    const ids = this.#onlyFor.get(gateway.name)
    const meant = ids === undefined || ids.includes(decision.gateway.id)
    // Where an entry names a gateway, it is meant whatever the gateway that the evidence came through.
    if (!meant && (alias === null || !namesAdapter(alias, gateway.name))) return []
    const whole: Wider = { action, scope, limit }
    const names = alias === null ? [{ member: null, principal }] : namesAt(alias, principal, gateway.name)
    return names.flatMap(({ member, principal: name }) => {
      const wanted =
        member === null ? [whole, ...(wider === undefined ? [] : [wider])] : formsAs(whole, wider, member)
      const form = wanted.find((one) => capabilityFor(gateway, one) !== null)
      if (form === undefined) return []
      return [
        member === null
          ? { ...form, ruleId: id, as: null }
          : { ...form, ruleId: ruleIdAs(id, name), as: name },
      ]
    })
  }

  /** The rules that an issued decision asks for at a gateway. */
  rulesAt(gateway: GatewayAdapter, { decision, until }: LedgerEntry): readonly Rule[] {
    if (until === null) return []
    const { kind, id } = decision.principal
    return this.formsAt(gateway, decision).map(({ ruleId, action, scope, limit }) => {
      const rule = { id: ruleId, action, scope, limit, until: wallTime(until) }
      return scope.kind === 'token' || scope.kind === 'token-issue' ? { ...rule, holder: { kind, id } } : rule
    })
  }

  /** Who a rule is about where that is another name than the decided one, else null. */
  nameOf(gateway: GatewayAdapter, decision: Decision, ruleId: string): Principal | null {
    if (ruleId === decision.id) return null
    return this.formsAt(gateway, decision).find((form) => form.ruleId === ruleId)?.as ?? null
  }

  /** The other names of the caller that a decision is about. */
  otherNames(decision: Decision): readonly AliasMember[] {
    const alias = this.#aliases.of(decision)
    return alias === null ? [] : otherNames(alias, decision.principal)
  }

  /** The same text for every name of one caller. */
  callerKey(decision: Decision): string {
    const { tenant, principal } = decision
    const alias = this.#aliases.of(decision)
    return alias === null ? profileKey(tenant, principal) : JSON.stringify(['alias', tenant, alias.name])
  }
}
