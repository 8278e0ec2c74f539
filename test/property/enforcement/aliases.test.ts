import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Decision } from '../../../core/decision.ts'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { Alias } from '../../../enforcement/aliases.ts'
import { decisionIdOf } from '../../../enforcement/aliases.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { LedgerEntry } from '../../../enforcement/ledger.ts'
import { Placement } from '../../../enforcement/placement.ts'
import { plan } from '../../../enforcement/plan.ts'
import { sampleDecision } from '../../services/decision-ledger.ts'
import { member } from '../../unit/enforcement/alias-rig.ts'
import { EVERYTHING, TestGateway } from '../../unit/enforcement/enforcer-rig.ts'

const NOW = wallTime(1_000_000)
const GATEWAYS = ['a', 'b', 'c'].map((name) => new TestGateway(name, EVERYTHING))
const sub = (name: string): Principal => ({
  kind: 'sub',
  id: JSON.stringify(['iss', name]),
  label: name,
  verified: true,
})

/** Callers 0 and 1 with three names each. */
const name = fc.record({
  caller: fc.constantFrom(0, 1),
  name: fc.constantFrom('x', 'y', 'z'),
  at: fc.option(fc.constantFrom('a', 'b', 'c')),
})
const aliases: fc.Arbitrary<readonly Alias[]> = fc.array(name, { maxLength: 10 }).map((names) =>
  [0, 1].map((caller) => ({
    name: `caller-${caller}`,
    tenant: 'default',
    members: names
      .filter((one) => one.caller === caller)
      .map((one) => member(sub(`${caller}${one.name}`), { adapters: one.at === null ? null : [one.at] })),
  })),
)
const decided: fc.Arbitrary<LedgerEntry> = fc
  .record({
    id: fc.integer({ min: 0, max: 20 }).map((n) => `dec_${n}`),
    caller: fc.constantFrom('0x', '0y', '1x', '1z', '2x').map(sub),
    action: fc.constantFrom('throttle' as const, 'block' as const),
    tenant: fc.constantFrom('default', 'other'),
    verified: fc.boolean(),
  })
  .map(({ id, caller, action, tenant, verified }) => {
    const principal = { ...caller, verified }
    const limit = action === 'throttle' ? { requests: 2, windowSeconds: 10 } : null
    const of: Decision = sampleDecision({
      ...{ id, action, tenant, limit, principal, evidenceAt: NOW },
      scope: { kind: 'principal', principal },
    })
    return {
      ...{ decision: of, status: 'pending', statusReason: null, issuedAt: NOW, until: NOW + 60_000 },
      ...{ approved: false, startedAt: [], receipts: [] },
    } as const
  })
const decisions = fc.uniqueArray(decided, { selector: ({ decision: { id } }) => id, maxLength: 8 })

function planned(
  all: readonly Alias[],
  entries: readonly LedgerEntry[],
  actual: readonly (readonly Rule[])[] = [],
) {
  const placement = new Placement(GATEWAYS, new Map(), all)
  return GATEWAYS.map((gateway, i) => {
    const rules = entries.flatMap((entry) => placement.rulesAt(gateway, entry))
    return plan(rules, actual[i] ?? [], NOW)
  })
}

const reversed = (all: readonly Alias[]) =>
  all.map((alias) => ({ ...alias, members: alias.members.toReversed() })).toReversed()

describe('plans with aliases', () => {
  it('are the same whatever the order of entries and names in the configuration', () => {
    fc.assert(
      fc.property(aliases, decisions, (all, entries) => {
        expect(planned(reversed(all), entries)).toEqual(planned(all, entries))
      }),
    )
  })

  it('ask for nothing more once carried out', () => {
    fc.assert(
      fc.property(aliases, decisions, (all, entries) => {
        const first = planned(all, entries)
        const again = planned(
          all,
          entries,
          first.map(({ put }) => put),
        )
        expect(again.map(({ put, remove }) => [put, remove])).toEqual(GATEWAYS.map(() => [[], []]))
      }),
    )
  })

  it('have one id per rule, and none about a caller of another entry, tenant or unverified name', () => {
    fc.assert(
      fc.property(aliases, decisions, (all, entries) => {
        const placement = new Placement(GATEWAYS, new Map(), all)
        for (const gateway of GATEWAYS) {
          const rules = entries.flatMap((entry) => placement.rulesAt(gateway, entry))
          expect(new Set(rules.map(({ id }) => id)).size).toBe(rules.length)
          for (const { id, scope } of rules) {
            const { principal, tenant } = entries.find(
              ({ decision: d }) => d.id === decisionIdOf(id),
            )!.decision
            if (scope.kind !== 'principal' || scope.principal.id === principal.id) continue
            expect([scope.principal.label[0], tenant, principal.verified]).toEqual([
              principal.label[0],
              'default',
              true,
            ])
          }
        }
      }),
    )
  })

  it('leave out no gateway that names nobody, and no other caller', () => {
    fc.assert(
      fc.property(aliases, decisions, (all, entries) => {
        const placement = new Placement(GATEWAYS, new Map(), all)
        for (const gateway of GATEWAYS)
          for (const entry of entries) {
            const alias = all.find(({ members }) =>
              members.some(({ principal }) => principal.id === entry.decision.principal.id),
            )
            const names = alias?.members.some(({ adapters }) => adapters?.includes(gateway.name)) === true
            const ids = placement.rulesAt(gateway, entry).map(({ id }) => id)
            if (!names || entry.decision.tenant !== 'default') expect(ids).toContain(entry.decision.id)
            expect(ids.length).toBeGreaterThan(0)
          }
      }),
    )
  })
})
