import { describe, expect, it } from 'vitest'
import { FEATURES, type FeatureCall, FeatureRows } from '../../../../bench/peers/features.ts'
import { scoresOf } from '../../../../bench/peers/programs.ts'

const DAY = 86_400_000
const call = (more: Partial<FeatureCall> = {}): FeatureCall => ({
  time: DAY,
  principal: 'a',
  kind: 'read',
  object: 'x',
  ...more,
})

function rowsOf(...calls: readonly FeatureCall[]) {
  const rows = new FeatureRows()
  return calls.map((c) => Object.fromEntries(rows.next(c).map((value, i) => [FEATURES[i], value])))
}

describe('rows of features', () => {
  it('count the running windows of each caller by itself', () => {
    const [, second, other] = rowsOf(call(), call({ time: DAY + 700_000 }), call({ principal: 'b' }))
    expect(second).toMatchObject({
      'requests-10min': Math.log(2),
      'requests-1h': Math.log(3),
      'requests-1d': Math.log(3),
      gap: Math.log(701),
    })
    expect(other).toMatchObject({ 'requests-1d': Math.log(2), gap: 0 })
  })

  it('hold kind and object against the past before the call', () => {
    const [first, again, novel] = rowsOf(call(), call(), call({ kind: 'write', object: 'y' }))
    expect(first!['object-rarity']).toBeCloseTo(Math.log(2))
    expect(again!['object-rarity']).toBeCloseTo(-Math.log(1.5 / 2))
    expect(novel!['route-rarity']).toBeCloseTo(-Math.log(0.5 / 3))
    expect(novel!['objects-1d']).toBeCloseTo(Math.log(3))
  })

  it('compare a day with the days before it', () => {
    const rows = rowsOf(call(), call(), call({ time: 2 * DAY }))
    expect(rows[2]!['day-against-own-past']).toBeCloseTo(Math.log(2) - Math.log(3))
    expect(rows[2]!['objects-1d']).toBeCloseTo(Math.log(2))
  })
})

describe('a peer', () => {
  it('gives one score per row, in order', () => {
    const echo = [process.execPath, '-e', 'process.stdin.on("data", d => process.stdout.write(d))']
    expect([...scoresOf(echo, [[1], [0.5]])]).toEqual([1, 0.5])
  })

  it('that fails or miscounts is told', () => {
    expect(() => scoresOf([process.execPath, '-e', 'process.exit(3)'], [[1]])).toThrow('failed')
    expect(() => scoresOf([process.execPath, '-e', 'console.log(1)'], [[1], [2]])).toThrow(
      '1 scores for 2 rows',
    )
    expect(() => scoresOf(['/nowhere/program'], [[1]])).toThrow('/nowhere/program failed')
  })
})
