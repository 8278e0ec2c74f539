import { CurfewError } from '../core/errors.ts'

/** What a benchmark measures and takes on its command line. */
export interface BenchmarkUsage {
  readonly measures: string
  /** Options with a value, by name, with what stands for the value in the help. */
  readonly values?: Readonly<Record<string, string>>
  readonly flags?: readonly string[]
  /** Arguments without a name, in order. */
  readonly positionals?: readonly string[]
}

const JUDGING = {
  values: { size: 'small|full|light', seeds: 'LIST', tuning: 'LIST|none', data: 'DIR', out: 'DIR' },
  flags: ['fresh'],
} as const
const PUBLIC = { values: { data: 'DIR', out: 'DIR' } } as const

/** Every benchmark by its name. */
export const BENCHMARK_USAGE: Readonly<Record<string, BenchmarkUsage>> = {
  parse: { measures: 'the formats against JSON.parse, CPU time per line', positionals: ['RUNS'] },
  replay: {
    measures: 'replay against JSON.parse on one file',
    values: { lines: 'N', runs: 'N', detectors: 'LIST' },
  },
  decide: {
    measures: 'the decision endpoint against a bare Fastify server',
    values: { runs: 'N', seconds: 'N', rules: 'N' },
  },
  profiles: {
    measures: 'bytes of stored profiles, and what packing them costs',
    values: { seed: 'N', lines: 'N', principals: 'N' },
  },
  latency: {
    measures: 'from a log record in Kafka until HAProxy refuses the caller',
    values: { trips: 'N', load: 'SHARE', samples: 'FILE' },
  },
  crash: {
    measures: 'what a kill at named points changes',
    values: { store: 'redis|embedded', 'kill-point': 'NAME|random|all', events: 'N', runs: 'N', kills: 'N' },
  },
  nab: { measures: 'detection on the Numenta Anomaly Benchmark', ...PUBLIC },
  'nab-constants': {
    measures: 'the NAB score with each constant at 75 % and 125 %',
    values: { ...PUBLIC.values, only: 'FILE' },
  },
  github: { measures: 'detection on the public timeline of GitHub', ...PUBLIC },
  edgar: { measures: 'detection on the access log of EDGAR', ...PUBLIC },
  peers: { measures: 'other methods on the same public data', ...PUBLIC },
  detection: { measures: 'attacks found against false alarms', ...JUDGING },
  coldstart: { measures: 'a new installation', ...JUDGING },
  faults: { measures: 'detection over damaged logs', ...JUDGING },
  calibration: { measures: 'false alarms against their budget', ...JUDGING },
  compare: { measures: 'two result files, metric by metric', positionals: ['A.json', 'B.json'] },
  generate: {
    measures: 'nothing: writes a gateway log with labels',
    values: { size: 'small|full|light', seed: 'N', out: 'DIR' },
    flags: ['faults', 'gzip'],
  },
  probes: {
    measures: 'whether anything but behaviour gives attacks away',
    values: { seed: 'N', seeds: 'COUNT', size: 'small|full' },
  },
}

/** How a benchmark is called and what it measures, as text. */
export function usageText(name: string): string {
  const { measures, values = {}, flags = [], positionals = [] } = BENCHMARK_USAGE[name]!
  const words = [
    `npm run bench -- ${name}`,
    ...Object.entries(values).map(([option, value]) => `[--${option} ${value}]`),
    ...flags.map((flag) => `[--${flag}]`),
    ...positionals,
  ]
  return `${words.join(' ')}\n  measures ${measures}; see docs/benchmarks.md\n`
}

/** Whether the words ask for help instead of a run. */
export function asksForHelp(args: readonly string[]): boolean {
  return args.some((arg) => arg === '--help' || arg === '-h')
}

/** Throws `USAGE` for an option that the benchmark does not have, one without its value, or a word too many. */
export function checkOptions(name: string, args: readonly string[]): void {
  const { values = {}, flags = [], positionals = [] } = BENCHMARK_USAGE[name]!
  const rest: string[] = []
  for (let i = 0; i < args.length; i++) {
    const word = args[i]!
    if (!word.startsWith('-')) {
      rest.push(word)
      continue
    }
    const [option = '', inline] = word.replace(/^--/, '').split(/=(.*)/s, 2)
    if (word.startsWith('--') && flags.includes(option) && inline === undefined) continue
    if (!word.startsWith('--') || !Object.hasOwn(values, option)) {
      throw new CurfewError('USAGE', `${name} has no option ${word}; ${usageText(name).split('\n')[0]}`)
    }
    if (inline === undefined && args[++i] === undefined)
      throw new CurfewError('USAGE', `--${option} needs a value: ${values[option]}`)
  }
  const surplus = rest[positionals.length]
  if (surplus !== undefined) throw new CurfewError('USAGE', `${name} takes no argument ${surplus}`)
}
