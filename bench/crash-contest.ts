import { setTimeout as sleep } from 'node:timers/promises'
import { encodeEffect } from '../engine/control-records.ts'
import { DEFAULT_SETTINGS } from '../engine/settings.ts'
import { CrashChild } from './crash-child.ts'
import { faultsOf } from './crash-compare.ts'
import { FIRST_SETTINGS } from './crash-requests.ts'
import { leftBy, type RunOptions, taskOf } from './crash-runs.ts'
import type { CrashSetting } from './crash-settings.ts'
import type { WorkerTask } from './crash-task.ts'

export interface Contest {
  readonly faults: readonly string[]
  /** What the paused owner wrote to its log after it was woken. */
  readonly said: string
}

const REPORT_WAIT_MS = 3_000
const WRONG_WAIT_MS = 60_000
const SETTLE_MS = 1_000
const POLL_MS = 20

/**
 * Two workers, one partition, Redis: the first stands still in front of a checkpoint; the second takes the
 * partition over, is told of a change and stands still in front of its own first checkpoint; the first is
 * woken and should write nothing; then the second reads to the end. Who is allowed to write is decided by the
 * epoch alone, because each has a log of its own.
 */
export async function contest(
  setting: CrashSetting,
  program: string,
  name: string,
  broken?: 'epoch-unchecked',
): Promise<Contest> {
  const options: RunOptions = { setting, program, name, kills: [], requests: false }
  const where = await setting.place(name)
  const standing = (life: number, passage: number): WorkerTask => ({
    ...taskOf(options, where, life, null),
    armed: { point: 'commit-before', passage, stop: true },
    broken: broken ?? null,
  })
  const first = new CrashChild(program, standing(0, 3))
  if (!(await first.untilPaused())) throw new Error('the first worker came to its end')
  await setting.withStore(where, (store) => store.request(0, changed()))
  const second = new CrashChild(program, {
    ...standing(1, 1),
    where: await setting.sibling(where, 'second-log'),
  })
  if (!(await second.untilPaused())) throw new Error('the second worker came to its end')
  first.goOn()
  // Long enough for a wrong one to read on to the end of the log, and to commit what it made of it.
  const total = setting.ends.reduce((sum, n) => sum + n, 0)
  for (let waited = 0; waited < WRONG_WAIT_MS && first.read < total; waited += POLL_MS) {
    if (first.errors.includes('owner')) break
    await sleep(POLL_MS)
  }
  await sleep(SETTLE_MS)
  first.kill()
  second.goOn()
  // A wrong one may have run into what the first left; whoever comes last brings the log to its end.
  const over = second.ended.catch(() => undefined)
  await Promise.race([over, sleep(REPORT_WAIT_MS * 5)])
  second.kill()
  await over
  const third = new CrashChild(program, {
    ...taskOf(options, where, 2, null),
    where: await setting.sibling(where, 'third-log'),
  })
  await third.ended
  const left = await leftBy(setting, where)
  return { faults: await faultsOf(options, left, 3), said: first.errors }
}

/** Nothing is an incident any more: whoever does not know of it opens some. */
function changed() {
  const values = { ...DEFAULT_SETTINGS, minIncidentSurprise: 30 }
  const effect = { kind: 'settings' as const, settings: { ...FIRST_SETTINGS, version: 9, values } }
  return { id: 'changed', kind: effect.kind, body: encodeEffect(effect) }
}

/**
 * The same over Kafka: a worker is stopped, the group gives its partitions to another, and it wakes up in the
 * middle of what it did.
 */
export async function pausedInGroup(setting: CrashSetting, program: string, name: string): Promise<Contest> {
  const options: RunOptions = { setting, program, name, kills: [], requests: true }
  const where = await setting.place(name)
  const total = setting.ends.reduce((sum, n) => sum + n, 0)
  // One group for both: its session ends while the first stands still.
  const first = new CrashChild(program, { ...taskOf(options, where, 0, null), where })
  while (first.read < total / 4) await sleep(POLL_MS)
  await first.pause()
  const second = new CrashChild(program, { ...taskOf(options, where, 1, null), where })
  while (second.read < total / 2) await sleep(POLL_MS)
  first.goOn()
  for (let waited = 0; waited < REPORT_WAIT_MS && !first.errors.includes('owner'); waited += POLL_MS)
    await sleep(POLL_MS)
  first.kill()
  await second.ended
  const left = await leftBy(setting, where)
  return { faults: await faultsOf(options, left, 2), said: first.errors }
}
