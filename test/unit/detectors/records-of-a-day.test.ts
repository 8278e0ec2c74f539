import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import type { Reason } from '../../../core/opinion.ts'
import awakening from '../../../detectors/awakening.ts'
import type { Detector } from '../../../detectors/detector.ts'
import longDay from '../../../detectors/long-day.ts'
import newPlace from '../../../detectors/new-place.ts'
import rareOperations from '../../../detectors/rare-operations.ts'
import volume from '../../../detectors/volume.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  call,
  consumer,
  DAY_MS,
  HOUR_MS,
  inOrder,
  MONDAY,
  officeHabit,
  partition,
  routine,
} from '../../scenarios/engine/traffic.ts'

const HABIT = officeHabit('orders')
const { principal } = HABIT
const DAYS = 21
const MORNING = MONDAY + DAYS * DAY_MS + 9 * HOUR_MS

const LAPTOP = { clientIp: '192.0.2.10', userAgent: 'orders/1.4' }
const ELSEWHERE = { clientIp: '203.0.113.9', userAgent: 'curl/8.5' }

function trained(detector: Detector, events = routine(HABIT, MONDAY, DAYS, 3)): Partition {
  const engine = partition({ detectors: [detector], values: { minIncidentSurprise: 30 } })
  for (const event of events) engine.step(event)
  return engine
}

/** Reasons at the last of some calls; none where it abstains. */
function reasons(engine: Partition, events: readonly AccessEvent[]): readonly Reason[] {
  for (const event of events) engine.step(event)
  const view = engine.residents.slab.at(engine.residents.find('default', principal))
  const { prior } = engine.known.active
  const [detector] = engine.judge.detectors
  return detector!.explain(
    { event: events.at(-1)!, profile: view, prior, newHour: false },
    engine.judge.sections[0]!,
  )
}

const many = (count: number, changes: Partial<AccessEvent>, from = MORNING, gapMs = 60_000) =>
  Array.from({ length: count }, (_, i) => call(from + i * gapMs, principal, changes))

it.each([newPlace, awakening, longDay])('$name accuses nobody whose profile is older than it', (detector) => {
  const engine = trained(detector)
  const view = engine.residents.slab.at(engine.residents.find('default', principal))
  const { offset, bytes } = engine.judge.sections[0]!
  view.bytes.fill(0, view.base + offset, view.base + offset + bytes)
  for (const event of routine(HABIT, MONDAY + DAYS * DAY_MS, 14, 4))
    expect([event.time, reasons(engine, [event])]).toEqual([event.time, []])
})

describe('new-place', () => {
  it('finds a network and a client that are both new, the more calls the more', () => {
    const [few] = reasons(trained(newPlace), many(5, ELSEWHERE))
    const [most] = reasons(trained(newPlace), many(100, ELSEWHERE))
    expect(few!.surprise).toBeGreaterThan(1)
    expect(most!.surprise).toBeGreaterThan(few!.surprise + 2)
    expect(most).toMatchObject({ feature: 'network/new-with-client', observed: 100, expected: 0 })
  })

  it.each([
    ['one call only', 1, ELSEWHERE],
    ['a new network with the old client', 100, { ...ELSEWHERE, userAgent: 'orders/1.5' }],
    ['a new client in the old network', 100, { ...ELSEWHERE, clientIp: '192.0.2.77' }],
    ['no address', 100, { ...ELSEWHERE, clientIp: null }],
    ['no client', 100, { ...ELSEWHERE, userAgent: null }],
  ])('abstains for %s', (_, count, changes) => {
    expect(reasons(trained(newPlace), many(count, changes))).toEqual([])
  })

  it('says nothing of the owner, who goes on as ever beside the thief', () => {
    const engine = trained(newPlace)
    const both = inOrder(many(50, ELSEWHERE), many(50, LAPTOP, MORNING + 30_000))
    expect(both.at(-1)!.userAgent).toBe(LAPTOP.userAgent)
    expect(reasons(engine, both)).toEqual([])
    expect(reasons(engine, many(1, ELSEWHERE, MORNING + HOUR_MS))[0]!.observed).toBe(51)
  })

  it('knows a place after a day, and takes the first days of a caller for granted', () => {
    const engine = trained(newPlace)
    expect(reasons(engine, many(100, ELSEWHERE)).length).toBe(1)
    expect(reasons(engine, many(100, ELSEWHERE, MORNING + 25 * HOUR_MS))).toEqual([])
    expect(reasons(trained(newPlace, routine(HABIT, MONDAY, 2, 3)), many(100, ELSEWHERE))).toEqual([])
  })

  it('is used to callers who move about every day', () => {
    const rover = Array.from({ length: DAYS }, (_, day) =>
      many(
        60,
        { clientIp: `10.${day}.0.1`, userAgent: `job${'abcdefghijklmnopqrstuvwxyz'[day]}` },
        MONDAY + day * DAY_MS,
      ),
    ).flat()
    expect(reasons(trained(newPlace, rover), many(60, ELSEWHERE))).toEqual([])
  })
})

describe('awakening', () => {
  const later = MORNING + 30 * DAY_MS

  it('finds records taken after a silence longer than ever, and goes on for a day', () => {
    const engine = trained(awakening)
    const [reason] = reasons(engine, many(50, { records: 20 }, later))
    expect(reason).toMatchObject({ feature: 'records/after-silence', observed: 1_000, expected: 0 })
    expect(reasons(engine, many(1, {}, later + 14 * HOUR_MS)).length).toBe(1)
    expect(reasons(engine, many(1, {}, later + 25 * HOUR_MS))).toEqual([])
  })

  it('counts calls where the log tells no records, and nothing that failed', () => {
    expect(reasons(trained(awakening), many(50, { records: null }, later))[0]!.observed).toBe(50)
    expect(reasons(trained(awakening), many(50, { status: 403 }, later))).toEqual([])
    expect(reasons(trained(awakening), many(50, { refusedBy: 'gateway' }, later))).toEqual([])
  })

  it('abstains after a weekend, and after silences that the caller is used to', () => {
    expect(reasons(trained(awakening), many(50, { records: 20 }))).toEqual([])
    const monthly = Array.from({ length: 4 }, (_, month) => many(9, {}, MONDAY + month * 30 * DAY_MS)).flat()
    expect(reasons(trained(awakening, monthly), many(50, { records: 20 }, MONDAY + 122 * DAY_MS))).toEqual([])
  })
})

describe('long-day', () => {
  it('finds more hours with calls than on any day, however few calls they are', () => {
    const [reason] = reasons(trained(longDay), many(14, {}, MORNING, HOUR_MS))
    expect(reason).toMatchObject({ feature: 'hours/day', observed: 14, expected: 8 })
  })

  it('abstains for a usual day with ten times the calls', () => {
    expect(reasons(trained(longDay), many(400, {}, MORNING, 60_000))).toEqual([])
  })
})

describe('rare-operations', () => {
  /** Twenty callers with everyday work, of whom one removes something now and then. */
  function company(): Partition {
    // What is usual for all is counted of calls that somebody judged.
    const engine = partition({ detectors: [rareOperations, volume], values: { minIncidentSurprise: 30 } })
    const work = Array.from({ length: 20 }, (_, n) =>
      routine(n === 0 ? HABIT : { ...HABIT, principal: consumer(`orders-${n}`) }, MONDAY, DAYS, n),
    )
    const removals = [7, 14].flatMap((day) =>
      many(2, { method: 'DELETE' }, MONDAY + day * DAY_MS + 9 * HOUR_MS),
    )
    for (const event of inOrder(...work, removals)) engine.step(event)
    return engine
  }

  it('finds more removals in a day than ever, and none in everyday work', () => {
    const engine = company()
    expect(reasons(engine, many(200, {}))).toEqual([])
    const [reason] = reasons(engine, many(30, { method: 'DELETE' }, MORNING + 4 * HOUR_MS))
    expect(reason).toMatchObject({ feature: 'operation/DELETE /v1/orders/{id}', observed: 30, expected: 2 })
  })

  it('knows no rare operation where too little is known of all', () => {
    expect(reasons(trained(rareOperations), many(30, { method: 'DELETE' }))).toEqual([])
  })
})
