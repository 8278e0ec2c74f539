import { setTimeout as sleep } from 'node:timers/promises'
import type { ControlRecord } from '../baseline/store.ts'
import { CrashChild, type Ending } from './crash-child.ts'
import type { Broken } from './crash-seams.ts'
import type { CrashSetting } from './crash-settings.ts'
import { type FinalState, finalState } from './crash-state.ts'
import type { Place, WorkerReport, WorkerTask } from './crash-task.ts'

/** Where to kill: at one named point, or after so many records wherever the worker then is. */
export type KillPlan =
  | { readonly kind: 'point'; readonly point: string; readonly passage: number }
  | { readonly kind: 'record'; readonly at: number; readonly afterMs: number }
  | { readonly kind: 'start'; readonly afterMs: number }

export interface RunOptions {
  readonly setting: CrashSetting
  /** Compiled crash-worker. */
  readonly program: string
  readonly name: string
  /** One kill after another, each of a new worker. */
  readonly kills: readonly KillPlan[]
  readonly broken?: Broken
  /** Whether operators ask for changes; default true. */
  readonly requests?: boolean
}

export interface RunResult {
  readonly state: FinalState
  /** The control list of each partition. */
  readonly control: readonly (readonly ControlRecord[])[]
  /** Kills that happened, by point: a worker may come to its end before the point where it was to die. */
  readonly kills: readonly string[]
  /** Of the last worker. */
  readonly report: WorkerReport
  readonly seconds: number
}

/** One way through the whole log, with a new worker after each kill. */
export async function crashRun(options: RunOptions): Promise<RunResult> {
  const { setting } = options
  const started = performance.now()
  const where = await setting.place(options.name)
  const kills: string[] = []
  for (const [life, plan] of options.kills.entries()) {
    const ending = await workUntil(options, taskOf(options, where, life, plan), plan)
    if (ending.kind === 'killed') kills.push(plan.kind === 'point' ? plan.point : 'random')
  }
  const last = await workUntil(options, taskOf(options, where, options.kills.length, null), null)
  if (last.kind !== 'done') throw new Error('the last worker of a run was killed')
  const { state, control } = await leftBy(setting, where)
  return { state, control, kills, report: last.report, seconds: (performance.now() - started) / 1_000 }
}

/** The way that a run would have gone without disturbance: the same log, the same control list. */
export async function undisturbed(
  options: Pick<RunOptions, 'setting' | 'program' | 'name'>,
  control: RunResult['control'],
): Promise<RunResult> {
  const started = performance.now()
  const where = await options.setting.place(options.name)
  await options.setting.withStore(where, async (store) => {
    for (const [partition, records] of control.entries()) {
      const owned = await store.open(partition)
      for (const { afterOffset, kind, body } of records)
        await owned.appendControl({ afterOffset, kind, body })
    }
  })
  const run = { ...options, kills: [], requests: false }
  const ending = await workUntil(run, taskOf(run, where, 0, null), null)
  if (ending.kind !== 'done') throw new Error('an undisturbed worker was killed')
  const left = await leftBy(options.setting, where)
  return { ...left, kills: [], report: ending.report, seconds: (performance.now() - started) / 1_000 }
}

/** Reads what a run left and clears its place. */
export async function leftBy(
  setting: CrashSetting,
  where: Place,
): Promise<Pick<RunResult, 'state' | 'control'>> {
  const left = await setting.withStore(where, async (store) => {
    const partitions = setting.ends.length
    const state = await finalState(store, partitions, where)
    const control: (readonly ControlRecord[])[] = []
    for (let p = 0; p < partitions; p++) control.push(await (await store.open(p)).control(0))
    return { state, control }
  })
  await setting.forget(where)
  return left
}

/** What a worker of a run is told. */
export function taskOf(options: RunOptions, where: Place, life: number, plan: KillPlan | null): WorkerTask {
  const { log } = where
  return {
    // A new group each time: where to read on is known from the state, and nobody waits for the dead member.
    where: log.kind === 'kafka' ? { ...where, log: { ...log, groupId: `${log.groupId}-${life}` } } : where,
    ends: options.setting.ends,
    life,
    requests: options.requests ?? true,
    armed: plan?.kind === 'point' ? { point: plan.point, passage: plan.passage, stop: false } : null,
    broken: options.broken ?? null,
  }
}

async function workUntil({ program }: RunOptions, task: WorkerTask, plan: KillPlan | null): Promise<Ending> {
  const child = new CrashChild(program, task)
  if (plan !== null && plan.kind !== 'point') {
    const over = child.ended.then(
      () => true,
      () => true,
    )
    let isOver = false
    while (!isOver && plan.kind === 'record' && child.read < plan.at)
      isOver = await Promise.race([over, sleep(2, false)])
    await Promise.race([over, sleep(plan.afterMs)])
    child.kill()
  }
  return child.ended
}
