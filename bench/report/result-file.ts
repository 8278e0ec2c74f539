import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { CurfewError } from '../../core/errors.ts'
import { BENCHMARK_VERSION, type BenchmarkResult } from './result.ts'

/** Folder of the results that the repository keeps, from the sources as well as from the build. */
export function resultsFolder(): string {
  const here = fileURLToPath(new URL('.', import.meta.url))
  const root = here.endsWith(join('dist', 'bench', 'report', '/')) ? '../../..' : '../..'
  return join(here, root, 'bench', 'results')
}

/** The text of a result file: two-space JSON whose first member is the SHA-256 of the rest. */
export function resultText(result: BenchmarkResult): string {
  const problem = unwritable(result, '')
  if (problem !== null) throw new Error(`${result.benchmark}: ${problem} is not a finite number`)
  return textOf({ checksum: checksumOf(result), ...result })
}

/** Writes `<folder>/<benchmark>.json`, whole or not at all, and returns its path. */
export function writeResult(result: BenchmarkResult, folder: string = resultsFolder()): string {
  return writeWhole(folder, `${result.benchmark}.json`, resultText(result))
}

/** Writes `<folder>/<benchmark>-<plot>.svg` and returns its path. */
export function writePlot(
  result: BenchmarkResult,
  plot: string,
  svg: string,
  folder: string = resultsFolder(),
): string {
  return writeWhole(folder, `${result.benchmark}-${plot}.svg`, svg)
}

/**
 * Reads a result file. `USAGE`, naming the file, when it is absent, truncated, edited (also when only its
 * layout changed) or of another version of the benchmark.
 */
export function readResult(path: string): BenchmarkResult {
  const text = contentOf(path)
  const document = parsed(path, text)
  const { checksum, ...body } = document
  const { benchmark, version } = body
  if (typeof checksum !== 'string' || typeof benchmark !== 'string') {
    throw new CurfewError('USAGE', `${path} is not a benchmark result: it has no checksum or no benchmark`)
  }
  if (checksum !== checksumOf(body) || text !== textOf(document)) {
    throw new CurfewError(
      'USAGE',
      `${path} was edited or damaged: its content does not match the checksum inside; run the benchmark again`,
    )
  }
  if (version !== BENCHMARK_VERSION) {
    throw new CurfewError(
      'USAGE',
      `${path} has version ${String(version)}, this build compares ${BENCHMARK_VERSION}`,
    )
  }
  return body as unknown as BenchmarkResult
}

function contentOf(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch (cause) {
    const why = (cause as NodeJS.ErrnoException).code ?? 'unknown reason'
    throw new CurfewError('USAGE', `cannot read ${path} (${why})`, { cause })
  }
}

function parsed(path: string, text: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new CurfewError('USAGE', `${path} is truncated or damaged: it is not whole JSON`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CurfewError('USAGE', `${path} is not a benchmark result: it holds no object`)
  }
  return value as Record<string, unknown>
}

function checksumOf(body: object): string {
  return `sha256:${createHash('sha256').update(JSON.stringify(body)).digest('hex')}`
}

/** One line per list of numbers. A string never holds the line end that the pattern asks for. */
function textOf(document: object): string {
  const text = JSON.stringify(document, null, 2)
  return `${text.replace(/\[\n[-+.\deE,\s]*\]/g, (list) => list.replace(/\s+/g, ' '))}\n`
}

function writeWhole(folder: string, name: string, text: string): string {
  mkdirSync(folder, { recursive: true })
  const path = join(folder, name)
  writeFileSync(`${path}.part`, text)
  renameSync(`${path}.part`, path)
  return path
}

/** JSON turns NaN and infinity into null without a word; the path of the first such number, or null. */
function unwritable(value: unknown, path: string): string | null {
  if (typeof value === 'number') return Number.isFinite(value) ? null : path
  if (typeof value !== 'object' || value === null) return null
  for (const [name, member] of Object.entries(value)) {
    const problem = unwritable(member, path === '' ? name : `${path}/${name}`)
    if (problem !== null) return problem
  }
  return null
}
