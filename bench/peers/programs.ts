import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** A detector of somebody else, as a program that reads rows and prints a score for each. */
export interface Peer {
  readonly name: string
  /** Package and version that it is measured with. */
  readonly version: string
  /** Installs into the cache folder what it needs. The command to run, or why it cannot run here. */
  prepare(): { readonly command: readonly string[] } | { readonly absent: string }
}

const RIVER = 'river==0.26.1'
const FOREST = {
  group: 'software.amazon.randomcutforest',
  artifact: 'randomcutforest-core',
  version: '4.3.0',
}
const MEGABYTE = 1_048_576

/** River's half-space trees and the random cut forest of AWS. */
export const PEERS: readonly Peer[] = [
  { name: 'half-space-trees', version: RIVER, prepare: prepareTrees },
  { name: 'random-cut-forest', version: `${FOREST.artifact} ${FOREST.version}`, prepare: prepareForest },
]

/** One score per row, in order. Throws with what the program said when it fails. */
export function scoresOf(command: readonly string[], rows: readonly (readonly number[])[]): Float64Array {
  const input = rows.map((row) => `${row.map((value) => value.toFixed(6)).join(',')}\n`).join('')
  const [program, ...args] = command
  const done = spawnSync(program!, args, { input, encoding: 'utf8', maxBuffer: 256 * MEGABYTE })
  if (done.status !== 0) throw new Error(`${program} failed: ${said(done)}`)
  const scores = Float64Array.from(done.stdout.trimEnd().split('\n'), Number)
  if (scores.length !== rows.length || scores.some(Number.isNaN)) {
    throw new Error(`${program} gave ${scores.length} scores for ${rows.length} rows`)
  }
  return scores
}

function prepareTrees(): ReturnType<Peer['prepare']> {
  const folder = join(cacheFolder(), `peers-${RIVER.replace('==', '-')}`)
  const python = join(folder, 'bin', 'python')
  if (!existsSync(folder)) {
    const absent = filled(folder, (partial) => {
      const venv = run('python3', ['-m', 'venv', partial])
      if (venv !== null) return `Python 3 with venv is needed: ${venv}`
      const pip = run(join(partial, 'bin', 'python'), ['-m', 'pip', 'install', '--quiet', RIVER])
      return pip === null ? null : `pip could not install ${RIVER}: ${pip}`
    })
    if (absent !== null) return { absent }
  }
  return { command: [python, sourceOf('half_space_trees.py')] }
}

function prepareForest(): ReturnType<Peer['prepare']> {
  const folder = join(cacheFolder(), `peers-${FOREST.artifact}-${FOREST.version}`)
  if (!existsSync(folder)) {
    const absent = filled(folder, (partial) => {
      const pom = join(partial, 'pom.xml')
      writeFileSync(pom, forestPom())
      const goal = ['dependency:copy-dependencies', '-DincludeScope=runtime', `-DoutputDirectory=${partial}`]
      const maven = run('mvn', ['-B', '-q', '-f', pom, ...goal])
      return maven === null ? null : `Maven is needed to fetch ${FOREST.artifact}: ${maven}`
    })
    if (absent !== null) return { absent }
  }
  const java = run('java', ['-version'])
  if (java !== null) return { absent: `Java 11 or newer is needed: ${java}` }
  return { command: ['java', '-cp', join(folder, '*'), sourceOf('RandomCutForestScores.java')] }
}

function cacheFolder(): string {
  const { CURFEW_CACHE } = process.env
  return CURFEW_CACHE ?? join(homedir(), '.cache', 'curfew')
}

/** Fills a folder that appears only when it is whole; what went wrong, or null. */
function filled(folder: string, fill: (partial: string) => string | null): string | null {
  mkdirSync(cacheFolder(), { recursive: true })
  const partial = mkdtempSync(`${folder}.partial-`)
  const problem = fill(partial)
  if (problem === null && !existsSync(folder)) renameSync(partial, folder)
  else rmSync(partial, { recursive: true, force: true })
  return problem
}

/** Null when it succeeded, else the last line of what it said. */
function run(program: string, args: readonly string[]): string | null {
  const done = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 16 * MEGABYTE })
  return done.status === 0 ? null : said(done)
}

function said({ error, stderr, stdout }: SpawnSyncReturns<string>): string {
  return error?.message ?? `${stdout}\n${stderr}`.trim().split('\n').at(-1) ?? ''
}

/** The programs are not compiled: they lie in the sources, also for the build. */
function sourceOf(name: string): string {
  const here = fileURLToPath(new URL('.', import.meta.url))
  const root = here.endsWith(join('dist', 'bench', 'peers', '/')) ? '../../..' : '../..'
  return join(here, root, 'bench', 'peers', name)
}

function forestPom(): string {
  const { group, artifact, version } = FOREST
  return `<project xmlns="http://maven.apache.org/POM/4.0.0">
<modelVersion>4.0.0</modelVersion>
<groupId>curfew</groupId><artifactId>peers</artifactId><version>1</version><packaging>pom</packaging>
<dependencies><dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency></dependencies>
</project>
`
}
