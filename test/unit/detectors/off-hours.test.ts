import { describe, expect, it } from 'vitest'
import { CORE } from '../../../baseline/layout.ts'
import { ABSTAIN } from '../../../detectors/detector.ts'
import {
  call,
  DAY_MS,
  type Habit,
  HOUR_MS,
  MONDAY,
  officeHabit,
  partition,
  play,
  routine,
} from '../../scenarios/engine/traffic.ts'

const habit: Habit = officeHabit('orders')

/** The opinion about a call at an instant, after some days of office hours. */
function opinionAt(time: number, days: number): { surprise: number; activeHours: number } {
  const engine = partition()
  play(engine, routine(habit, MONDAY, days, 3))
  engine.step(call(time, habit.principal))
  const view = engine.residents.slab.at(engine.residents.find('default', habit.principal))
  return {
    surprise: view.f32[(view.base + CORE.hourSurprise) / 4]!,
    activeHours: view.f32[(view.base + CORE.activeHours) / 4]!,
  }
}

describe('off-hours', () => {
  it('has no opinion before a day of active hours is known', () => {
    const { surprise, activeHours } = opinionAt(MONDAY + 3 * DAY_MS + 3 * HOUR_MS, 2)
    expect(activeHours).toBeLessThan(24)
    expect(surprise).toBe(ABSTAIN)
  })

  it('finds a working hour ordinary and three at night on a Sunday surprising', () => {
    expect(opinionAt(MONDAY + 21 * DAY_MS + 10 * HOUR_MS, 19).surprise).toBeLessThan(0.5)
    expect(opinionAt(MONDAY + 20 * DAY_MS + 3 * HOUR_MS, 19).surprise).toBeGreaterThan(2)
  })

  it('is less surprised by the edge of the working day than by its opposite', () => {
    const edge = opinionAt(MONDAY + 21 * DAY_MS + 17 * HOUR_MS, 19).surprise
    const night = opinionAt(MONDAY + 21 * DAY_MS + 3 * HOUR_MS, 19).surprise
    expect(edge).toBeLessThan(night)
  })

  it('knows that a weekend is another day', () => {
    const weekday = opinionAt(MONDAY + 21 * DAY_MS + 10 * HOUR_MS, 19).surprise
    const sunday = opinionAt(MONDAY + 20 * DAY_MS + 10 * HOUR_MS, 19).surprise
    expect(sunday).toBeGreaterThan(weekday)
  })
})
