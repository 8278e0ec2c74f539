import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { CrashChild } from '../../../bench/crash-child.ts'
import { faultsOf } from '../../../bench/crash-compare.ts'
import { contest, pausedInGroup } from '../../../bench/crash-contest.ts'
import { leftBy, taskOf } from '../../../bench/crash-runs.ts'
import {
  type CrashSetting,
  contestedSetting,
  embeddedSetting,
  redisSetting,
} from '../../../bench/crash-settings.ts'
import { type CompiledProgram, compileProgram } from '../../services/compiled-program.ts'
import { redisAvailable } from '../../services/redis.ts'

const STREAM = { events: 8_000, principals: 120, seed: 5 }
const available = await redisAvailable()
if (!available) console.warn('SKIPPED: redis-server is not installed (apt-get install redis-server)')

let compiled: CompiledProgram
let program: string

beforeAll(async () => {
  compiled = await compileProgram()
  program = compiled.file('bench/crash-worker.ts')
})
afterAll(() => compiled?.remove())

async function using(open: Promise<CrashSetting>, use: (setting: CrashSetting) => Promise<void>) {
  const setting = await open
  try {
    await use(setting)
  } finally {
    await setting.close()
  }
}

describe('an owner that was paused while another took its partition', { timeout: 600_000 }, () => {
  it.skipIf(!available)('writes nothing to Redis when it wakes up', () =>
    using(contestedSetting(STREAM), async (setting) => {
      const { faults, said } = await contest(setting, program, 'fenced')
      expect(said).toContain('partition has another owner now')
      expect(faults).toEqual([])
    }),
  )

  it.skipIf(!available)('would be noticed if the epoch were not checked', () =>
    using(contestedSetting(STREAM), async (setting) => {
      const { faults } = await contest(setting, program, 'unfenced', 'epoch-unchecked')
      expect(faults).not.toEqual([])
    }),
  )

  it.skipIf(!available)('in a consumer group leaves what an undisturbed one leaves', () =>
    using(redisSetting({ ...STREAM, events: 30_000 }), async (setting) => {
      const { faults } = await pausedInGroup(setting, program, 'group')
      expect(faults).toEqual([])
    }),
  )

  it('keeps a local folder: the other is refused, and the first goes on as if nothing had been', () =>
    using(embeddedSetting(STREAM), async (setting) => {
      const options = { setting, program, name: 'folder', kills: [] }
      const where = await setting.place('folder')
      const task = taskOf(options, where, 0, null)
      const first = new CrashChild(program, {
        ...task,
        armed: { point: 'commit-before', passage: 3, stop: true },
      })
      expect(await first.untilPaused()).toBe(true)
      const second = new CrashChild(program, { ...task, where: await setting.sibling(where, 'second-log') })
      await expect(second.ended).rejects.toThrow(/STORE_CONFLICT|in use by process/)
      first.goOn()
      expect((await first.ended).kind).toBe('done')
      const left = await leftBy(setting, where)
      expect(await faultsOf({ setting, program, name: 'folder' }, left, 0)).toEqual([])
    }))
})
