import type { AccessEvent } from '../core/event.ts'
import type { RawRecord } from './format.ts'

/** A raw record and the configured source (by name) that it came through. */
export interface SourcedRecord extends RawRecord {
  readonly source: string
}

/** Some records in log order. Not acknowledging a batch means that it comes again. */
export interface RawBatch {
  readonly records: readonly SourcedRecord[]
  /** Call once the effects of the batch are durable elsewhere. */
  ack(): Promise<void>
}

/**
 * Where raw log bytes come from. Order within a partition is kept. A source that ends returns; one that
 * cannot go on throws a {@link CurfewError} whose `retriable` says whether to call `batches` again.
 */
export interface RawSource {
  readonly name: string
  batches(stop: AbortSignal): AsyncIterable<RawBatch>
}

/** Where a record stood in the log that it was read from, the same at every reading. */
export type Origin = Pick<RawRecord, 'topic' | 'partition' | 'offset'>

/** One record of the engine's own log: `curfew.events` on Kafka, the local journal when embedded. */
export interface LogRecord {
  readonly offset: number
  /** Append time, epoch ms. */
  readonly receivedAt: number
  readonly source: string
  readonly bytes: Uint8Array
  /** Kept where the log holds what a source delivered as it was, and the source has lasting positions. */
  readonly origin?: Origin
  /**
   * What decoding the bytes gives, exactly, where the log still has it from whoever appended them in this process; a
   * record that is read from the log again comes without.
   */
  readonly events?: readonly AccessEvent[] | undefined
}

/** Told by the log which partitions this process owns. Calls for one partition never overlap. */
export interface PartitionOwner {
  /** Returns the offset to read next. */
  assigned(partition: number): Promise<number>
  /** `caughtUp` when nothing newer was in the log at the time of reading. */
  records(partition: number, records: readonly LogRecord[], caughtUp: boolean): Promise<void>
  revoked(partition: number): Promise<void>
}

/**
 * The engine's own durable, partitioned log. `append` resolves when the records are durable (fsync or
 * acks=all), in the order given per partition; one that fails fails all that wait behind it. `read` hands over
 * partitions until `stop`.
 */
export interface EventLog {
  readonly partitions: number
  append(
    records: readonly {
      readonly partition: number
      readonly source: string
      readonly bytes: Uint8Array
      readonly receivedAt: number
      readonly origin?: Origin
      /** See {@link LogRecord.events}: a log may drop it. */
      readonly events?: readonly AccessEvent[] | undefined
    }[],
  ): Promise<void>
  read(owner: PartitionOwner, stop: AbortSignal): Promise<void>
  /** The record at an offset, to compare with the hash stored beside a position; null when it is gone. */
  at(partition: number, offset: number): Promise<LogRecord | null>
  /** Allows records at or below the offset to be removed; Kafka ignores it (retention is the topic's). */
  release(partition: number, offset: number): Promise<void>
  close(): Promise<void>
}
