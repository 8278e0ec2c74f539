import { type Scope, strengthOf } from '../../core/decision.ts'
import type { Principal } from '../../core/event.ts'
import { hashOf } from '../../core/hash.ts'
import type { WallTimeMs } from '../../core/time.ts'
import type { Rule } from '../gateway.ts'
import { issueKey, subjectKey, tokenKey } from '../token-keys.ts'
import { SlidingThrottle } from './deny-list-throttle.ts'

/** What a token says about itself. A claim of the wrong type is null here and makes the token `malformed`. */
export interface AskedToken {
  readonly iss: string | null
  readonly sub: string | null
  readonly jti: string | null
  /** Epoch seconds. */
  readonly iat: number | null
  /** Epoch seconds. */
  readonly exp: number | null
  readonly malformed: boolean
}

/** Who is calling, as far as the asker knows. */
export interface DenyQuestion {
  readonly token: AskedToken | null
  readonly principals: readonly Pick<Principal, 'kind' | 'id'>[]
  /** Credential ids as decisions name them: gateway row ids, or the SHA-256 of an API key in hex. */
  readonly credentials: readonly string[]
  /** Where the call comes from, as `networkOf` writes it; null or absent where nobody told. */
  readonly network?: string | null
}

export type DenyReason =
  | 'allowed'
  | 'token-revoked'
  | 'subject-revoked'
  | 'credential-revoked'
  | 'blocked'
  | 'throttled'
  | 'unidentifiable-token'

/** What to tell the gateway. `ruleId` names the decision; it is set on every refusal. */
export interface DenyAnswer {
  readonly status: 200 | 401 | 403 | 429
  readonly reason: DenyReason
  readonly ruleId: string | null
  /** Set with status 429. */
  readonly retryAfterSeconds: number | null
}

export const ALLOWED: DenyAnswer = { status: 200, reason: 'allowed', ruleId: null, retryAfterSeconds: null }

interface Entry {
  readonly rule: Rule
  readonly key: string
  /** Key of the holder of the token that the rule names; the same as `key` for any other rule. */
  readonly holderKey: string
  readonly content: string
  readonly throttle: SlidingThrottle | null
}

/** Where a check finds a rule: by what it is about and, where it names a token only, by whose token that is. */
export function denyKeys(rule: Rule): { readonly key: string; readonly holderKey: string } {
  const key = scopeKey(rule.scope)
  const holderKey = rule.holder === undefined ? key : `holder:${hashOf(rule.holder.kind, rule.holder.id)}`
  return { key, holderKey }
}

function scopeKey(scope: Scope): string {
  switch (scope.kind) {
    case 'token':
      return `token:${tokenKey(scope.iss, scope.jti)}`
    case 'token-issue':
      return `issue:${issueKey(scope.iss, scope.sub, scope.iat)}`
    case 'subject':
      return `subject:${subjectKey(scope.iss, scope.sub)}`
    case 'credential':
      return `credential:${hashOf(scope.credential)}`
    case 'network':
      return `network:${hashOf(scope.principal.kind, scope.principal.id, scope.network)}`
    case 'principal':
      return `principal:${hashOf(scope.principal.kind, scope.principal.id)}`
  }
}

const NONE: readonly Entry[] = []

/** What was worked out about a question, so that it costs a call nothing while neither it nor the list changes. */
interface Asked {
  readonly keys: readonly string[]
  /** Worked out when first needed: few callers are held. */
  holders: readonly string[] | null
  /** Whose rules `entries` are, and as of which change. */
  index: DenyIndex | null
  change: number
  /** Rules under `keys`, expired ones included: time passes without a change. */
  entries: readonly Entry[]
}

/** Keys are hashes, and one question is asked twice a call and kept with its token: each is worked out once. */
const ASKED = new WeakMap<DenyQuestion, Asked>()

function askedOf(question: DenyQuestion): Asked {
  const known = ASKED.get(question)
  if (known !== undefined) return known
  const asked = { keys: allKeys(question), holders: null, index: null, change: 0, entries: NONE }
  ASKED.set(question, asked)
  return asked
}

function holderKeys(question: DenyQuestion): readonly string[] {
  const asked = askedOf(question)
  asked.holders ??= question.principals.map(({ kind, id }) => `holder:${hashOf(kind, id)}`)
  return asked.holders
}

function allKeys({ token, principals, credentials, network }: DenyQuestion): readonly string[] {
  const keys: string[] = []
  if (token !== null) {
    if (token.jti !== null) keys.push(`token:${tokenKey(token.iss, token.jti)}`)
    if (token.sub !== null) keys.push(`subject:${subjectKey(token.iss, token.sub)}`)
    if (token.sub !== null && token.iat !== null)
      keys.push(`issue:${issueKey(token.iss, token.sub, token.iat)}`)
  }
  for (const credential of credentials) keys.push(`credential:${hashOf(credential)}`)
  for (const { kind, id } of principals) {
    keys.push(`principal:${hashOf(kind, id)}`)
    if (network != null) keys.push(`network:${hashOf(kind, id, network)}`)
  }
  return keys
}

/** A subject rule may spare what was issued after it; without `iat` nothing proves that, so it holds. */
function covers(rule: Rule, token: AskedToken | null): boolean {
  if (rule.scope.kind !== 'subject' || rule.scope.notBefore === null) return true
  return token === null || token.iat === null || token.iat < rule.scope.notBefore
}

function refusalOf(rule: Rule): DenyAnswer {
  const answer = (status: 401 | 403, reason: DenyReason): DenyAnswer => ({
    status,
    reason,
    ruleId: rule.id,
    retryAfterSeconds: null,
  })
  if (rule.action === 'block') return answer(403, 'blocked')
  if (rule.action === 'revoke-credential') return answer(401, 'credential-revoked')
  return answer(401, rule.scope.kind === 'subject' ? 'subject-revoked' : 'token-revoked')
}

/**
 * The rules in memory, found by hash in constant time. Expiry stands in every entry, so a copy that no
 * longer hears from its store lets go in time and until then still refuses whom it knows.
 */
export class DenyIndex {
  private readonly byId = new Map<string, Entry>()
  private readonly byKey = new Map<string, Entry[]>()
  /** Counts the changes of the rules: what was found before one is looked up anew. */
  private changes = 0

  get size(): number {
    return this.byId.size
  }

  /** Adds a rule or replaces the one with its id; an unchanged rule keeps its count of admitted calls. */
  put(rule: Rule): void {
    if (this.byId.get(rule.id)?.rule === rule) return
    const content = JSON.stringify([rule.action, rule.scope, rule.limit, rule.until, rule.holder])
    if (this.byId.get(rule.id)?.content === content) return
    this.remove(rule.id)
    const throttle =
      rule.action === 'throttle' && rule.limit !== null ? new SlidingThrottle(rule.limit) : null
    const { key, holderKey } = denyKeys(rule)
    const entry: Entry = { rule, key, holderKey, content, throttle }
    this.changes += 1
    this.byId.set(rule.id, entry)
    for (const place of new Set([key, holderKey])) {
      this.byKey.set(place, [...(this.byKey.get(place) ?? []), entry])
    }
  }

  remove(id: string): void {
    const entry = this.byId.get(id)
    if (entry === undefined) return
    this.changes += 1
    this.byId.delete(id)
    for (const place of new Set([entry.key, entry.holderKey])) {
      const rest = (this.byKey.get(place) ?? []).filter((other) => other !== entry)
      if (rest.length === 0) this.byKey.delete(place)
      else this.byKey.set(place, rest)
    }
  }

  /** Makes the index hold exactly these rules. */
  replace(rules: readonly Rule[]): void {
    const wanted = new Set(rules.map((rule) => rule.id))
    for (const id of [...this.byId.keys()]) if (!wanted.has(id)) this.remove(id)
    for (const rule of rules) this.put(rule)
  }

  /**
   * Refusals that need no counting: revocations, blocks, and a held caller's token that no key can match
   * (no usable `jti` and `iat`, no `exp`, or claims of the wrong type). Claims need not be verified for
   * this: a forged claim can only refuse the forger.
   */
  refusal(question: DenyQuestion, now: WallTimeMs): DenyAnswer | null {
    const live = this.live(question, now)
    const strongest =
      live.length === 0
        ? undefined
        : live
            .filter((entry) => entry.throttle === null)
            .sort((a, b) => strengthOf(b.rule.action) - strengthOf(a.rule.action))[0]
    if (strongest !== undefined) return refusalOf(strongest.rule)
    if (question.token === null || !unidentifiable(question.token)) return null
    const held = this.holding(question, now)
    if (held === undefined) return null
    return { status: 401, reason: 'unidentifiable-token', ruleId: held.rule.id, retryAfterSeconds: null }
  }

  /** Counts the call against the throttles on its caller. Ask once per call, with claims that are verified. */
  admit(question: DenyQuestion, now: WallTimeMs): DenyAnswer {
    const live = this.live(question, now)
    if (live.length === 0) return ALLOWED
    const throttled = live.filter((entry) => entry.throttle !== null)
    if (throttled.length === 0) return ALLOWED
    let longest: { readonly entry: Entry; readonly waitMs: number } | null = null
    for (const entry of throttled) {
      const waitMs = entry.throttle!.waitMs(now)
      if (waitMs > (longest?.waitMs ?? 0)) longest = { entry, waitMs }
    }
    if (longest === null) {
      for (const entry of throttled) entry.throttle!.admit(now)
      return ALLOWED
    }
    const { entry, waitMs } = longest
    const retryAfterSeconds = Math.max(1, Math.ceil(waitMs / 1_000))
    return { status: 429, reason: 'throttled', ruleId: entry.rule.id, retryAfterSeconds }
  }

  private live(question: DenyQuestion, now: WallTimeMs): readonly Entry[] {
    const found = this.found(question, now)
    return found.length === 0 ? NONE : found.filter((entry) => covers(entry.rule, question.token))
  }

  /** A rule on the caller itself or on some token of it, whatever the age of this token. */
  private holding(question: DenyQuestion, now: WallTimeMs): Entry | undefined {
    const onCaller = this.found(question, now).find(
      ({ rule }) =>
        rule.scope.kind === 'subject' || rule.scope.kind === 'principal' || rule.scope.kind === 'credential',
    )
    if (onCaller !== undefined) return onCaller
    if (this.byId.size === 0) return undefined
    return this.under(holderKeys(question)).find((entry) => entry.rule.until > now)
  }

  /** Nearly every call is about nobody on the list, so that answer costs next to nothing. */
  private found(question: DenyQuestion, now: WallTimeMs): readonly Entry[] {
    if (this.byId.size === 0) return NONE
    const asked = askedOf(question)
    if (asked.index !== this || asked.change !== this.changes) {
      asked.entries = this.under(asked.keys)
      asked.index = this
      asked.change = this.changes
    }
    return asked.entries.length === 0 ? NONE : asked.entries.filter((entry) => entry.rule.until > now)
  }

  private under(keys: readonly string[]): readonly Entry[] {
    let found: Entry[] | null = null
    for (const key of keys) {
      const entries = this.byKey.get(key)
      if (entries !== undefined) found = found === null ? entries : [...found, ...entries]
    }
    return found ?? NONE
  }
}

function unidentifiable(token: AskedToken): boolean {
  return token.malformed || token.exp === null || (token.jti === null && token.iat === null)
}
