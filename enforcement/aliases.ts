import type { Decision, Wider } from '../core/decision.ts'
import { type Principal, profileKey } from '../core/event.ts'
import { hashOf } from '../core/hash.ts'

/** One name of a caller. */
export interface AliasMember {
  /** The name as people see it and the stable id behind it; never an address. */
  readonly principal: Principal
  /** Every word by which outputs and settings may call it, such as `sub:orders-svc`. */
  readonly shownAs: readonly string[]
  /** Issuer and subject, of a principal of kind `sub`. */
  readonly subject: { readonly iss: string | null; readonly sub: string } | null
  /** Adapters of the gateway that knows the caller by this name; null: whichever does. */
  readonly adapters: readonly string[] | null
  /** Gateway ids, as sources name them, whose word for this name counts; null: anyone's. */
  readonly evidenceFrom: readonly string[] | null
}

/** One caller under all the names by which an operator says that gateways know it. */
export interface Alias {
  readonly name: string
  readonly tenant: string
  readonly members: readonly AliasMember[]
}

/** What one name means for one gateway. */
export interface NameAt {
  readonly member: AliasMember | null
  readonly principal: Principal
}

/** Finds the other names of a caller. */
export class Aliases {
  readonly #byPrincipal = new Map<string, Alias>()

  constructor(aliases: readonly Alias[] = []) {
    for (const alias of aliases)
      for (const { principal } of alias.members)
        this.#byPrincipal.set(profileKey(alias.tenant, principal), alias)
  }

  /**
   * The entry that a decision falls under, or null. Only a name that a gateway verified counts, and where the entry
   * says which gateway that is, only that one's word: whoever calls himself by the name elsewhere pulls nobody in.
   */
  of({ tenant, principal, gateway }: Pick<Decision, 'tenant' | 'principal' | 'gateway'>): Alias | null {
    if (!principal.verified) return null
    const alias = this.#byPrincipal.get(profileKey(tenant, principal))
    const speaks = alias?.members.some(
      (member) => isSame(member.principal, principal) && (member.evidenceFrom?.includes(gateway.id) ?? true),
    )
    return alias !== undefined && speaks === true ? alias : null
  }
}

function isSame(a: Principal, b: Principal): boolean {
  return a.kind === b.kind && a.id === b.id
}

/** Whether an entry says by which name an adapter knows the caller. */
export function namesAdapter({ members }: Alias, adapter: string): boolean {
  return members.some(({ adapters }) => adapters?.includes(adapter) === true)
}

/**
 * The names under which an adapter is to hold a caller, each once, the decided one first and the others in the order
 * of their ids. Where the entry names the adapter, the decided name counts only if it is among those given for it.
 */
export function namesAt(alias: Alias, decided: Principal, adapter: string): readonly NameAt[] {
  const named = namesAdapter(alias, adapter)
  const given = alias.members.filter(({ adapters }) => adapters === null || adapters.includes(adapter))
  const others = new Map<string, NameAt>()
  for (const member of given) {
    if (!isSame(member.principal, decided))
      others.set(keyOf(member.principal), { member, principal: member.principal })
  }
  const isOwn = !named || given.some(({ principal }) => isSame(principal, decided))
  const own: NameAt[] = isOwn ? [{ member: null, principal: decided }] : []
  const sorted = [...others].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, name]) => name)
  return [...own, ...sorted]
}

/** The names of the caller besides the decided one, each once, in the order of their ids. */
export function otherNames(alias: Alias, decided: Principal): readonly AliasMember[] {
  const others = new Map<string, AliasMember>()
  for (const member of alias.members)
    if (!isSame(member.principal, decided)) others.set(keyOf(member.principal), member)
  return [...others].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, member]) => member)
}

function keyOf({ kind, id }: Principal): string {
  return `${kind}:${id}`
}

/**
 * What a decision asks for under another name of its caller, the best form first; a gateway takes the first that it
 * can hold. Empty for a token: it is one string, the same under every name.
 */
export function formsAs(form: Wider, wider: Wider | undefined, member: AliasMember): readonly Wider[] {
  const { action, scope, limit } = form
  const { principal, subject } = member
  const whole = { kind: 'principal', principal } as const
  switch (scope.kind) {
    case 'token':
    case 'token-issue':
      return []
    case 'network': {
      const same: Wider = { action, scope: { ...scope, principal }, limit }
      return [same, ...(wider === undefined ? [] : formsAs(wider, undefined, member))]
    }
    case 'principal':
      return [{ action, scope: whole, limit }]
    case 'subject': {
      if (subject !== null) return [{ action, scope: { ...scope, ...subject }, limit }]
      // Whoever spares later tokens means tokens; nothing of that can be told under a name without any.
      if (scope.notBefore !== null) return []
      return action === 'revoke-token' ? endOf(whole) : [{ action, scope: whole, limit }]
    }
    case 'credential': {
      if (action !== 'revoke-credential') return []
      if (subject === null) return endOf(whole)
      return [
        { action: 'revoke-token', scope: { kind: 'subject', ...subject, notBefore: null }, limit: null },
      ]
    }
  }
}

/** What ends the ability of a caller who has no tokens. */
function endOf(scope: Extract<Wider['scope'], { kind: 'principal' }>): readonly Wider[] {
  return [
    { action: 'revoke-credential', scope, limit: null },
    { action: 'block', scope, limit: null },
  ]
}

const OTHER_NAME = /^(.+)_as_[0-9a-f]{12}$/

/** Id of the rule of a decision under another name. Depends on nothing but the two. */
export function ruleIdAs(decision: string, { kind, id }: Principal): string {
  return `${decision}_as_${hashOf(kind, id).slice(0, 12)}`
}

/** Id of the decision that a rule comes from, whatever name it is about. */
export function decisionIdOf(ruleId: string): string {
  return OTHER_NAME.exec(ruleId)?.[1] ?? ruleId
}
