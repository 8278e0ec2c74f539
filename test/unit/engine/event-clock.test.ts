import { describe, expect, it } from 'vitest'
import { type ClockSnapshot, EventClock } from '../../../engine/event-clock.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, MONDAY } from '../../scenarios/engine/traffic.ts'

function clockAfter(...times: number[]): EventClock {
  const clock = new EventClock()
  for (const time of times) clock.observe(time, 'edge')
  return clock
}

describe('event time', () => {
  it('follows the calls and never runs backwards', () => {
    const clock = clockAfter(MONDAY, MONDAY + 1_000, MONDAY + 500)
    expect(clock.now).toBe(MONDAY + 1_000)
  })

  it.each([1, 2, 3, 4, 5, 8, 9, 20])(
    'is moved by one wrongly dated call no further than two minutes beyond the median, after %i good ones',
    (good) => {
      const clock = clockAfter(...Array.from({ length: good }, (_, i) => MONDAY + i * 1_000))
      clock.observe(MONDAY + 365 * DAY_MS, 'edge')
      expect(clock.now).toBeLessThanOrEqual(MONDAY + (good - 1) * 1_000 + 2 * MINUTE_MS)
      clock.observe(MONDAY + good * 1_000, 'edge')
      expect(clock.now).toBeLessThanOrEqual(MONDAY + good * 1_000 + 2 * MINUTE_MS)
    },
  )

  it('catches up when most calls agree that time has passed', () => {
    const later = MONDAY + DAY_MS
    const clock = clockAfter(...Array(9).fill(MONDAY), ...Array(5).fill(later))
    expect(clock.now).toBe(later)
  })

  it('is not moved by the first call of a source, whatever its date', () => {
    const clock = clockAfter(MONDAY + HOUR_MS, MONDAY)
    expect(clock.now).toBe(MONDAY)
    clock.observe(MONDAY + HOUR_MS, 'another')
    expect(clock.now).toBe(MONDAY)
    clock.observe(MONDAY + 1_000, 'another')
    expect(clock.now).toBe(MONDAY + 1_000)
  })

  it('keeps a bounded number of sources apart', () => {
    const clock = new EventClock()
    for (let i = 0; i < 2_000; i++) clock.observe(MONDAY + i, `source-${i}`)
    expect(clock.snapshot().sources.length).toBeLessThanOrEqual(257)
  })

  it('is moved by a tick, but not back', () => {
    const clock = clockAfter(MONDAY)
    clock.tick(MONDAY + 10_000)
    clock.tick(MONDAY + 5_000)
    expect(clock.now).toBe(MONDAY + 10_000)
  })

  it('goes on alike from a snapshot', () => {
    const times = Array.from({ length: 40 }, (_, i) => MONDAY + ((i * 7_919) % 50) * MINUTE_MS)
    const whole = clockAfter(...times)
    const first = clockAfter(...times.slice(0, 23))
    const second = new EventClock()
    second.restore(JSON.parse(JSON.stringify(first.snapshot())) as ClockSnapshot)
    for (const time of times.slice(23)) second.observe(time, 'edge')
    expect(second.snapshot()).toEqual(whole.snapshot())
  })
})
