import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
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
