import { describe, expect, it, vi } from 'vitest'
import { decodeProfile } from '../../../baseline/codec.ts'
import { type AccessEvent, type Principal, profileKey } from '../../../core/event.ts'
import { PROFILE_PREFIX } from '../../../engine/partition-state.ts'
import { stateOf } from '../../../engine/profile-state.ts'
import { StoredPartition } from '../../property/engine/stored-partition.ts'
import type { Happening } from '../../property/engine/streams.ts'
import { EAGER } from '../../property/engine/streams.ts'
import {
  address,
  burst,
  call,
  DAY_MS,
  HOUR_MS,
  MONDAY,
  officeHabit,
  routine,
} from '../../scenarios/engine/traffic.ts'

// Much is computed here and machines are shared.
vi.setConfig({ testTimeout: 60_000 })

const WATCHING = { mode: 'observe' } as const
const NAME = 'cnry-exporter'
const habit = officeHabit(NAME)
const neighbour = officeHabit('neighbour')
const NIGHT = MONDAY + 14 * DAY_MS + 3 * HOUR_MS

const asHappenings = (events: readonly AccessEvent[]): Happening[] =>
  events.map((event) => ({ kind: 'event', event }))

const calm = asHappenings(
  [...routine(habit, MONDAY, 14, 5), ...routine(neighbour, MONDAY, 14, 6)].sort((a, b) => a.time - b.time),
)
const wild = asHappenings(burst(habit.principal, NIGHT, 60, 1_000, { records: 100, responseBytes: 40_000 }))

const keyOf = (owned: StoredPartition, principal: Principal) => owned.state.identify('default', principal)
const bytesOf = (owned: StoredPartition) =>
  Buffer.concat([...owned.stored.values()].map((b) => Buffer.from(b)))

function forget(owned: StoredPartition, principal: Principal, time: number, ended: readonly string[] = []) {
  owned.control({ kind: 'forget', request: `fgt_${time}`, key: keyOf(owned, principal), time, ended })
  return owned.engine.book.outputs.splice(0)
}

describe('a principal that is to be forgotten', () => {
  it('leaves no name, and people hear without one that its incident is over', () => {
    const owned = StoredPartition.open(new Map(), WATCHING)
    owned.live([...calm, ...wild], [])
    owned.checkpoint()
    expect(bytesOf(owned).includes(NAME)).toBe(true)
    expect(owned.engine.book.openCount).toBe(1)
    const outputs = forget(owned, habit.principal, NIGHT + HOUR_MS)
    expect(outputs.map(({ kind }) => kind)).toEqual(['forgotten', 'alert'])
    expect(outputs[0]).toMatchObject({ forgotten: { outcome: 'done', incidents: [expect.any(String)] } })
    expect(outputs[1]).toMatchObject({ alert: { transition: 'resolved', entity: { id: 'forgotten' } } })
    expect(JSON.stringify(outputs)).not.toContain(NAME)
    owned.checkpoint()
    expect(bytesOf(owned).includes(NAME)).toBe(false)
    expect(owned.engine.residents.size).toBe(1)
  })

  it('leaves the profiles of others as they are, byte for byte', () => {
    const [kept, forgotten] = [
      StoredPartition.open(new Map(), WATCHING),
      StoredPartition.open(new Map(), WATCHING),
    ]
    for (const owned of [kept, forgotten]) owned.live([...calm, ...wild], [])
    forget(forgotten, habit.principal, NIGHT + HOUR_MS)
    for (const owned of [kept, forgotten]) owned.checkpoint()
    const key = keyOf(kept, neighbour.principal)
    expect(forgotten.stored.get(key)).toEqual(kept.stored.get(key))
    const profiles = (owned: StoredPartition) =>
      [...owned.stored.keys()].filter((k) => k.startsWith(PROFILE_PREFIX))
    expect(profiles(kept).length).toBe(2)
    expect(profiles(forgotten)).toEqual([key])
  })

  it('is a newcomer when it calls again', () => {
    const owned = StoredPartition.open(new Map(), WATCHING)
    owned.live(calm, [])
    forget(owned, habit.principal, NIGHT)
    owned.live(asHappenings([call(NIGHT + 1, habit.principal)]), [])
    const { residents } = owned.engine
    expect(stateOf(residents.slab.at(residents.find('default', habit.principal)))).toBe('LEARNING')
    owned.checkpoint()
    const decoded = decodeProfile(owned.stored.get(keyOf(owned, habit.principal))!, [])
    expect(decoded.kind).toBe('profile')
  })

  it('keeps everything while a decision on it stands, and is forgotten once that is known to hold nowhere', () => {
    const owned = StoredPartition.open(new Map(), { ...EAGER, mode: 'enforce' })
    const said = owned.live([...calm, ...wild], [])
    const decided = said.flatMap((output) =>
      output.kind === 'decision' && output.decision.principal.id === habit.principal.id
        ? [output.decision.id]
        : [],
    )
    expect(decided.length).toBeGreaterThan(0)
    const at = NIGHT + 61_000
    owned.checkpoint()
    const before = owned.content()
    const refused = forget(owned, habit.principal, at)
    expect(refused).toMatchObject([{ kind: 'forgotten', forgotten: { outcome: 'refused', incidents: [] } }])
    owned.checkpoint()
    const { 's:clock': clock, ...after } = owned.content()
    expect(after).toEqual({ ...before, 's:clock': undefined })
    expect(clock).not.toBe(before['s:clock'])
    const [done] = forget(owned, habit.principal, at + 1, decided)
    expect(done).toMatchObject({ forgotten: { outcome: 'done' } })
  })

  it('is forgotten once, however often the wish is applied', () => {
    const owned = StoredPartition.open(new Map(), WATCHING)
    owned.live(calm, [])
    expect(forget(owned, habit.principal, NIGHT)).toHaveLength(1)
    owned.live(asHappenings([call(NIGHT + 1, habit.principal)]), [])
    expect(forget(owned, habit.principal, NIGHT)).toEqual([])
    expect(owned.engine.residents.find('default', habit.principal)).toBeGreaterThanOrEqual(0)
    owned.checkpoint()
    const again = StoredPartition.open(owned.stored, WATCHING)
    expect(forget(again, habit.principal, NIGHT)).toEqual([])
  })

  it('loses what was set aside because it could not be read, and what its address sent', () => {
    const owned = StoredPartition.open(new Map(), WATCHING)
    const host = address('203.0.113.1')
    owned.live([...calm, { kind: 'unreadable', lines: 90, host: 1, laterMs: 1 }], [])
    owned.checkpoint()
    const key = keyOf(owned, habit.principal)
    owned.stored.get(key)![40]! ^= 1
    const second = StoredPartition.open(owned.stored, WATCHING)
    second.checkpoint()
    expect(second.stored.has(`corrupt:${key}`)).toBe(true)
    const third = StoredPartition.open(second.stored, WATCHING)
    forget(third, habit.principal, NIGHT)
    third.control({
      kind: 'forget',
      request: 'fgt_host',
      key: third.state.identify('acme', host),
      time: NIGHT,
      ended: [],
    })
    third.checkpoint()
    expect(third.stored.has(`corrupt:${key}`)).toBe(false)
    expect(bytesOf(third).includes(NAME)).toBe(false)
    expect(bytesOf(second).includes('203.0.113.1')).toBe(true)
    expect(bytesOf(third).includes('203.0.113.1')).toBe(false)
  })

  it('gives the same bytes with a restart right before or behind', () => {
    const wish = (owned: StoredPartition) => forget(owned, habit.principal, NIGHT + HOUR_MS)
    const rest = asHappenings(routine(neighbour, MONDAY + 15 * DAY_MS, 1, 7))
    const contents = [0, 1, 2].map((restart) => {
      let owned = StoredPartition.open(new Map(), WATCHING)
      owned.live([...calm, ...wild], [])
      owned.checkpoint()
      if (restart === 1) owned = StoredPartition.open(owned.stored, WATCHING)
      wish(owned)
      owned.checkpoint()
      if (restart === 2) owned = StoredPartition.open(owned.stored, WATCHING)
      owned.live(rest, [])
      owned.checkpoint()
      return owned.content()
    })
    expect(contents[1]).toEqual(contents[0])
    expect(contents[2]).toEqual(contents[0])
  })

  it('is told apart from a caller of the same name in another tenant', () => {
    const owned = StoredPartition.open(new Map(), WATCHING)
    owned.live(
      asHappenings([call(MONDAY, habit.principal), call(MONDAY + 1, habit.principal, { tenant: 'other' })]),
      [],
    )
    forget(owned, habit.principal, MONDAY + 2)
    expect(owned.engine.residents.find('default', habit.principal)).toBe(-1)
    expect(owned.engine.residents.find('other', habit.principal)).toBeGreaterThanOrEqual(0)
    expect(profileKey('default', habit.principal)).not.toBe(profileKey('other', habit.principal))
  })
})
