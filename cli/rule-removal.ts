import type { Scope } from '../core/decision.ts'
import { CurfewError } from '../core/errors.ts'
import { isoTime } from '../core/time.ts'
import { capabilityFor, type GatewayAdapter, type Rule } from '../enforcement/gateway.ts'
import { tableText } from './table.ts'

/** Which rules of ours are to go. */
export type Wanted = (rule: Rule) => boolean

/** What became of one gateway. */
export interface Removal {
  readonly gateway: string
  /** Rules that were to go, with what happened to each. */
  readonly rules: readonly { readonly rule: Rule; readonly result: string }[]
  /** True when none of the wanted rules is left. */
  readonly clean: boolean
  /** Why the gateway could not be asked, or null. */
  readonly trouble: string | null
  /** What stays of these rules when they are removed, in words; null when nothing does. */
  readonly lasting: string | null
}

/** One call of a gateway's control plane may take this long. */
const CALL_MS = 15_000
/** Many removals at once may take this long before they are tried one by one. */
const MANY_MS = 30_000

/**
 * Removes rules with our mark from each gateway, then looks again. A gateway or rule that fails holds up no
 * other. With `dryRun` nothing is changed.
 */
export async function removeRules(
  gateways: readonly GatewayAdapter[],
  wanted: Wanted,
  dryRun: boolean,
): Promise<readonly Removal[]> {
  return Promise.all(gateways.map((gateway) => removeFrom(gateway, wanted, dryRun)))
}

async function removeFrom(gateway: GatewayAdapter, wanted: Wanted, dryRun: boolean): Promise<Removal> {
  const results = new Map<string, { rule: Rule; result: string }>()
  const done = (clean: boolean, trouble: string | null): Removal => ({
    gateway: gateway.name,
    rules: [...results.values()],
    clean,
    trouble,
    lasting: lastingOf(
      gateway,
      [...results.values()].map(({ rule }) => rule),
    ),
  })
  try {
    for (const rule of (await gateway.list(AbortSignal.timeout(CALL_MS))).filter(wanted)) {
      results.set(rule.id, { rule, result: dryRun ? 'would be removed' : 'not removed' })
    }
    if (dryRun) return done(results.size === 0, null)
    let left = await removeTogether(gateway, results, wanted)
    for (const { id } of left) {
      const entry = results.get(id)
      if (entry !== undefined) entry.result = await removeOne(gateway, id)
    }
    if (left.length > 0) left = (await gateway.list(AbortSignal.timeout(CALL_MS))).filter(wanted)
    for (const rule of left) {
      const entry = results.get(rule.id)
      if (entry === undefined) results.set(rule.id, { rule, result: 'came meanwhile: is a Curfew running?' })
      else if (entry.result === REMOVED) entry.result = 'is still there'
    }
    return done(left.length === 0, null)
  } catch (error) {
    return done(false, messageOf(error))
  }
}

function lastingOf(gateway: GatewayAdapter, rules: readonly Rule[]): string | null {
  const words = new Set(rules.flatMap((rule) => capabilityFor(gateway, rule)?.lasting ?? []))
  return words.size === 0 ? null : [...words].join('; ')
}

const REMOVED = 'removed'

/** Removes in few calls where the gateway can; returns what is still there of what is wanted gone. */
async function removeTogether(
  gateway: GatewayAdapter,
  results: ReadonlyMap<string, { rule: Rule; result: string }>,
  wanted: Wanted,
): Promise<readonly Rule[]> {
  if (gateway.removeMany === undefined || results.size === 0)
    return [...results.values()].map(({ rule }) => rule)
  try {
    await gateway.removeMany(new Set(results.keys()), AbortSignal.timeout(MANY_MS))
  } catch (error) {
    // One by one, each failure in its own words; what is no operating failure is a defect.
    messageOf(error)
  }
  const left = (await gateway.list(AbortSignal.timeout(CALL_MS))).filter(wanted)
  const still = new Set(left.map(({ id }) => id))
  for (const entry of results.values()) if (!still.has(entry.rule.id)) entry.result = REMOVED
  return left
}

/** Two looks at the same gateways as one: every rule that was met, and how it stands after the later look. */
export function mergedRemovals(earlier: readonly Removal[], later: readonly Removal[]): readonly Removal[] {
  return later.map((last, i) => {
    const rules = new Map(earlier[i]?.rules.map((entry) => [entry.rule.id, entry]))
    for (const entry of last.rules) rules.set(entry.rule.id, entry)
    return { ...last, rules: [...rules.values()], lasting: last.lasting ?? earlier[i]?.lasting ?? null }
  })
}

async function removeOne(gateway: GatewayAdapter, id: string): Promise<string> {
  try {
    await gateway.remove(id, AbortSignal.timeout(CALL_MS))
    return REMOVED
  } catch (error) {
    return messageOf(error)
  }
}

/** Operating failures are told in their own words; anything else is a defect and passes through. */
function messageOf(error: unknown): string {
  if (error instanceof CurfewError) return `${error.code}: ${error.message}`
  throw error
}

/** What was found and done, as text for people: a table of rules and a line per gateway. */
export function removalText(removals: readonly Removal[], what: string, dryRun: boolean): string {
  if (removals.length === 0) return 'no gateway to ask\n'
  const rows = removals.flatMap(({ gateway, rules }) =>
    rules.map(({ rule, result }) => [
      gateway,
      rule.id,
      rule.action,
      scopeText(rule.scope),
      endText(rule),
      result,
    ]),
  )
  const head = ['GATEWAY', 'RULE', 'ACTION', 'ABOUT', 'UNTIL', 'RESULT']
  const table = rows.length === 0 ? '' : `${tableText(head, rows)}\n`
  return (
    table +
    tableText(
      ['GATEWAY', 'SUMMARY'],
      removals.map((removal) => [removal.gateway, summary(removal, what, dryRun)]),
    ) +
    removals
      .flatMap(({ gateway, lasting }) =>
        lasting === null ? [] : [`${gateway}: cannot be undone: ${lasting}\n`],
      )
      .join('')
  )
}

function summary({ rules, clean, trouble }: Removal, what: string, dryRun: boolean): string {
  if (trouble !== null) return `cannot be asked: ${trouble}`
  if (rules.length === 0) return `no ${what} there`
  if (dryRun) return `${rules.length} would be removed`
  const removed = rules.filter(({ result }) => result === REMOVED).length
  return `${removed} removed${clean ? ', none left' : `, ${rules.length - removed} left`}`
}

function endText(rule: Rule): string {
  return rule.until > 0 ? isoTime(rule.until) : 'damaged'
}

function scopeText(scope: Scope): string {
  switch (scope.kind) {
    case 'token':
      return `token ${scope.jti}`
    case 'token-issue':
    case 'subject':
      return `${scope.kind} ${scope.sub}`
    case 'credential':
      return `credential ${scope.credential}`
    case 'network':
      return `${scope.principal.kind}:${scope.principal.label} from ${scope.network}`
    case 'principal':
      return `${scope.principal.kind}:${scope.principal.label}`
  }
}
