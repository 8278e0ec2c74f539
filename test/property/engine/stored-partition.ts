import type { AccessEvent } from '../../../core/event.ts'
import { chained } from '../../../engine/control-list.ts'
import { applyControl, type ControlEffect, encodeEffect } from '../../../engine/control-records.ts'
import type { Output } from '../../../engine/incident-book.ts'
import type { Partition } from '../../../engine/partition.ts'
import { PartitionState } from '../../../engine/partition-state.ts'
import { type EngineOptions, partition } from '../../scenarios/engine/traffic.ts'
import { EAGER, type Happening, happen } from './streams.ts'

const KEY = new TextEncoder().encode('test key')

/** A partition with its stored state, as a worker holds them. */
export class StoredPartition {
  readonly stored: Map<string, Uint8Array>
  readonly engine: Partition
  readonly state: PartitionState
  private seq = 0

  private constructor(stored: ReadonlyMap<string, Uint8Array>, options: EngineOptions) {
    this.engine = partition(options)
    this.state = new PartitionState(this.engine, KEY)
    this.stored = new Map([...stored].map(([key, bytes]) => [key, bytes.slice()]))
  }

  /** Loads what was stored; an empty map is a new partition. */
  static open(stored: ReadonlyMap<string, Uint8Array>, options: EngineOptions = EAGER): StoredPartition {
    const owned = new StoredPartition(stored, options)
    // A store lists its keys in any order.
    for (const [key, bytes] of [...owned.stored].reverse()) owned.state.loadEntry(key, bytes)
    owned.state.finishLoading()
    return owned
  }

  /** Folds what happens and returns what the engine had to say. */
  live(part: readonly Happening[], past: AccessEvent[]): Output[] {
    for (const happening of part) {
      happen(this.engine, happening, past, (effect) => this.control(effect))
    }
    return this.engine.book.outputs.splice(0)
  }

  /** Applies a control record. */
  control(effect: ControlEffect): void {
    const { record } = chained('', 0, effect.kind, encodeEffect(effect))
    applyControl(this.engine, { ...record, seq: ++this.seq }, this.state)
  }

  /** What a worker does each second: stores what changed. */
  checkpoint(): void {
    const { puts, deletes } = this.state.takeChanges()
    for (const [key, bytes] of puts) this.stored.set(key, bytes.slice())
    for (const key of deletes) this.stored.delete(key)
  }

  /** Duplicate chunks are cut where checkpoints fall; their content in sequence is what counts. */
  content(): Record<string, string> {
    const rows = [...this.stored].map(([key, bytes]) => [key, Buffer.from(bytes).toString('base64')] as const)
    const chunks = rows
      .filter(([key]) => key.startsWith('d:'))
      .sort((a, b) => Number(a[0].slice(2)) - Number(b[0].slice(2)))
    const keys = Buffer.concat(chunks.map(([, text]) => Buffer.from(text, 'base64'))).toString('base64')
    const others = rows.filter(([key]) => !key.startsWith('d:')).sort((a, b) => (a[0] < b[0] ? -1 : 1))
    return { ...Object.fromEntries(others), duplicates: keys }
  }
}
