import { describe, expect, it, vi } from 'vitest'
import { decodeProfile, encodeProfile } from '../../../baseline/codec.ts'
import { LAYOUT_VERSION } from '../../../baseline/layout.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { PROFILE_PREFIX } from '../../../engine/partition-state.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import type { Happening } from '../../property/engine/streams.ts'
import {
  burst,
  call,
  consumer,
  DAY_MS,
  type EngineOptions,
  HOUR_MS,
  MONDAY,
  officeHabit,
  routine,
} from '../../scenarios/engine/traffic.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

/** Nothing is ever an incident, so that everything is learnt. */
const CALM: EngineOptions = { values: { minIncidentSurprise: 30 } }

const asHappenings = (events: readonly AccessEvent[]): Happening[] =>
  events.map((event) => ({ kind: 'event', event }))

function restartedAt(life: readonly Happening[], cut: number, options: EngineOptions) {
  const whole = StoredPartition.open(new Map(), options)
  whole.live(life, [])
  whole.checkpoint()
  const first = StoredPartition.open(new Map(), options)
  first.live(life.slice(0, cut), [])
  first.checkpoint()
  const second = StoredPartition.open(first.stored, options)
  second.live(life.slice(cut), [])
  second.checkpoint()
  return { whole: whole.content(), restarted: second.content() }
}

describe('a restart', () => {
  it('right before midnight clips the lesson of the old day by the prediction of the old day', () => {
    const habit = officeHabit('orders')
    const before = routine(habit, MONDAY, 4, 5)
    const busy = burst(habit.principal, MONDAY + 3 * DAY_MS + 17 * HOUR_MS, 300, 1_000, { records: 40 })
    // By then the knowledge of the day is in force, and the next day brings none that is newer.
    const evening: Happening[] = [1, 2, 3].map(() => ({ kind: 'tick', aheadMs: HOUR_MS }))
    const life = [...asHappenings([...before, ...busy]), ...evening]
    const next = asHappenings(routine(habit, MONDAY + 4 * DAY_MS, 1, 6))
    const { whole, restarted } = restartedAt([...life, ...next], life.length, CALM)
    expect(restarted).toEqual(whole)
  })

  it('keeps what an incident set aside while the caller went on quietly', () => {
    const habit = officeHabit('orders')
    const calm = routine(habit, MONDAY, 14, 5)
    const day = MONDAY + 14 * DAY_MS
    const download = burst(habit.principal, day + 3 * HOUR_MS, 60, 1_000, {
      records: 100,
      responseBytes: 40_000,
    })
    const quiet = [call(day + 3.9 * HOUR_MS, habit.principal), call(day + 3.95 * HOUR_MS, habit.principal)]
    const life = asHappenings([...calm, ...download, ...quiet])
    const { whole, restarted } = restartedAt(life, life.length - 1, {})
    expect(Object.keys(whole).some((key) => key.startsWith('i:'))).toBe(true)
    expect(restarted).toEqual(whole)
  })

  it('does not forget a call refused by us, whose caller has no profile', () => {
    const stranger = call(MONDAY, consumer('stranger'), { refusedBy: 'curfew', status: 429 })
    const life = asHappenings([stranger, ...routine(officeHabit('orders'), MONDAY, 2, 5)])
    const { whole, restarted } = restartedAt(life, 1, {})
    expect(restarted).toEqual(whole)
    const engine = StoredPartition.open(new Map())
    engine.live(asHappenings([stranger]), [])
    expect(engine.engine.residents.size).toBe(0)
  })
})

describe('stored profiles that cannot be used', () => {
  const habit = officeHabit('orders')

  function stored(): StoredPartition {
    const partition = StoredPartition.open(new Map())
    partition.live(asHappenings(routine(habit, MONDAY, 2, 5)), [])
    partition.checkpoint()
    return partition
  }

  it('that are damaged are moved aside, counted, and their caller starts over', () => {
    const { stored: entries } = stored()
    const key = [...entries.keys()].find((k) => k.startsWith(PROFILE_PREFIX))!
    entries.get(key)![40]! ^= 1
    const damaged = entries.get(key)!.slice()
    const again = StoredPartition.open(entries)
    expect(again.state.corrupt).toBe(1)
    expect(again.engine.residents.size).toBe(0)
    again.checkpoint()
    expect(again.stored.has(key)).toBe(false)
    expect(again.stored.get(`corrupt:${key}`)).toEqual(damaged)
    again.live(asHappenings([call(MONDAY + 3 * DAY_MS, habit.principal)]), [])
    again.checkpoint()
    expect(decodeProfile(again.stored.get(key)!, []).kind).toBe('profile')
  })

  it('that a newer release wrote stop the load before anything is written', () => {
    const { stored: entries } = stored()
    const key = [...entries.keys()].find((k) => k.startsWith(PROFILE_PREFIX))!
    new DataView(entries.get(key)!.buffer).setUint16(2, LAYOUT_VERSION + 1, true)
    expect(() => StoredPartition.open(entries)).toThrow(
      expect.objectContaining({ code: 'STORE_NEWER_LAYOUT', message: expect.stringContaining(key) }),
    )
  })

  it('with sections of detectors that are not here keep those sections through the next checkpoint', () => {
    const { stored: entries, engine } = stored()
    const key = [...entries.keys()].find((k) => k.startsWith(PROFILE_PREFIX))!
    const slot = engine.residents.find('default', habit.principal)
    const extra = { name: 'sequence', version: 4, data: new Uint8Array([5, 6, 7]) }
    entries.set(
      key,
      encodeProfile(engine.residents.slab.at(slot), engine.residents.ownerOf(slot), [], [extra]),
    )
    const again = StoredPartition.open(entries)
    again.live(asHappenings([call(MONDAY + 3 * DAY_MS, habit.principal)]), [])
    again.checkpoint()
    expect(Buffer.from(again.stored.get(key)!).includes('sequence')).toBe(true)
  })
})
