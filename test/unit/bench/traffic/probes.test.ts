import { describe, expect, it } from 'vitest'
import { areaUnderCurve, bestStump, growTree } from '../../../../bench/traffic/decision-tree.ts'
import { levelOf } from '../../../../bench/traffic/difficulty.ts'
import { generateOptions } from '../../../../bench/traffic/generate.ts'
import { ObjectSpace } from '../../../../bench/traffic/objects.ts'
import { probe } from '../../../../bench/traffic/probes.ts'
import { Random } from '../../../../bench/traffic/random.ts'

/** Twenty attacks with their pairs, whose second column leaks by `leak`. */
function rows(leak: number) {
  const random = new Random(5)
  return Array.from({ length: 2_000 }, (_, i) => ({
    attack: `a-${i % 20}`,
    isAttack: i % 40 < 20,
    route: 1,
    values: Float64Array.of(random.next(), random.next() + (i % 40 < 20 ? leak : 0)),
  }))
}

describe('the probes', () => {
  it('pass rows that tell nothing', () => {
    const result = probe('raw', 'D3-D5', rows(0), 0.55)
    expect(result.rows).toBe(2_000)
    expect(result.holds).toBe(true)
  })

  it('find a planted leak', () => {
    const result = probe('raw', 'D3-D5', rows(0.5), 0.55)
    expect(result.area).toBeGreaterThan(0.7)
    expect(result.holds).toBe(false)
  })

  it('rank, cut and split as they should', () => {
    expect(areaUnderCurve([1, 2, 3, 4], [false, false, true, true])).toBe(1)
    expect(areaUnderCurve([1, 1, 1, 1], [false, true, false, true])).toBe(0.5)
    expect(bestStump([1, 2, 3, 4], [true, true, false, false])).toBe(1)
    expect(bestStump([1, 2, 3, 4], [true, false, false, true])).toBeCloseTo(2 / 3)
    const values = Array.from({ length: 100 }, (_, i) => [i])
    const tree = growTree(
      values,
      values.map(([x]) => x! >= 50),
      2,
    )
    expect([tree.predict([10]), tree.predict([90])]).toEqual([0, 1])
  })
})

describe('the level of an attack', () => {
  const sigmas = (requests: number) => ({ requests, records: 0, errors: 0, writes: 0 })
  it.each([
    [9, ['network'], false, 'D1'],
    [9, [], false, 'D2'],
    [5, [], false, 'D2'],
    [1, ['network', 'agent'], false, 'D2'],
    [3, [], false, 'D3'],
    [3, ['route'], false, 'D3'],
    [1.5, [], false, 'D4'],
    [9, ['network'], true, 'D5'],
  ] as const)(
    'at %d standard deviations with new %j, adversarial %s, is %s',
    (most, novel, adversarial, level) => {
      expect(levelOf({ sigmas: sigmas(most), novel, adversarial })).toBe(level)
    },
  )
})

describe('object ids', () => {
  it('are a permutation that can be walked', () => {
    const objects = new ObjectSpace(7, 1_000)
    const ids = new Set(Array.from({ length: 1_000 }, (_, object) => objects.idText(3, false, object)))
    expect(ids.size).toBe(1_000)
    const first = Number(objects.idText(3, false, objects.nth(3, 100)))
    expect(Number(objects.idText(3, false, objects.nth(3, 101)))).toBe(first + 1)
  })
})

describe('options of generate', () => {
  const good = ['--size', 'small', '--seed=7', '--out', 'x']
  it('are read', () => {
    expect(generateOptions([...good, '--faults'])).toEqual({
      size: 'small',
      seed: 7,
      out: 'x',
      faults: true,
      gzip: false,
    })
  })
  it.each<readonly [readonly string[], RegExp]>([
    [['--size', 'huge', '--seed', '1', '--out', 'x'], /--size is one of small, full, light, not huge/],
    [['--size', 'small', '--seed', '-1', '--out', 'x'], /--seed is a whole number/],
    [['--size', 'small', '--out', 'x'], /--seed N is missing/],
    [['--size', 'small', '--seed', '1'], /--out DIR is missing/],
    [[...good, '--fast'], /unknown option --fast/],
    [['--size'], /--size needs a value/],
  ])('%j are refused', (args, message) => {
    expect(() => generateOptions(args)).toThrow(message)
  })
})
