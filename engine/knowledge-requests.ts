import type { ControlRequest } from '../baseline/store.ts'
import type { KnowledgeEffect } from './control-records.ts'
import { BOUNDARY_MS } from './knowledge.ts'
import { type PopulationName, sumsIn } from './merged-knowledge.ts'
import type { Partition } from './partition.ts'

const KIND = 'knowledge'

/**
 * Tells the owner of a partition what to do with a wish that it take some knowledge: stamp it once its time has
 * come, at the earliest one boundary behind the cut, and never one that is not newer than what it has stamped.
 * Whoever asks may ask twice, or late.
 */
export class KnowledgeRequests {
  private readonly partition: Partition
  /** Newest version with a control record, in force or not. */
  private readonly newest: Record<PopulationName, number> = { known: 0, strangers: 0 }

  constructor(partition: Partition) {
    this.partition = partition
  }

  /** Takes note of the body of a control record. */
  stamped(kind: string, body: string): void {
    if (kind !== KIND) return
    const { population, version } = JSON.parse(body) as KnowledgeEffect
    this.newest[population] = Math.max(this.newest[population], version)
  }

  /** `drop`: it says nothing new or cannot be read here. Anything but knowledge is stamped at once. */
  judge({ kind, body }: ControlRequest, present: number): 'stamp' | 'wait' | 'drop' {
    if (kind !== KIND) return 'stamp'
    const effect = JSON.parse(body) as KnowledgeEffect
    // A record that this release cannot apply would stop the partition: better to go on with what it knows.
    if (sumsIn(effect) === null) return 'drop'
    const { clock, knowledge } = this.partition[effect.population]
    const newest = Math.max(this.newest[effect.population], knowledge.standing.taken?.version ?? 0)
    if (effect.version <= newest) return 'drop'
    return Math.max(clock.now, present) < effect.cutAt + BOUNDARY_MS ? 'wait' : 'stamp'
  }
}
