import { describe, expect, it } from 'vitest'
import { OwnWork } from '../../../engine/coverage/own-work.ts'

const T = Date.UTC(2026, 8, 7, 12)

describe('Curfew watching itself', () => {
  it('says how long it was blind, once, and when it has caught up', () => {
    const work = new OwnWork('default')
    work.blind('process all-1', T, T + 75_000)
    work.blind('process all-1', T, T + 75_000)
    work.lag(T + 80_000, 76_000)
    work.lag(T + 85_000, 2_000)
    work.lag(T + 90_000, 0)
    expect(work.outputs.map(({ transition }) => transition)).toEqual(['opened', 'resolved'])
    expect(work.outputs[0]).toMatchObject({ entity: { type: 'engine', id: 'curfew' }, severity: 'high' })
    expect(work.outputs[0]!.summary).toContain('blind for 75 s')
  })

  it('does not mention a short pause', () => {
    const work = new OwnWork('default')
    work.blind('process all-1', T, T + 59_000)
    expect(work.outputs).toEqual([])
  })

  it('tells of a lag that grows, not of one that shrinks or stays', () => {
    const growing = new OwnWork('default')
    const shrinking = new OwnWork('default')
    const found = new OwnWork('default')
    for (let s = 0; s <= 300; s += 5) {
      growing.lag(T + s * 1_000, s * 1_000)
      found.lag(T + s * 1_000, s < 60 ? 0 : 8 * 86_400_000 - s * 60_000)
      shrinking.lag(T + s * 1_000, 15 * 86_400_000 - s * 60_000)
    }
    expect(growing.outputs.map(({ transition }) => transition)).toEqual(['opened'])
    expect(growing.outputs[0]!.summary).toContain('falls further behind')
    expect(shrinking.outputs).toEqual([])
    expect(found.outputs).toEqual([])
  })

  it('goes on with what an earlier process told', () => {
    const before = new OwnWork('default')
    before.blind('Curfew', T, T + 100_000)
    const after = new OwnWork('default', before.open)
    after.blind('Curfew', T, T + 100_000)
    after.lag(T + 110_000, 0)
    expect(after.outputs.map(({ transition }) => transition)).toEqual(['resolved'])
    expect(after.outputs[0]!.incident).toBe(before.outputs[0]!.incident)
  })
})
