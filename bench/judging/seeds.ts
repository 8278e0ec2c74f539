import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deserialize } from 'node:v8'
import { CurfewError } from '../../core/errors.ts'
import type { SeedRecord } from './seed-record.ts'
import { buildHash, cacheFolder, generatedWorld, givenWorld, type World, worldName } from './worlds.ts'

/** How the records of seeds are come by. */
export interface SeedSource {
  /** Folder with worlds that exist already; null to generate them. */
  readonly data: string | null
  /** Judges again although a record of this build lies in the cache. */
  readonly fresh: boolean
}

/** `101-105,201` as numbers, ascending. Throws `USAGE`. */
export function seedList(text: string): readonly number[] {
  const seeds = new Set<number>()
  for (const part of text.split(',')) {
    const match = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(part.trim())
    const [low, high] = [Number(match?.[1]), Number(match?.[2] ?? match?.[1])]
    if (match === null || high < low || high - low > 10_000) {
      throw new CurfewError('USAGE', `\`${text}\` is not a list of seeds such as 101-105,201`)
    }
    for (let seed = low; seed <= high; seed++) seeds.add(seed)
  }
  return [...seeds].sort((a, b) => a - b)
}

/** Judges one world in a child process, or takes the record that this build made of it before. */
export function judgedWorld(world: World, source: SeedSource): SeedRecord {
  const name = worldName(world)
  const key = `${buildHash()}-${source.data === null ? '' : 'given-'}${name}`
  const folder = join(cacheFolder(), 'records')
  mkdirSync(folder, { recursive: true })
  const out = join(folder, `${key}.bin`)
  if (!source.fresh && source.data === null) {
    const kept = keptRecord(out, key)
    if (kept !== null) {
      process.stderr.write(`${name}: judged before by this build\n`)
      return kept
    }
  }
  process.stderr.write(`${name}: ${source.data === null ? 'generating' : 'reading'}\n`)
  const files = source.data === null ? generatedWorld(world) : givenWorld(source.data, world)
  try {
    runTask(files.log, files.labels, key, out)
  } finally {
    files.remove()
  }
  const record = keptRecord(out, key)
  if (record === null) throw new Error(`${out} cannot be read back`)
  checkWorld(record, world, files.labels)
  return record
}

function runTask(log: string, labels: string, key: string, out: string): void {
  const task = fileURLToPath(new URL('./seed-task.js', import.meta.url))
  const { status, stderr } = spawnSync(
    process.execPath,
    ['--max-semi-space-size=64', task, log, labels, key, out],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  )
  if (status === 2) throw new CurfewError('USAGE', `${log} was not judged`)
  if (status !== 0) throw new Error(`judging ${log} ended with ${status} ${stderr ?? ''}`)
}

/** A record that is there, whole, and of this build; else null, and it is made again. */
function keptRecord(path: string, key: string): SeedRecord | null {
  if (!existsSync(path)) return null
  try {
    const record = deserialize(readFileSync(path)) as SeedRecord
    return record.key === key ? record : null
  } catch {
    process.stderr.write(`${path} is damaged, judging again\n`)
    return null
  }
}

function checkWorld(record: SeedRecord, world: World, labels: string): void {
  const { seed, size, faults } = record.header
  if (seed === world.seed && size === world.size && faults === world.faults) return
  throw new CurfewError(
    'USAGE',
    `${labels} is of ${worldName({ seed, size, faults })}, not ${worldName(world)}`,
  )
}
