import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { deadLetterFile } from '../../../ingest/dead-letters.ts'
import type { Rejection } from '../../../ingest/format.ts'

const clock = { now: () => wallTime(0) }
const position = { topic: 'file:a', partition: 0, offset: 3, index: 0 }
const rejection = (excerpt: string): Rejection => ({
  reason: 'not-json',
  detail: 'd',
  excerpt,
  index: 2,
  clientIp: null,
})

describe('dead letter file', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-dead-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  it('erases letters from every file, and goes on behind them', async () => {
    const path = join(folder, 'dead.ndjson')
    const letters = deadLetterFile({ path, clock, maxFileBytes: 300 })
    for (const text of ['one alice', 'two', 'three alice', 'four', 'five alice']) {
      letters.write('edge', rejection(text), position)
      await letters.flush()
    }
    expect((await readdir(folder)).length).toBeGreaterThan(1)
    letters.write('edge', rejection('six alice'), position)
    await letters.erase(({ excerpt }) => excerpt.includes('alice'))
    letters.write('edge', rejection('seven'), position)
    await letters.flush()
    const files = await Promise.all(
      (await readdir(folder)).map((name) => readFile(join(folder, name), 'utf8')),
    )
    const left = files.flatMap((text) => text.split('\n').filter((line) => line !== ''))
    expect(left.map((line) => JSON.parse(line).excerpt).sort()).toEqual(['four', 'seven', 'two'])
  })

  it('writes one line of JSON each', async () => {
    const path = join(folder, 'sub', 'dead.ndjson')
    const letters = deadLetterFile({ path, clock })
    letters.write('edge', rejection('a\nb'), position)
    letters.write('edge', rejection('c'), position)
    await letters.flush()
    const lines = (await readFile(path, 'utf8')).trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line).excerpt)).toEqual(['a\nb', 'c'])
    expect(JSON.parse(lines[0] ?? '')).toEqual({
      time: '1970-01-01T00:00:00.000Z',
      source: 'edge',
      reason: 'not-json',
      detail: 'd',
      excerpt: 'a\nb',
      clientIp: null,
      position: { topic: 'file:a', partition: 0, offset: 3, index: 2 },
    })
  })

  it('rotates by size and keeps a bounded number of files', async () => {
    const letters = deadLetterFile({ path: join(folder, 'dead'), clock, maxFileBytes: 300, maxFiles: 3 })
    for (let i = 0; i < 20; i += 1) {
      letters.write('edge', rejection(`line ${i}`), position)
      await letters.flush()
    }
    expect((await readdir(folder)).sort()).toEqual(['dead', 'dead.1', 'dead.2'])
    expect(await readFile(join(folder, 'dead'), 'utf8')).toContain('line 19')
  })

  it('drops and counts what finds no room, and writes the rest once it can', async () => {
    const blocker = join(folder, 'blocker')
    await writeFile(blocker, '')
    const letters = deadLetterFile({ path: join(blocker, 'dead'), clock })
    for (let i = 0; i < 10_050; i += 1) letters.write('edge', rejection(`line ${i}`), position)
    expect(letters.dropped).toBe(50)
    await expect(letters.flush()).rejects.toThrow()
    await rm(blocker)
    await letters.flush()
    expect((await readFile(join(blocker, 'dead'), 'utf8')).trimEnd().split('\n').length).toBe(10_000)
  })
})
