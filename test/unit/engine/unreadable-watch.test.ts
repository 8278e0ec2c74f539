import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { UnreadableLines } from '../../../core/unreadable.ts'
import { UnreadableWatch } from '../../../engine/unreadable-watch.ts'
import { DAY_MS, drain, HOUR_MS, MINUTE_MS, MONDAY, partition } from '../../scenarios/engine/traffic.ts'

const WINDOW = 10 * MINUTE_MS
const never = () => false

function lines(changes: Partial<UnreadableLines> = {}): UnreadableLines {
  return {
    tenant: 'default',
    source: 'edge',
    gateway: { kind: 'kong', id: 'edge' },
    address: '203.0.113.9',
    lines: 1,
    receivedAt: MONDAY,
    position: { topic: 'edge!', partition: 0, offset: 1, index: 0 },
    ...changes,
  }
}

function strongest(watch: UnreadableWatch, report: UnreadableLines, at: number): number {
  return Math.max(0, ...watch.take(report, at, never).map((rise) => rise.surprise))
}

describe('a rise of unreadable lines', () => {
  it('is told of the address at first, and of the source when many addresses share it', () => {
    const one = new UnreadableWatch()
    expect(one.take(lines({ lines: 60 }), MONDAY, never).map((r) => r.of)).toEqual(['address'])
    const many = new UnreadableWatch()
    const rises = Array.from({ length: 60 }, (_, i) =>
      many.take(lines({ address: `203.0.113.${i}` }), MONDAY, never),
    )
    expect(rises.flat().every((r) => r.of === 'source')).toBe(true)
    expect(rises.at(-1)?.[0]).toMatchObject({ lines: 60, of: 'source' })
  })

  it('is measured against what is usual: a gateway whose lines are always a little broken stays quiet', () => {
    const watch = new UnreadableWatch()
    const steady = lines({ address: null, lines: 15 })
    for (let i = 0; i < 144; i++) expect(strongest(watch, steady, MONDAY + i * WINDOW)).toBeLessThan(3.5)
    expect(strongest(watch, { ...steady, lines: 40 }, MONDAY + 144 * WINDOW)).toBeLessThan(3.5)
    expect(strongest(watch, { ...steady, lines: 400 }, MONDAY + 145 * WINDOW)).toBeGreaterThan(3.5)
  })

  it('grows what is usual by a bounded share, and not at all during an incident', () => {
    const watch = new UnreadableWatch()
    watch.take(lines({ address: null, lines: 100_000 }), MONDAY, never)
    expect(strongest(watch, lines({ address: null, lines: 100 }), MONDAY + WINDOW)).toBeGreaterThan(3.5)
    const held = new UnreadableWatch()
    held.take(lines({ address: null, lines: 100_000 }), MONDAY, () => true)
    expect(held.take(lines({ address: null, lines: 50 }), MONDAY + WINDOW, () => true)[0]?.expected).toBe(2)
  })

  it('goes on alike from what was stored, and stores only what changed', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(30), fc.integer({ min: 1, max: 40 }), fc.nat(5)), { maxLength: 60 }),
        fc.nat(60),
        (steps, cut) => {
          const whole = new UnreadableWatch()
          let halves = new UnreadableWatch()
          steps.forEach(([window, count, host], i) => {
            if (i === cut) {
              const json = halves.takeChanges()
              halves = new UnreadableWatch()
              if (json !== null) halves.restore(json)
            }
            const report = lines({ lines: count, address: host === 0 ? null : `203.0.113.${host}` })
            const at = MONDAY + window * WINDOW
            expect(halves.take(report, at, never)).toEqual(whole.take(report, at, never))
          })
        },
      ),
    )
    const watch = new UnreadableWatch()
    expect(watch.takeChanges()).toBeNull()
    watch.take(lines(), MONDAY, never)
    expect(watch.takeChanges()).not.toBeNull()
    expect(watch.takeChanges()).toBeNull()
  })

  it('watches a bounded number of addresses, and the source besides', () => {
    const watch = new UnreadableWatch()
    for (let i = 0; i < 10_000; i++) watch.take(lines({ address: `2001:db8:${i}::/64` }), MONDAY, never)
    expect(JSON.parse(watch.takeChanges() ?? '[]')).toHaveLength(2_048)
    expect(strongest(watch, lines({ address: null }), MONDAY)).toBeGreaterThan(3.5)
  })
})

describe('a partition', () => {
  it('opens one incident for a rise, escalates it, resolves it, and never acts', () => {
    const engine = partition()
    for (let i = 0; i < 400; i++) engine.unreadable(lines({ receivedAt: MONDAY + i * 1_000 }))
    engine.tick(MONDAY + 3 * HOUR_MS)
    const { alerts, decisions } = drain(engine)
    expect(decisions).toEqual([])
    expect(alerts.map((a) => a.transition)).toEqual(['opened', 'escalated', 'resolved'])
    expect(alerts.map((a) => a.severity)).toEqual(['medium', 'high', 'high'])
    expect(alerts.every((a) => a.entity.type === 'ip' && a.entity.id === 'ip:203.0.113.9')).toBe(true)
    expect(engine.residents.size).toBe(0)
    expect(engine.book.openCount).toBe(0)
  })

  it('says nothing about the few that every log has', () => {
    const engine = partition()
    for (let day = 0; day < 30; day++) {
      for (let i = 0; i < 12; i++)
        engine.unreadable(lines({ receivedAt: MONDAY + day * DAY_MS + i * MINUTE_MS, address: null }))
    }
    expect(drain(engine).alerts).toEqual([])
  })

  it('closes such an incident on a person’s word', () => {
    const engine = partition()
    for (let i = 0; i < 30; i++) engine.unreadable(lines({ receivedAt: MONDAY + i }))
    const [incident] = [...engine.book.openIncidents()]
    expect(engine.close(incident!.id, 'accept')).toBe(true)
    expect(engine.book.openCount).toBe(0)
  })
})
