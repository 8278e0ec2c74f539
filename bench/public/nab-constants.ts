import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CurfewError } from '../../core/errors.ts'
import { publish } from '../report/publish.ts'
import { BENCHMARK_VERSION, type Metric } from '../report/result.ts'
import { detectorNames } from './call-judge.ts'
import { PublicData } from './data.ts'

/** A numeric constant of the build: a line `const NAME = 1.5;` at the left margin, or a list of numbers. */
export interface Constant {
  /** Relative to the build, such as `detectors/off-hours.js`. */
  readonly file: string
  readonly name: string
}

/** The files whose constants make up the model; sizes of tables and units in them are not constants of it. */
const FILES = [
  'detectors/off-hours.js',
  'detectors/volume.js',
  'baseline/predictive.js',
  'baseline/prior.js',
  'baseline/hours.js',
  'baseline/windows.js',
  'engine/combine.js',
  'engine/calibration.js',
] as const
/** Sizes and units: the code is wrong, not different, with another value. */
const STRUCTURAL = new Set(['ABSTAIN', 'STEPS', 'SUMS_LENGTH', 'BINS', 'BINS_PER_DECADE', 'UNITS_PER_DAY'])
const FACTORS = [0.75, 1.25] as const
const NUMBER = String.raw`-?[\d_]+(?:\.\d+)?`
const MOST_RANGE = 4

/** The numeric constants of one file of the build. */
export function constantsIn(file: string, text: string): readonly Constant[] {
  return [...text.matchAll(definition('[A-Z][A-Z0-9_]*'))]
    .map((match) => ({ file, name: match[2]! }))
    .filter(({ name }) => !STRUCTURAL.has(name))
}

/** The text with one constant times `factor`; every number of a list. */
export function withConstant(text: string, name: string, factor: number): string {
  return text.replace(definition(name), (_, before: string, own: string, value: string) => {
    const scaled = value.replace(new RegExp(NUMBER, 'g'), (n) =>
      String(Number(n.replaceAll('_', '')) * factor),
    )
    return `${before}${own} = ${scaled};`
  })
}

function definition(name: string): RegExp {
  return new RegExp(`^((?:export )?const )(${name}) = (${NUMBER}|\\[[-\\d._, \\n]+\\]);$`, 'gm')
}

/**
 * `npm run bench -- nab-constants [--only FILE] [--data FOLDER] [--out FOLDER]`: the NAB score with each
 * numeric constant of detectors, baseline and calibration 25 % smaller and larger, one at a time, each in a
 * process of its own on a changed copy of the build. Takes a minute per constant.
 */
export async function run(args: readonly string[]): Promise<void> {
  const build = fileURLToPath(new URL('../../', import.meta.url))
  const copy = mkdtempSync(join(build, '.constants-'))
  try {
    for (const folder of ['core', 'baseline', 'detectors', 'engine', 'ingest', 'cli', 'bench']) {
      cpSync(join(build, folder), join(copy, folder), { recursive: true })
    }
    const constants = chosen(args).flatMap((f) => constantsIn(f, readFileSync(join(build, f), 'utf8')))
    const metrics = measured(copy, new PublicData(args).folder, constants)
    publish(
      {
        benchmark: 'nab-constants',
        version: BENCHMARK_VERSION,
        settings: { detectors: detectorNames(), factors: [...FACTORS], files: [...chosen(args)] },
        metrics,
        curves: {},
        details: {},
      },
      args,
      {},
    )
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

function chosen(args: readonly string[]): readonly string[] {
  const wanted = args.flatMap((arg, i) => (args[i - 1] === '--only' ? [arg] : []))
  const files = FILES.filter((file) => wanted.length === 0 || wanted.includes(file.replace('.js', '')))
  if (files.length === 0) {
    throw new CurfewError('USAGE', `--only knows ${FILES.map((f) => f.replace('.js', '')).join(', ')}`)
  }
  return files
}

function measured(copy: string, data: string, constants: readonly Constant[]): Record<string, Metric> {
  const metrics: Record<string, Metric> = {}
  const scores = [scoreOf(copy, data)]
  metrics['as-built'] = points(scores[0]!)
  for (const { file, name } of constants) {
    const path = join(copy, file)
    const original = readFileSync(path, 'utf8')
    for (const factor of FACTORS) {
      writeFileSync(path, withConstant(original, name, factor))
      const score = scoreOf(copy, data)
      scores.push(score)
      metrics[`${file.replace('.js', '')}/${name}-times-${factor}`] = points(score)
      process.stderr.write(`${file} ${name} x ${factor}: ${score}\n`)
    }
    writeFileSync(path, original)
  }
  const range = Number((Math.max(...scores) - Math.min(...scores)).toFixed(6))
  metrics.range = { value: range, unit: 'points', better: 'lower', tolerance: 0.5, floor: MOST_RANGE }
  return metrics
}

function points(value: number): Metric {
  return { value, unit: 'points', better: 'neither', tolerance: 0.5 }
}

/** The standard score, threshold left one category out, of a build. */
function scoreOf(build: string, data: string): number {
  const program = join(build, 'bench', 'public', 'nab-score.js')
  return Number(execFileSync(process.execPath, [program, data], { encoding: 'utf8' }))
}
