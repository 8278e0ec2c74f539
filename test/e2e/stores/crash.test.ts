import { execFile, spawn } from 'node:child_process'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { StateStore } from '../../../baseline/store.ts'
import { openEmbeddedStore } from '../../../baseline/stores/embedded-store.ts'
import { openRedisStore } from '../../../baseline/stores/redis-store.ts'
import { redisAvailable, startRedis } from '../../services/redis.ts'
import { positionAfter, stateAfter } from './commit-story.ts'

const ROUNDS = 32
const root = join(import.meta.dirname, '..', '..', '..')
const available = await redisAvailable()
if (!available) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

let programs: string
let scratch: string

beforeAll(async () => {
  // Below node_modules, so that the compiled program finds its packages.
  await mkdir(join(root, 'node_modules', '.cache'), { recursive: true })
  programs = await mkdtemp(join(root, 'node_modules', '.cache', 'curfew-crash-'))
  scratch = await mkdtemp(join(tmpdir(), 'curfew-crash-'))
  const tsc = join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  const source = join(root, 'test', 'e2e', 'stores', 'commit-writer.ts')
  const settings =
    '--module nodenext --target es2023 --types node --rewriteRelativeImportExtensions --skipLibCheck'
  const compile = [
    tsc,
    source,
    '--ignoreConfig',
    '--rootDir',
    root,
    '--outDir',
    programs,
    ...settings.split(' '),
  ]
  await promisify(execFile)(process.execPath, compile, { cwd: root })
})

afterAll(async () => {
  await rm(programs, { recursive: true, force: true })
  await rm(scratch, { recursive: true, force: true })
})

/** Lets a writer run for some acknowledged checkpoints and kills it; returns the last one that it saw acknowledged. */
async function killedWriter(
  kind: string,
  where: string,
  acknowledged: number,
  delayMs: number,
): Promise<number> {
  const program = join(programs, 'test', 'e2e', 'stores', 'commit-writer.js')
  const child = spawn(process.execPath, [program, kind, where], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stderr.on('data', (data) => {
    errors += data
  })
  const exit = new Promise((resolve) => child.once('exit', resolve))
  await new Promise<void>((resolve) => {
    child.stdout.on('data', (data) => {
      output += data
      if (output.split('\n').length > acknowledged) resolve()
    })
    void exit.then(() => resolve())
  })
  await sleep(delayMs)
  child.kill('SIGKILL')
  await exit
  expect(errors).toBe('')
  const whole = output.slice(0, output.lastIndexOf('\n')).split('\n')
  return Number(whole.at(-1))
}

/** The store must hold exactly one of the states that were committed, and all that was acknowledged. */
async function expectOneCheckpoint(store: StateStore, atLeast: number): Promise<number> {
  const owner = await store.open(0)
  const n = owner.position.offset
  expect(n).toBeGreaterThanOrEqual(atLeast)
  expect(owner.position).toEqual(positionAfter(n))
  const found: Record<string, number> = {}
  for await (const [key, value] of store.scan(0, 'k:'))
    found[key] = Number.parseInt(new TextDecoder().decode(value), 10)
  expect(found).toEqual(stateAfter(n))
  const outbox = await store.readOutbox(0, 0, 1_000_000)
  expect([n, n + 1]).toContain(outbox.length)
  expect(outbox.every(({ id, seq }, i) => seq === i + 1 && id === `a-${i + 1}`)).toBe(true)
  return n
}

/** Kill points that differ from round to round and are the same in every run. */
function roundOf(round: number): readonly [number, number] {
  return [1 + ((round * 17) % 40), (round * 7) % 5]
}

describe('a writer killed at any point leaves exactly one checkpoint', () => {
  it('in a local folder, while it compacts', async () => {
    const folder = join(scratch, 'embedded')
    let last = 0
    for (let round = 0; round < ROUNDS; round++) {
      const acknowledged = await killedWriter('embedded', folder, ...roundOf(round))
      expect(acknowledged).toBeGreaterThan(last)
      const store = await openEmbeddedStore({ folder, minLogBytes: 100_000 })
      last = await expectOneCheckpoint(store, acknowledged)
      await store.close()
    }
  })

  it.skipIf(!available)('in Redis', async () => {
    const redis = await startRedis()
    try {
      const store = await openRedisStore({ url: redis.url })
      for (let round = 0; round < ROUNDS; round++) {
        const acknowledged = await killedWriter('redis', redis.url, ...roundOf(round))
        await expectOneCheckpoint(store, acknowledged)
      }
      await store.close()
    } finally {
      await redis.stop()
    }
  })
})
