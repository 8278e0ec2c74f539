import { appendFile, mkdtemp, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { FileSource } from '../../../ingest/sources/file-source.ts'

const clock = { now: () => wallTime(7) }
const never = new AbortController().signal

describe('file source', () => {
  let folder: string
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'curfew-files-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })
  const write = async (name: string, content: string | Uint8Array) => {
    await writeFile(join(folder, name), content)
    return join(folder, name)
  }
  const readAll = async (source: FileSource) => {
    const records = []
    for await (const batch of source.batches(never)) records.push(...batch.records)
    return records.map((record) => [record.offset, Buffer.from(record.bytes).toString()])
  }

  it('reads plain and gzip files and standard input as one stream', async () => {
    const paths = [await write('a', 'one\ntwo'), await write('b', gzipSync('three\n\nfour\n')), '-']
    const source = new FileSource({
      name: 'f',
      paths,
      clock,
      stdin: Readable.from([Buffer.from('fi'), Buffer.from('ve\n')]),
    })
    expect(await readAll(source)).toEqual([
      [0, 'one'],
      [1, 'two'],
      [2, 'three'],
      [3, 'four'],
      [4, 'five'],
    ])
  })

  it('reads gzip from standard input, several members, in any chunks', async () => {
    const data = Buffer.concat([gzipSync('one\n'), gzipSync('two\n')])
    const stdin = Readable.from([...data].map((byte) => Buffer.from([byte])))
    expect(await readAll(new FileSource({ name: 'f', paths: ['-'], clock, stdin }))).toEqual([
      [0, 'one'],
      [1, 'two'],
    ])
  })

  it('names the file that is damaged or absent, after what could be read', async () => {
    const zipped = gzipSync(Array.from({ length: 50_000 }, (_, i) => `line ${i * 7919}\n`).join(''))
    const path = await write('cut.gz', zipped.subarray(0, zipped.length - 20))
    const seen: number[] = []
    const reading = async () => {
      for await (const batch of new FileSource({ name: 'f', paths: [path], clock }).batches(never)) {
        seen.push(batch.records.length)
      }
    }
    await expect(reading()).rejects.toThrow(/cannot read ".*cut\.gz"/)
    expect(seen.length).toBeGreaterThan(0)
    await expect(
      readAll(new FileSource({ name: 'f', paths: [join(folder, 'no')], clock })),
    ).rejects.toMatchObject({
      code: 'LOG_UNREACHABLE',
      retriable: false,
    })
  })

  it('ends soon when stopped while it waits for input', async () => {
    const stdin = new Readable({ read: () => undefined })
    const stop = new AbortController()
    const batches = new FileSource({ name: 'f', paths: ['-'], clock, stdin }).batches(stop.signal)
    const next = batches.next()
    setTimeout(() => stop.abort(), 20)
    expect((await next).done).toBe(true)
  })

  it('refuses to follow several files', () => {
    const follow = { positionFile: join(folder, 'p') }
    expect(() => new FileSource({ name: 'f', paths: ['a', 'b'], clock, follow })).toThrow('exactly one file')
  })

  describe('following', () => {
    const follow = () => ({ positionFile: join(folder, 'position'), pollMs: 10 })
    /** Runs until `wanted` lines came; acknowledges all of them. */
    const readUntil = async (
      path: string,
      wanted: number,
      meanwhile: (seen: number) => Promise<void> = async () => undefined,
    ) => {
      const stop = new AbortController()
      const source = new FileSource({ name: 'f', paths: [path], clock, follow: follow() })
      const lines: [number, string][] = []
      for await (const batch of source.batches(stop.signal)) {
        for (const record of batch.records) lines.push([record.offset, Buffer.from(record.bytes).toString()])
        await batch.ack()
        await meanwhile(lines.length)
        if (lines.length >= wanted) stop.abort()
      }
      return lines
    }

    it('reads on as the file grows, is renamed and is cut', async () => {
      const path = await write('access.log', 'a\nb\nunfini')
      const lines = await readUntil(path, 6, async (seen) => {
        if (seen === 2) {
          await appendFile(path, 'shed\n')
        } else if (seen === 3) {
          await rename(path, `${path}.1`)
          await appendFile(`${path}.1`, 'late\n')
          await writeFile(path, 'new\n')
        } else if (seen === 5) {
          await truncate(path, 0)
          await appendFile(path, 'z\n')
        }
      })
      expect(lines.map(([, text]) => text)).toEqual(['a', 'b', 'unfinished', 'late', 'new', 'z'])
      expect(lines.map(([offset]) => offset)).toEqual([0, 1, 2, 3, 4, 5])
    })

    it('goes on after a restart, over rotations that it missed', async () => {
      const path = await write('access.log', 'a\nb\n')
      expect(await readUntil(path, 2)).toEqual([
        [0, 'a'],
        [1, 'b'],
      ])
      await appendFile(path, 'c\n')
      await rename(path, `${path}.2`)
      await new Promise((resolve) => setTimeout(resolve, 15))
      await writeFile(`${path}.1`, 'd\n')
      await new Promise((resolve) => setTimeout(resolve, 15))
      await writeFile(path, 'e\n')
      expect(await readUntil(path, 3)).toEqual([
        [2, 'c'],
        [3, 'd'],
        [4, 'e'],
      ])
    })
  })
})
