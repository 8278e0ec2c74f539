import { describe, expect, it } from 'vitest'
import { GatewayCount } from '../../../engine/coverage/gateway-count.ts'
import { COUNTS, SLOT_MS, SlotRing } from '../../../engine/coverage/slots.ts'

/** A process that takes over has counted much already. Slots of 100 requests each of which `lines` are logged; `epochAt` names the counting process. */
function run(
  slots: number,
  lines: (slot: number) => number,
  epochAt = (_: number) => '1',
  readable = (_: number) => true,
) {
  const count = new GatewayCount(SLOT_MS)
  const ring = new SlotRing(COUNTS)
  const found: number[] = []
  for (let slot = 0; slot < slots; slot++) {
    const started = Array.from({ length: slot + 1 }, (_, i) => i).find((i) => epochAt(i) === epochAt(slot))!
    if (readable(slot))
      count.read(slot, { epoch: epochAt(slot), total: (slot - started + 1) * 100 + started * 10_000 })
    ring.push([lines(slot), 0, 0, 0, 0])
    count.close(slot)
    if (count.missing(ring, 0, slot * SLOT_MS) !== null) found.push(slot)
  }
  return { found, count, ring }
}

describe('the count of a gateway', () => {
  it('agrees with a complete log', () => {
    expect(run(100, () => 100).found).toEqual([])
    expect(run(100, (slot) => (slot % 2 === 0 ? 98 : 102)).found).toEqual([])
  })

  it('shows that a twentieth is missing, within two minutes', () => {
    const { found } = run(100, (slot) => (slot < 50 ? 100 : 95))
    expect(found[0]).toBeGreaterThan(50)
    expect(found[0]).toBeLessThanOrEqual(50 + 12)
  })

  it('does not take a restart of the gateway for lost lines', () => {
    expect(
      run(
        100,
        () => 100,
        (slot) => (slot < 40 ? '1' : '2'),
      ).found,
    ).toEqual([])
  })

  it('says nothing without readings, and never takes one for zero', () => {
    const { found, count, ring } = run(
      60,
      () => 0,
      undefined,
      () => false,
    )
    expect(found).toEqual([])
    expect(count.keepsUp(ring)).toBeNull()
  })

  it('survives a reading that is missing now and then', () => {
    const { found } = run(
      100,
      (slot) => (slot < 50 ? 100 : 95),
      undefined,
      (slot) => slot % 5 !== 0,
    )
    expect(found.length).toBeGreaterThan(0)
  })
})
