import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { DETECTORS } from '../../../detectors/catalog.ts'
import newObjects from '../../../detectors/new-objects.ts'
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
const CALLS_A_DAY = 24
const MORNING = MONDAY + DAYS * DAY_MS + 10 * HOUR_MS

/** A partition that has seen the caller work for weeks; `objectOf` names the object of the nth call. */
function trained(objectOf: (n: number) => string | null, days = DAYS): Partition {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  for (let n = 0; n < days * CALLS_A_DAY; n++) {
    const time =
      MONDAY + Math.floor(n / CALLS_A_DAY) * DAY_MS + 9 * HOUR_MS + (n % CALLS_A_DAY) * 15 * MINUTE_MS
    engine.step(callFor(time, objectOf(n)))
  }
  return engine
}

const callFor = (time: number, object: string | null) =>
  call(time, principal, { route: '/v1/orders/{id}', objectIds: object === null ? [] : [object] })

/** Works with forty orders, and now and then with one that is new. */
const steady = (n: number) => (n % 12 === 11 ? `new-${n}` : `o-${(n * 7) % 40}`)
/** Nearly every order is a new one, as with somebody who answers customers. */
const everNew = (n: number) => (n % 12 === 11 ? 'o-1' : `new-${n}`)

const callsOf = (count: number, objectOf: (i: number) => string | null): AccessEvent[] =>
  Array.from({ length: count }, (_, i) => callFor(MORNING + i * MINUTE_MS, objectOf(i)))

/** The opinion about the last of some calls, or null when it abstains. */
function opinion(engine: Partition, calls: readonly AccessEvent[]): number | null {
  for (const event of calls) engine.step(event)
  return engine.judge.parts.find((p) => p.detector === 'new-objects')?.surprise ?? null
}

const stranger = (i: number) => `strange-${i}`

describe('new-objects', () => {
  it('has no opinion about an ordinary morning', () => {
    expect(opinion(trained(steady), callsOf(30, steady))).toBeNull()
    expect(
      opinion(
        trained(everNew),
        callsOf(30, (i) => everNew(10_000 + i)),
      ),
    ).toBeNull()
  })

  it('finds objects that were never used unlike the caller, the more the more there are', () => {
    const few = opinion(trained(steady), callsOf(6, stranger)) ?? 0
    const many = opinion(trained(steady), callsOf(30, stranger))
    expect(many).toBeGreaterThan(4)
    expect(many).toBeGreaterThan(few)
  })

  it('holds new objects for less where they are usual', () => {
    const steadyOne = opinion(trained(steady), callsOf(30, stranger))!
    expect(opinion(trained(everNew), callsOf(30, stranger)) ?? 0).toBeLessThan(steadyOne / 2)
  })

  it('is calmed by what the caller does use', () => {
    const alone = opinion(trained(steady), callsOf(20, stranger))!
    const mixed = callsOf(60, (i) => (i % 3 === 0 ? stranger(i) : `o-${i % 40}`))
    expect(opinion(trained(steady), mixed) ?? 0).toBeLessThan(alone)
  })

  it('abstains for callers of two days, and for those that name no objects', () => {
    const early = trained(steady, 2)
    const calls = Array.from({ length: 30 }, (_, i) =>
      callFor(MONDAY + DAY_MS + 20 * HOUR_MS + i * MINUTE_MS, stranger(i)),
    )
    expect(opinion(early, calls)).toBeNull()
    expect(
      opinion(
        trained(() => null),
        callsOf(30, () => null),
      ),
    ).toBeNull()
    // The first objects of a caller that never named any cannot be unlike it.
    expect(
      opinion(
        trained(() => null),
        callsOf(30, stranger),
      ),
    ).toBeNull()
  })

  it('forgets within two days, and drops its evidence when an incident ends', () => {
    const engine = trained(steady)
    const section = engine.judge.sections[DETECTORS.indexOf(newObjects)]!
    const view = engine.residents.slab.at(engine.residents.find('default', principal))
    const evidence = () => view.f32[(view.base + section.offset) / 4]!
    expect(opinion(engine, callsOf(20, stranger))).toBeGreaterThan(2)
    const atOnce = evidence()
    engine.step(callFor(MORNING + 2 * DAY_MS, 'o-1'))
    expect(evidence()).toBeLessThan(atOnce / 8)
    for (let i = 0; i < 5; i++) engine.step(callFor(MORNING + 3 * DAY_MS + i * MINUTE_MS, `later-${i}`))
    expect(evidence()).toBeGreaterThan(1)
    engine.judge.settle(view)
    expect(evidence()).toBe(0)
  })

  it('says how seldom the caller touches what is new to it', () => {
    const engine = trained(steady)
    const calls = callsOf(20, stranger)
    opinion(engine, calls)
    const view = engine.residents.slab.at(engine.residents.find('default', principal))
    const { reasons } = engine.judge.explain(calls.at(-1)!, view, engine.known.active)
    const [reason] = reasons.filter((r) => r.detector === 'new-objects')
    expect(reason).toMatchObject({ feature: 'object/new', unit: 'share of calls', observed: 1 })
    expect(reason!.expected).toBeGreaterThan(0.05)
    expect(reason!.expected).toBeLessThan(0.25)
  })
})
