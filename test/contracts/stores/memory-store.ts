import type {
  Checkpoint,
  ControlRecord,
  ControlRequest,
  OutboxEntry,
  PartitionStore,
  Position,
  StateStore,
  StoredDocument,
  StoredLine,
} from '../../../baseline/store.ts'
import {
  checkCheckpoint,
  checkControl,
  checkKey,
  checkName,
  checkOutboxEntries,
  checkPartition,
  checkRequest,
} from '../../../baseline/stores/limits.ts'
import { CurfewError } from '../../../core/errors.ts'

/** One way in which a store can be wrong; the contract must notice each. */
export type Flaw =
  | 'position-before-values'
  | 'ignores-epoch'
  | 'fences-only-commits'
  | 'ignores-expected-position'
  | 'refused-commit-leaves-values'
  | 'outbox-out-of-order'
  | 'outbox-doubles-ids'
  | 'document-without-compare'
  | 'forgets-deletes'
  | 'shows-uncommitted'
  | 'forgets-outbox-at-reopening'
  | 'forgets-what-was-published'
  | 'epoch-starts-again'
  | 'prefix-is-a-pattern'
  | 'keeps-callers-buffers'
  | 'lines-start-again'
  | 'requests-never-settle'
  | 'trims-too-much'
  | 'scours-what-is-there'
  | 'trims-the-last-line'
  | 'trimmed-lines-renumbered'
  | 'mixes-partitions'
  | 'accepts-any-key'
  | 'never-wakes'

interface PartitionData {
  epoch: number
  position: Position
  values: Map<string, Uint8Array>
  outbox: OutboxEntry[]
  outboxSeq: number
  published: number
  control: ControlRecord[]
  controlSeq: number
  requests: Map<string, ControlRequest>
}

/** What survives a power cut of a {@link MemoryStore}. */
export class MemoryDisk {
  readonly partitions = new Map<number, PartitionData>()
  readonly documents = new Map<string, StoredDocument>()
  readonly logs = new Map<string, StoredLine[]>()
  /** Single writes until the power goes; a sound store makes a commit as one write. */
  writesLeft = Number.POSITIVE_INFINITY

  write(action: () => void): void {
    if (this.writesLeft <= 0) throw new CurfewError('STORE_UNREACHABLE', 'no power', { retriable: true })
    this.writesLeft--
    action()
  }
}

/** The simplest store that keeps the contract, and its wrong twins. */
export class MemoryStore implements StateStore {
  readonly name = 'memory'
  readonly disk: MemoryDisk
  readonly flaw: Flaw | null
  readonly #listeners = new Set<(partition: number) => void>()

  constructor(disk: MemoryDisk, flaw: Flaw | null = null) {
    this.disk = disk
    this.flaw = flaw
    if (flaw === 'forgets-outbox-at-reopening') for (const data of disk.partitions.values()) data.outbox = []
    if (flaw === 'lines-start-again') disk.logs.clear()
    if (flaw === 'epoch-starts-again') for (const data of disk.partitions.values()) data.epoch = 0
  }

  async open(partition: number): Promise<PartitionStore> {
    const data = this.data(partition)
    data.epoch++
    return new MemoryPartition(this, partition, data)
  }

  async partitions(): Promise<readonly number[]> {
    return [...this.disk.partitions]
      .filter(([, data]) => data.epoch > 0)
      .map(([partition]) => partition)
      .sort((a, b) => a - b)
  }

  async read(partition: number, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    for (const key of keys) this.#checkKey(key)
    const { values } = this.data(partition)
    return keys.map((key) => values.get(key)?.slice())
  }

  async *scan(partition: number, prefix: string): AsyncGenerator<readonly [string, Uint8Array]> {
    const start = prefix.split('*', 1)[0]!
    for (const [key, value] of [...this.data(partition).values]) {
      const matches = key.startsWith(this.flaw === 'prefix-is-a-pattern' ? start : prefix)
      if (matches) yield [key, value.slice()]
    }
  }

  async readOutbox(partition: number, afterSeq: number, limit: number): Promise<readonly OutboxEntry[]> {
    const entries = this.data(partition).outbox.filter(({ seq }) => seq > afterSeq)
    return (this.flaw === 'outbox-out-of-order' ? entries.reverse() : entries).slice(0, limit)
  }

  async watchOutbox(listener: (partition: number) => void): Promise<() => Promise<void>> {
    if (this.flaw !== 'never-wakes') this.#listeners.add(listener)
    return async () => void this.#listeners.delete(listener)
  }

  async request(partition: number, request: ControlRequest): Promise<void> {
    checkRequest(request)
    const { requests } = this.data(partition)
    if (!requests.has(request.id)) requests.set(request.id, { ...request })
  }

  async getDocument(name: string): Promise<StoredDocument> {
    checkName(name)
    return this.disk.documents.get(name) ?? { version: 0, body: '' }
  }

  async putDocument(name: string, expectedVersion: number, body: string): Promise<number | null> {
    checkName(name)
    const version = this.disk.documents.get(name)?.version ?? 0
    if (version !== expectedVersion && this.flaw !== 'document-without-compare') return null
    this.disk.documents.set(name, { version: version + 1, body })
    return version + 1
  }

  async appendLine(log: string, body: string): Promise<number> {
    checkName(log)
    const lines = this.disk.logs.get(log) ?? []
    this.disk.logs.set(log, lines)
    const seq = (lines.at(-1)?.seq ?? 0) + 1
    lines.push({ seq, body })
    return seq
  }

  async readLines(log: string, afterSeq: number, limit: number): Promise<readonly StoredLine[]> {
    return (this.disk.logs.get(log) ?? []).filter(({ seq }) => seq > afterSeq).slice(0, limit)
  }

  async trimLines(log: string, throughSeq: number): Promise<void> {
    const lines = this.disk.logs.get(log) ?? []
    const last = this.flaw === 'trims-the-last-line' ? Number.POSITIVE_INFINITY : (lines.at(-1)?.seq ?? 0)
    const kept = lines.filter(({ seq }) => seq > throughSeq || seq === last)
    this.disk.logs.set(
      log,
      this.flaw === 'trimmed-lines-renumbered' ? kept.map((line, i) => ({ ...line, seq: i + 1 })) : kept,
    )
  }

  async scour(): Promise<void> {
    // Nothing that was deleted is kept anywhere.
    if (this.flaw === 'scours-what-is-there')
      for (const data of this.disk.partitions.values()) data.values.clear()
  }

  async check(): Promise<void> {
    if (this.disk.writesLeft <= 0) throw new CurfewError('STORE_UNREACHABLE', 'no power', { retriable: true })
  }

  async close(): Promise<void> {
    this.#listeners.clear()
  }

  wake(partition: number): void {
    for (const listener of this.#listeners) listener(partition)
  }

  data(partition: number): PartitionData {
    checkPartition(partition)
    const place = this.flaw === 'mixes-partitions' ? 0 : partition
    const known = this.disk.partitions.get(place)
    if (known !== undefined) return known
    const fresh: PartitionData = {
      epoch: 0,
      position: { offset: -1, recordHash: '' },
      values: new Map(),
      outbox: [],
      outboxSeq: 0,
      published: -1,
      control: [],
      controlSeq: 0,
      requests: new Map(),
    }
    this.disk.partitions.set(place, fresh)
    return fresh
  }

  #checkKey(key: string): void {
    if (this.flaw !== 'accepts-any-key') checkKey(key)
  }
}

class MemoryPartition implements PartitionStore {
  readonly partition: number
  readonly epoch: number
  readonly position: Position
  readonly published: number
  readonly #store: MemoryStore
  readonly #data: PartitionData

  constructor(store: MemoryStore, partition: number, data: PartitionData) {
    this.#store = store
    this.#data = data
    this.partition = partition
    this.epoch = data.epoch
    this.position = data.position
    this.published = store.flaw === 'forgets-what-was-published' ? data.position.offset : data.published
  }

  get(keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    return this.#store.read(this.partition, keys)
  }

  scan(prefix: string): AsyncIterable<readonly [string, Uint8Array]> {
    return this.#store.scan(this.partition, prefix)
  }

  async commit(checkpoint: Checkpoint): Promise<void> {
    const { flaw, disk } = this.#store
    if (flaw !== 'accepts-any-key') checkCheckpoint(checkpoint)
    this.#refuseFenced('commit')
    const { expected } = checkpoint
    const stored = this.#data.position
    const put = (key: string, value: Uint8Array) => {
      this.#data.values.set(key, flaw === 'keeps-callers-buffers' ? value : value.slice())
    }
    if (stored.offset !== expected.offset || stored.recordHash !== expected.recordHash) {
      if (flaw === 'refused-commit-leaves-values') for (const [key, value] of checkpoint.puts) put(key, value)
      if (flaw !== 'ignores-expected-position') throw new CurfewError('STORE_CONFLICT', 'another position')
    }
    const writes: (() => void)[] = [...checkpoint.puts].map(
      ([key, value]) =>
        () =>
          put(key, value),
    )
    if (flaw !== 'forgets-deletes') {
      for (const key of checkpoint.deletes) writes.push(() => this.#data.values.delete(key))
    }
    const move = () => {
      this.#data.position = { ...checkpoint.position }
    }
    if (flaw === 'position-before-values') {
      for (const write of [move, ...writes]) disk.write(write)
    } else if (flaw === 'shows-uncommitted') {
      for (const write of writes) {
        write()
        await new Promise((resolve) => setImmediate(resolve))
      }
      disk.write(move)
    } else {
      disk.write(() => {
        for (const write of [...writes, move]) write()
      })
    }
  }

  async appendOutbox(
    entries: readonly Omit<OutboxEntry, 'seq'>[],
    offset: number,
  ): Promise<readonly boolean[]> {
    checkOutboxEntries(entries)
    this.#refuseFenced('other')
    this.#data.published = Math.max(this.#data.published, offset)
    const ids = new Set(this.#data.outbox.map(({ id }) => id))
    const added = entries.map((entry) => {
      if (ids.has(entry.id) && this.#store.flaw !== 'outbox-doubles-ids') return false
      ids.add(entry.id)
      this.#data.outboxSeq++
      this.#data.outbox.push({ seq: this.#data.outboxSeq, id: entry.id, kind: entry.kind, body: entry.body })
      return true
    })
    if (added.includes(true)) this.#store.wake(this.partition)
    return added
  }

  async appendControl(record: Omit<ControlRecord, 'seq'>): Promise<number> {
    checkControl(record)
    this.#refuseFenced('other')
    this.#data.controlSeq++
    this.#data.control.push({ ...record, seq: this.#data.controlSeq })
    return this.#data.controlSeq
  }

  async control(afterSeq: number): Promise<readonly ControlRecord[]> {
    return this.#data.control.filter(({ seq }) => seq > afterSeq)
  }

  async requests(): Promise<readonly ControlRequest[]> {
    return [...this.#data.requests.values()]
  }

  async settleRequests(ids: readonly string[]): Promise<void> {
    this.#refuseFenced('other')
    if (this.#store.flaw === 'requests-never-settle') return
    for (const id of ids) this.#data.requests.delete(id)
  }

  async trim(outboxSeq: number, controlSeq: number): Promise<void> {
    this.#refuseFenced('other')
    const more = this.#store.flaw === 'trims-too-much' ? 1 : 0
    this.#data.outbox = this.#data.outbox.filter(({ seq }) => seq > outboxSeq + more)
    this.#data.control = this.#data.control.filter(({ seq }) => seq > controlSeq + more)
  }

  async close(): Promise<void> {
    await Promise.resolve()
  }

  #refuseFenced(call: 'commit' | 'other'): void {
    const { flaw } = this.#store
    if (flaw === 'ignores-epoch' || (flaw === 'fences-only-commits' && call === 'other')) return
    if (this.#data.epoch !== this.epoch) throw new CurfewError('STORE_FENCED', 'taken over')
  }
}
