import { describe, expect, it } from 'vitest'
import { CALLS_FOR_PROFILE, Doorstep } from '../../../engine/doorstep.ts'
import {
  address,
  burst,
  call,
  consumer,
  DAY_MS,
  HOUR_MS,
  MONDAY,
  partition,
  play,
} from '../../scenarios/engine/traffic.ts'

const NOON = MONDAY + 12 * HOUR_MS
const stranger = address('203.0.113.9')

describe('a stranger', () => {
  it('gets a stored profile with its eighth call of a day', () => {
    const engine = partition()
    play(engine, burst(stranger, NOON, CALLS_FOR_PROFILE - 1, 1_000, { records: 1, responseBytes: 400 }))
    expect(engine.residents.find('default', stranger)).toBe(-1)
    expect(engine.residents.size).toBe(0)
    engine.step(call(NOON + 10_000, stranger))
    expect(engine.residents.find('default', stranger)).toBeGreaterThanOrEqual(0)
  })

  it('begins anew on the next day', () => {
    const engine = partition()
    play(engine, burst(stranger, NOON, 6, 1_000))
    play(engine, burst(stranger, NOON + DAY_MS, 6, 1_000))
    expect(engine.residents.size).toBe(0)
  })

  it('is judged all the same from its first call on, and kept when that opens an incident', () => {
    const engine = partition()
    const first = engine.step(call(NOON, stranger, { records: 1, responseBytes: 10 }))
    expect(first.surprise).not.toBeNull()
    engine.step(call(NOON + 1_000, address('203.0.113.10')))
    expect(engine.residents.size).toBe(0)
    engine.strangers.threshold = 1
    play(engine, burst(stranger, NOON + 2_000, 1, 1_000, { records: 1e7, responseBytes: 1e10 }))
    expect(engine.book.openCount).toBe(1)
    expect(engine.residents.find('default', stranger)).toBeGreaterThanOrEqual(0)
  })

  it('has one from the first call on when a gateway vouches for it', () => {
    const engine = partition()
    engine.step(call(NOON, consumer('a')))
    expect(engine.residents.size).toBe(1)
  })
})

describe('the doorstep', () => {
  it('is not kept open by a wrongly dated call', () => {
    const door = new Doorstep(7)
    door.admits('default', 'a', NOON + 365 * DAY_MS, NOON)
    for (let day = 2; day < 9; day++)
      expect(door.admits('default', 'a', NOON + day * DAY_MS, NOON + day * DAY_MS)).toBe(false)
  })

  it('goes on alike from what was stored', () => {
    const whole = new Doorstep(7)
    const first = new Doorstep(7)
    const second = new Doorstep(7)
    const ids = Array.from({ length: 3_000 }, (_, i) => `198.51.100.${i % 400}`)
    for (const id of ids.slice(0, 1_500)) {
      whole.admits('default', id, NOON, NOON)
      first.admits('default', id, NOON, NOON)
    }
    for (const [piece, bytes] of first.takeChanges()) second.restore(piece, bytes)
    for (const id of ids.slice(1_500))
      expect(second.admits('default', id, NOON, NOON)).toBe(whole.admits('default', id, NOON, NOON))
  })

  it('stores only what changed, in fixed memory', () => {
    const door = new Doorstep(7)
    door.admits('default', 'a', NOON, NOON)
    expect(door.takeChanges().size).toBe(1)
    expect(door.takeChanges().size).toBe(0)
    for (let i = 0; i < 50_000; i++) door.admits('default', `2001:db8:${i}::/64`, NOON, NOON)
    const changes = door.takeChanges()
    expect(changes.size).toBeLessThanOrEqual(512)
    expect([...changes.values()].every((bytes) => bytes.length === 260)).toBe(true)
  })

  it('takes nothing that is no piece', () => {
    const door = new Doorstep(7)
    door.restore(-1, new Uint8Array(260))
    door.restore(0, new Uint8Array(3))
    door.restore(Number.NaN, new Uint8Array(260))
    expect(door.admits('default', 'a', NOON, NOON)).toBe(false)
  })
})
