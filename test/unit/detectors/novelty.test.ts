import { describe, expect, it } from 'vitest'
import { ProfileSlab } from '../../../baseline/slab.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import { isKnownObject, marksOf, rememberObject } from '../../../detectors/marks.ts'
import novelty from '../../../detectors/novelty.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  call,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MINUTE_MS,
  MONDAY,
  officeHabit,
  partition,
  play,
  routine,
} from '../../scenarios/engine/traffic.ts'

const habit = officeHabit('orders')
const other = officeHabit('billing')
/** What the peers do and this caller never did. */
const STRANGE: Partial<AccessEvent> = { method: 'DELETE', route: '/v1/invoices/{id}', objectIds: ['b-1'] }
const THIEF: Partial<AccessEvent> = { ...STRANGE, clientIp: '198.51.100.7', userAgent: 'curl/8.5' }
const MORNING = MONDAY + 21 * DAY_MS + 10 * HOUR_MS

/** Two callers after some days of office hours; the other one has other routes. */
function trained(days = 21): Partition {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  const others = routine(other, MONDAY, days, 5).map((event) => ({ ...event, ...STRANGE }))
  play(engine, inOrder(routine(habit, MONDAY, days, 3), others))
  return engine
}

/** The opinion about the last of some calls, or null when it abstains. */
function opinion(engine: Partition, calls: readonly AccessEvent[]): number | null {
  for (const event of calls) engine.step(event)
  return engine.judge.parts.find((p) => p.detector === 'novelty')?.surprise ?? null
}

const calls = (count: number, from: number, changes: Partial<AccessEvent>) =>
  Array.from({ length: count }, (_, i) => call(from + i * MINUTE_MS, habit.principal, changes))

describe('novelty', () => {
  it('has no opinion about an ordinary morning', () => {
    expect(opinion(trained(), calls(10, MORNING, {}))).toBeNull()
  })

  it('finds another network, client and operation unlike the caller, the more the longer it goes on', () => {
    const one = opinion(trained(), calls(1, MORNING, THIEF)) ?? 0
    const five = opinion(trained(), calls(5, MORNING, THIEF))
    expect(five).toBeGreaterThan(2)
    expect(five).toBeGreaterThan(one)
  })

  it('holds the same calls for less when they come as the caller does', () => {
    const stranger = opinion(trained(), calls(5, MORNING, THIEF))!
    expect(opinion(trained(), calls(5, MORNING, STRANGE)) ?? 0).toBeLessThan(stranger)
  })

  it('forgets what happened two days ago', () => {
    const engine = trained()
    expect(opinion(engine, calls(5, MORNING, THIEF))).toBeGreaterThan(2)
    expect(opinion(engine, calls(1, MORNING + 2 * DAY_MS, {}))).toBeNull()
  })

  it('does not know a caller before the third day', () => {
    expect(opinion(trained(2), calls(5, MONDAY + 2 * DAY_MS - HOUR_MS, THIEF))).toBeNull()
  })

  it('drops its evidence when the incident ends', () => {
    const engine = partition()
    play(engine, routine(habit, MONDAY, 21, 3))
    const view = engine.residents.slab.at(engine.residents.find('default', habit.principal))
    const section = engine.judge.sections[DETECTORS.indexOf(novelty)]!
    const evidence = () => view.f32[(view.base + section.offset) / 4]!
    for (const event of calls(5, MORNING, THIEF)) engine.step(event)
    expect(evidence()).toBeGreaterThan(1)
    engine.judge.settle(view)
    expect(evidence()).toBe(0)
  })

  it('names what was new', () => {
    const engine = trained()
    const [event] = calls(1, MORNING, THIEF)
    opinion(engine, [...calls(4, MORNING - 5 * MINUTE_MS, THIEF), event!])
    const view = engine.residents.slab.at(engine.residents.find('default', habit.principal))
    const { reasons } = engine.judge.explain(event!, view, engine.known.active)
    const features = reasons.filter((r) => r.detector === 'novelty').map((r) => r.feature)
    expect(features).toContain('operation/DELETE /v1/invoices/{id}')
  })
})

describe('marks', () => {
  const marks = (changes: Partial<AccessEvent>) => ({ ...marksOf(call(MONDAY, habit.principal, changes)) })

  it('tell networks apart, not addresses of one', () => {
    const { network } = marks({ clientIp: '192.0.2.10' })
    expect(marks({ clientIp: '192.0.2.99' }).network).toBe(network)
    expect(marks({ clientIp: '192.0.3.10' }).network).not.toBe(network)
    const v6 = marks({ clientIp: '2001:db8:1:2:3:4:5:6' }).network
    expect(marks({ clientIp: '2001:db8:1:2:9:9:9:9' }).network).toBe(v6)
    expect(marks({ clientIp: '2001:db8:1:3:3:4:5:6' }).network).not.toBe(v6)
    expect(marks({ clientIp: null }).network).toBe(0)
  })

  it('tell client programs apart, not their versions', () => {
    const { agent } = marks({ userAgent: 'orders/1.4' })
    expect(marks({ userAgent: 'orders/2.0' }).agent).toBe(agent)
    expect(marks({ userAgent: 'curl/8.5' }).agent).not.toBe(agent)
  })

  it('know an object under every method of its route, and forget some when there are too many', () => {
    expect(marks({ method: 'DELETE' }).object).toBe(marks({ method: 'GET' }).object)
    const slab = new ProfileSlab(64)
    const view = slab.at(slab.allocate())
    const start = view.base + slab.storedBytes - 64
    const mark = (n: number) => marks({ objectIds: [`o-${n}`] }).object
    const remember = (n: number) => rememberObject(mark(n), view, start, 256, start + 32)
    expect(remember(7)).toBe(true)
    expect(remember(7)).toBe(false)
    for (let n = 0; n < 10_000; n++) {
      remember(n)
      let bits = 0
      for (let i = 0; i < 256; i++) bits += (view.bytes[start + (i >> 3)]! >> (i & 7)) & 1
      expect(bits).toBeLessThanOrEqual(128)
      expect(bits).toBe(view.u16[start / 2 + 17])
    }
    const unused = Array.from({ length: 1_000 }, (_, n) => mark(20_000 + n))
    const seemUsed = unused.filter((object) => isKnownObject(object, view, start, 256))
    expect(seemUsed.length).toBeLessThan(200)
  })
})
