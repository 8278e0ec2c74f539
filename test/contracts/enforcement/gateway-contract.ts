import assert from 'node:assert/strict'
import { describe, it } from 'vitest'
import type { Scope } from '../../../core/decision.ts'
import { CurfewError } from '../../../core/errors.ts'
import { wallTime } from '../../../core/time.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'

/** How the control plane behind an adapter can be made to misbehave. `hang` accepts a call and never answers. */
export type Failure = 'refused' | 'status-500' | 'garbage' | 'hang'

/** A fresh gateway with an adapter on it; every check gets its own. */
export interface GatewayBench {
  readonly adapter: GatewayAdapter
  /** Another reconciler: a second adapter of the same configuration on the same control plane. */
  readonly other: GatewayAdapter
  /** Calls that reached the control plane so far, failed ones included. */
  calls(): number
  /** Failures this bench can produce; `refused` at least, for anything that lies behind a network. */
  readonly failures: readonly Failure[]
  fail(failure: Failure | null): Promise<void>
  /** All that the control plane holds, ours or not, without timestamps: what a restore is compared with. */
  state(): Promise<unknown>
  close(): Promise<void>
}

export interface GatewayCase {
  readonly name: string
  make(): Promise<GatewayBench>
  /** Rules that the adapter can hold side by side: different ids, different callers or tokens. */
  readonly rules: readonly Rule[]
  /** A rule that it must refuse; null when it can do everything. */
  readonly unsupported: Rule | null
  /** The same id as `rules[0]` with other content. */
  readonly changed: Rule
  /** Puts objects of other owners where ours will be, including on the callers of `rules`. */
  foreign?(bench: GatewayBench): Promise<void>
  /** The part of the state that belongs to others; needed with `foreign` when ours may edit theirs reversibly. */
  foreignState?(bench: GatewayBench): Promise<unknown>
  /** How the gateway rounds a rule (a limit per minute, say); by default {@link normalised}. */
  normalise?(rule: Rule): unknown
  /** Checks that cannot apply, each with its reason. */
  readonly skip?: Readonly<Partial<Record<CheckName, string>>>
}

export type CheckName =
  | 'put-then-list'
  | 'put-twice'
  | 'replace'
  | 'remove-absent'
  | 'remove-restores'
  | 'two-names'
  | 'foreign-untouched'
  | 'unsupported-refused'
  | 'list-throws'
  | 'abort-honoured'
  | 'two-reconcilers'

/** A hung call counts as not honouring its signal after this long. */
const HANG_LIMIT_MS = 5_000

function scopeKey(scope: Scope): unknown {
  switch (scope.kind) {
    case 'principal':
      return [scope.kind, scope.principal.kind, scope.principal.id]
    case 'credential':
      return [scope.kind, scope.credential, scope.principal.kind, scope.principal.id]
    default:
      return scope
  }
}

/** What must survive a round trip: labels may be lost, and times are whole seconds at most gateways. */
export function normalised(rule: Rule): unknown {
  return {
    id: rule.id,
    action: rule.action,
    scope: scopeKey(rule.scope),
    limit: rule.limit,
    until: wallTime(Math.floor(rule.until / 1_000) * 1_000),
  }
}

function sorted(rules: readonly Rule[], normalise: (rule: Rule) => unknown): unknown[] {
  return [...rules].sort((a, b) => (a.id < b.id ? -1 : 1)).map(normalise)
}

async function assertListed(
  on: GatewayAdapter,
  expected: readonly Rule[],
  of: GatewayCase,
  why: string,
): Promise<void> {
  const normalise = of.normalise ?? normalised
  const listed = await on.list(never())
  assert.deepEqual(sorted(listed, normalise), sorted(expected, normalise), why)
}

function never(): AbortSignal {
  return new AbortController().signal
}

async function rejection(call: Promise<unknown>, what: string): Promise<unknown> {
  let timer: NodeJS.Timeout | undefined
  const hung = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new assert.AssertionError({ message: `${what}: still waiting` })),
      HANG_LIMIT_MS,
    )
  })
  try {
    const answer = await Promise.race([call, hung])
    assert.fail(`${what}: answered ${JSON.stringify(answer)} instead of failing`)
  } catch (error) {
    if (error instanceof assert.AssertionError) throw error
    return error
  } finally {
    clearTimeout(timer)
  }
}

async function refusal(call: Promise<unknown>, what: string): Promise<CurfewError> {
  const error = await rejection(call, what)
  assert.ok(error instanceof CurfewError, `${what}: threw ${String(error)}, which is no CurfewError`)
  return error
}

async function putAll(adapter: GatewayAdapter, rules: readonly Rule[]): Promise<void> {
  for (const rule of rules) await adapter.put(rule, never())
}

type Check = (bench: GatewayBench, of: GatewayCase) => Promise<void>

const putThenList: Check = async (bench, of) => {
  await assertListed(bench.adapter, [], of, 'a fresh gateway holds none of our rules')
  await putAll(bench.adapter, of.rules)
  await assertListed(bench.adapter, of.rules, of, 'list returns what was put')
  await assertListed(bench.other, of.rules, of, 'another reconciler sees the same: rules live at the gateway')
}

const putTwice: Check = async (bench, of) => {
  await putAll(bench.adapter, of.rules)
  const once = await bench.state()
  await putAll(bench.adapter, of.rules)
  await putAll(bench.other, of.rules)
  assert.deepEqual(await bench.state(), once, 'putting the same rule again changes nothing')
  await assertListed(bench.adapter, of.rules, of, 'put twice is once')
}

const replace: Check = async (bench, of) => {
  await putAll(bench.adapter, of.rules)
  await bench.adapter.put(of.changed, never())
  const expected = of.rules.map((rule) => (rule.id === of.changed.id ? of.changed : rule))
  await assertListed(bench.adapter, expected, of, 'the same id with other content replaces')
}

const removeAbsent: Check = async (bench, of) => {
  const before = await bench.state()
  await bench.adapter.remove('dec_neverexisted', never())
  assert.deepEqual(await bench.state(), before, 'removing what is absent changes nothing')
  await putAll(bench.adapter, of.rules)
  await bench.adapter.remove(of.rules[0]!.id, never())
  await bench.adapter.remove(of.rules[0]!.id, never())
  await assertListed(bench.adapter, of.rules.slice(1), of, 'removing twice removes one')
}

const removeRestores: Check = async (bench, of) => {
  await of.foreign?.(bench)
  const before = await bench.state()
  await putAll(bench.adapter, of.rules)
  await bench.adapter.put(of.changed, never())
  for (const rule of of.rules) await bench.other.remove(rule.id, never())
  assert.deepEqual(await bench.state(), before, 'the gateway is as it was found')
  await assertListed(bench.adapter, [], of, 'nothing of ours is left')
}

/** A decision has a rule for each name of its caller; their ids begin alike, and each comes and goes alone. */
const twoNames: Check = async (bench, of) => {
  const [own, second] = of.rules
  if (own === undefined || second === undefined) return
  const other = { ...second, id: `${own.id}_as_0123456789ab` }
  await putAll(bench.adapter, [own, other])
  await assertListed(bench.adapter, [own, other], of, 'both rules of a decision are held')
  await bench.adapter.remove(own.id, never())
  await assertListed(bench.other, [other], of, 'the rule of the other name stays')
  await bench.adapter.put(own, never())
  await bench.other.remove(other.id, never())
  await assertListed(bench.adapter, [own], of, 'the rule of the decided name stays')
}

const foreignUntouched: Check = async (bench, of) => {
  await of.foreign?.(bench)
  await assertListed(bench.adapter, [], of, 'objects without our mark are not listed')
  const theirs = async () => (of.foreignState ? of.foreignState(bench) : bench.state())
  const before = await theirs()
  await putAll(bench.adapter, of.rules)
  if (of.foreignState) assert.deepEqual(await theirs(), before, 'put leaves foreign objects alone')
  await assertListed(bench.adapter, of.rules, of, 'only our rules are listed beside foreign ones')
  for (const rule of of.rules) await bench.adapter.remove(rule.id, never())
  assert.deepEqual(await theirs(), before, 'remove leaves foreign objects alone')
}

const unsupportedRefused: Check = async (bench, of) => {
  if (of.unsupported === null) return
  const before = bench.calls()
  const error = await refusal(bench.adapter.put(of.unsupported, never()), 'an unsupported rule')
  assert.equal(error.code, 'GATEWAY_UNSUPPORTED')
  assert.equal(error.retriable, false)
  assert.equal(bench.calls(), before, 'it is refused before any call')
}

const listThrows: Check = async (bench, of) => {
  await putAll(bench.adapter, of.rules.slice(0, 1))
  for (const failure of bench.failures.filter((f) => f !== 'hang')) {
    await bench.fail(failure)
    await refusal(bench.adapter.list(never()), `list while ${failure}`)
    await refusal(bench.adapter.check(never()), `check while ${failure}`)
    await refusal(bench.adapter.put(of.rules[1] ?? of.rules[0]!, never()), `put while ${failure}`)
    await bench.fail(null)
  }
  const listed = await bench.adapter.list(never())
  assert.ok(
    listed.some((rule) => rule.id === of.rules[0]!.id),
    'the rule outlives the failure',
  )
}

const abortHonoured: Check = async (bench, of) => {
  const aborted = AbortSignal.abort()
  const before = bench.calls()
  await rejection(bench.adapter.list(aborted), 'list after abort')
  await rejection(bench.adapter.put(of.rules[0]!, aborted), 'put after abort')
  await rejection(bench.adapter.remove(of.rules[0]!.id, aborted), 'remove after abort')
  await rejection(bench.adapter.check(aborted), 'check after abort')
  assert.equal(bench.calls(), before, 'no call is made after abort')
  if (!bench.failures.includes('hang')) return
  await bench.fail('hang')
  const stop = new AbortController()
  const calls = bench.calls()
  const listing = rejection(bench.adapter.list(stop.signal), 'list aborted while the gateway hangs')
  for (let i = 0; i < 500 && bench.calls() === calls; i++) await new Promise((r) => setTimeout(r, 5))
  stop.abort()
  await listing
  await bench.fail(null)
}

const twoReconcilers: Check = async (bench, of) => {
  const before = await bench.state()
  const backwards = [...of.rules].reverse()
  await Promise.all([
    settle(bench.adapter, of.rules),
    settle(bench.other, of.rules),
    settle(bench.other, backwards),
  ])
  await assertListed(bench.adapter, of.rules, of, 'two reconcilers converge on the desired rules')
  const lift = async (adapter: GatewayAdapter) => {
    for (const rule of of.rules) await eventually(() => adapter.remove(rule.id, never()))
  }
  await Promise.all([lift(bench.adapter), lift(bench.other)])
  await assertListed(bench.other, [], of, 'two reconcilers converge on nothing')
  assert.deepEqual(await bench.state(), before, 'the gateway is as it was found')
}

async function settle(adapter: GatewayAdapter, rules: readonly Rule[]): Promise<void> {
  for (const rule of rules) await eventually(() => adapter.put(rule, never()))
}

/** A reconciler is level based: it may lose a race, and tries again in its next round. */
async function eventually(act: () => Promise<void>): Promise<void> {
  for (let round = 1; ; round++) {
    try {
      return await act()
    } catch (error) {
      if (!(error instanceof CurfewError) || !error.retriable || round === 5) throw error
    }
  }
}

/** Every check by name; a wrong implementation must fail the one that is named after its fault. */
export const GATEWAY_CHECKS: Readonly<Record<CheckName, Check>> = {
  'put-then-list': putThenList,
  'put-twice': putTwice,
  replace,
  'remove-absent': removeAbsent,
  'remove-restores': removeRestores,
  'two-names': twoNames,
  'foreign-untouched': foreignUntouched,
  'unsupported-refused': unsupportedRefused,
  'list-throws': listThrows,
  'abort-honoured': abortHonoured,
  'two-reconcilers': twoReconcilers,
}

/** Runs one check on a gateway of its own; throws what is wrong. */
export async function runGatewayCheck(name: CheckName, of: GatewayCase): Promise<void> {
  const bench = await of.make()
  try {
    await GATEWAY_CHECKS[name](bench, of)
  } finally {
    await bench.fail(null)
    await bench.close()
  }
}

/** What every gateway adapter must keep, registered as one test per check. */
export function gatewayContract(of: GatewayCase): void {
  describe(`gateway contract: ${of.name}`, () => {
    for (const name of Object.keys(GATEWAY_CHECKS) as CheckName[]) {
      const reason = of.skip?.[name]
      if (reason === undefined) it(name, () => runGatewayCheck(name, of))
      else it.skip(`${name} (${reason})`, () => runGatewayCheck(name, of))
    }
  })
}
