import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import { binOf } from '../../../engine/calibration.ts'
import { BOUNDARY_MS } from '../../../engine/knowledge.ts'
import type { Partition } from '../../../engine/partition.ts'
import {
  address,
  consumer,
  inOrder,
  MONDAY,
  officeHabit,
  partition,
  play,
  profileBytes,
  routine,
} from '../../scenarios/engine/traffic.ts'

const DAYS = 12
const services = inOrder(
  ...Array.from({ length: 10 }, (_, i) => routine(officeHabit(`svc-${i}`), MONDAY, DAYS, 100 + i)),
)
/** Quiet, busy addresses: nothing that would open an incident and so be left unlearnt. */
const strangers = inOrder(
  ...Array.from({ length: 30 }, (_, i) =>
    routine(
      { ...officeHabit('x'), principal: address(`198.51.100.${i}`), recordsPerCall: 60, callsPerHour: 6 },
      MONDAY,
      DAYS,
      500 + i,
    ),
  ),
)

function playing(...streams: readonly (readonly AccessEvent[])[]): Partition {
  const engine = partition()
  play(engine, inOrder(...streams))
  return engine
}

describe('what addresses do for two weeks', () => {
  const alone = playing(services)
  const among = playing(services, strangers)

  it('is learnt, and not by those whom a gateway vouches for', () => {
    expect(among.strangers.knowledge.sums.prior.count[0]).toBeGreaterThan(20)
    expect(among.knowledge.sums).toEqual(alone.knowledge.sums)
    for (let i = 0; i < 10; i++) {
      const service = consumer(`svc-${i}`)
      expect(profileBytes(among, service)).toEqual(profileBytes(alone, service))
    }
  })

  it('is judged by the known callers until enough addresses are known, then by the addresses', () => {
    expect(alone.strangers.active).toBe(alone.known.active)
    expect(among.strangers.active).toBe(among.strangers.knowledge.active)
    expect(among.strangers.active.prior.version).not.toBe(among.known.active.prior.version)
  })
})

describe('the incident threshold of addresses', () => {
  /** After so many days of known callers and of addresses, whose largest surprises fall off by a decade each. */
  function knowing(knownDays: number, addressDays: number): Partition {
    const engine = playing(services, strangers)
    for (const [population, days] of [
      [engine.known, knownDays],
      [engine.strangers, addressDays],
    ] as const) {
      const { dayMaxima } = population.knowledge.sums.calibration
      dayMaxima.fill(0)
      for (let x = 0; x < 4; x += 0.25) dayMaxima[binOf(x)] = Math.round(0.44 * days * 10 ** -x)
    }
    // One address in fifty has odd days.
    engine.strangers.knowledge.sums.calibration.dayMaxima[binOf(4)]! += addressDays / 50
    engine.tick(engine.now + BOUNDARY_MS)
    engine.tick(engine.now + BOUNDARY_MS)
    return engine
  }

  it('is that of the known callers until the budget lies within the days of addresses', () => {
    const young = knowing(2_000, 250)
    expect(young.strangers.active).toBe(young.strangers.knowledge.active)
    expect(young.strangers.threshold).toBe(young.known.threshold)
    const grown = knowing(2_000, 1_000)
    expect(grown.strangers.threshold).toBeGreaterThan(grown.known.threshold + 1)
  })

  it('is their own where still less is known of others', () => {
    const engine = knowing(100, 250)
    expect(engine.strangers.threshold).not.toBe(engine.known.threshold)
  })
})
