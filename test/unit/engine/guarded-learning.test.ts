import { describe, expect, it, vi } from 'vitest'
import { ACTIVITY, CORE, FIXED_BYTES, LEVEL_WEIGHT, MEAN, SEEN } from '../../../baseline/layout.ts'
import { combine } from '../../../engine/combine.ts'
import { worthOf } from '../../../engine/levels.ts'
import type { Partition } from '../../../engine/partition.ts'
import { stateOf } from '../../../engine/profile-state.ts'
import {
  burst,
  call,
  consumer,
  DAY_MS,
  drain,
  HOUR_MS,
  inOrder,
  MONDAY,
  OFFICE_HOURS,
  officeHabit,
  partition,
  play,
  profileBytes,
  routine,
} from '../../scenarios/engine/traffic.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const habit = officeHabit('orders')
const NIGHT = MONDAY + 15 * DAY_MS + 3 * HOUR_MS

/** What is learnt: window statistics, activity and levels; not the running totals and counters in front. */
function learnt(engine: Partition): Uint8Array {
  return profileBytes(engine, habit.principal).slice(SEEN, FIXED_BYTES)
}

function trained(options = {}): Partition {
  const engine = partition(options)
  play(engine, routine(habit, MONDAY, 15, 3))
  // One ordinary call closes what the routine left open, so that only the burst remains to be seen.
  play(engine, [call(NIGHT - 20 * 60_000, habit.principal, { records: 1, responseBytes: 400 })])
  return engine
}

const download = (from = NIGHT, calls = 400) =>
  burst(habit.principal, from, calls, 1_000, { records: 50, responseBytes: 20_000 })

describe('a hostile burst', () => {
  it('leaves everything that is learnt byte for byte as it was, when it closes its windows too', () => {
    const engine = trained()
    const opened = play(engine, download(NIGHT, 60)).alerts
    expect(opened[0]?.transition).toBe('opened')
    const before = learnt(engine)
    play(engine, download(NIGHT + 60_000, 1_200))
    const after = learnt(engine)
    // The one window that closed before the burst was noticed is the minute and ten minutes of the ordinary call.
    expect(after.slice(ACTIVITY - SEEN, LEVEL_WEIGHT - SEEN)).toEqual(
      before.slice(ACTIVITY - SEEN, LEVEL_WEIGHT - SEEN),
    )
    expect(after).toEqual(before)
  })

  it('does not move what is known about all', () => {
    const engine = trained()
    play(engine, download(NIGHT, 60))
    const before = structuredClone(engine.knowledge.sums.prior)
    play(engine, download(NIGHT + 60_000, 1_200))
    expect(engine.knowledge.sums.prior).toEqual(before)
  })

  it('is set aside as one bounded sum', () => {
    const engine = trained()
    play(engine, download(NIGHT, 1_200))
    const [incident] = engine.book.openIncidents()
    expect(incident!.quarantine.count[0]).toBeGreaterThan(10)
    expect(JSON.stringify(incident).length).toBeLessThan(16_000)
  })

  it('teaches nothing when it is dismissed, and does not count against the rest of the day', () => {
    const engine = trained()
    play(engine, download())
    const before = learnt(engine)
    const [incident] = engine.book.openIncidents()
    expect(engine.close(incident!.id, 'dismiss')).toBe(true)
    drain(engine)
    const told = play(engine, [
      call(NIGHT + 5 * HOUR_MS, habit.principal, { records: 3, responseBytes: 1_500 }),
    ])
    expect(told.alerts).toEqual([])
    play(engine, routine(habit, MONDAY + 16 * DAY_MS, 1, 4).slice(0, 1))
    expect(learnt(engine).slice(MEAN - SEEN)).toEqual(before.slice(MEAN - SEEN))
  })

  it('becomes normal when it is accepted: the same night again is no incident', () => {
    const engine = trained()
    const nights = (n: number) => download(NIGHT + n * DAY_MS)
    play(engine, nights(0))
    let accepted = 0
    let incidents = 0
    for (let n = 1; n <= 12; n++) {
      for (const incident of [...engine.book.openIncidents()]) {
        engine.close(incident.id, 'accept')
        accepted++
      }
      drain(engine)
      incidents = play(engine, nights(n)).alerts.filter((a) => a.transition === 'opened').length
      if (incidents === 0) break
    }
    expect(incidents).toBe(0)
    expect(accepted).toBeLessThan(12)
  })
})

describe('our own refusals', () => {
  it('change no byte of a profile, open nothing and carry no opinion', () => {
    const engine = trained()
    const before = profileBytes(engine, habit.principal)
    for (const event of burst(habit.principal, NIGHT, 5_000, 50, { refusedBy: 'curfew', status: 429 })) {
      expect(engine.step(event)).toMatchObject({ surprise: null, score: null, duplicate: false })
    }
    expect(profileBytes(engine, habit.principal)).toEqual(before)
    expect(drain(engine)).toEqual({ alerts: [], decisions: [], approvals: [] })
  })

  it('keep an incident open: it resolves an hour after the last attempt', () => {
    const engine = trained({ mode: 'observe' })
    play(engine, download())
    const lastRefused = NIGHT + 2 * HOUR_MS
    play(
      engine,
      burst(habit.principal, NIGHT + 500_000, 50, (lastRefused - NIGHT - 500_000) / 49, {
        refusedBy: 'curfew',
        status: 403,
      }),
    )
    engine.tick(lastRefused + HOUR_MS - 60_000)
    expect(drain(engine).alerts.filter((a) => a.transition === 'resolved')).toEqual([])
    engine.tick(lastRefused + HOUR_MS + 1)
    const [resolved] = drain(engine).alerts
    expect(resolved).toMatchObject({ transition: 'resolved' })
    expect(Math.abs(Date.parse(resolved!.time) - lastRefused - HOUR_MS)).toBeLessThan(2)
  })
})

/** A caller that asks for more every day: incidents, and the days until the first. */
function boil(share: number, longest: number): { incidents: number; days: number } {
  const engine = partition()
  play(engine, routine({ ...habit, weekdays: [0, 1, 2, 3, 4, 5, 6] }, MONDAY, 21, 3))
  let factor = 1
  for (let day = 0; day < longest; day++) {
    factor *= 1 + share
    const start = MONDAY + (21 + day) * DAY_MS
    const calls = OFFICE_HOURS.flatMap((hour) =>
      burst(habit.principal, start + hour * HOUR_MS, 2, 600_000, {
        records: Math.round(3 * factor),
        responseBytes: Math.round(1_500 * factor),
      }),
    )
    const incidents = play(engine, calls).alerts.length
    if (incidents > 0) return { incidents, days: day + 1 }
  }
  return { incidents: 0, days: longest }
}

describe('slow growth', () => {
  it('moves what counts as normal by a bounded share per day: the day total by less than 12 %', () => {
    const engine = partition()
    const everyDay = { ...habit, weekdays: [0, 1, 2, 3, 4, 5, 6] }
    play(engine, routine(everyDay, MONDAY, 21, 3))
    const f = (cell: number) => {
      const view = engine.residents.slab.at(engine.residents.find('default', habit.principal))
      return view.f32[view.base / 4 + MEAN / 4 + cell]!
    }
    const RECORDS_PER_DAY = 7
    let before = f(RECORDS_PER_DAY)
    const growth: number[] = []
    for (let day = 0; day < 10; day++) {
      // As much as an attacker likes, every day, with nothing ever being an incident.
      engine.known.threshold = 1e9
      play(engine, [
        call(MONDAY + (21 + day) * DAY_MS + 9 * HOUR_MS, habit.principal, {
          records: 1e8,
          responseBytes: 1e9,
        }),
      ])
      const now = f(RECORDS_PER_DAY)
      growth.push(Math.exp(now - before) - 1)
      before = now
    }
    expect(Math.max(...growth)).toBeLessThan(0.12)
  })

  it('by a factor of four a day is noticed within ten days', () => {
    const { incidents, days } = boil(3, 10)
    expect(incidents).toBeGreaterThan(0)
    expect(days).toBeLessThan(10)
  })

  it("of two percent a day is nobody's business", () => {
    expect(boil(0.02, 60).incidents).toBe(0)
  })
})

describe('a caller whose incident nobody ends', () => {
  /** A caller that asks for ten times as much from NIGHT on, every half hour. */
  const shift = (days: number, from = NIGHT) =>
    inOrder(
      ...Array.from({ length: days * 48 }, (_, i) =>
        burst(habit.principal, from + i * 0.5 * HOUR_MS, 30, 1_000, { records: 50, responseBytes: 20_000 }),
      ),
    )
  const flag = (engine: Partition) => {
    const view = engine.residents.slab.at(engine.residents.find('default', habit.principal))
    return { stale: (view.bytes[view.base + CORE.flags]! & 1) === 1, view }
  }
  const newest = (engine: Partition) => stateOf(flag(engine).view)

  it('is STALE after the longest freeze, told once more with the time at which that was due', () => {
    const engine = trained({ mode: 'observe' })
    const { alerts } = play(engine, shift(4))
    const reminders = alerts.filter((a) => a.reminder)
    expect(reminders).toHaveLength(1)
    expect(reminders[0]).toMatchObject({ transition: 'escalated', incident: alerts[0]!.incident })
    expect(reminders[0]!.summary).toContain('open for 3 days and not acted on: learning resumes')
    expect(Date.parse(reminders[0]!.time)).toBe(Date.parse(alerts[0]!.time) + 3 * DAY_MS)
    expect(engine.book.ofId(alerts[0]!.incident)!.stale).toBe(true)
    expect(newest(engine)).toBe('STALE')
  })

  it('comes due by time alone, when nobody calls any more', () => {
    const engine = trained({ mode: 'observe', values: { quietSeconds: 604_800 } })
    const [opened] = play(engine, download()).alerts
    engine.tick(Date.parse(opened!.time) + 3 * DAY_MS - 1)
    expect(newest(engine)).not.toBe('STALE')
    engine.tick(Date.parse(opened!.time) + 3 * DAY_MS)
    expect(newest(engine)).toBe('STALE')
    expect(drain(engine).alerts.map((a) => a.reminder)).toEqual([true])
  })

  it('is judged by its peers alone, at half weight, and the parts still add up', () => {
    const engine = trained({ mode: 'observe' })
    play(engine, shift(3))
    const before = engine.step(call(NIGHT + 3 * DAY_MS - HOUR_MS, habit.principal, { records: 500 }))
      .surprise!
    engine.tick(NIGHT + 3 * DAY_MS + 30 * 60_000)
    drain(engine)
    const event = call(NIGHT + 3 * DAY_MS + 31 * 60_000, habit.principal, { records: 500 })
    const { surprise } = engine.step(event)
    expect(surprise).toBeLessThan(before / 2)
    expect(combine(engine.judge.parts)).toBe(surprise)
    expect(engine.judge.parts.map((p) => p.detector)).toEqual(['volume'])
    const { view } = flag(engine)
    const { prior, calibration } = engine.knowledge.active
    const [reason] = engine.judge.explain(event, view, engine.knowledge.active).reasons
    expect(reason!.comparedWith).toBe('peers')
    // What the detector itself says, by the peers, is twice what counts.
    const section = engine.judge.sections[0]!
    const asked = { event, profile: view, prior, newHour: false }
    const own = engine.judge.detectors[0]!.score(asked, section)
    expect(engine.judge.parts[0]!.surprise).toBe(worthOf(calibration.levels, 0, own) / 2)
  })

  it('learns again, no faster than its own history allows, until a whole day lies within it', () => {
    const engine = trained({ mode: 'observe' })
    play(engine, shift(3))
    const frozen = learnt(engine)
    play(engine, shift(1, NIGHT + 3 * DAY_MS))
    const day = () => flag(engine).view.f32[flag(engine).view.base / 4 + MEAN / 4 + 7]!
    expect(learnt(engine)).not.toEqual(frozen)
    const means: number[] = [day()]
    for (let d = 4; d < 90 && newest(engine) === 'STALE'; d++) {
      play(engine, shift(1, NIGHT + d * DAY_MS))
      means.push(day())
    }
    expect(newest(engine)).not.toBe('STALE')
    // Records per day: a step of ln 10 and more is not swallowed in a day.
    expect(means.length).toBeGreaterThan(2)
    for (let i = 1; i < means.length; i++) expect(means[i]! - means[i - 1]!).toBeLessThan(0.5)
  })

  it('stays what it is when it goes quiet, and is trusted again when a person closes it', () => {
    const engine = trained({ mode: 'observe' })
    play(engine, shift(3))
    const [incident] = engine.book.openIncidents()
    engine.tick(Date.parse(incident!.transitions[0]!.time) + 3 * DAY_MS)
    engine.tick(engine.now + 2 * HOUR_MS)
    expect(engine.book.openCount).toBe(0)
    expect(newest(engine)).toBe('STALE')

    const other = trained({ mode: 'observe' })
    play(other, shift(3))
    other.tick(Date.parse(incident!.transitions[0]!.time) + 3 * DAY_MS)
    expect(newest(other)).toBe('STALE')
    other.close([...other.book.openIncidents()][0]!.id, 'accept')
    expect(newest(other)).not.toBe('STALE')
  })

  it('is not STALE while something holds it, and counts from the end of the last hold', () => {
    const engine = trained()
    const { alerts, decisions } = play(engine, shift(4))
    expect(decisions.length).toBeGreaterThan(0)
    expect(alerts.filter((a) => a.reminder)).toEqual([])
    expect(newest(engine)).not.toBe('STALE')
  })
})

describe('retention', () => {
  it('drops idle profiles and resolved incidents after 90 days by default, and not before', () => {
    const engine = trained({ mode: 'observe' })
    const [opened] = play(engine, download()).alerts
    const known = () => ({
      profile: engine.residents.find('default', habit.principal) >= 0,
      incident: engine.book.ofId(opened!.incident) !== undefined,
    })
    engine.book.takeChanges()
    // A day is swept when it begins.
    engine.tick(NIGHT + 89 * DAY_MS)
    expect(known()).toEqual({ profile: true, incident: true })
    engine.tick(NIGHT + 92 * DAY_MS)
    expect(known()).toEqual({ profile: false, incident: false })
    expect(engine.book.takeChanges().removed).toEqual([opened!.incident])
  })
})

describe('a neighbour', () => {
  it('learns nothing from what happens to another principal', () => {
    const engine = trained()
    play(engine, [call(NIGHT - HOUR_MS, consumer('other'))])
    const before = profileBytes(engine, consumer('other'))
    play(engine, download())
    expect(profileBytes(engine, consumer('other'))).toEqual(before)
  })
})
