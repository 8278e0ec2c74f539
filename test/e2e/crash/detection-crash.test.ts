import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CrashSetting, crashRun, embeddedSetting, redisSetting } from '../../../bench/crash-runs.ts'
import { countOf, differences } from '../../../bench/crash-state.ts'
import { seededRandom } from '../../../bench/seeded-random.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { redisAvailable } from '../../services/redis.ts'

const STREAM = { events: 20_000, principals: 200, seed: 5 }
const RUNS = 2
const KILLS = 4
const available = await redisAvailable()
if (!available) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

let compiled: CompiledProgram
let program: string

beforeAll(async () => {
  compiled = await compileProgram()
  program = compiled.file('bench/crash-worker.ts')
})
afterAll(() => compiled?.remove())

async function expectSameBytes(setting: CrashSetting): Promise<void> {
  const random = seededRandom(3)
  const { state: expected } = await crashRun({ setting, program, random, name: 'undisturbed', kills: 0 })
  expect(countOf(expected, 'p:')).toBe(STREAM.principals)
  expect(countOf(expected, 'i:')).toBeGreaterThan(0)
  expect(expected.outbox.some((entry) => entry.includes(' decision '))).toBe(true)
  let kills = 0
  for (let i = 0; i < RUNS; i++) {
    const run = await crashRun({ setting, program, random, name: `run-${i}`, kills: KILLS })
    expect(differences(expected, run.state)).toEqual([])
    kills += run.kills
  }
  expect(kills).toBeGreaterThan(RUNS)
}

describe('a detecting worker killed at random leaves what an undisturbed one leaves', () => {
  it('in local folders', { timeout: 600_000 }, async () => {
    const setting = await embeddedSetting(STREAM)
    try {
      await expectSameBytes(setting)
    } finally {
      await setting.close()
    }
  })

  it.skipIf(!available)('on Kafka and Redis', { timeout: 600_000 }, async () => {
    const setting = await redisSetting(STREAM)
    try {
      await expectSameBytes(setting)
    } finally {
      await setting.close()
    }
  })

  it('and the comparison notices a worker that commits the position before the profiles', {
    timeout: 600_000,
  }, async () => {
    const setting = await embeddedSetting(STREAM)
    const random = seededRandom(4)
    const common = { setting, program, random }
    try {
      const { state: expected } = await crashRun({ ...common, name: 'undisturbed', kills: 0 })
      const undisturbed = await crashRun({
        ...common,
        name: 'wrong-undisturbed',
        kills: 0,
        positionFirst: true,
      })
      expect(differences(expected, undisturbed.state)).toEqual([])
      const wrong = await crashRun({ ...common, name: 'wrong', kills: 12, positionFirst: true })
      expect(differences(expected, wrong.state).filter((line) => line.includes('/p:'))).not.toEqual([])
    } finally {
      await setting.close()
    }
  })
})
