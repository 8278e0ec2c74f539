import { setTimeout as sleep } from 'node:timers/promises'
import type { Checkpoint, ControlRequest, PartitionStore, StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'

/** Partition numbers from here on are not partitions of the log but shared state of one role. */
export const FIRST_SHARED_PARTITION = 60_000

const RETRY_MIN_MS = 100
const RETRY_MAX_MS = 5_000

const text = new TextEncoder()
const utf8 = new TextDecoder()

interface Change {
  readonly puts: ReadonlyMap<string, string>
  readonly deletes: readonly string[]
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

/**
 * A durable map of texts, owned by one process at a time: opening it fences the earlier owner. Changes
 * that wait together are written in one atomic step, in order. Memory holds the values.
 */
export class SharedMap {
  private readonly state: StateStore
  private readonly partition: number
  private store: PartitionStore
  private readonly values: Map<string, string>
  private waiting: Change[] = []
  private working = false
  private offset: number
  private readonly stop: AbortSignal

  private constructor(
    state: StateStore,
    store: PartitionStore,
    values: Map<string, string>,
    stop: AbortSignal,
  ) {
    this.state = state
    this.partition = store.partition
    this.store = store
    this.values = values
    this.stop = stop
    this.offset = store.position.offset
  }

  /**
   * `index` counts from 0; each index is one map. While the store is unreachable changes wait for it; from
   * `stop` on, or without it, they are tried once.
   */
  static async open(store: StateStore, index: number, stop = AbortSignal.abort()): Promise<SharedMap> {
    const partition = await store.open(FIRST_SHARED_PARTITION + index)
    return new SharedMap(store, partition, await valuesOf(partition), stop)
  }

  get(key: string): string | undefined {
    return this.values.get(key)
  }

  entries(): Iterable<readonly [string, string]> {
    return this.values.entries()
  }

  /** All of it or nothing; durable when resolved. */
  change(puts: ReadonlyMap<string, string>, deletes: readonly string[]): Promise<void> {
    return new Promise((resolve, reject) => {
      this.waiting.push({ puts, deletes, resolve, reject })
      if (!this.working) void this.work()
    })
  }

  /** Resolves when the store has said that this process owns the map; throws what the store throws. */
  async confirm(): Promise<void> {
    await this.store.settleRequests([])
  }

  /** What other processes asked of the owner of this map, oldest first, and forgets it. */
  async takeRequests(): Promise<readonly ControlRequest[]> {
    const requests = await this.store.requests()
    if (requests.length > 0) await this.store.settleRequests(requests.map(({ id }) => id))
    return requests
  }

  private async work(): Promise<void> {
    this.working = true
    while (this.waiting.length > 0) {
      const batch = this.waiting.splice(0)
      try {
        await this.commit(batch)
        for (const change of batch) change.resolve()
      } catch (error) {
        for (const change of batch) change.reject(error)
      }
    }
    this.working = false
  }

  private async commit(batch: readonly Change[]): Promise<void> {
    const puts = new Map<string, Uint8Array>()
    const deletes = new Set<string>()
    for (const change of batch) {
      for (const key of change.deletes) {
        deletes.add(key)
        puts.delete(key)
      }
      for (const [key, value] of change.puts) {
        puts.set(key, text.encode(value))
        deletes.delete(key)
      }
    }
    await this.write(puts, deletes).catch(async (error: unknown) => {
      if (!(error instanceof CurfewError) || error.code !== 'STORE_CONFLICT') throw error
      await this.restore(puts, deletes)
      await this.write(puts, deletes)
    })
    for (const key of deletes) this.values.delete(key)
    for (const [key, value] of puts) this.values.set(key, utf8.decode(value))
  }

  private async write(puts: ReadonlyMap<string, Uint8Array>, deletes: ReadonlySet<string>): Promise<void> {
    const expected = { offset: this.offset, recordHash: '' }
    const position = { offset: this.offset + 1, recordHash: '' }
    await this.insist({ expected, position, puts, deletes: [...deletes] })
    this.offset = position.offset
  }

  /**
   * The store says that this process owns the map, and yet it stands elsewhere: a failover lost the last writes, or a
   * write that was given up took effect. As nobody else writes, memory is right; what differs goes with the next write.
   */
  private async restore(puts: Map<string, Uint8Array>, deletes: Set<string>): Promise<void> {
    this.store = await this.state.open(this.partition)
    const stored = await valuesOf(this.store)
    for (const [key, value] of this.values) {
      if (stored.get(key) !== value && !puts.has(key) && !deletes.has(key)) puts.set(key, text.encode(value))
    }
    for (const key of stored.keys()) if (!this.values.has(key) && !puts.has(key)) deletes.add(key)
    this.offset = this.store.position.offset
  }

  /** Repeats one and the same checkpoint: by it the store recognises a commit whose answer was lost. */
  private async insist(checkpoint: Checkpoint): Promise<void> {
    for (let wait = RETRY_MIN_MS; ; wait = Math.min(RETRY_MAX_MS, wait * 2)) {
      try {
        return await this.store.commit(checkpoint)
      } catch (error) {
        if (!(error instanceof CurfewError) || !error.retriable || this.stop.aborted) throw error
        await sleep(wait, undefined, { signal: this.stop }).catch(() => undefined)
      }
    }
  }

  async close(): Promise<void> {
    await this.store.close()
  }
}

async function valuesOf(store: PartitionStore): Promise<Map<string, string>> {
  const values = new Map<string, string>()
  for await (const [key, bytes] of store.scan('')) values.set(key, utf8.decode(bytes))
  return values
}
