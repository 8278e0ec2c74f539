import type { KafkaEventLogOptions } from '../ingest/sources/kafka-event-log.ts'
import type { Broken } from './crash-seams.ts'

/** Where log and state of a run are. */
export interface Place {
  readonly log:
    | {
        readonly kind: 'kafka'
        readonly brokers: readonly string[]
        readonly topic: string
        readonly partitions: number
        readonly groupId: string
      }
    | { readonly kind: 'journal'; readonly folder: string }
  readonly state:
    | { readonly kind: 'redis'; readonly url: string; readonly keyPrefix: string }
    | { readonly kind: 'embedded'; readonly folder: string }
  /** Rules of the gateway. */
  readonly gateway: string
  /** Messages that reached people. */
  readonly messages: string
}

/** What the worker process is told. */
export interface WorkerTask {
  readonly where: Place
  /** Number of records of each partition. */
  readonly ends: readonly number[]
  /** How many workers the run had before this one. */
  readonly life: number
  /** Whether operators ask for changes meanwhile; else the control list is what the store holds. */
  readonly requests: boolean
  /** Where to die, or to stop until continued. */
  readonly armed: { readonly point: string; readonly passage: number; readonly stop: boolean } | null
  readonly broken: Broken | null
}

/** What a worker says at its end, as its last line. */
export interface WorkerReport {
  /** How often each kill point was passed. */
  readonly passages: Readonly<Record<string, number>>
}

/** Keys the hashes under which profiles are stored. */
export const KEY = 'crash runs'
/** Seed of the duplicate filter. */
export const SEED = 7

/** A killed member of the group is given up after a short session. */
export function logOptions(where: Extract<Place['log'], { kind: 'kafka' }>): KafkaEventLogOptions {
  const { topic, partitions, groupId } = where
  return { topic, partitions, groupId, idleMs: 100, maxWaitMs: 20, sessionTimeoutMs: 3_000 }
}
