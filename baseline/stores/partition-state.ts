import { CurfewError } from '../../core/errors.ts'
import type { ControlRecord, ControlRequest, OutboxEntry, Position } from '../store.ts'
import type { JournaledState } from './journal.ts'

/** What a record of a partition's journal says, beside the values it carries. */
export type PartitionChange =
  | { readonly type: 'epoch'; readonly epoch: number }
  | { readonly type: 'commit'; readonly position: Position; readonly deletes: readonly string[] }
  | { readonly type: 'values' }
  | { readonly type: 'outbox'; readonly entries: readonly OutboxEntry[]; readonly offset: number }
  | { readonly type: 'control'; readonly record: ControlRecord }
  | { readonly type: 'request'; readonly request: ControlRequest }
  | { readonly type: 'settle'; readonly ids: readonly string[] }
  | { readonly type: 'trim'; readonly outboxSeq: number; readonly controlSeq: number }
  | {
      readonly type: 'counters'
      readonly epoch: number
      readonly position: Position
      readonly outboxSeq: number
      readonly published: number
      readonly controlSeq: number
    }

const NO_VALUES: ReadonlyMap<string, Uint8Array> = new Map()
const SNAPSHOT_VALUES = 1_000
/** Bookkeeping of one entry, counted into the size of a snapshot. */
const ENTRY_BYTES = 64

/** Record: length of the JSON (u32), JSON, then for each value key length (u16), value length (u32), both. */
export function encodeChange(
  change: PartitionChange,
  values: ReadonlyMap<string, Uint8Array> = NO_VALUES,
): Buffer {
  const text = Buffer.from(JSON.stringify(change))
  let size = 4 + text.length
  for (const [key, value] of values) size += 6 + key.length + value.byteLength
  const record = Buffer.allocUnsafe(size)
  record.writeUInt32LE(text.length, 0)
  text.copy(record, 4)
  let at = 4 + text.length
  for (const [key, value] of values) {
    record.writeUInt16LE(key.length, at)
    record.writeUInt32LE(value.byteLength, at + 2)
    record.write(key, at + 6, 'latin1')
    record.set(value, at + 6 + key.length)
    at += 6 + key.length + value.byteLength
  }
  return record
}

/** Index of the first entry with a sequence number above the bound; entries have consecutive numbers. */
function indexAfter(entries: readonly { readonly seq: number }[], seq: number): number {
  const first = entries[0]?.seq ?? 0
  return Math.max(0, seq + 1 - first)
}

/** Everything stored for one partition, in memory. */
export class PartitionState implements JournaledState {
  epoch = 0
  position: Position = { offset: -1, recordHash: '' }
  outboxSeq = 0
  /** Offset of the record with the last output. */
  published = -1
  controlSeq = 0
  liveBytes = 0
  readonly values = new Map<string, Uint8Array>()
  readonly outboxIds = new Set<string>()
  readonly requests = new Map<string, ControlRequest>()
  #outbox: OutboxEntry[] = []
  #control: ControlRecord[] = []

  outboxAfter(seq: number, limit: number): readonly OutboxEntry[] {
    const from = indexAfter(this.#outbox, seq)
    return this.#outbox.slice(from, from + limit)
  }

  controlAfter(seq: number): readonly ControlRecord[] {
    return this.#control.slice(indexAfter(this.#control, seq))
  }

  apply(record: Buffer): void {
    const end = 4 + record.readUInt32LE(0)
    // Checksummed and written by this file.
    const change: PartitionChange = JSON.parse(record.toString('utf8', 4, end))
    switch (change.type) {
      case 'epoch':
        this.epoch = change.epoch
        return
      case 'commit':
        this.#put(record, end)
        for (const key of change.deletes) this.#delete(key)
        this.position = change.position
        return
      case 'values':
        this.#put(record, end)
        return
      case 'outbox':
        for (const entry of change.entries) this.#append(entry)
        this.published = Math.max(this.published, change.offset)
        return
      case 'control':
        this.#control.push(change.record)
        this.controlSeq = change.record.seq
        this.liveBytes += change.record.body.length + ENTRY_BYTES
        return
      case 'request':
        this.requests.set(change.request.id, change.request)
        this.liveBytes += change.request.body.length + ENTRY_BYTES
        return
      case 'settle':
        for (const id of change.ids) this.#settle(id)
        return
      case 'trim':
        this.#trim(change.outboxSeq, change.controlSeq)
        return
      case 'counters':
        this.epoch = change.epoch
        this.position = change.position
        this.outboxSeq = change.outboxSeq
        this.published = change.published
        this.controlSeq = change.controlSeq
        return
      default:
        throw new CurfewError('STORE_NEWER_LAYOUT', 'a partition journal has a record of a later release')
    }
  }

  snapshot(): Iterable<Buffer> {
    const { epoch, position, outboxSeq, published, controlSeq } = this
    // Values are replaced, never changed, so copies of the references are a still picture.
    const keys = [...this.values.keys()]
    const values = [...this.values.values()]
    const outbox = this.#outbox.slice()
    const control = this.#control.slice()
    const requests = [...this.requests.values()]
    return (function* () {
      for (let first = 0; first < keys.length; first += SNAPSHOT_VALUES) {
        const chunk = new Map<string, Uint8Array>()
        const last = Math.min(first + SNAPSHOT_VALUES, keys.length)
        for (let i = first; i < last; i++) chunk.set(keys[i]!, values[i]!)
        yield encodeChange({ type: 'values' }, chunk)
      }
      for (const entry of outbox) yield encodeChange({ type: 'outbox', entries: [entry], offset: -1 })
      for (const record of control) yield encodeChange({ type: 'control', record })
      for (const request of requests) yield encodeChange({ type: 'request', request })
      yield encodeChange({ type: 'counters', epoch, position, outboxSeq, published, controlSeq })
    })()
  }

  #put(record: Buffer, from: number): void {
    for (let at = from; at < record.length; ) {
      const keyEnd = at + 6 + record.readUInt16LE(at)
      const valueEnd = keyEnd + record.readUInt32LE(at + 2)
      const key = record.toString('latin1', at + 6, keyEnd)
      const old = this.values.get(key)
      // A copy of its own: a view would keep the whole record in memory.
      this.values.set(key, new Uint8Array(record.subarray(keyEnd, valueEnd)))
      const before = old === undefined ? 0 : key.length + old.byteLength + ENTRY_BYTES
      this.liveBytes += key.length + (valueEnd - keyEnd) + ENTRY_BYTES - before
      at = valueEnd
    }
  }

  #delete(key: string): void {
    const old = this.values.get(key)
    if (old === undefined) return
    this.liveBytes -= key.length + old.byteLength + ENTRY_BYTES
    this.values.delete(key)
  }

  #append(entry: OutboxEntry): void {
    this.#outbox.push(entry)
    this.outboxIds.add(entry.id)
    this.outboxSeq = entry.seq
    this.liveBytes += entry.body.length + ENTRY_BYTES
  }

  #settle(id: string): void {
    const request = this.requests.get(id)
    if (request === undefined) return
    this.requests.delete(id)
    this.liveBytes -= request.body.length + ENTRY_BYTES
  }

  #trim(outboxSeq: number, controlSeq: number): void {
    for (const entry of this.#outbox.splice(0, indexAfter(this.#outbox, outboxSeq))) {
      this.outboxIds.delete(entry.id)
      this.liveBytes -= entry.body.length + ENTRY_BYTES
    }
    for (const record of this.#control.splice(0, indexAfter(this.#control, controlSeq))) {
      this.liveBytes -= record.body.length + ENTRY_BYTES
    }
  }
}
