import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CurfewError } from '../../core/errors.ts'
import type { Size } from '../traffic/labels.ts'

/** One generated log with its labels. */
export interface World {
  readonly size: Size
  readonly seed: number
  readonly faults: boolean
}

/** Where a world's files are; `remove` deletes what was made for this run only. */
export interface WorldFiles {
  readonly log: string
  readonly labels: string
  remove(): void
}

const LOG_NAMES = ['kong.ndjson', 'kong.ndjson.gz'] as const

/** A word for people and file names: `small-101`, `small-101-faults`. */
export function worldName({ size, seed, faults }: World): string {
  return `${size}-${seed}${faults ? '-faults' : ''}`
}

/** Folder for what can be made again; outside of the repository. */
export function cacheFolder(): string {
  return join(process.env['CURFEW_CACHE'] ?? join(homedir(), '.cache', 'curfew'), 'judged')
}

/** The world in `DIR/<name>/`. Throws `USAGE` naming the file that is not there. */
export function givenWorld(folder: string, world: World): WorldFiles {
  const own = join(folder, worldName(world))
  const log = LOG_NAMES.map((name) => join(own, name)).find((path) => existsSync(path))
  if (log === undefined) throw new CurfewError('USAGE', `${join(own, LOG_NAMES[0])} does not exist`)
  const labels = join(own, 'labels.ndjson')
  if (!existsSync(labels)) throw new CurfewError('USAGE', `${labels} does not exist`)
  return { log, labels, remove: () => undefined }
}

/** Generates the world into the cache folder; it is large, so it is removed after judging. */
export function generatedWorld(world: World): WorldFiles {
  const own = join(cacheFolder(), 'worlds', worldName(world))
  rmSync(own, { recursive: true, force: true })
  mkdirSync(own, { recursive: true })
  const main = fileURLToPath(new URL('../main.js', import.meta.url))
  const options = ['--size', world.size, '--seed', String(world.seed), '--out', own]
  if (world.faults) options.push('--faults')
  if (world.size !== 'small') options.push('--gzip')
  const { status } = spawnSync(process.execPath, [main, 'generate', ...options], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  if (status !== 0) throw new Error(`generating ${worldName(world)} ended with ${status}`)
  const files = givenWorld(join(own, '..'), world)
  return { ...files, remove: () => rmSync(own, { recursive: true, force: true }) }
}

/** Folders of the build that a verdict or a figure can depend on. */
const BUILT = [
  'core',
  'ingest',
  'baseline',
  'detectors',
  'engine',
  'cli',
  'enforcement',
  'bench/traffic',
  'bench/judging',
]

/** Files of the judging that only read records; whatever is not named here is taken to make them. */
const READERS = new Set(
  [
    'false-alarms',
    'metrics',
    'options',
    'outcomes',
    'pool',
    'seeds',
    'statistics',
    'tables',
    'traffic-judgement',
    'worlds',
  ].map((name) => `bench/judging/${name}.js`),
)

/** A hash of the compiled program, as far as it makes records: one made by another build is not used. */
export function buildHash(): string {
  const root = fileURLToPath(new URL('../../', import.meta.url))
  const hash = createHash('sha256')
  for (const folder of BUILT) {
    const names = readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
    for (const name of names.filter((n) => n.endsWith('.js') && !READERS.has(`${folder}/${n}`)).sort()) {
      hash.update(`${folder}/${name}\n`).update(readFileSync(join(root, folder, name)))
    }
  }
  return hash.digest('hex').slice(0, 16)
}
