import { describe, expect, it } from 'vitest'
import { marksOf } from '../../../detectors/marks.ts'
import { binOf, UNITS_PER_DAY } from '../../../engine/calibration.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  burst,
  call,
  consumer,
  DAY_MS,
  HOUR_MS,
  MINUTE_MS,
  MONDAY,
  partition,
  play,
} from '../../scenarios/engine/traffic.ts'

const HABIT = consumer('habit')
const PER_DAY = 8

/** Six days of eight calls each, then one of `calls`; nothing opens an incident. */
function afterABusyDay(calls: number): { engine: Partition; before: number } {
  const engine = partition({ values: { minIncidentSurprise: 30 } })
  const at = (day: number) => MONDAY + day * DAY_MS + 9 * HOUR_MS
  for (let day = 0; day < 6; day++) play(engine, burst(HABIT, at(day), PER_DAY, 10 * MINUTE_MS))
  const before = weight(engine)
  play(engine, burst(HABIT, at(6), calls, MINUTE_MS / 2))
  return { engine, before }
}

function weight(engine: Partition): number {
  return engine.knowledge.sums.calibration.events.reduce((sum, units) => sum + units, 0)
}

describe('what calls weigh in the calibration', () => {
  it('is nothing before the third day, and a day of the usual calls one principal-day', () => {
    const { engine, before } = afterABusyDay(PER_DAY)
    expect(before / UNITS_PER_DAY).toBeCloseTo(4, 1)
    expect((weight(engine) - before) / UNITS_PER_DAY).toBeCloseTo(1, 1)
  })

  it('is the same for each call of a busy day', () => {
    const { engine, before } = afterABusyDay(5 * PER_DAY)
    expect((weight(engine) - before) / UNITS_PER_DAY).toBeCloseTo(5, 1)
  })

  it('is bounded for one day, whatever is called on it', () => {
    const { engine, before } = afterABusyDay(1_000)
    expect((weight(engine) - before) / UNITS_PER_DAY).toBeLessThanOrEqual(16)
  })

  it('is counted at the threshold where calls are hostile, and their operations are not', () => {
    const engine = partition()
    for (let day = 0; day < 20; day++) {
      play(engine, burst(HABIT, MONDAY + day * DAY_MS + 9 * HOUR_MS, PER_DAY, 10 * MINUTE_MS))
    }
    const before = weight(engine)
    const flood = { method: 'DELETE', records: 900 }
    play(engine, burst(HABIT, MONDAY + 20 * DAY_MS + 3 * HOUR_MS, 10 * PER_DAY, 1_000, flood))
    const [incident] = [...engine.book.openIncidents()]
    const { threshold, knowledge } = engine.known
    expect(incident!.surprise).toBeGreaterThan(threshold + 1)
    expect((weight(engine) - before) / UNITS_PER_DAY).toBeCloseTo(10, 1)
    const { calibration, prior } = knowledge.sums
    expect(calibration.events.slice(binOf(threshold) + 1).every((units) => units === 0)).toBe(true)
    const learnt = prior.operations[marksOf(call(MONDAY, HABIT, flood)).operation]! / UNITS_PER_DAY
    expect(learnt).toBeLessThan(0.1 * PER_DAY)
  })
})
