import { describe, expect, it } from 'vitest'
import { markStale } from '../../../baseline/windows.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { type DayRecord, dayRecordDetector } from '../../../detectors/day-records.ts'
import { ABSTAIN, type Detector, type Question } from '../../../detectors/detector.ts'
import type { Partition } from '../../../engine/partition.ts'
import { call, consumer, DAY_MS, HOUR_MS, MONDAY, partition } from '../../scenarios/engine/traffic.ts'

const principal = consumer('orders')

/** Counts the calls to one route. */
const RECORD: DayRecord = {
  name: 'counted',
  place: 0,
  summary: 'Calls of one route in a day.',
  owasp: [],
  unit: 'calls',
  feature: ({ route }) => `route/${route}`,
  noise: 1,
  scale: 10,
  leastDays: 3,
  speaksOfStale: false,
  marks: 8,
  counts: ({ event }) => (event.route === '/counted' ? 1 : event.route === '/near' ? 0 : null),
}
const counted = dayRecordDetector(RECORD)

function engineWith(detector: Detector = counted): Partition {
  return partition({ detectors: [detector], values: { minIncidentSurprise: 30 } })
}

const calls = (day: number, count: number, route = '/counted', hour = 9): AccessEvent[] =>
  Array.from({ length: count }, (_, i) =>
    call(MONDAY + day * DAY_MS + hour * HOUR_MS + i * 1_000, principal, { route }),
  )

/** What the detector says at the last of some calls, in its own decades. */
function opinion(engine: Partition, events: readonly AccessEvent[], detector: Detector = counted): number {
  for (const event of events) engine.step(event)
  return detector.score(questionOf(engine, events), engine.judge.sections[0]!)
}

function questionOf(engine: Partition, events: readonly AccessEvent[]): Question {
  const { prior } = engine.known.active
  return { event: events.at(-1)!, profile: viewOf(engine), prior, newHour: false }
}

function viewOf(engine: Partition) {
  return engine.residents.slab.at(engine.residents.find('default', principal))
}

/** Days of so many calls each. */
function trained(days: readonly number[], detector: Detector = counted): Partition {
  const engine = engineWith(detector)
  days.forEach((count, day) => void opinion(engine, calls(day, count)))
  return engine
}

/** As a profile is that was stored before the detector was switched on. */
function forgetSection(engine: Partition): void {
  const profile = viewOf(engine)
  const { offset, bytes } = engine.judge.sections[0]!
  profile.bytes.fill(0, profile.base + offset, profile.base + offset + bytes)
}

/** The largest of former days fades by a 45th with each further day. */
const fade = 1 - 1 / 45
const inDecades = (now: number, most: number) => 10 * Math.log10((now + 1) / (most + 1))

describe('a day with more than any before', () => {
  it('surprises by how many times it is more', () => {
    expect(opinion(trained([5, 9, 7]), calls(3, 99))).toBeCloseTo(inDecades(99, 9 * fade), 4)
    expect(opinion(trained([5, 9, 7]), calls(3, 9))).toBe(ABSTAIN)
  })

  it('speaks from the fourth day on', () => {
    expect(opinion(trained([5, 9]), calls(2, 99))).toBe(ABSTAIN)
  })

  it('knows nothing of the days before it was there, and does not take them for days without', () => {
    const engine = trained([5, 9, 7, 8, 6])
    forgetSection(engine)
    for (const day of [5, 6, 7]) expect(opinion(engine, calls(day, 8))).toBe(ABSTAIN)
    expect(opinion(engine, calls(8, 9))).toBe(ABSTAIN)
    expect(opinion(engine, calls(8, 99, '/counted', 12))).toBeGreaterThan(9)
  })

  it('speaks of the calls that it counts or is asked about, and of no others', () => {
    const engine = trained([5, 9, 7])
    expect(opinion(engine, [...calls(3, 99), ...calls(3, 1, '/near', 10)])).toBeGreaterThan(9)
    expect(opinion(engine, calls(3, 1, '/else', 11))).toBe(ABSTAIN)
  })

  it('is remembered at most as twice the largest before, and forgotten within months', () => {
    const most = (engine: Partition) => {
      const { offset } = engine.judge.sections[0]!
      return viewOf(engine).f32[(viewOf(engine).base + offset + 16) / 4]!
    }
    const engine = trained([5, 9, 7, 1_000, 1])
    expect(most(engine)).toBeCloseTo(2 * (9 * fade + 1), 4)
    for (let day = 5; day < 60; day++) opinion(engine, calls(day, 1))
    expect(most(engine)).toBeLessThan(7)
    expect(most(engine)).toBeGreaterThan(1)
  })

  it('teaches nothing as long as it is held against the caller, unless a person says that it is usual', () => {
    const told = (accepts: boolean) => {
      let isHeld = false
      const watched: Detector = {
        ...counted,
        learn: (...asked) => {
          if (!isHeld) counted.learn(...asked)
        },
      }
      const engine = trained([5, 9, 7], watched)
      isHeld = true
      opinion(engine, calls(3, 50), watched)
      if (accepts) engine.judge.accept(viewOf(engine))
      engine.judge.settle(viewOf(engine))
      isHeld = false
      return opinion(engine, calls(4, 50), watched)
    }
    expect(told(false)).toBeCloseTo(inDecades(50, 9 * fade ** 2), 4)
    expect(told(true)).toBe(ABSTAIN)
  })

  it('says nothing of a caller whose past is too long ago, unless it is about that', () => {
    const later = (detector: Detector) => {
      const engine = trained([5, 9, 7], detector)
      const events = calls(3, 99)
      opinion(engine, events, detector)
      markStale(viewOf(engine))
      return detector.score(questionOf(engine, events), engine.judge.sections[0]!)
    }
    expect(later(counted)).toBe(ABSTAIN)
    expect(later(dayRecordDetector({ ...RECORD, speaksOfStale: true }))).toBeGreaterThan(9)
  })

  it('is told with what was the most before', () => {
    const engine = trained([5, 9, 7])
    const events = calls(3, 99)
    opinion(engine, events)
    expect(counted.explain(questionOf(engine, events), engine.judge.sections[0]!)).toMatchObject([
      {
        detector: 'counted',
        feature: 'route//counted',
        observed: 99,
        expected: 9,
        range: [0, 9],
        unit: 'calls',
      },
    ])
  })
})
