import { describe, expect, it } from 'vitest'
import { CallBook } from '../../../../bench/judging/call-book.ts'
import { AREA_POINTS, featureWord, inWarmUp } from '../../../../bench/judging/rules.ts'
import { DAY } from '../../../../bench/judging/seed-record.ts'
import { entityName, isVictim, Truth } from '../../../../bench/judging/truth.ts'
import { accessEvent, episode, labels, principal, settled } from './tiny-world.ts'

const DAY_MS = 86_400_000

describe('rules of judging', () => {
  it('end a warm-up with the 40th call or after 7 days, whichever comes first', () => {
    expect(inWarmUp(39, 0, 0)).toBe(true)
    expect(inWarmUp(40, 0, 0)).toBe(false)
    expect(inWarmUp(1, 0, 7 * DAY_MS - 1)).toBe(true)
    expect(inWarmUp(1, 0, 7 * DAY_MS)).toBe(false)
  })

  it('spread the partial area evenly from 0.5 to 20', () => {
    expect(AREA_POINTS[0]).toBe(0.5)
    expect(AREA_POINTS.at(-1)).toBe(20)
    expect(AREA_POINTS).toHaveLength(40)
  })

  it('read the word of a feature', () => {
    expect(featureWord('requests/1h')).toBe('requests')
    expect(featureWord('hour-of-week/Mon 03:00 UTC')).toBe('hours')
    expect(featureWord('network')).toBe('network')
    expect(featureWord('')).toBe('')
  })

  it('know an address by one name', () => {
    expect(entityName({ type: 'ip', id: '192.0.2.1' })).toBe('ip:192.0.2.1')
    expect(entityName({ type: 'ip', id: 'ip:192.0.2.1' })).toBe('ip:192.0.2.1')
    expect(entityName({ type: 'principal', id: 'ip:192.0.2.1' })).toBe('ip:192.0.2.1')
    expect(isVictim('consumer:a', [{ type: 'principal', id: 'consumer:a' }])).toBe(true)
    expect(isVictim('consumer:b', [{ type: 'principal', id: 'consumer:a' }])).toBe(false)
  })
})

describe('the book of calls', () => {
  it('tells what each call counts as', () => {
    const world = labels(
      [principal('ann'), principal('new')],
      [
        [episode('a1', 'ann', [10, 11]), ['x1', 'x2']],
        [episode('n1', 'ann', [50, 51], { kind: 'noise', of: 'a1' }), ['y1']],
      ],
    )
    const book = new CallBook(new Truth(world))
    const kind = (id: string, who: string, hours: number) => book.next(accessEvent({ id, who, hours })).kind
    for (const call of settled('ann')) book.next(accessEvent(call))
    expect(kind('b1', 'ann', 9)).toBe('ordinary')
    expect(kind('x1', 'ann', 10)).toBe('attack')
    expect(kind('b2', 'ann', 10.5)).toBe('after-attack')
    expect(kind('x2', 'ann', 11)).toBe('attack')
    expect(book.call.repeated).toBe(false)
    expect(kind('x2', 'ann', 11)).toBe('attack')
    expect(book.call.repeated).toBe(true)
    expect(kind('b3', 'ann', 34.9)).toBe('after-attack')
    expect(kind('b4', 'ann', 35)).toBe('ordinary')
    expect(kind('y1', 'ann', 50)).toBe('noise')
    expect(kind('b5', 'new', 51)).toBe('warm-up')
    const days = book.dayBits()
    expect(days[14]).toBe(DAY.settled | DAY.attack)
    expect(days[15]).toBe(DAY.settled)
    expect(days[16]).toBe(DAY.settled | DAY.noise)
    expect(days[28 + 16]).toBe(DAY.warmUp)
  })

  it('counts the records that a call took', () => {
    const book = new CallBook(new Truth(labels([principal('ann')], [])))
    const records = (more: object) =>
      book.next(accessEvent({ id: `${Math.abs(book.events)}`, who: 'ann', hours: 1, ...more })).records
    expect(records({ records: 25 })).toBe(25)
    expect(records({ records: null })).toBe(0)
    expect(records({ records: null, method: 'DELETE' })).toBe(1)
    expect(records({ records: null, method: 'DELETE', status: 403 })).toBe(0)
    expect(records({ records: 25, status: 500 })).toBe(0)
  })
})
