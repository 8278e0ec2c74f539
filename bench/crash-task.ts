import type { KafkaEventLogOptions } from '../ingest/sources/kafka-event-log.ts'

/** Where log and state of a run are. */
export type Place =
  | {
      readonly kind: 'redis'
      readonly brokers: readonly string[]
      readonly topic: string
      readonly partitions: number
      readonly groupId: string
      readonly url: string
      readonly keyPrefix: string
    }
  | { readonly kind: 'embedded'; readonly log: string; readonly state: string }

/** What the worker process is told. */
export interface WorkerTask {
  readonly where: Place
  /** Number of records of each partition. */
  readonly ends: readonly number[]
  /** Commit wrongly: the position before the profiles. */
  readonly positionFirst: boolean
}

/** Keys the hashes under which profiles are stored. */
export const KEY = 'crash runs'
/** Seed of the duplicate filter. */
export const SEED = 7

/** A killed member of the group is given up after a short session. */
export function logOptions(where: Extract<Place, { kind: 'redis' }>): KafkaEventLogOptions {
  const { topic, partitions, groupId } = where
  return { topic, partitions, groupId, idleMs: 100, maxWaitMs: 20, sessionTimeoutMs: 3_000 }
}
