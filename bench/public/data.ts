import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { CurfewError } from '../../core/errors.ts'

/** Where each public data set comes from; told when one of its files is absent. */
const ORIGINS = {
  nab: 'github numenta/NAB, commit ea702d75cc2258d9d7dd35ca8e5e2539d71f3140 (MIT), with score vectors under golden/',
  'github-activity':
    'github natarajan-chidambaram/MSR2023_dataset, commit b4a5cf18, human_activities_old.json.zip, with takeovers spliced in',
  weblogs:
    'github Ansh318/EDGAR-Web-Logs, commit 4386352d33de0bf86fe23cb6ba258fc6e1d6426c, large.zip (SEC EDGAR access log of 2017-01-01)',
} as const

/** A public data set; no repository file holds any of its data. */
export type DataSet = keyof typeof ORIGINS

/** Reads public data sets from the folder beside the repository, or from the one that `--data` names. */
export class PublicData {
  readonly folder: string
  private readonly hashes = new Map<string, string>()

  constructor(args: readonly string[] = []) {
    this.folder = optionOf(args) ?? defaultFolder()
  }

  /** The bytes of a file, uncompressed when it ends in `.gz`. `USAGE` names an absent file and its origin. */
  bytes(set: DataSet, name: string): Buffer {
    const path = join(this.folder, set, name)
    if (!existsSync(path)) {
      throw new CurfewError(
        'USAGE',
        `the data file ${path} is absent. It comes from ${ORIGINS[set]}. Put the set into ${join(this.folder, set)}, or name another folder with --data`,
      )
    }
    const raw = readFileSync(path)
    this.hashes.set(`${set}/${name}`, createHash('sha256').update(raw).digest('hex'))
    return name.endsWith('.gz') ? gunzipSync(raw) : raw
  }

  /** The lines of a text file, without the empty one at its end. */
  lines(set: DataSet, name: string): string[] {
    const lines = this.bytes(set, name).toString('utf8').split(/\r?\n/)
    if (lines.at(-1) === '') lines.pop()
    return lines
  }

  json<T>(set: DataSet, name: string): T {
    return JSON.parse(this.bytes(set, name).toString('utf8')) as T
  }

  /** SHA-256 over the files read so far, in the order of their names: what figures were measured on. */
  fingerprint(): string {
    const sorted = [...this.hashes].sort(([a], [b]) => (a < b ? -1 : 1))
    return createHash('sha256').update(JSON.stringify(sorted)).digest('hex')
  }
}

function optionOf(args: readonly string[]): string | undefined {
  const at = args.indexOf('--data')
  if (at < 0) return undefined
  const folder = args[at + 1]
  if (folder === undefined) throw new CurfewError('USAGE', '--data needs a folder')
  return folder
}

function defaultFolder(): string {
  const here = fileURLToPath(new URL('.', import.meta.url))
  const root = here.endsWith(join('dist', 'bench', 'public', '/')) ? '../../..' : '../..'
  return join(here, root, '../shared/data')
}
