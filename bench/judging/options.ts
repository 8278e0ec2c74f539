import { CurfewError } from '../../core/errors.ts'
import { resultsFolder } from '../report/result-file.ts'
import { SIZES, type Size } from '../traffic/labels.ts'
import { type SeedSource, seedList } from './seeds.ts'

/** What the judging commands take. */
export interface JudgingOptions {
  readonly size: Size
  /** Seeds that figures are reported of. */
  readonly seeds: readonly number[]
  /** Seeds that detectors may be tuned with; empty to leave them out. */
  readonly tuning: readonly number[]
  readonly source: SeedSource
  /** Folder for the result file and the plots. */
  readonly out: string
}

const REPORTING = '101-105'
const TUNING = '1-20'
const VALUES = ['size', 'seeds', 'tuning', 'data', 'out'] as const

/** Reads `--size`, `--seeds`, `--tuning LIST|none`, `--data DIR`, `--out DIR`, `--fresh`. Throws `USAGE`. */
export function judgingOptions(args: readonly string[], tuningDefault: string = TUNING): JudgingOptions {
  const given = new Map<string, string>()
  let fresh = false
  for (let i = 0; i < args.length; i++) {
    const [name, inline] = args[i]!.split('=', 2) as [string, string | undefined]
    if (name === '--fresh' && inline === undefined) {
      fresh = true
      continue
    }
    const known = VALUES.find((value) => name === `--${value}`)
    const value = inline ?? args[++i]
    if (known === undefined) throw new CurfewError('USAGE', `${name} is not known; there is: ${usage()}`)
    if (value === undefined) throw new CurfewError('USAGE', `${name} needs a value`)
    given.set(known, value)
  }
  const size = given.get('size') ?? 'small'
  if (!isSize(size)) throw new CurfewError('USAGE', `--size ${size} is none of ${SIZES.join(', ')}`)
  const tuning = given.get('tuning') ?? tuningDefault
  return {
    size,
    seeds: seedList(given.get('seeds') ?? REPORTING),
    tuning: tuning === 'none' ? [] : seedList(tuning),
    source: { data: given.get('data') ?? null, fresh },
    out: given.get('out') ?? resultsFolder(),
  }
}

function usage(): string {
  return [...VALUES.map((value) => `--${value}`), '--fresh'].join(' ')
}

function isSize(text: string): text is Size {
  return (SIZES as readonly string[]).includes(text)
}
