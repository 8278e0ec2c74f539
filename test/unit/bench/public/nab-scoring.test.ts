import { describe, expect, it } from 'vitest'
import { PublicData } from '../../../../bench/public/data.ts'
import { NabScorer, PROFILES, type ProfileName, type Scores } from '../../../../bench/public/nab-scoring.ts'
import { readSeries, type Series } from '../../../../bench/public/nab-series.ts'

interface Expected {
  readonly best_threshold: number
  readonly raw_total: number
  readonly normalised: number
  readonly per_file_raw_at_best_threshold: Readonly<Record<string, number>>
}

// The published data lies beside the repository; an absent file fails here with its name and origin.
const data = new PublicData()
const series = readSeries(data)
const expected = data.json<Record<string, Record<ProfileName, Expected>>>('nab', 'golden/expected.json')

function goldenScores(detector: string): Scores {
  const byName = new Map(series.map((s) => [s.name, new Float64Array(s.values.length).fill(Number.NaN)]))
  for (const line of data.lines('nab', `golden/${detector}_scores.csv.gz`).slice(1)) {
    const [file, row, score] = line.split(',')
    byName.get(file!)![Number(row)] = Number(score)
  }
  return series.map((s) => byName.get(s.name)!)
}

describe('the NAB scorer', () => {
  it('reads 58 files with 116 windows', () => {
    expect(series).toHaveLength(58)
    expect(series.flatMap((s) => s.windows)).toHaveLength(116)
    expect(series.reduce((rows, s) => rows + s.values.length, 0)).toBe(365_558)
  })

  describe.each(['ARTime', 'numenta', 'windowedGaussian'])('with the published scores of %s', (detector) => {
    const scorer = new NabScorer(series, goldenScores(detector))

    it.each(Object.keys(PROFILES) as ProfileName[])('agrees to 1e-6 under %s', (name) => {
      const profile = PROFILES[name]
      const wanted = expected[detector]![name]
      const best = scorer.best(profile)
      expect(best.threshold).toBe(wanted.best_threshold)
      expect(Math.abs(best.total - wanted.raw_total)).toBeLessThan(1e-6)
      expect(Math.abs(scorer.normalised(profile, best.total) - wanted.normalised)).toBeLessThan(1e-6)
      const totals = scorer.perFile(profile, best.threshold)
      for (const [i, { name: file }] of series.entries()) {
        const difference = totals[i]! - wanted.per_file_raw_at_best_threshold[file]!
        expect(Math.abs(difference), file).toBeLessThan(1e-6)
      }
    })
  })

  it('gives the published leave-one-category-out figures', () => {
    const board = data.json<{ detectors: Record<string, { loco: number[] | null }> }>(
      'nab',
      'leaderboard.json',
    )
    const scorer = new NabScorer(series, goldenScores('ARTime'))
    const figures = Object.values(PROFILES).map((profile) =>
      Number(scorer.normalised(profile, scorer.leaveOneCategoryOut(profile).total).toFixed(2)),
    )
    expect(figures).toEqual(board.detectors.ARTime!.loco)
  })

  it('says which file is absent and where it comes from', () => {
    const read = () => readSeries(new PublicData(['--data', '/nowhere']))
    expect(read).toThrow(
      '/nowhere/nab/labels/combined_windows.json is absent. It comes from github numenta/NAB',
    )
  })
})

describe('a threshold', () => {
  const one: Series = {
    name: 'a/x.csv',
    category: 'a',
    times: new Float64Array(20),
    values: new Float64Array(20),
    windows: [[10, 13]],
  }

  it('charges each false row, and pays the earliest row of a window once', () => {
    const scores = new Float64Array(20)
    scores[4] = 1
    scores[10] = 1
    scores[12] = 1
    const scorer = new NabScorer([one], [scores])
    expect(scorer.perFile(PROFILES.standard, 1)[0]).toBeCloseTo(1 - 0.11, 12)
    // The detection before probation has ended (row 2 of 20) does not exist.
    scores[2] = 1
    expect(new NabScorer([one], [scores]).perFile(PROFILES.standard, 1)[0]).toBeCloseTo(1 - 0.11, 12)
  })

  it('is chosen without looking at the category it is used for', () => {
    const other: Series = { ...one, name: 'b/x.csv', category: 'b' }
    const good = new Float64Array(20)
    good[10] = 5
    const noisy = new Float64Array(20).fill(3)
    const loco = new NabScorer([one, other], [good, noisy]).leaveOneCategoryOut(PROFILES.standard)
    expect(loco.thresholds).toEqual({ a: 3, b: 5 })
  })
})
