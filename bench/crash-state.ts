import { createHash } from 'node:crypto'
import type { StateStore } from '../baseline/store.ts'

/** All that a run leaves behind and that must not depend on what crashed in between. */
export interface FinalState {
  /** Key with its partition, to the SHA-256 of the value. */
  readonly values: ReadonlyMap<string, string>
  /** Partition and id of every outbox entry in order, with a hash of its text. */
  readonly outbox: readonly string[]
}

/**
 * Chunks of the duplicate filter are cut at checkpoints, which fall where they fall: only their keys in order
 * must be the same.
 */
const CHUNK = /^d:(\d+)$/
const MAX_ENTRIES = 1_000_000

/** Reads what is stored. The store may not be written meanwhile. */
export async function finalState(store: StateStore, partitions: number): Promise<FinalState> {
  const values = new Map<string, string>()
  const outbox: string[] = []
  for (let partition = 0; partition < partitions; partition++) {
    const chunks: { readonly first: number; readonly bytes: Uint8Array }[] = []
    for await (const [key, bytes] of store.scan(partition, '')) {
      const chunk = CHUNK.exec(key)
      if (chunk === null) values.set(`${partition}/${key}`, hashOf(bytes))
      else chunks.push({ first: Number(chunk[1]), bytes })
    }
    chunks.sort((a, b) => a.first - b.first)
    values.set(`${partition}/duplicates`, hashOf(recent(chunks)))
    for (const entry of await store.readOutbox(partition, 0, MAX_ENTRIES)) {
      outbox.push(`${partition} ${entry.seq} ${entry.kind} ${entry.id} ${hashOf(Buffer.from(entry.body))}`)
    }
  }
  return { values, outbox }
}

/** The newest keys of the filter; how many older ones are still there depends on the cuts. */
function recent(chunks: readonly { readonly bytes: Uint8Array }[]): Uint8Array {
  const all = Buffer.concat(chunks.map((chunk) => chunk.bytes))
  return all.subarray(-8 * Math.min(1_000, all.length / 8))
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What differs, one line each; empty when the states are the same. */
export function differences(expected: FinalState, found: FinalState): readonly string[] {
  const out: string[] = []
  for (const [key, hash] of expected.values) {
    const other = found.values.get(key)
    if (other === undefined) out.push(`${key} is missing`)
    else if (other !== hash) out.push(`${key} has other bytes`)
  }
  for (const key of found.values.keys()) if (!expected.values.has(key)) out.push(`${key} is too many`)
  const length = Math.max(expected.outbox.length, found.outbox.length)
  for (let i = 0; i < length; i++) {
    const [wanted, is] = [expected.outbox[i] ?? 'nothing', found.outbox[i] ?? 'nothing']
    if (wanted !== is) out.push(`outbox entry ${i}: expected ${wanted}, found ${is}`)
  }
  return out
}

/** How many stored values have a prefix such as `p:`. */
export function countOf(state: FinalState, prefix: string): number {
  let count = 0
  for (const key of state.values.keys()) if (key.slice(key.indexOf('/') + 1).startsWith(prefix)) count++
  return count
}
