import { PublicData } from './data.ts'
import { pulses, readWithEngine } from './nab-adapter.ts'
import { NabScorer, PROFILES } from './nab-scoring.ts'
import { readSeries } from './nab-series.ts'

/** Prints Curfew's NAB score (standard, threshold left one category out) of the build that it lies in. */
const series = readSeries(new PublicData(['--data', process.argv[2]!]))
const scorer = new NabScorer(series, pulses(series, readWithEngine(series).surprise))
const { total } = scorer.leaveOneCategoryOut(PROFILES.standard)
process.stdout.write(`${Number(scorer.normalised(PROFILES.standard, total).toFixed(6))}\n`)
