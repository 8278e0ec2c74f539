import { CurfewError } from '../../core/errors.ts'
import type {
  Checkpoint,
  ControlRecord,
  ControlRequest,
  OutboxEntry,
  PartitionStore,
  Position,
} from '../store.ts'
import type { Change, Journal } from './journal.ts'
import {
  checkCheckpoint,
  checkControl,
  checkKey,
  checkOutboxEntries,
  checkRequest,
  MAX_WAITING_REQUESTS,
} from './limits.ts'
import { encodeChange, type PartitionState } from './partition-state.ts'

/** What a group of changes has decided so far, on top of the durable state. */
export class PartitionDraft {
  readonly state: PartitionState
  epoch: number
  position: Position
  outboxSeq: number
  published: number
  controlSeq: number
  readonly addedIds = new Set<string>()
  readonly addedRequests = new Set<string>()

  constructor(state: PartitionState) {
    this.state = state
    this.epoch = state.epoch
    this.position = state.position
    this.outboxSeq = state.outboxSeq
    this.published = state.published
    this.controlSeq = state.controlSeq
  }

  /** Refuses an owner that has been replaced. */
  refuseFenced(partition: number, epoch: number): void {
    if (this.epoch !== epoch) {
      throw new CurfewError(
        'STORE_FENCED',
        `partition ${partition} was taken over: epoch ${epoch} is no longer the owner, ${this.epoch} is`,
      )
    }
  }
}

export type PartitionJournal = Journal<PartitionState, PartitionDraft>

/** Copies of values, so that a caller may keep and change what it got. */
export function readValues(
  state: PartitionState,
  keys: readonly string[],
): readonly (Uint8Array | undefined)[] {
  return keys.map((key) => {
    checkKey(key)
    return state.values.get(key)?.slice()
  })
}

/** Every key with the prefix as of the start of the iteration. */
export async function* scanValues(
  state: PartitionState,
  prefix: string,
): AsyncGenerator<readonly [string, Uint8Array]> {
  const found: [string, Uint8Array][] = []
  for (const [key, value] of state.values) if (key.startsWith(prefix)) found.push([key, value])
  for (const [key, value] of found) yield [key, value.slice()]
}

/** Leaves a request for the owner of a partition; one with the same id that still waits is left alone. */
export async function appendRequest(
  journal: PartitionJournal,
  partition: number,
  request: ControlRequest,
): Promise<void> {
  checkRequest(request)
  await journal.submit((draft) => {
    const { requests } = draft.state
    if (requests.has(request.id) || draft.addedRequests.has(request.id))
      return { records: [], result: undefined }
    if (requests.size + draft.addedRequests.size >= MAX_WAITING_REQUESTS) {
      throw new CurfewError(
        'LOG_FULL',
        `partition ${partition} has ${MAX_WAITING_REQUESTS} requests waiting`,
        {
          retriable: true,
        },
      )
    }
    draft.addedRequests.add(request.id)
    const { id, kind, body } = request
    return { records: [encodeChange({ type: 'request', request: { id, kind, body } })], result: undefined }
  })
}

/** One partition of the local folder under the ownership taken at opening. */
export class EmbeddedPartition implements PartitionStore {
  readonly partition: number
  readonly epoch: number
  readonly position: Position
  readonly published: number
  readonly #journal: PartitionJournal
  readonly #grew: () => void

  private constructor(
    journal: PartitionJournal,
    opened: Pick<PartitionStore, 'partition' | 'epoch' | 'position'>,
    grew: () => void,
  ) {
    this.#journal = journal
    this.#grew = grew
    this.partition = opened.partition
    this.epoch = opened.epoch
    this.position = opened.position
    // Nothing of an earlier owner can follow: it is fenced now.
    this.published = journal.state.published
  }

  /** Takes the partition over from whoever had it in this process. */
  static async open(
    journal: PartitionJournal,
    partition: number,
    grew: () => void,
  ): Promise<EmbeddedPartition> {
    const opened = await journal.submit((draft) => {
      draft.epoch++
      const { epoch, position } = draft
      return { records: [encodeChange({ type: 'epoch', epoch })], result: { partition, epoch, position } }
    })
    return new EmbeddedPartition(journal, opened, grew)
  }

  async get(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    return readValues(this.#journal.state, keys)
  }

  scan(prefix: string): AsyncIterable<readonly [string, Uint8Array]> {
    return scanValues(this.#journal.state, prefix)
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    checkCheckpoint(checkpoint)
    const { expected, position, puts, deletes } = checkpoint
    const { offset, recordHash } = position
    const record = encodeChange({ type: 'commit', position: { offset, recordHash }, deletes }, puts)
    await this.#submit((draft) => {
      const stored = draft.position
      if (stored.offset !== expected.offset || stored.recordHash !== expected.recordHash) {
        throw new CurfewError(
          'STORE_CONFLICT',
          `partition ${this.partition}: the stored position is offset ${stored.offset}, expected ${expected.offset}`,
        )
      }
      draft.position = position
      return { records: [record], result: undefined }
    })
  }

  async appendOutbox(
    entries: readonly Omit<OutboxEntry, 'seq'>[],
    offset: number,
  ): Promise<readonly boolean[]> {
    checkOutboxEntries(entries)
    const added = await this.#submit((draft) => {
      const fresh: OutboxEntry[] = []
      const result = entries.map(({ id, kind, body }) => {
        if (draft.state.outboxIds.has(id) || draft.addedIds.has(id)) return false
        draft.addedIds.add(id)
        draft.outboxSeq++
        fresh.push({ seq: draft.outboxSeq, id, kind, body })
        return true
      })
      const change = { type: 'outbox', entries: fresh, offset } as const
      if (fresh.length === 0 && offset <= draft.published) return { records: [], result }
      draft.published = Math.max(draft.published, offset)
      return { records: [encodeChange(change)], result }
    })
    if (added.includes(true)) this.#grew()
    return added
  }

  async appendControl(record: Omit<ControlRecord, 'seq'>): Promise<number> {
    checkControl(record)
    const { afterOffset, kind, body } = record
    return await this.#submit((draft) => {
      draft.controlSeq++
      const seq = draft.controlSeq
      return {
        records: [encodeChange({ type: 'control', record: { seq, afterOffset, kind, body } })],
        result: seq,
      }
    })
  }

  async control(afterSeq: number): Promise<readonly ControlRecord[]> {
    return this.#journal.state.controlAfter(afterSeq)
  }

  async requests(): Promise<readonly ControlRequest[]> {
    return [...this.#journal.state.requests.values()]
  }

  async settleRequests(ids: readonly string[]): Promise<void> {
    // None to settle only asks who owns the partition.
    const records = ids.length === 0 ? [] : [encodeChange({ type: 'settle', ids })]
    await this.#submit(() => ({ records, result: undefined }))
  }

  async trim(outboxSeq: number, controlSeq: number): Promise<void> {
    await this.#submit(() => ({
      records: [encodeChange({ type: 'trim', outboxSeq, controlSeq })],
      result: undefined,
    }))
  }

  /** The files belong to the store; the epoch stays until the next owner raises it. */
  async close(): Promise<void> {
    await this.#journal.idle()
  }

  async #submit<Result>(decide: (draft: PartitionDraft) => Change<Result>): Promise<Result> {
    return await this.#journal.submit((draft) => {
      draft.refuseFenced(this.partition, this.epoch)
      return decide(draft)
    })
  }
}
