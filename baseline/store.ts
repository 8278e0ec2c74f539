/** How far a partition's state reflects its log. */
export interface Position {
  /** Offset of the last record whose effects are in the state; -1 before the first. */
  readonly offset: number
  /** SHA-256 of that record's bytes, re-read and compared on resume; empty before the first. */
  readonly recordHash: string
}

/** Everything that changes in one atomic step. Keys are local to the partition, at most 512 bytes of ASCII. */
export interface Checkpoint {
  /** The position this checkpoint was computed from; another one in the store means a lost race. */
  readonly expected: Position
  readonly position: Position
  readonly puts: ReadonlyMap<string, Uint8Array>
  readonly deletes: readonly string[]
}

/** What waits in the outbox: for people or for gateways. */
export type OutboxKind = 'alert' | 'decision' | 'proof' | 'approval' | 'forgotten'

/** Something that must reach people or gateways once. `seq` counts up per partition from 1. */
export interface OutboxEntry {
  readonly seq: number
  readonly id: string
  readonly kind: OutboxKind
  /** JSON text. */
  readonly body: string
}

/** Anything but an event that can change a verdict, effective behind a stated record of the log. */
export interface ControlRecord {
  readonly seq: number
  /** Takes effect after the record at this offset and before the next. */
  readonly afterOffset: number
  readonly kind: string
  /** JSON text. */
  readonly body: string
}

/** A wish from outside (admin) that the owner of a partition will stamp and append as a control record. */
export interface ControlRequest {
  readonly id: string
  readonly kind: string
  readonly body: string
}

/**
 * One partition, owned. Opening raised the fencing epoch: every writing call of an earlier owner fails
 * with `STORE_FENCED` from then on. All failures are {@link CurfewError}s; `STORE_UNREACHABLE` is retriable.
 */
export interface PartitionStore {
  readonly partition: number
  readonly epoch: number
  /** The position found at opening. */
  readonly position: Position
  /**
   * Offset of the record with the last durable output, found at opening; -1 before the first. May lie behind
   * the position: an earlier owner judged that far, told the outbox, and was gone before its checkpoint.
   */
  readonly published: number
  get(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>
  /** Every key with the prefix, in unspecified order, as it stood at some point of the iteration. */
  scan(prefix: string): AsyncIterable<readonly [string, Uint8Array]>
  /** All of it or nothing. `STORE_CONFLICT` when the stored position is not `expected`. */
  commit(checkpoint: Checkpoint): Promise<void>
  /**
   * What the record at `offset` gave to say. Durable and visible to readers when resolved, together with the
   * offset. An id already present is left alone. True = added.
   */
  appendOutbox(entries: readonly Omit<OutboxEntry, 'seq'>[], offset: number): Promise<readonly boolean[]>
  /** Durable when resolved; `seq` counts up from 1. */
  appendControl(record: Omit<ControlRecord, 'seq'>): Promise<number>
  control(afterSeq: number): Promise<readonly ControlRecord[]>
  /** Requests not yet taken, oldest first. */
  requests(): Promise<readonly ControlRequest[]>
  /** Forgets requests that have become control records. Of none it only says, by not throwing, that the owner still owns. */
  settleRequests(ids: readonly string[]): Promise<void>
  /** Removes outbox entries with `seq` at or below the bound and control records that the position has passed. */
  trim(outboxSeq: number, controlSeq: number): Promise<void>
  close(): Promise<void>
}

/** A small shared document with a version for compare-and-set. Version 0 = absent. */
export interface StoredDocument {
  readonly version: number
  readonly body: string
}

/** A line of an append-only shared log (audit, receipts). */
export interface StoredLine {
  readonly seq: number
  readonly body: string
}

/**
 * Durable state: partitions owned by one worker at a time, readable by all, and a few shared documents
 * and logs. Implementations: Redis and a local folder.
 */
export interface StateStore {
  readonly name: string
  /** Raises the epoch of the partition. */
  open(partition: number): Promise<PartitionStore>
  /** Partitions that were ever opened. */
  partitions(): Promise<readonly number[]>
  /** Reads committed keys of any partition without owning it. */
  read(partition: number, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]>
  scan(partition: number, prefix: string): AsyncIterable<readonly [string, Uint8Array]>
  readOutbox(partition: number, afterSeq: number, limit: number): Promise<readonly OutboxEntry[]>
  /** Wake-up when some outbox grew; may be spurious and may be missed, so readers poll as well. */
  watchOutbox(listener: (partition: number) => void): Promise<() => Promise<void>>
  request(partition: number, request: ControlRequest): Promise<void>
  getDocument(name: string): Promise<StoredDocument>
  /** Returns the new version, or null when the stored version is not `expectedVersion`. */
  putDocument(name: string, expectedVersion: number, body: string): Promise<number | null>
  appendLine(log: string, body: string): Promise<number>
  readLines(log: string, afterSeq: number, limit: number): Promise<readonly StoredLine[]>
  /** Removes lines up to a sequence number, but never the last; the others keep their numbers. */
  trimLines(log: string, throughSeq: number): Promise<void>
  /**
   * What was deleted before the call has left the files of this store when it resolves, as far as they are the
   * store's own; files of a server follow the server's settings. Slow: writes all state anew.
   */
  scour(): Promise<void>
  /** Throws when unreachable or configured so that it may lose state (`STORE_MAY_EVICT`). */
  check(): Promise<void>
  close(): Promise<void>
}
