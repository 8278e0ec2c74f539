import { CurfewError } from '../core/errors.ts'
import { asksForHelp, checkOptions, usageText } from './usage.ts'

const BENCHMARKS: Record<string, () => Promise<{ run(args: readonly string[]): Promise<void> }>> = {
  parse: () => import('./parse.ts'),
  replay: () => import('./replay.ts'),
  profiles: () => import('./profiles.ts'),
  latency: () => import('./latency.ts'),
  crash: () => import('./crash.ts'),
  decide: () => import('./decide.ts'),
  nab: () => import('./public/nab.ts'),
  'nab-constants': () => import('./public/nab-constants.ts'),
  github: () => import('./public/github.ts'),
  edgar: () => import('./public/edgar.ts'),
  peers: () => import('./peers/peers.ts'),
  detection: () => import('./detection.ts'),
  coldstart: () => import('./coldstart.ts'),
  faults: () => import('./faults.ts'),
  calibration: () => import('./calibration.ts'),
  compare: () => import('./report/compare.ts'),
  generate: () => import('./traffic/generate.ts'),
  probes: () => import('./traffic/probes.ts'),
}

/**
 * `npm run bench -- NAME [options]`: one benchmark; its last line on standard output is JSON. Exit code 2,
 * with one line that says why, for bad usage, an absent data file or a damaged result file. `--help` only prints.
 */
const [name, ...args] = process.argv.slice(2)
const load = name === undefined ? undefined : BENCHMARKS[name]
if (name === '--help' || name === '-h') {
  process.stdout.write(Object.keys(BENCHMARKS).map(usageText).join(''))
} else if (name === undefined || load === undefined) {
  process.stderr.write(
    `usage: npm run bench -- ${Object.keys(BENCHMARKS).join('|')} [options]; see docs/benchmarks.md\n`,
  )
  process.exitCode = 2
} else if (asksForHelp(args)) {
  process.stdout.write(usageText(name))
} else {
  try {
    checkOptions(name, args)
    await (await load()).run(args)
  } catch (error) {
    if (!(error instanceof CurfewError) || error.code !== 'USAGE') throw error
    process.stderr.write(`bench: ${error.message}\n`)
    process.exitCode = 2
  }
}
