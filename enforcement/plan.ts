import { type Scope, strengthOf } from '../core/decision.ts'
import { type WallTimeMs, wallTime } from '../core/time.ts'
import type { Rule } from './gateway.ts'

/** What would make a gateway agree with what is desired. All of `put` goes before any of `remove`. */
export interface Plan {
  readonly put: readonly Rule[]
  readonly remove: readonly string[]
  /** When the next rule ends and a new plan is due; null when none will. */
  readonly wakeAt: WallTimeMs | null
}

/** Gateways keep whole seconds; ends that differ by less are the same end. */
const SAME_END_MS = 1_000

/** What a scope is about, as text: equal text, equal scope. Labels and other words for people do not count. */
export function scopeKey(scope: Scope): string {
  switch (scope.kind) {
    case 'token':
      return JSON.stringify([scope.kind, scope.iss, scope.jti])
    case 'token-issue':
      return JSON.stringify([scope.kind, scope.iss, scope.sub, scope.iat])
    case 'subject':
      return JSON.stringify([scope.kind, scope.iss, scope.sub, scope.notBefore])
    case 'credential':
      return JSON.stringify([scope.kind, scope.credential, scope.principal.kind, scope.principal.id])
    case 'network':
      return JSON.stringify([scope.kind, scope.network, scope.principal.kind, scope.principal.id])
    case 'principal':
      return JSON.stringify([scope.kind, scope.principal.kind, scope.principal.id])
  }
}

/** The caller that a scope names, as text; null for a token, which names its issuer and itself only. */
function callerOf(scope: Scope): string | null {
  switch (scope.kind) {
    case 'token':
      return null
    case 'token-issue':
    case 'subject':
      return `sub:${JSON.stringify([scope.iss, scope.sub])}`
    case 'credential':
    case 'network':
    case 'principal':
      return `${scope.principal.kind}:${scope.principal.id}`
  }
}

/** Whether every call that `narrow` is about is one that `wide` is about. */
export function covers(wide: Scope, narrow: Scope): boolean {
  if (scopeKey(wide) === scopeKey(narrow)) return true
  const caller = callerOf(wide)
  if (caller === null || caller !== callerOf(narrow)) return false
  if (wide.kind === 'principal') return true
  if (wide.kind !== 'subject') return false
  if (wide.notBefore === null) return true
  if (narrow.kind === 'token-issue') return narrow.iat < wide.notBefore
  return narrow.kind === 'subject' && narrow.notBefore !== null && narrow.notBefore <= wide.notBefore
}

/** Calls per second that a throttle leaves. */
function rateOf(rule: Rule): number {
  return rule.limit === null ? 0 : rule.limit.requests / rule.limit.windowSeconds
}

/** Above 0 when `a` restricts a call more than `b`. */
function compareStrength(a: Rule, b: Rule): number {
  if (a.action !== b.action) return strengthOf(a.action) - strengthOf(b.action)
  return rateOf(b) - rateOf(a)
}

/** Total, so that exactly one of two rules about the same calls wins. */
function compareRules(a: Rule, b: Rule): number {
  const strength = compareStrength(a, b)
  if (strength !== 0) return strength
  if (a.until !== b.until) return a.until - b.until
  return a.id < b.id ? -1 : a.id > b.id ? 1 : 0
}

/**
 * Whether `b` is pointless beside `a`. A wider rule of the same strength wins even if it ends earlier: gateways
 * have one place per caller, and the next plan brings the other one back.
 */
function dominates(a: Rule, b: Rule): boolean {
  if (a.id === b.id || !covers(a.scope, b.scope)) return false
  return covers(b.scope, a.scope) ? compareRules(a, b) > 0 : compareStrength(a, b) >= 0
}

/** The rules that should stand now: not ended, and none that a stronger one makes pointless. */
export function effectiveRules(desired: readonly Rule[], now: WallTimeMs): readonly Rule[] {
  const alive = desired.filter((rule) => rule.until > now)
  const byCaller = new Map<string, Rule[]>()
  for (const rule of alive) {
    const key = callerOf(rule.scope) ?? scopeKey(rule.scope)
    const group = byCaller.get(key)
    if (group === undefined) byCaller.set(key, [rule])
    else group.push(rule)
  }
  return [...byCaller.values()].flatMap((group) =>
    group.filter((rule) => !group.some((other) => dominates(other, rule))),
  )
}

function sameRule(a: Rule, b: Rule): boolean {
  return (
    a.action === b.action &&
    scopeKey(a.scope) === scopeKey(b.scope) &&
    a.limit?.requests === b.limit?.requests &&
    a.limit?.windowSeconds === b.limit?.windowSeconds &&
    Math.abs(a.until - b.until) < SAME_END_MS
  )
}

/**
 * Compares what should stand with what a gateway holds under our mark. Only fields that a rule has are
 * compared. A rule listed twice with different content is put again; one that ended, was lifted or is made
 * pointless by a stronger rule is removed.
 */
export function plan(desired: readonly Rule[], actual: readonly Rule[], now: WallTimeMs): Plan {
  const effective = effectiveRules(desired, now)
  const held = new Map<string, Rule[]>()
  for (const rule of actual) {
    const group = held.get(rule.id)
    if (group === undefined) held.set(rule.id, [rule])
    else group.push(rule)
  }
  const wanted = new Set(effective.map((rule) => rule.id))
  const put = effective.filter((rule) => {
    const found = held.get(rule.id)
    return found === undefined || !found.every((other) => sameRule(other, rule))
  })
  const ends = effective.map((rule) => rule.until)
  return {
    put,
    remove: [...held.keys()].filter((id) => !wanted.has(id)),
    wakeAt:
      ends.length === 0
        ? null
        : wallTime(ends.reduce((a: number, b) => Math.min(a, b), Number.POSITIVE_INFINITY)),
  }
}
