import { describe, expect, it, vi } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import type { Partition } from '../../../engine/partition.ts'
import { call, consumer, DAY_MS, HOUR_MS, MONDAY, partition, play } from '../../scenarios/engine/traffic.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const DAYS = 9

/** Callers of one owner, each a few calls of so many records in an hour of each day. */
function team(name: string, size: number, records: number, owner: Partial<AccessEvent>): AccessEvent[] {
  const events: AccessEvent[] = []
  for (let day = 0; day < DAYS; day++) {
    for (let i = 0; i < size; i++) {
      const at = MONDAY + day * DAY_MS + 10 * HOUR_MS + i * 1_000
      for (let k = 0; k < 3; k++)
        events.push(call(at + k * 60_000, consumer(`${name}-${i}`), { records, ...owner }))
    }
  }
  return events
}

function learnt(events: readonly AccessEvent[]): Partition {
  const engine = partition()
  play(
    engine,
    [...events].sort((a, b) => a.time - b.time),
  )
  return engine
}

const companies = Array.from({ length: 24 }, (_, i) =>
  team(`c${i}`, 3, 4, { parents: [`org:company-${i}`] }),
).flat()
const share = (engine: Partition): number => {
  const { owners } = engine.knowledge.sums.prior
  return Math.max(...owners) / owners.reduce((sum, n) => sum + n, 0)
}

describe('one owner with many callers', () => {
  it.each([
    ['an organisation', { parents: ['org:crowd', 'app:bulk'] }],
    ['an app', { parents: ['app:bulk'] }],
    ['a network', { clientIp: '203.0.113.7' }],
  ])('weighs little in what is known about all, being %s', (_what, owner) => {
    const few = learnt(companies)
    const many = learnt([...companies, ...team('crowd', 400, 5_000, owner)])
    const { center } = few.knowledge.active.prior
    const moved = many.knowledge.active.prior.center
    // 400 of 472 callers take 1,250 times the records; a tenth of the way there would be 0.7 nats.
    for (const [cell, value] of center.entries()) expect(Math.abs(moved[cell]! - value)).toBeLessThan(0.7)
    expect(share(many)).toBeLessThan(0.12)
  })

  it('counts in full where everybody has the same', () => {
    const engine = learnt(team('all', 120, 40, { parents: ['org:only'] }))
    expect(engine.knowledge.active.principals).toBe(120)
  })
})
