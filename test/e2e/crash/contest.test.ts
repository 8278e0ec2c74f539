import { describe, expect, it } from 'vitest'
import { CrashChild } from '../../../bench/crash-child.ts'
import { faultsOf } from '../../../bench/crash-compare.ts'
import { contest, pausedInGroup } from '../../../bench/crash-contest.ts'
import { leftBy, taskOf } from '../../../bench/crash-runs.ts'
import { contestedSetting, embeddedSetting, redisSetting } from '../../../bench/crash-settings.ts'
import { crashWorker, hasRedis, STREAM, using } from './crash-setup.ts'

const worker = crashWorker()

describe('an owner that was paused while another took its partition', { timeout: 600_000 }, () => {
  it.skipIf(!hasRedis)('writes nothing to Redis when it wakes up', () =>
    using(contestedSetting(STREAM), async (setting) => {
      const { faults, said } = await contest(setting, worker(), 'fenced')
      expect(said).toContain('partition has another owner now')
      expect(faults).toEqual([])
    }),
  )

  it.skipIf(!hasRedis)('would be noticed if the epoch were not checked', () =>
    using(contestedSetting(STREAM), async (setting) => {
      const { faults } = await contest(setting, worker(), 'unfenced', 'epoch-unchecked')
      expect(faults).not.toEqual([])
    }),
  )

  it.skipIf(!hasRedis)('in a consumer group leaves what an undisturbed one leaves', () =>
    using(redisSetting({ ...STREAM, events: 30_000 }), async (setting) => {
      const { faults } = await pausedInGroup(setting, worker(), 'group')
      expect(faults).toEqual([])
    }),
  )

  it('keeps a local folder: the other is refused, and the first goes on as if nothing had been', () =>
    using(embeddedSetting(STREAM), async (setting) => {
      const program = worker()
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
