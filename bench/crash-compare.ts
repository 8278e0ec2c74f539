import type { ControlRecord } from '../baseline/store.ts'
import { bodyOf } from '../engine/control-list.ts'
import type { ControlEffect } from '../engine/control-records.ts'
import { crashRun, type KillPlan, type RunResult, undisturbed } from './crash-runs.ts'
import type { Broken } from './crash-seams.ts'
import type { CrashSetting } from './crash-settings.ts'
import { differences } from './crash-state.ts'
import { KILL_POINTS, type KillKind, type KillPoint } from './kill-points.ts'

/** Whatever the worker is at. */
export const RANDOM: KillPoint = {
  name: 'random',
  kind: 'checkpoint',
  stores: ['redis', 'embedded'],
  where: 'anywhere',
}

export interface Compared {
  readonly run: RunResult
  /** What is not as it would have been, one line each. */
  readonly faults: readonly string[]
}

export interface CompareOptions {
  readonly setting: CrashSetting
  readonly program: string
  readonly name: string
  readonly kills: readonly KillPlan[]
  readonly broken?: Broken
}

/** A run with its kills beside the run that the same control list gives without any. */
export async function compared(options: CompareOptions): Promise<Compared> {
  const run = await crashRun(options)
  return { run, faults: await faultsOf(options, run, run.kills.length) }
}

/** Compares what a run left with an undisturbed one under the same control list. */
export async function faultsOf(
  options: Pick<CompareOptions, 'setting' | 'program' | 'name'>,
  run: Pick<RunResult, 'state' | 'control'>,
  crashes: number,
): Promise<readonly string[]> {
  const reference = await undisturbed({ ...options, name: `${options.name}-ref` }, run.control)
  const faults = [...differences(reference.state, run.state), ...run.control.flatMap(controlFaults)]
  const { repeated } = run.state
  if (repeated > crashes) faults.push(`${repeated} messages were repeated in ${crashes} crashes`)
  return faults
}

/** A wish that became two records, and knowledge that is not newer than what stood before. */
export function controlFaults(records: readonly ControlRecord[], partition: number): readonly string[] {
  const faults: string[] = []
  const answered = new Map<string, string>()
  const newest = new Map<string, number>()
  for (const record of records) {
    const { request, body, hash } = bodyOf(record)
    const before = request === undefined ? undefined : answered.get(request)
    // The same hash is the same record, appended again because its answer got lost.
    if (before === hash) continue
    if (before !== undefined) faults.push(`partition ${partition}: ${request} became two records`)
    if (request !== undefined) answered.set(request, hash)
    const effect = JSON.parse(body) as ControlEffect
    if (effect.kind !== 'knowledge') continue
    if (effect.version <= (newest.get(effect.population) ?? 0))
      faults.push(`partition ${partition}: version ${effect.version} of ${effect.population} came late`)
    newest.set(effect.population, effect.version)
  }
  return faults
}

/** Where one of the workers of a run dies: somewhere in its share of the log. */
export function planFor(
  point: KillPoint,
  share: number,
  passages: number,
  records: number,
  random: () => number,
): KillPlan {
  if (point !== RANDOM) {
    const most = Math.max(1, Math.floor(passages * share))
    return { kind: 'point', point: point.name, passage: 1 + Math.floor(random() * most) }
  }
  // Some kills meet a worker that still loads its state, most one at work.
  return random() < 0.15
    ? { kind: 'start', afterMs: random() * 1_500 }
    : { kind: 'record', at: random() * records, afterMs: random() * 60 }
}

/** The points that a name means at a store: one, `random`, or `all` of them. Throws for a name that means none. */
export function pointsNamed(name: string, store: 'redis' | 'embedded'): readonly KillPoint[] {
  const there = [...KILL_POINTS.filter((point) => point.stores.includes(store)), RANDOM]
  const named = name === 'all' ? there : there.filter((point) => point.name === name)
  if (named.length === 0) {
    const names = there.map((point) => point.name).join(', ')
    throw new Error(`--kill-point is all or, with --store ${store}, one of ${names}; not ${name}`)
  }
  return named
}

/** What the point of a name lies within. */
export function kindOf(name: string): KillKind | 'random' {
  return KILL_POINTS.find((point) => point.name === name)?.kind ?? 'random'
}
