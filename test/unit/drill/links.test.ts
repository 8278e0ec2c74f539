import { describe, expect, it } from 'vitest'
import { brokenLink, type Evidence, failingCheck } from '../../../cli/drill/links.ts'
import type { DecisionView } from '../../../engine/control-plane.ts'
import { sampleSeed } from '../../contracts/admin/sample-state.ts'

const fine = ['store', 'log', 'detection', 'sources'].map((name) => ({ name, ok: true, detail: 'fine' }))
const without = (...names: string[]) => fine.map((check) => ({ ...check, ok: !names.includes(check.name) }))
const seed = sampleSeed()
const incident = seed.incidents![0]!
const decision = (over: Partial<DecisionView>): DecisionView => ({
  ...seed.decisions![0]!,
  receipts: [],
  ...over,
})
const found = (over: Partial<Evidence>) =>
  brokenLink({ checks: fine, served: 40, incident: null, decision: null, ...over })

describe('the link that a drill names', () => {
  it.each([
    ['curfew', { checks: null }],
    ['state store', { checks: without('store', 'detection') }],
    ['event log', { checks: without('log', 'detection', 'sources') }],
    ['detection', { checks: without('detection') }],
    ['access log', {}],
    ['policy', { incident }],
    ['policy', { incident, decision: decision({ status: 'observed', statusReason: null }) }],
    ['policy', { incident, decision: decision({ status: 'withheld', statusReason: 'stale evidence' }) }],
    ['gateway', { incident, decision: decision({ status: 'in-force' }) }],
    ['adapter', { incident, decision: decision({ status: 'pending' }) }],
  ] as const)('is %s for %#', (link, over) => {
    expect(found(over).link).toBe(link)
  })

  it('is the adapter that failed last, with what it said', () => {
    const receipt = { time: '2026-01-01T00:00:00.000Z', operation: 'put', outcome: 'failed' } as const
    const receipts = [
      { ...receipt, gateway: 'edge', detail: 'no socket' },
      { ...receipt, gateway: 'kong', outcome: 'done' as const, detail: '' },
    ]
    expect(found({ decision: decision({ status: 'failed', receipts }) })).toEqual({
      link: 'adapter edge',
      why: 'no socket',
    })
  })

  it('is none while every check holds', () => {
    expect(failingCheck(fine)).toBeNull()
  })
})
