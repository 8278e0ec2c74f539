import { describe, expect, it } from 'vitest'
import { Coverage, MAX_GATEWAYS } from '../../../engine/coverage/coverage.ts'
import { SLOT_MS } from '../../../engine/coverage/slots.ts'

const START = Date.UTC(2026, 8, 7)
const LINE = [1, 1, 1, 1, 1]
const slot = (n: number) => START / SLOT_MS + n

function fresh(maxSilenceMs: number | null = 120_000): Coverage {
  return new Coverage([{ name: 'edge', tenant: 'default', maxSilenceMs }])
}

function play(coverage: Coverage, from: number, to: number, gateways: readonly string[]): void {
  for (let n = from; n < to; n++) {
    for (const gateway of gateways) coverage.observe('edge', gateway, slot(n), LINE)
    coverage.advance(START + (n + 1) * SLOT_MS)
  }
}

const toldBy = (coverage: Coverage) =>
  coverage.outputs.splice(0).map(({ transition, entity }) => `${transition} ${entity.id}`)

describe('coverage', () => {
  it('takes a stated silence as missing from the first day on', () => {
    const coverage = fresh()
    play(coverage, 0, 10, ['a', 'b'])
    play(coverage, 10, 40, ['a'])
    expect(toldBy(coverage)).toEqual(['opened edge/b'])
    play(coverage, 40, 80, ['a', 'b'])
    expect(toldBy(coverage)).toEqual(['resolved edge/b'])
  })

  it('without one, abstains while nothing is known', () => {
    const coverage = fresh(null)
    play(coverage, 0, 10, ['a', 'b'])
    play(coverage, 10, 400, ['a'])
    expect(toldBy(coverage)).toEqual([])
  })

  it('notices a source that never had a line', () => {
    const coverage = fresh()
    play(coverage, 0, 60, [])
    expect(toldBy(coverage)).toEqual(['opened edge'])
  })

  it('takes nothing as missing that could not come while Curfew did not run', () => {
    const coverage = fresh()
    play(coverage, 0, 10, ['a'])
    coverage.blind(START + 10 * SLOT_MS, START + 100 * SLOT_MS)
    play(coverage, 100, 110, ['a'])
    expect(toldBy(coverage)).toEqual([])
  })

  it('is the same after a restart: nothing is told twice, what is open stays open and resolves', () => {
    const before = fresh()
    play(before, 0, 10, ['a', 'b'])
    play(before, 10, 40, ['a'])
    const opened = before.outputs.splice(0)
    const after = fresh()
    after.restore(JSON.parse(JSON.stringify(before.state())))
    for (const [source, gateway, feed] of before.feeds()) {
      after.restoreFeed(source, gateway, JSON.parse(JSON.stringify(feed.state())))
    }
    play(after, 40, 60, ['a'])
    expect(toldBy(after)).toEqual([])
    play(after, 60, 80, ['a', 'b'])
    const resolved = after.outputs.splice(0)
    expect(resolved.map(({ transition }) => transition)).toEqual(['resolved'])
    expect(resolved[0]!.incident).toBe(opened[0]!.incident)
  })

  it('measures silence from the restart, because feeds are stored less often than the position', () => {
    const before = fresh()
    play(before, 0, 10, ['a'])
    const feeds = [...before.feeds()].map(
      ([source, gateway, feed]) => [source, gateway, feed.state()] as const,
    )
    play(before, 10, 40, ['a'])
    const after = fresh()
    after.restore(before.state())
    for (const [source, gateway, state] of feeds) after.restoreFeed(source, gateway, state)
    play(after, 40, 48, [])
    expect(toldBy(after)).toEqual([])
    play(after, 48, 60, [])
    expect(toldBy(after)).toEqual(['opened edge/a'])
  })

  it('keeps a bounded number of gateways and slots, whatever the lines say', () => {
    const coverage = fresh(null)
    for (let i = 0; i < 1_000; i++) coverage.observe('edge', `gateway-${i}`, slot(1), LINE)
    coverage.advance(START + 10 * SLOT_MS)
    expect([...coverage.feeds()]).toHaveLength(1 + MAX_GATEWAYS)
    for (let i = 0; i < 60_000; i++) coverage.observe('edge', 'gateway-1', slot(100 + i), LINE)
    expect(coverage.dropped).toBe(10_000)
  })

  it('counts late lines where they come', () => {
    const coverage = fresh()
    play(coverage, 0, 10, ['a'])
    coverage.advance(START + 15 * SLOT_MS)
    for (let n = 10; n < 13; n++) coverage.observe('edge', 'a', slot(n), LINE)
    play(coverage, 16, 20, ['a'])
    expect(toldBy(coverage)).toEqual([])
  })
})
