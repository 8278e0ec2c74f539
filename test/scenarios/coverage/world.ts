import { gaussian, seededRandom } from '../../../bench/seeded-random.ts'
import type { AlertRecord } from '../../../core/incident.ts'
import { DAY_MS, HOUR_MS } from '../../../core/time.ts'
import { Coverage, type WatchedSource } from '../../../engine/coverage/coverage.ts'
import { COUNTS, SLOT_MS } from '../../../engine/coverage/slots.ts'

/** Monday 7 September 2026, 00:00 UTC. */
export const START = Date.UTC(2026, 8, 7)

/** Calls per minute of one gateway at an instant, before chance. */
export type Rhythm = (time: number) => number

const weekend = (time: number) => Math.floor((time - START) / DAY_MS) % 7 >= 5
const hourOf = (time: number) => ((time - START) % DAY_MS) / HOUR_MS

/** Day and night, week and weekend, never silent for long. */
export const busy =
  (peak: number): Rhythm =>
  (time) =>
    peak * (weekend(time) ? 0.4 : 1) * (0.55 - 0.45 * Math.cos(((hourOf(time) - 3) / 24) * 2 * Math.PI))

/** Office hours on working days only, ramping up and down within an hour. */
export const office =
  (peak: number): Rhythm =>
  (time) => {
    if (weekend(time)) return 0
    const hour = hourOf(time)
    return peak * Math.max(0, Math.min(1, hour - 7.5, 18.5 - hour))
  }

/** Ten minutes of work at three in the night, else next to nothing. */
export const batch =
  (peak: number): Rhythm =>
  (time) =>
    hourOf(time) >= 3 && hourOf(time) < 3 + 1 / 6 ? peak : peak / 10_000

export interface GatewaySpec {
  readonly source: string
  readonly gateway: string
  readonly rhythm: Rhythm
  /** Sessions come as bursts of about so many calls within a slot or two; 1 = single calls. */
  readonly burst: number
}

/** What goes wrong; counts of a slot before they are logged, and what is logged of them. */
export type Fault = (spec: GatewaySpec, time: number, counts: number[]) => number[]

/** Calls of every gateway, slot by slot, from a seed: each day has a mood, each minute its chance. */
export class World {
  readonly coverage: Coverage
  readonly alerts: AlertRecord[] = []
  /** Length of a slot. */
  readonly slotMs: number
  /** Called before a slot's end is told to coverage, with what the gateways really served. */
  onSlot: (spec: GatewaySpec, slot: number, served: number) => void = () => undefined
  private readonly specs: readonly GatewaySpec[]
  private readonly random: () => number
  private readonly moods = new Map<string, number>()

  constructor(
    specs: readonly GatewaySpec[],
    seed: number,
    sources: readonly WatchedSource[] = watched(specs),
    slotMs: number = SLOT_MS,
  ) {
    this.slotMs = slotMs
    this.specs = specs
    this.random = seededRandom(seed)
    this.coverage = new Coverage(sources, slotMs)
  }

  /** Plays from one instant to another; alerts of the time end up in `alerts`. */
  play(from: number, to: number, fault: Fault = (_, __, counts) => counts): void {
    for (let time = from; time < to; time += this.slotMs) {
      const slot = time / this.slotMs
      for (const spec of this.specs) {
        const calls = this.calls(spec, time)
        this.onSlot(spec, slot, calls)
        const logged = fault(spec, time, countsOf(calls))
        if (logged[0]! > 0) this.coverage.observe(spec.source, spec.gateway, slot, logged)
      }
      this.coverage.advance(time + this.slotMs)
      this.alerts.push(...this.coverage.outputs.splice(0))
    }
  }

  private calls(spec: GatewaySpec, time: number): number {
    const day = `${spec.source}/${Math.floor(time / DAY_MS)}`
    let mood = this.moods.get(day)
    if (mood === undefined) {
      mood = Math.exp(0.08 * gaussian(this.random))
      this.moods.set(day, mood)
    }
    const mean = (spec.rhythm(time) * mood * this.slotMs) / 60_000
    const sessions = poisson(mean / spec.burst, this.random)
    let calls = 0
    for (let i = 0; i < sessions; i++) calls += 1 + Math.floor(2 * (spec.burst - 1) * this.random() + 0.5)
    return calls
  }
}

export function watched(specs: readonly GatewaySpec[]): WatchedSource[] {
  const names = [...new Set(specs.map((spec) => spec.source))]
  return names.map((name) => ({ name, tenant: 'default', maxSilenceMs: null }))
}

/** Nine of ten calls are served, all of these with principal and jti, four of five with records. */
function countsOf(calls: number): number[] {
  const served = Math.round(calls * 0.9)
  const counts = [calls, served, served, Math.round(served * 0.8), served]
  if (counts.length !== COUNTS) throw new Error('counts have another layout')
  return counts
}

function poisson(mean: number, random: () => number): number {
  if (mean > 50) return Math.max(0, Math.round(mean + Math.sqrt(mean) * gaussian(random)))
  const limit = Math.exp(-mean)
  let k = 0
  for (let p = random(); p > limit; p *= random()) k++
  return k
}
