import { beforeAll, describe, expect, it } from 'vitest'
import { PublicData } from '../../../../bench/public/data.ts'
import { NabScorer, PROFILES, type ProfileName, type Scores } from '../../../../bench/public/nab-scoring.ts'
import { readSeries, type Series } from '../../../../bench/public/nab-series.ts'

interface Expected {
  readonly best_threshold: number
  readonly raw_total: number
  readonly normalised: number
  readonly per_file_raw_at_best_threshold: Readonly<Record<string, number>>
}

type Board = { readonly detectors: Record<string, { readonly loco: readonly number[] | null }> }

const DETECTORS = ['ARTime', 'numenta', 'windowedGaussian'] as const
const NAMES = Object.keys(PROFILES) as ProfileName[]
/** Enough for a machine that does many other things: what is tested are numbers, not times. */
const PATIENCE_MS = 120_000

const data = new PublicData()

/** What to tell where the public data is absent, which skips these tests, or fails them with CI=true. */
function absence(): string | null {
  try {
    data.bytes('nab', 'labels/combined_windows.json')
    return null
  } catch (error) {
    return (error as Error).message
  }
}

const absent = absence()

function goldenScores(series: readonly Series[], detector: string): Scores {
  const byName = new Map(series.map((s) => [s.name, new Float64Array(s.values.length).fill(Number.NaN)]))
  for (const line of data.lines('nab', `golden/${detector}_scores.csv.gz`).slice(1)) {
    const [file, row, score] = line.split(',')
    byName.get(file!)![Number(row)] = Number(score)
  }
  return series.map((s) => byName.get(s.name)!)
}

describe.skipIf(absent !== null)(`the NAB scorer${absent === null ? '' : ` (${absent})`}`, () => {
  let series: readonly Series[] = []
  let expected: Record<string, Record<ProfileName, Expected>> = {}
  const scorers = new Map<string, NabScorer>()

  beforeAll(() => {
    series = readSeries(data)
    expected = data.json('nab', 'golden/expected.json')
    for (const name of DETECTORS) scorers.set(name, new NabScorer(series, goldenScores(series, name)))
  }, PATIENCE_MS)

  it('reads 58 files with 116 windows', () => {
    expect(series).toHaveLength(58)
    expect(series.flatMap((s) => s.windows)).toHaveLength(116)
    expect(series.reduce((rows, s) => rows + s.values.length, 0)).toBe(365_558)
  })

  it.each(DETECTORS.flatMap((detector) => NAMES.map((name) => [detector, name] as const)))(
    'agrees with the published scores of %s to 1e-6 under %s',
    (detector, name) => {
      const profile = PROFILES[name]
      const scorer = scorers.get(detector)!
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
    },
    PATIENCE_MS,
  )

  it(
    'gives the published leave-one-category-out figures',
    () => {
      const board = data.json<Board>('nab', 'leaderboard.json')
      const scorer = scorers.get('ARTime')!
      const figures = Object.values(PROFILES).map((profile) =>
        Number(scorer.normalised(profile, scorer.leaveOneCategoryOut(profile).total).toFixed(2)),
      )
      expect(figures).toEqual(board.detectors.ARTime!.loco)
    },
    PATIENCE_MS,
  )
})

it('absent data is named with its origin', () => {
  const read = () => readSeries(new PublicData(['--data', '/nowhere']))
  expect(read).toThrow(
    '/nowhere/nab/labels/combined_windows.json is absent. It comes from github numenta/NAB',
  )
})
