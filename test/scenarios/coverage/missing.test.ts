import { describe, expect, it } from 'vitest'
import { DAY_MS, HOUR_MS, MINUTE_MS } from '../../../core/time.ts'
import { GRACE_MS } from '../../../engine/coverage/coverage.ts'
import { SLOT_MS } from '../../../engine/coverage/slots.ts'
import { batch, busy, type Fault, type GatewaySpec, office, START, World, watched } from './world.ts'

const EDGE: readonly GatewaySpec[] = [
  { source: 'edge', gateway: 'a', rhythm: busy(600), burst: 1 },
  { source: 'edge', gateway: 'b', rhythm: busy(600), burst: 1 },
]
const QUIET: readonly GatewaySpec[] = [
  ...EDGE,
  { source: 'small', gateway: 's', rhythm: busy(30), burst: 3 },
  { source: 'office', gateway: 'o', rhythm: office(200), burst: 2 },
  { source: 'nightly', gateway: 'n', rhythm: batch(300), burst: 1 },
  { source: 'tiny', gateway: 't', rhythm: busy(0.3), burst: 5 },
]
const THREE_MINUTES = 180

/** Learns `days`, then lets the fault last half an hour; what was told, with seconds since the fault began. */
function withFault(specs: readonly GatewaySpec[], days: number, hour: number, fault: Fault) {
  const world = new World(specs, 5)
  const at = START + days * DAY_MS + hour * HOUR_MS
  world.play(START, at)
  expect(world.alerts).toEqual([])
  world.play(at, at + 30 * MINUTE_MS, fault)
  world.play(at + 30 * MINUTE_MS, at + 60 * MINUTE_MS)
  return world.alerts.map((alert) => ({
    transition: alert.transition,
    entity: alert.entity,
    summary: alert.summary,
    incident: alert.incident,
    // An alert is known once its slot is closed.
    seconds: (Date.parse(alert.time) + GRACE_MS + SLOT_MS - at) / 1_000,
  }))
}

/** Lets gateway a count what it served; `isReadable`: whether it answers at the end of the slot of that time. */
function readCounters(world: World, isReadable: (time: number) => boolean = () => true): void {
  let total = 0
  world.onSlot = ({ source, gateway }, slot, served) => {
    if (gateway !== 'a') return
    total += served
    if (isReadable(slot * world.slotMs)) world.coverage.read(source, gateway, slot, { epoch: '1', total })
  }
}

const toldBy = (world: World) => world.alerts.map(({ transition, entity }) => `${transition} ${entity.id}`)

const none = (counts: readonly number[]) => counts.map(() => 0)

describe('what is missing is told, once, and when it is back', () => {
  it.each([3.5, 11.5])('one of two gateways stops logging (at %s h)', (hour) => {
    const told = withFault(EDGE, 9, hour, (spec, _, counts) => (spec.gateway === 'b' ? none(counts) : counts))
    expect(told.map(({ transition }) => transition)).toEqual(['opened', 'resolved'])
    expect(told[0]!.entity).toEqual({ type: 'source', id: 'edge/b' })
    expect(told[0]!.summary).toMatch(/^No line from gateway b of source edge since 2026-09-16T/)
    expect(told[0]!.seconds).toBeLessThanOrEqual(THREE_MINUTES)
    expect(told[1]!.incident).toBe(told[0]!.incident)
    console.log(`one of two gateways stops (${hour} h): told after ${told[0]!.seconds} s of event time`)
  })

  it('a whole source stops: one message, not one per gateway', () => {
    const told = withFault(EDGE, 9, 11.5, (_, __, counts) => none(counts))
    expect(told.map(({ transition, entity }) => `${transition} ${entity.id}`)).toEqual([
      'opened edge',
      'resolved edge',
    ])
    expect(told[0]!.seconds).toBeLessThanOrEqual(THREE_MINUTES)
  })

  it.each([3.5, 11.5])('half of the lines of a source are lost (at %s h)', (hour) => {
    const told = withFault(EDGE, 16, hour, (_, __, counts) => counts.map((n) => Math.floor(n / 2)))
    expect(told.map(({ transition, entity }) => `${transition} ${entity.id}`)).toEqual([
      'opened edge',
      'resolved edge',
    ])
    expect(told[0]!.summary).toMatch(/lines in 2 min from source edge, \d+ were due: \d+ % are missing/)
    expect(told[0]!.seconds).toBeLessThanOrEqual(THREE_MINUTES)
    console.log(`volume halves (${hour} h): told after ${told[0]!.seconds} s of event time`)
  })

  it.each([
    ['principal', 2],
    ['records', 3],
    ['jti', 4],
  ] as const)('the field %s vanishes', (field, index) => {
    const told = withFault(EDGE, 2, 11.5, (_, __, counts) => counts.with(index, 0))
    expect(told.map(({ transition, entity }) => `${transition} ${entity.id}`)).toEqual([
      'opened edge',
      'resolved edge',
    ])
    expect(told[0]!.summary).toContain(`have the field "${field}"`)
    expect(told[0]!.seconds).toBeLessThanOrEqual(THREE_MINUTES)
    console.log(`field ${field} lost: told after ${told[0]!.seconds} s of event time`)
  })

  it('a flood of calls without a principal is no lost field', () => {
    const told = withFault(EDGE, 2, 11.5, (_, __, counts) => [
      counts[0]! * 40,
      counts[1]! * 40,
      ...counts.slice(2),
    ])
    expect(told).toEqual([])
  })

  it('a twentieth of the lines is dropped, on the first day, told by the gateway counter', () => {
    const world = new World(EDGE, 6)
    readCounters(world)
    const at = START + 11 * HOUR_MS
    world.play(START, at)
    expect(world.alerts).toEqual([])
    world.play(at, at + 10 * MINUTE_MS, (spec, _, counts) =>
      spec.gateway === 'a' ? counts.map((n) => Math.round(n * 0.95)) : counts,
    )
    world.play(at + 10 * MINUTE_MS, at + 20 * MINUTE_MS)
    expect(world.alerts.map(({ transition, entity }) => `${transition} ${entity.id}`)).toEqual([
      'opened edge/a',
      'resolved edge/a',
    ])
    expect(world.alerts[0]!.summary).toMatch(
      /that gateway a of source edge counted are in its log: \d\.?\d* % are/,
    )
    const seconds = (Date.parse(world.alerts[0]!.time) + GRACE_MS + SLOT_MS - at) / 1_000
    expect(seconds).toBeLessThanOrEqual(THREE_MINUTES)
    console.log(`5 % dropped: told after ${seconds} s of event time: ${world.alerts[0]!.summary}`)
  })
})

describe('what is missing at two gateways at once', () => {
  const drop = (counts: readonly number[]) => counts.map((n) => Math.round(n * 0.95))

  it('the one whose lines are back says nothing about the other, which still drops some', () => {
    const world = new World(EDGE, 7)
    readCounters(world)
    const at = START + 9 * DAY_MS + 11 * HOUR_MS
    world.play(START, at)
    world.play(at, at + 10 * MINUTE_MS, ({ gateway }, _, counts) =>
      gateway === 'a' ? drop(counts) : none(counts),
    )
    world.play(at + 10 * MINUTE_MS, at + 20 * MINUTE_MS, ({ gateway }, _, counts) =>
      gateway === 'a' ? drop(counts) : counts,
    )
    expect(toldBy(world)).toEqual(['opened edge/b', 'opened edge/a', 'resolved edge/b'])
    world.play(at + 20 * MINUTE_MS, at + 30 * MINUTE_MS)
    expect(toldBy(world)).toEqual(['opened edge/b', 'opened edge/a', 'resolved edge/b', 'resolved edge/a'])
  })

  it('a counter that cannot be read for a while says nothing either', () => {
    const world = new World(EDGE.slice(0, 1), 8)
    readCounters(world, (time) => time < at + 10 * MINUTE_MS || time > at + 30 * MINUTE_MS)
    const at = START + 11 * HOUR_MS
    world.play(START, at)
    world.play(at, at + 60 * MINUTE_MS, (_, __, counts) => drop(counts))
    expect(toldBy(world)).toEqual(['opened edge/a'])
    world.play(at + 60 * MINUTE_MS, at + 70 * MINUTE_MS)
    expect(toldBy(world)).toEqual(['opened edge/a', 'resolved edge/a'])
  })

  it('one that is gone for an hour ends what only it could tell', () => {
    const world = new World(EDGE.slice(0, 1), 9)
    readCounters(world, (time) => time < at + 10 * MINUTE_MS)
    const at = START + 11 * HOUR_MS
    world.play(START, at)
    world.play(at, at + 100 * MINUTE_MS, (_, __, counts) => drop(counts))
    expect(toldBy(world)).toEqual(['opened edge/a', 'resolved edge/a'])
    expect(world.alerts[1]!.summary).toMatch(/^Its counter cannot be read any more\. It was: /)
  })
})

describe('slots of another length', () => {
  it('tell as much sooner as they are shorter', () => {
    const specs = EDGE.map((spec) => ({ ...spec, rhythm: busy(6_000) }))
    const seconds = [10, 2].map((slotSeconds) => {
      const world = new World(specs, 10, watched(specs), slotSeconds * 1_000)
      readCounters(world)
      const at = START + 8 * DAY_MS + 11 * HOUR_MS
      world.play(START, at)
      expect(world.alerts).toEqual([])
      world.play(at, at + 5 * MINUTE_MS, ({ gateway }, _, counts) =>
        gateway === 'a' ? counts.map((n) => Math.round(n * 0.9)) : none(counts),
      )
      world.play(at + 5 * MINUTE_MS, at + 15 * MINUTE_MS)
      expect(toldBy(world).toSorted()).toEqual([
        'opened edge/a',
        'opened edge/b',
        'resolved edge/a',
        'resolved edge/b',
      ])
      const last = world.alerts.findLast(({ transition }) => transition === 'opened')!
      return (Date.parse(last.time) - at) / 1_000
    })
    console.log(`told after ${seconds[0]} s in slots of 10 s, after ${seconds[1]} s in slots of 2 s`)
    expect(seconds[1]).toBeLessThan(seconds[0]! / 3)
  })
})

describe('what is not missing', () => {
  it('7 quiet days, nights, a weekend and low volumes included, after two weeks and after none: no incident', () => {
    for (const seed of [1, 2]) {
      const world = new World(QUIET, seed)
      world.play(START, START + 21 * DAY_MS)
      console.log(
        `false coverage incidents over 7 quiet days: ${world.alerts.length} (seed ${seed}, 21 days in all)`,
      )
      expect(world.alerts).toEqual([])
    }
  }, 240_000)

  it('the same counts give the same incidents, however often they are judged', () => {
    const run = (stride: number) => {
      const world = new World(EDGE.slice(0, 1), 3)
      const at = START + 9 * DAY_MS
      const fault: Fault = (_, time, counts) => (time >= at ? none(counts) : counts)
      const { coverage } = world
      const advance = coverage.advance.bind(coverage)
      let turn = 0
      coverage.advance = (time) => {
        if (++turn % stride === 0) advance(time)
      }
      world.play(START, at + HOUR_MS, fault)
      advance(at + HOUR_MS)
      return [...world.alerts, ...coverage.outputs]
    }
    const each = run(1)
    expect(each.length).toBeGreaterThan(0)
    expect(run(7)).toEqual(each)
  })
})
