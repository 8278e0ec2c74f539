import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { AccessEvent } from '../../../core/event.ts'
import type { Output } from '../../../engine/incident-book.ts'
import { StoredPartition } from './stored-partition.ts'
import { happenings } from './streams.ts'

describe('a partition that is stored and loaded', () => {
  it('goes on as if nothing had happened: same outputs, same stored bytes', () => {
    let alerts = 0
    let decisions = 0
    fc.assert(
      fc.property(happenings, fc.array(fc.nat(), { minLength: 1, maxLength: 4 }), (life, cuts) => {
        const whole = StoredPartition.open(new Map())
        const expected = whole.live(life, [])
        whole.checkpoint()

        const points = [...new Set(cuts.map((n) => n % life.length))].sort((a, b) => a - b)
        let owned = StoredPartition.open(new Map())
        const past: AccessEvent[] = []
        const outputs: Output[] = []
        let from = 0
        for (const to of [...points, life.length]) {
          outputs.push(...owned.live(life.slice(from, to), past))
          owned.checkpoint()
          if (to < life.length) owned = StoredPartition.open(owned.stored)
          from = to
        }
        expect(outputs).toEqual(expected)
        expect(owned.content()).toEqual(whole.content())
        alerts += outputs.filter((o) => o.kind === 'alert').length
        decisions += outputs.filter((o) => o.kind === 'decision').length
      }),
      { numRuns: 40, endOnFailure: true },
    )
    // The random lives are worth something only if they have incidents in them.
    expect(alerts).toBeGreaterThan(40)
    expect(decisions).toBeGreaterThan(20)
  }, 120_000)

  it('may be loaded anew before every single call', () => {
    fc.assert(
      fc.property(happenings, (life) => {
        const whole = StoredPartition.open(new Map())
        const expected = whole.live(life, [])
        whole.checkpoint()
        let owned = StoredPartition.open(new Map())
        const past: AccessEvent[] = []
        const outputs: Output[] = []
        for (const happening of life) {
          outputs.push(...owned.live([happening], past))
          owned.checkpoint()
          owned = StoredPartition.open(owned.stored)
        }
        expect(outputs).toEqual(expected)
        expect(owned.content()).toEqual(whole.content())
      }),
      { numRuns: 5, endOnFailure: true },
    )
  }, 120_000)

  it('gives the same bytes however often it is checkpointed on the way', () => {
    fc.assert(
      fc.property(happenings, fc.integer({ min: 1, max: 20 }), (life, every) => {
        const once = StoredPartition.open(new Map())
        once.live(life, [])
        once.checkpoint()
        const often = StoredPartition.open(new Map())
        const past: AccessEvent[] = []
        for (let at = 0; at < life.length; at += every) {
          often.live(life.slice(at, at + every), past)
          often.checkpoint()
        }
        expect(often.content()).toEqual(once.content())
      }),
      { numRuns: 15, endOnFailure: true },
    )
  }, 120_000)
})
