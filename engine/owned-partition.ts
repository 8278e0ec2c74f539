import { createHash } from 'node:crypto'
import type {
  Checkpoint,
  ControlRecord,
  ControlRequest,
  OutboxEntry,
  PartitionStore,
  Position,
} from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { AccessEvent } from '../core/event.ts'
import { idOf } from '../core/hash.ts'
import type { UnreadableLines } from '../core/unreadable.ts'
import type { LogRecord } from '../ingest/source.ts'
import { bodyOf, chained, verifyChain } from './control-list.ts'
import { applyControl, type ControlEffect, encodeEffect } from './control-records.ts'
import type { Output } from './incident-book.ts'
import { KnowledgeRequests } from './knowledge-requests.ts'
import type { Partition, PartitionObserver } from './partition.ts'
import type { PartitionState, StateChanges } from './partition-state.ts'

/** Told what a log record holds, in order. */
export interface Decoded {
  event(event: AccessEvent): void
  /** Lines that could not be read, or not whole; where they go is the decoder's own business. */
  unreadable(lines: UnreadableLines): void
}

/** Parses one log record. */
export type Decode = (record: LogRecord, to: Decoded) => void

export interface OwnedPartitionOptions {
  readonly store: PartitionStore
  readonly partition: Partition
  readonly state: PartitionState
  readonly decode: Decode
  readonly observer: PartitionObserver
  /** Repeats work while the store is unreachable. */
  readonly insist: <T>(work: () => Promise<T>) => Promise<T>
  /** Called with entries that were just made durable in the outbox; must not throw. */
  readonly onOutbox: (partition: number, entries: readonly Omit<OutboxEntry, 'seq'>[]) => void
}

/**
 * One partition while this process owns it: applies control records at their stated positions, folds
 * events, makes outputs durable before anything acts on them, and checkpoints in one atomic step.
 */
export class OwnedPartition {
  readonly store: PartitionStore
  readonly partition: Partition
  private readonly state: PartitionState
  private readonly options: OwnedPartitionOptions
  /** Control records that wait for their position. */
  private waiting: ControlRecord[] = []
  /** Hash of the last record of the control list. */
  private head = ''
  private readonly knownRequests = new Set<string>()
  private readonly knowledge: KnowledgeRequests
  private position: Position
  private committed: Position
  private lastBytes: Uint8Array | null = null
  private changed = false
  private trimmedControl = 0
  private trimmedOutbox = 0
  /** Outbox entries up to here have been taken by every reader. */
  private taken = 0
  private readonly decoded: Decoded = {
    event: (event) => this.take(event),
    unreadable: (lines) => {
      if (this.state.isNew(lines.position)) this.partition.unreadable(lines)
    },
  }

  constructor(options: OwnedPartitionOptions) {
    this.options = options
    this.store = options.store
    this.partition = options.partition
    this.state = options.state
    this.position = options.store.position
    this.committed = options.store.position
    this.knowledge = new KnowledgeRequests(options.partition)
  }

  get offset(): number {
    return this.position.offset
  }

  /**
   * Loads the state and the control records that it does not yet reflect. A new partition's first record is the
   * settings that it starts with, so that a start under other settings cannot judge the same calls otherwise.
   */
  async load(): Promise<void> {
    for await (const [key, bytes] of this.store.scan('')) this.state.loadEntry(key, bytes)
    this.state.finishLoading()
    const control = await this.store.control(0)
    for (const record of control) this.noteRequest(record)
    const unapplied = control.filter((r) => r.seq > this.state.controlSeq)
    const { records, head } = verifyChain(this.store.partition, this.state.controlHash, unapplied)
    this.waiting = records
    this.head = head
    await this.applyDue(this.position.offset)
    if (this.state.isStored || control.length > 0) return
    await this.control('settings', encodeEffect({ kind: 'settings', settings: this.partition.settings }))
  }

  /** Folds records that follow the position. Outputs are durable when this resolves. */
  async fold(records: readonly LogRecord[]): Promise<void> {
    const { decode } = this.options
    for (const record of records) {
      if (this.waiting.length > 0) await this.applyDue(record.offset - 1)
      decode(record, this.decoded)
      this.position = { offset: record.offset, recordHash: '' }
      this.lastBytes = record.bytes
      this.changed = true
      if (this.partition.book.outputs.length > 0) await this.publish()
    }
    // Nobody may call for hours: what is due behind the last record does not wait for the next.
    if (this.waiting.length > 0) await this.applyDue(this.position.offset)
  }

  private take(event: AccessEvent): void {
    const { observer } = this.options
    if (this.state.isNew(event.source)) observer.judged(event, this.partition.step(event))
    else observer.redelivered()
  }

  private async applyDue(offset: number): Promise<void> {
    while (this.waiting.length > 0 && this.waiting[0]!.afterOffset <= offset) {
      const record = this.waiting.shift()!
      applyControl(this.partition, record, this.state)
      this.state.controlSeq = record.seq
      this.state.controlHash = bodyOf(record).hash
      this.changed = true
    }
    if (this.partition.book.outputs.length > 0) await this.publish()
  }

  /** Makes what the engine has to say durable, then hands it on. */
  private async publish(): Promise<void> {
    const entries = this.partition.book.outputs
      .splice(0)
      .map((output) => entryOf(output, this.store.partition))
    const added = await this.options.insist(() => this.store.appendOutbox(entries, this.position.offset))
    // What stood there already is for the reader of the outbox, in its order.
    const fresh = entries.filter((_, i) => added[i] === true)
    if (fresh.length > 0) this.options.onOutbox(this.store.partition, fresh)
  }

  /**
   * Appends a control record behind the last folded record and applies it. After a crash an earlier owner may
   * have been further: what it told the outbox was judged without this record, so it stands behind that, and
   * behind the records that still wait for their position, because the list is applied in its order.
   */
  async control(kind: ControlEffect['kind'], body: string, request?: string): Promise<void> {
    const { published } = this.store
    const afterOffset = Math.max(this.position.offset, published, this.waiting.at(-1)?.afterOffset ?? -1)
    const { record, hash } = chained(this.head, afterOffset, kind, body, request)
    const seq = await this.options.insist(() => this.store.appendControl(record))
    this.head = hash
    this.waiting.push({ ...record, seq })
    await this.applyDue(this.position.offset)
  }

  /**
   * Turns wishes from outside into control records, each once. `present`: event time that has come whether
   * somebody calls here or not, epoch ms; knowledge whose time has not come goes on waiting.
   */
  async takeRequests(present = 0): Promise<void> {
    const waiting = await this.options.insist(() => this.store.requests())
    const taken: string[] = []
    for (const request of waiting) {
      const verdict = this.knowledge.judge(request, present)
      if (verdict === 'wait') continue
      taken.push(request.id)
      if (verdict === 'stamp' && !this.knownRequests.has(request.id)) await this.stamp(request)
    }
    if (taken.length === 0) return
    await this.options.insist(() => this.store.settleRequests(taken))
    for (const id of taken) this.knownRequests.delete(id)
  }

  private async stamp(request: ControlRequest): Promise<void> {
    this.knownRequests.add(request.id)
    this.knowledge.stamped(request.kind, request.body)
    await this.control(request.kind as ControlEffect['kind'], request.body, request.id)
  }

  private noteRequest(record: ControlRecord): void {
    const { request, body } = bodyOf(record)
    if (request !== undefined) this.knownRequests.add(request)
    this.knowledge.stamped(record.kind, body)
  }

  /**
   * Takes what changed since the last checkpoint, at this instant, and returns the commit to run; folding
   * may go on meanwhile. Null when nothing changed. A failed commit is to be repeated unchanged.
   */
  checkpoint(): { readonly bytes: number; commit(): Promise<void> } | null {
    // What every reader has taken goes although nobody calls.
    if (!this.changed && this.taken <= this.trimmedOutbox) return null
    this.changed = false
    const changes: StateChanges = this.state.takeChanges()
    const position =
      this.lastBytes === null
        ? this.position
        : { offset: this.position.offset, recordHash: hashOfRecord(this.lastBytes) }
    const controlSeq = this.state.controlSeq
    const outboxSeq = this.taken
    let bytes = 0
    for (const value of changes.puts.values()) bytes += value.length
    // One object for every attempt: the store recognises by it a commit that landed although the answer was lost.
    let checkpoint: Checkpoint | null = null
    const commit = async () => {
      checkpoint ??= { expected: this.committed, position, puts: changes.puts, deletes: changes.deletes }
      await this.store.commit(checkpoint)
      this.committed = position
      await this.trim(outboxSeq, controlSeq)
    }
    return { bytes, commit }
  }

  private async trim(outboxSeq: number, controlSeq: number): Promise<void> {
    if (controlSeq === this.trimmedControl && outboxSeq === this.trimmedOutbox) return
    await this.store.trim(outboxSeq, controlSeq)
    this.trimmedControl = controlSeq
    this.trimmedOutbox = outboxSeq
  }

  /** Bytes that the next checkpoint will write, without what is small. */
  get dirtyBytes(): number {
    return this.partition.residents.dirtyBytes
  }

  /**
   * Outbox entries up to `seq` were taken by every reader; the next checkpoint removes them. Only to be told
   * when every record that an earlier owner may have folded is folded here: an entry whose record is behind
   * the committed position would be made anew after a crash, and its id must still be there then.
   */
  entriesTaken(seq: number): void {
    this.taken = Math.max(this.taken, seq)
  }

  /** Whether some incident is due to resolve at an instant although nobody calls. */
  isDue(time: number): boolean {
    return this.partition.book.nextDue <= time
  }
}

/** SHA-256 of a record's bytes: what a position is verified with on resume. */
export function hashOfRecord(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function entryOf(output: Output, partition: number): Omit<OutboxEntry, 'seq'> {
  if (output.kind === 'alert')
    return { id: output.alert.id, kind: 'alert', body: JSON.stringify(output.alert) }
  if (output.kind === 'proof') {
    const { decision, proof, at } = output.proof
    return { id: idOf('prf', decision, proof, at), kind: 'proof', body: JSON.stringify(output.proof) }
  }
  if (output.kind === 'approval') {
    const { decision, at } = output.approval
    return { id: idOf('apr', decision, at), kind: 'approval', body: JSON.stringify(output.approval) }
  }
  if (output.kind === 'forgotten') {
    const { forgotten } = output
    const body = JSON.stringify({ ...forgotten, partition })
    return { id: idOf('fgt', forgotten.request, partition), kind: 'forgotten', body }
  }
  return { id: output.decision.id, kind: 'decision', body: JSON.stringify(output.decision) }
}

/** Fails unless the record at the stored position is the one that the state was built from. */
export function verifyResumePoint(partition: number, position: Position, found: LogRecord | null): void {
  if (position.offset < 0) return
  if (found === null) {
    throw new CurfewError(
      'LOG_GAP',
      `partition ${partition}: the log no longer holds offset ${position.offset}, where the stored state ends; records may be missing`,
    )
  }
  if (hashOfRecord(found.bytes) === position.recordHash) return
  throw new CurfewError(
    'LOG_GAP',
    `partition ${partition}: the record at offset ${position.offset} is not the one that the stored state was built from; the topic was replaced`,
  )
}
