import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ControlRecord } from '../../../baseline/store.ts'
import { type CompareOptions, compared, pointsNamed } from '../../../bench/crash-compare.ts'
import type { KillPlan } from '../../../bench/crash-runs.ts'
import type { Broken } from '../../../bench/crash-seams.ts'
import { type CrashSetting, embeddedSetting, redisSetting } from '../../../bench/crash-settings.ts'
import { countOf } from '../../../bench/crash-state.ts'
import { bodyOf } from '../../../engine/control-list.ts'
import type { ForgetEffect } from '../../../engine/forgetting.ts'
import { crashWorker, hasRedis, STREAM, using } from './crash-setup.ts'

/** Kills of one run: each run costs an undisturbed one to compare with. */
const KILLS = 8
const worker = crashWorker()

/** Dies once at each point. */
function plans(store: 'redis' | 'embedded'): readonly (readonly KillPlan[])[] {
  const points = pointsNamed('all', store).filter((point) => point.name !== 'random')
  const all = points.map(({ name }): KillPlan => ({ kind: 'point', point: name, passage: 1 }))
  all.push({ kind: 'record', at: STREAM.events / 2, afterMs: 20 })
  const runs = Math.ceil(all.length / KILLS)
  return Array.from({ length: runs }, (_, run) => all.filter((_, i) => i % runs === run))
}

const nameOf = (plan: KillPlan) => (plan.kind === 'point' ? plan.point : 'random')

/** The key of the profile that a control record has forgotten. */
function forgottenKey(record: ControlRecord): readonly string[] {
  return record.kind === 'forget' ? [(JSON.parse(bodyOf(record).body) as ForgetEffect).key] : []
}

async function expectSame(store: 'redis' | 'embedded', setting: CrashSetting): Promise<void> {
  const left = [...plans(store)]
  let knowledge = 0
  let forgotten = 0
  for (let i = 0; left.length > 0; i++) {
    const kills = left.shift()!
    const { run, faults } = await compared({ setting, program: worker(), name: `run-${i}`, kills })
    expect(faults).toEqual([])
    expect(run.kills.length).toBeGreaterThan(0)
    // The log may end before a late point is passed again; as the first of a run, each is met.
    const missed = kills.filter((plan) => !run.kills.includes(nameOf(plan)))
    if (missed.length > 0) left.push(missed)
    // Whoever was forgotten late may not have called again; nobody else is missing.
    const wishes = new Set(run.control.flat().flatMap(forgottenKey))
    const stored = new Set([...run.state.values.keys()].map((key) => key.slice(key.indexOf('/') + 1)))
    const gone = [...wishes].filter((key) => !stored.has(key))
    expect(countOf(run.state, 'p:') + gone.length).toBe(STREAM.principals)
    expect(run.state.outbox.some((entry) => entry.includes(' decision '))).toBe(true)
    expect([...run.state.enforced.keys()].some((key) => key.startsWith('rule '))).toBe(true)
    expect(run.control.flat().length).toBeGreaterThan(5)
    forgotten += run.state.outbox.filter((entry) => entry.includes(' forgotten ')).length
    knowledge += run.control.flat().filter(({ kind }) => kind === 'knowledge').length
  }
  expect(forgotten).toBeGreaterThan(0)
  // One partition has nobody to merge with.
  if (setting.ends.length > 1) expect(knowledge).toBeGreaterThan(10)
  else expect(knowledge).toBe(0)
}

describe('killed once at every named point, an installation leaves what an undisturbed one leaves', () => {
  it('in local folders', { timeout: 600_000 }, () =>
    using(embeddedSetting(STREAM), (setting) => expectSame('embedded', setting)),
  )

  it.skipIf(!hasRedis)('on Kafka and Redis', { timeout: 600_000 }, () =>
    using(redisSetting(STREAM), (setting) => expectSame('redis', setting)),
  )
})

const at = (point: string, ...passages: number[]): KillPlan[] =>
  passages.map((passage) => ({ kind: 'point', point, passage }))

describe('the comparison notices', () => {
  let setting: CrashSetting
  beforeAll(async () => {
    setting = await embeddedSetting(STREAM)
  })
  afterAll(() => setting?.close())

  const wrong: readonly [Broken, readonly KillPlan[], RegExp][] = [
    // Every other passage lies between the position and the profiles.
    ['position-first', at('commit-after', 3, 3, 3), /^0\/p:/],
    // A point that only this worker has: a checkpoint stands, its outputs do not.
    ['outbox-late', at('outputs-owed', 1, 1, 1), /^(outbox entry|decision|nobody)/],
    ['outbox-ids-anew', at('outbox-after', 6, 6), /^outbox entry/],
    ['control-late', at('commit-after', 3, 3, 3), /^0\/|control record \d+ is not the one that was written/],
    ['note-first', at('deliver-before', 2, 2, 2, 2), /^nobody was told/],
    ['taken-late', at('cursor', 4, 4, 4, 4), /^(nobody was told|decision .* is missing)/],
  ]

  /** A checkpoint falls where the pace of the machine puts it: the same deaths are tried at later passages too. */
  const TRIES = 5

  it.each(wrong)('a worker that is %s', { timeout: 600_000 }, async (broken, kills, sign) => {
    const noticed: string[] = []
    for (let later = 0; later < TRIES && noticed.length === 0; later++) {
      const moved = kills.map((kill) =>
        kill.kind === 'point' ? { ...kill, passage: kill.passage + later } : kill,
      )
      const name = `${broken}-${later}`
      const options: CompareOptions = { setting, program: worker(), name, kills: moved, broken }
      const faults = await compared(options).then(
        (result) => result.faults,
        (error: unknown) => [String(error)],
      )
      noticed.push(...faults.filter((fault) => sign.test(fault)))
    }
    expect(noticed).not.toEqual([])
  })
})
