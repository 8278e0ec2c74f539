import type { StateStore } from '../baseline/store.ts'
import { FIRST_SHARED_PARTITION } from './shared-map.ts'

/** The partitions of the log that were ever opened, without the shared state beside them. */
export async function eventPartitions(store: StateStore): Promise<readonly number[]> {
  return (await store.partitions()).filter((partition) => partition < FIRST_SHARED_PARTITION)
}
