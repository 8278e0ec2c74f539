import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import sequence from '../../../detectors/sequence.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  call,
  DAY_MS,
  HOUR_MS,
  MINUTE_MS,
  MONDAY,
  officeHabit,
  partition,
} from '../../scenarios/engine/traffic.ts'

const { principal } = officeHabit('orders')
const DAYS = 21
const VISITS_A_DAY = 8
const MORNING = MONDAY + DAYS * DAY_MS + 10 * HOUR_MS

/** A visit: a search, three orders of it, a change. */
const VISIT = [
  '/v1/search',
  '/v1/orders/{id}',
  '/v1/orders/{id}/lines',
  '/v1/orders/{id}',
  '/v1/orders/{id}/notes',
]

const callFor = (time: number, route: string, status = 200) => call(time, principal, { route, status })

function visit(from: number, routes: readonly string[] = VISIT): AccessEvent[] {
  return routes.map((route, i) => callFor(from + i * MINUTE_MS, route))
}

/** A partition that has seen the caller work in visits for so many days. */
function trained(days = DAYS): Partition {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  for (let day = 0; day < days; day++)
    for (let n = 0; n < VISITS_A_DAY; n++)
      for (const event of visit(MONDAY + day * DAY_MS + (8 + n) * HOUR_MS)) engine.step(event)
  return engine
}

/** The opinion about the last of some calls, or null when it abstains. */
function opinion(engine: Partition, calls: readonly AccessEvent[]): number | null {
  for (const event of calls) engine.step(event)
  return engine.judge.parts.find((p) => p.detector === 'sequence')?.surprise ?? null
}

const searches = (count: number, status = 200) =>
  Array.from({ length: count }, (_, i) => callFor(MORNING + i * MINUTE_MS, '/v1/search', status))

describe('sequence', () => {
  it('has no opinion about visits as they always were', () => {
    const again = Array.from({ length: 4 }, (_, n) => visit(MORNING + n * HOUR_MS)).flat()
    expect(opinion(trained(), again)).toBeNull()
  })

  it('finds one known operation again and again unlike the caller, the more the more there are', () => {
    const few = opinion(trained(), searches(5)) ?? 0
    const many = opinion(trained(), searches(40))
    expect(many).toBeGreaterThan(4)
    expect(many).toBeGreaterThan(few)
  })

  it('finds known operations in another order unlike the caller', () => {
    const backwards = Array.from({ length: 6 }, (_, n) =>
      visit(MORNING + n * 10 * MINUTE_MS, [...VISIT].reverse()),
    ).flat()
    expect(opinion(trained(), backwards)).toBeGreaterThan(2)
  })

  it('lets a visit begin anew after half an hour', () => {
    const visits = (apart: number) =>
      Array.from({ length: 8 }, (_, n) => callFor(MORNING + n * apart, '/v1/search'))
    expect(opinion(trained(), visits(31 * MINUTE_MS))).toBeNull()
    expect(opinion(trained(), visits(5 * MINUTE_MS))).toBeGreaterThan(2)
  })

  it.each([500, 503, 429, 408])('takes what is asked again after a %d for no step', (status) => {
    expect(opinion(trained(), searches(40, status))).toBeNull()
  })

  it('abstains for callers of two days', () => {
    const engine = trained(2)
    const calls = Array.from({ length: 40 }, (_, i) =>
      callFor(MONDAY + DAY_MS + 20 * HOUR_MS + i * MINUTE_MS, '/v1/search'),
    )
    expect(opinion(engine, calls)).toBeNull()
  })

  it('forgets within two days, and drops its evidence when an incident ends', () => {
    const engine = trained()
    const section = engine.judge.sections[DETECTORS.indexOf(sequence)]!
    const view = engine.residents.slab.at(engine.residents.find('default', principal))
    const evidence = () => view.f32[(view.base + section.offset) / 4]!
    expect(opinion(engine, searches(20))).toBeGreaterThan(2)
    const atOnce = evidence()
    engine.step(callFor(MORNING + 2 * DAY_MS, '/v1/search'))
    expect(evidence()).toBeLessThan(atOnce / 8)
    opinion(
      engine,
      searches(5).map((event) => callFor(event.time + 3 * DAY_MS, '/v1/search')),
    )
    expect(evidence()).toBeGreaterThan(0)
    engine.judge.settle(view)
    expect(evidence()).toBe(0)
  })

  it('halves its counts before one of them overflows, so that none begins anew', () => {
    const engine = trained(1)
    const section = engine.judge.sections[DETECTORS.indexOf(sequence)]!
    const view = engine.residents.slab.at(engine.residents.find('default', principal))
    const from = view.base + section.offset + 24
    const counts = () => view.bytes.slice(from, view.base + section.offset + section.bytes)
    let largest = 0
    let halvings = 0
    for (let n = VISITS_A_DAY; n < 60 * VISITS_A_DAY; n++) {
      const time = MONDAY + Math.floor(n / VISITS_A_DAY) * DAY_MS + (8 + (n % VISITS_A_DAY)) * HOUR_MS
      const before = counts()
      for (const event of visit(time)) engine.step(event)
      const after = counts()
      expect(after.every((count, i) => count >= Math.floor(before[i]! / 2))).toBe(true)
      if (after.some((count, i) => count < before[i]!)) halvings++
      largest = Math.max(largest, ...after)
    }
    expect(halvings).toBeGreaterThan(1)
    expect(largest).toBeGreaterThan(250)
    expect(opinion(engine, visit(MONDAY + 60 * DAY_MS + 9 * HOUR_MS))).toBeNull()
  })

  it('says which call was out of order and how often the caller goes on like that', () => {
    const engine = trained()
    const calls = searches(20)
    opinion(engine, calls)
    const view = engine.residents.slab.at(engine.residents.find('default', principal))
    const { reasons } = engine.judge.explain(calls.at(-1)!, view, engine.known.active)
    const [reason] = reasons.filter((r) => r.detector === 'sequence')
    expect(reason).toMatchObject({ feature: 'sequence/GET /v1/search', unit: 'share of calls', observed: 1 })
    expect(reason!.expected).toBeLessThan(0.2)
  })
})
