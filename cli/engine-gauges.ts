import type { EngineMetrics } from '../admin/metrics.ts'
import type { PrincipalState } from '../engine/control-plane.ts'
import type { Partition } from '../engine/partition.ts'
import { stateOf } from '../engine/profile-state.ts'
import type { JudgingProgress } from './judging-progress.ts'

/** Profiles of a partition that are looked at: reading more would hold up judging, and shares need no more. */
const SAMPLED = 1_000

/** What is read off the engine whenever somebody reads the metrics, rather than counted call by call. */
export class EngineGauges {
  private readonly metrics: EngineMetrics
  /** Late calls of a partition that are counted already. */
  private readonly late = new WeakMap<Partition, number>()

  constructor(metrics: EngineMetrics) {
    this.metrics = metrics
  }

  /** Takes over how things stand in the partitions of this process. */
  update(
    partitions: Iterable<readonly [number: number, partition: Partition]>,
    progress: JudgingProgress,
  ): void {
    const { metrics } = this
    const states: Record<PrincipalState, number> = { LEARNING: 0, PROVISIONAL: 0, MATURE: 0, STALE: 0 }
    let open = 0
    for (const [number, partition] of partitions) {
      metrics.partitionClock(number, partition.now / 1_000)
      open += partition.book.openCount
      this.countLate(partition)
      addStates(partition, states)
    }
    metrics.incidentsOpen(open)
    for (const state of STATES) metrics.principalsResident(state, Math.round(states[state]))
    for (const [number, lagMs] of progress.lags()) metrics.partitionLag(number, lagMs / 1_000)
  }

  /** A partition brings the count of its earlier owners along: only what comes on top was late here. */
  private countLate(partition: Partition): void {
    const before = this.late.get(partition)
    if (before !== undefined) this.metrics.late(partition.late - before)
    this.late.set(partition, partition.late)
  }
}

const STATES: readonly PrincipalState[] = ['LEARNING', 'PROVISIONAL', 'MATURE', 'STALE']

function addStates({ residents }: Partition, states: Record<PrincipalState, number>): void {
  const seen: Record<PrincipalState, number> = { LEARNING: 0, PROVISIONAL: 0, MATURE: 0, STALE: 0 }
  const step = Math.max(1, Math.ceil(residents.size / SAMPLED))
  let passed = 0
  let looked = 0
  // Evenly over all, as the oldest come first.
  for (const slot of residents.slots()) {
    if (passed++ % step !== 0) continue
    seen[stateOf(residents.slab.at(slot))]++
    looked++
  }
  for (const state of STATES) states[state] += looked === 0 ? 0 : (seen[state] * residents.size) / looked
}
