import { cp, mkdtemp, readdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Checkpoint, PartitionStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'

// Hundreds of synced files: slow where many programs share a disk.
vi.setConfig({ testTimeout: 60_000 })

let base: string

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'curfew-damage-'))
})
afterEach(() => rm(base, { recursive: true, force: true }))

/** Checkpoint number n writes n under `k` and padding under a key of its own. */
function checkpointOf(n: number, padding = 10): Checkpoint {
  const at = (offset: number) => ({ offset, recordHash: offset < 0 ? '' : 'ab' })
  const puts = new Map([
    ['k', new TextEncoder().encode(String(n))],
    [`pad:${n % 5}`, new Uint8Array(padding).fill(n)],
  ])
  return { expected: at(n - 1), position: at(n), puts, deletes: [] }
}

async function fill(folder: string, count: number, options: { minLogBytes?: number; padding?: number } = {}) {
  const store = await openEmbeddedStore({ folder, minLogBytes: options.minLogBytes ?? 1_000_000 })
  const owner = await store.open(0)
  for (let n = 0; n < count; n++) await owner.commit(checkpointOf(n, options.padding))
  await store.close()
}

/** Opens a folder and says what is in it and what was reported. */
async function survey(folder: string) {
  const damage: string[] = []
  const store = await openEmbeddedStore({ folder, onDamage: (detail) => damage.push(detail) })
  try {
    const owner = await store.open(0)
    return { last: await numberIn(owner), offset: owner.position.offset, damage }
  } finally {
    await store.close()
  }
}

async function numberIn(owner: PartitionStore): Promise<number> {
  const [value] = await owner.get(['k'])
  return Number(new TextDecoder().decode(value))
}

async function files(folder: string, kind: 'log' | 'snapshot'): Promise<string[]> {
  const names = (await readdir(join(folder, 'partition-0'))).filter((name) => name.startsWith(`${kind}-`))
  const number = (name: string) => Number(/\d+/.exec(name)?.[0])
  return names.sort((a, b) => number(a) - number(b)).map((name) => join(folder, 'partition-0', name))
}

async function flip(path: string, offset: number): Promise<void> {
  const bytes = await readFile(path)
  bytes[offset]! ^= 0x10
  await writeFile(path, bytes)
}

/** A folder with three checkpoints, and where the frame of the last one starts and ends. */
async function threeCheckpoints(): Promise<{ origin: string; path: string; start: number; end: number }> {
  const two = join(base, 'two')
  const origin = join(base, 'three')
  await fill(two, 2)
  await cp(two, origin, { recursive: true })
  const store = await openEmbeddedStore({ folder: origin })
  const owner = await store.open(0)
  const [path] = await files(origin, 'log')
  const start = (await stat(path!)).size
  await owner.commit(checkpointOf(2))
  await store.close()
  return { origin, path: path!, start, end: (await stat(path!)).size }
}

describe('the end of a log', () => {
  it('may be torn at any byte: the checkpoint before stands and the cut is reported', async () => {
    const { origin, start, end } = await threeCheckpoints()
    for (let size = start; size < end; size++) {
      const folder = join(base, `cut-${size}`)
      await cp(origin, folder, { recursive: true })
      await truncate((await files(folder, 'log'))[0]!, size)
      const found = await survey(folder)
      expect(found).toMatchObject({ last: 1, offset: 1 })
      expect(found.damage).toEqual(
        size === start
          ? []
          : [expect.stringMatching(`log-0.bin: ${size - start} unreadable bytes cut at byte ${start}`)],
      )
      if (size % 8 === 0) expect((await survey(folder)).damage, 'reported once').toEqual([])
      await rm(folder, { recursive: true })
    }
  })

  it('may have any wrong byte: the checkpoint before stands and the cut is reported', async () => {
    const { origin, start, end } = await threeCheckpoints()
    for (let offset = start; offset < end; offset++) {
      const folder = join(base, `flip-${offset}`)
      await cp(origin, folder, { recursive: true })
      await flip((await files(folder, 'log'))[0]!, offset)
      const found = await survey(folder)
      expect(found).toMatchObject({ last: 1, offset: 1 })
      expect(found.damage.length).toBe(1)
      await rm(folder, { recursive: true })
    }
  })

  it('takes new checkpoints after a cut', async () => {
    const { origin, path, end } = await threeCheckpoints()
    await truncate(path, end - 3)
    const store = await openEmbeddedStore({ folder: origin })
    const owner = await store.open(0)
    await owner.commit(checkpointOf(2))
    await owner.commit(checkpointOf(3))
    await store.close()
    expect(await survey(origin)).toEqual({ last: 3, offset: 3, damage: [] })
  })

  it('is not mistaken for damage when a torn value looks like a log file', async () => {
    const { origin, path } = await threeCheckpoints()
    const store = await openEmbeddedStore({ folder: origin })
    const owner = await store.open(0)
    const decoy = (await readFile(path)).subarray(28)
    const start = (await stat(path)).size
    const { expected, position } = checkpointOf(3)
    await owner.commit({
      expected,
      position,
      puts: new Map([['k', Buffer.concat([Buffer.alloc(50), decoy])]]),
      deletes: [],
    })
    await store.close()
    await truncate(path, (await stat(path)).size - 1)
    // The copied frames carry the salt of this very file, which no outsider knows: they are taken for real.
    await expect(survey(origin)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
    const bytes = await readFile(path)
    for (let at = start + 1; at + 4 < bytes.length; at++) {
      if (bytes.compare(bytes, 8, 12, at, at + 4) === 0) bytes[at]! ^= 1
    }
    await writeFile(path, bytes)
    expect(await survey(origin)).toMatchObject({ last: 2, offset: 2 })
  })
})

describe('the middle of a log', () => {
  it('is never skipped: a wrong byte before good frames names file and byte', async () => {
    const { origin, path, start } = await threeCheckpoints()
    await flip(path, start - 5)
    await expect(survey(origin)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringMatching(/log-0\.bin is damaged at byte \d+/),
    })
  })

  it('has a header whose damage is noticed', async () => {
    const { origin, path } = await threeCheckpoints()
    await flip(path, 10)
    await expect(survey(origin)).rejects.toMatchObject({ code: 'STORE_CORRUPT' })
  })

  it('refuses a layout of a later release', async () => {
    const { origin, path } = await threeCheckpoints()
    const bytes = await readFile(path)
    bytes[7] = '2'.charCodeAt(0)
    await writeFile(path, bytes)
    await expect(survey(origin)).rejects.toMatchObject({ code: 'STORE_NEWER_LAYOUT' })
  })
})

describe('compaction', () => {
  it('keeps the state, drops old files and keeps one generation to fall back to', async () => {
    const folder = join(base, 'compacted')
    await fill(folder, 60, { minLogBytes: 2_000, padding: 300 })
    const snapshots = await files(folder, 'snapshot')
    expect(snapshots.length).toBe(2)
    expect((await files(folder, 'log')).length).toBeLessThanOrEqual(4)
    expect(await survey(folder)).toEqual({ last: 59, offset: 59, damage: [] })
    await flip(snapshots[1]!, 100)
    const found = await survey(folder)
    expect(found).toMatchObject({ last: 59, offset: 59 })
    expect(found.damage).toEqual([expect.stringContaining('the previous snapshot and its logs are used')])
    expect(await survey(folder)).toEqual({ last: 59, offset: 59, damage: [] })
  })

  it('treats a snapshot without its end as damaged', async () => {
    const folder = join(base, 'short')
    await fill(folder, 60, { minLogBytes: 2_000, padding: 300 })
    const newest = (await files(folder, 'snapshot'))[1]!
    await truncate(newest, (await stat(newest)).size - 23)
    const found = await survey(folder)
    expect(found).toMatchObject({ last: 59, offset: 59 })
    expect(found.damage.length).toBe(1)
  })

  it('refuses when neither snapshot is good', async () => {
    const folder = join(base, 'both')
    await fill(folder, 60, { minLogBytes: 2_000, padding: 300 })
    for (const path of await files(folder, 'snapshot')) await flip(path, 100)
    await expect(survey(folder)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: expect.stringContaining('missing'),
    })
  })

  it('refuses when a log between snapshot and end is missing', async () => {
    const folder = join(base, 'gap')
    await fill(folder, 60, { minLogBytes: 2_000, padding: 300 })
    const [older, newest] = await files(folder, 'snapshot')
    await rm(newest!)
    const needed = older!.replace('snapshot', 'log')
    await rm(needed)
    await expect(survey(folder)).rejects.toMatchObject({
      code: 'STORE_CORRUPT',
      message: `${needed} is missing`,
    })
  })

  it('ignores a snapshot that was not finished', async () => {
    const folder = join(base, 'temporary')
    await fill(folder, 5)
    await writeFile(join(folder, 'partition-0', 'snapshot-1.bin.tmp'), 'half')
    expect(await survey(folder)).toEqual({ last: 4, offset: 4, damage: [] })
    expect(await readdir(join(folder, 'partition-0'))).toEqual(['log-0.bin'])
  })
})

describe('shared logs and documents', () => {
  it('lose nothing but a torn last group', async () => {
    const folder = join(base, 'lines')
    const store = await openEmbeddedStore({ folder })
    await store.putDocument('d', 0, 'one')
    for (let i = 1; i <= 3; i++) await store.appendLine('audit', `line ${i}`)
    await store.close()
    const path = join(folder, 'logs', 'audit.lines')
    await truncate(path, (await stat(path)).size - 1)
    const damage: string[] = []
    const again = await openEmbeddedStore({ folder, onDamage: (detail) => damage.push(detail) })
    expect((await again.readLines('audit', 0, 10)).map(({ body }) => body)).toEqual(['line 1', 'line 2'])
    expect(await again.appendLine('audit', 'line 3 again')).toBe(3)
    expect(damage.length).toBe(1)
    expect(await again.getDocument('d')).toEqual({ version: 1, body: 'one' })
    await again.close()
  })
})
