import { hashOf } from '../core/hash.ts'
import { SUMS_LENGTH } from './knowledge.ts'
import { packIntegers, unpackIntegers } from './packed-sums.ts'

/** The callers that are compared with one another; each kind has knowledge of its own. */
export const POPULATIONS = ['known', 'strangers'] as const
export type PopulationName = (typeof POPULATIONS)[number]

/** One version of what is known about the callers of all partitions; never changed once it is made. */
export interface MergedKnowledge {
  readonly population: PopulationName
  /** Counts up by one from 1. */
  readonly version: number
  /** The event-time boundary up to which the sums reach, epoch ms. */
  readonly cutAt: number
  /** The sums of all partitions, packed. */
  readonly sums: string
  /** Over all of the above. */
  readonly hash: string
}

/** Adds up the sums of partitions. Integers: neither order nor grouping changes the result. */
export function addUp(parts: readonly Float64Array[]): Float64Array {
  const total = new Float64Array(SUMS_LENGTH)
  for (const part of parts) for (let i = 0; i < total.length; i++) total[i]! += part[i]!
  return total
}

/** Makes a version of added up sums. */
export function sealKnowledge(
  population: PopulationName,
  version: number,
  cutAt: number,
  sums: Float64Array,
): MergedKnowledge {
  const packed = packIntegers(sums)
  return { population, version, cutAt, sums: packed, hash: hashOf(population, version, cutAt, packed) }
}

/** The sums of a version; null when it is damaged, or of a release with other sums or populations. */
export function sumsIn(knowledge: MergedKnowledge): Float64Array | null {
  const { population, version, cutAt, sums, hash } = knowledge
  if (!POPULATIONS.includes(population)) return null
  if (hash !== hashOf(population, version, cutAt, sums)) return null
  return unpackIntegers(sums, SUMS_LENGTH)
}
