import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { Journal } from '../../../ingest/journal/journal.ts'
import type { LogRecord } from '../../../ingest/source.ts'

const PROGRAM = 'test/e2e/sources/appending-process'
const ROUNDS = 6

function repositoryRoot(): string {
  let folder = import.meta.dirname
  while (!existsSync(join(folder, 'package.json'))) folder = dirname(folder)
  return folder
}

/** Compiles the child program, so that it runs on every supported Node without a build beforehand. */
async function compile(into: string): Promise<string> {
  const root = repositoryRoot()
  const flags =
    '--ignoreConfig --module nodenext --target es2023 --lib es2023 --types node --skipLibCheck'.split(' ')
  const paths = [
    '--rootDir',
    root,
    '--outDir',
    into,
    '--rewriteRelativeImportExtensions',
    join(root, `${PROGRAM}.ts`),
  ]
  await promisify(execFile)(join(root, 'node_modules', '.bin', 'tsc'), [...flags, ...paths], { cwd: root })
  await writeFile(join(into, 'package.json'), '{"type":"module"}')
  return join(into, `${PROGRAM}.js`)
}

/** Resolves with the numbers acknowledged before the process was killed. */
async function appendUntilKilled(
  program: string,
  folder: string,
  first: number,
  kill: (acknowledged: number) => boolean,
) {
  const child: ChildProcess = spawn(process.execPath, [program, folder, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  let lines = 0
  child.stdout?.on('data', (chunk: Buffer) => {
    text += chunk.toString()
    lines += chunk.filter((byte) => byte === 10).length
    if (kill(lines)) child.kill('SIGKILL')
  })
  const signal = await new Promise((resolve) => child.once('close', (_, by) => resolve(by)))
  expect(signal).toBe('SIGKILL')
  return text.split('\n').slice(0, -1).map(Number)
}

async function readAll(journal: Journal): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const stop = new AbortController()
  await journal.read(
    {
      assigned: async () => 0,
      records: async (_, batch, caughtUp) => {
        records.push(...batch)
        if (caughtUp) stop.abort()
      },
      revoked: async () => undefined,
    },
    stop.signal,
  )
  return records
}

describe('journal of a process that is killed', () => {
  let built: string
  let program: string
  let folder: string
  const folders: string[] = []

  beforeAll(async () => {
    built = await mkdtemp(join(tmpdir(), 'curfew-program-'))
    program = await compile(built)
  })
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-killed-'))
    folders.push(folder)
  })
  afterAll(async () => {
    for (const used of [built, ...folders]) await rm(used, { recursive: true, force: true })
  })

  it('holds every acknowledged record, whole and in order, over many kills', async () => {
    const acknowledged: number[] = []
    for (let round = 0; round < ROUNDS; round += 1) {
      const wanted = 30 + round * 37
      const first = round * 100_000
      acknowledged.push(...(await appendUntilKilled(program, folder, first, (lines) => lines >= wanted)))
      const journal = await Journal.open({ folder, segmentBytes: 200_000, idleMs: 20 })
      const records = await readAll(journal)
      await journal.close()
      const numbers = records.map((record) => record.receivedAt)
      for (const record of records) {
        const expected = `${record.receivedAt} ${'x'.repeat(record.receivedAt % 3_000)}`
        expect(Buffer.from(record.bytes).toString()).toBe(expected)
      }
      expect(records.map((record) => record.offset)).toEqual(records.map((_, i) => i))
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
      expect(acknowledged.filter((number) => !new Set(numbers).has(number))).toEqual([])
    }
    expect(acknowledged.length).toBeGreaterThan(ROUNDS * 30)
  })
})
