import { createHash } from 'node:crypto'
import type { StateStore } from '../baseline/store.ts'
import { DECISIONS_MAP, DELIVERIES_MAP } from '../cli/build-enforcement.ts'
import { FIRST_SHARED_PARTITION } from '../cli/shared-map.ts'
import type { AlertRecord } from '../core/incident.ts'
import { isLive, type LedgerEntry } from '../enforcement/ledger.ts'
import { CLOCK_KEY } from '../engine/partition-state.ts'
import { messagesIn, rulesIn } from './crash-edges.ts'
import type { Place } from './crash-task.ts'

/** All that a run leaves behind and that must not depend on what crashed in between. */
export interface FinalState {
  /** Key with its partition, to the SHA-256 of the value; clock, settings and control list in force as text. */
  readonly values: ReadonlyMap<string, string>
  /** Partition and id of every outbox entry in order, with a hash of its text. */
  readonly outbox: readonly string[]
  /** Ids that stand in the outbox more than once. */
  readonly doubled: readonly string[]
  /** Rules at the gateway and decisions on record, by id. */
  readonly enforced: ReadonlyMap<string, string>
  /** Incidents of whose last transition nobody was told, and alerts that still wait. */
  readonly untold: readonly string[]
  readonly messages: number
  /** Messages that reached people again. */
  readonly repeated: number
}

/**
 * Chunks of the duplicate filter are cut at checkpoints, which fall where they fall: only their keys in order
 * must be the same.
 */
const CHUNK = /^d:(\d+)$/
const MAX_ENTRIES = 1_000_000

/** Reads what is stored. The store may not be written meanwhile. */
export async function finalState(store: StateStore, partitions: number, place: Place): Promise<FinalState> {
  const values = new Map<string, string>()
  const outbox: string[] = []
  const ids: string[] = []
  const lastAlerts = new Map<string, string>()
  for (let partition = 0; partition < partitions; partition++) {
    const chunks: { readonly first: number; readonly bytes: Uint8Array }[] = []
    for await (const [key, bytes] of store.scan(partition, '')) {
      const chunk = CHUNK.exec(key)
      if (key === CLOCK_KEY) values.set(`${partition}/${key}`, Buffer.from(bytes).toString())
      else if (chunk === null) values.set(`${partition}/${key}`, hashOf(bytes))
      else chunks.push({ first: Number(chunk[1]), bytes })
    }
    chunks.sort((a, b) => a.first - b.first)
    values.set(`${partition}/duplicates`, hashOf(recent(chunks)))
    for (const entry of await store.readOutbox(partition, 0, MAX_ENTRIES)) {
      outbox.push(`${partition} ${entry.seq} ${entry.kind} ${entry.id} ${hashOf(Buffer.from(entry.body))}`)
      ids.push(entry.id)
      if (entry.kind === 'alert') lastAlerts.set((JSON.parse(entry.body) as AlertRecord).incident, entry.id)
    }
  }
  const messages = await messagesIn(place.messages)
  const told = new Set(messages.map(({ id }) => id))
  const untold = [...lastAlerts]
    .filter(([, id]) => !told.has(id))
    .map(([incident, id]) => `${incident} ${id}`)
  return {
    values,
    outbox,
    doubled: ids.filter((id, i) => ids.indexOf(id) !== i),
    enforced: await enforcedIn(store, place),
    untold: [...untold, ...(await waitingIn(store))],
    messages: messages.length,
    repeated: messages.length - told.size,
  }
}

/** Receipts and the moment of a confirmation may differ; what holds, until when and what not, may not. */
async function enforcedIn(store: StateStore, place: Place): Promise<ReadonlyMap<string, string>> {
  const enforced = new Map<string, string>()
  for (const [id, rule] of await rulesIn(place.gateway)) enforced.set(`rule ${id}`, rule)
  for await (const [id, bytes] of store.scan(FIRST_SHARED_PARTITION + DECISIONS_MAP, '')) {
    const { status, until } = JSON.parse(new TextDecoder().decode(bytes)) as LedgerEntry
    enforced.set(`decision ${id}`, isLive(status) ? `${status} until ${until}` : status)
  }
  return enforced
}

async function waitingIn(store: StateStore): Promise<readonly string[]> {
  const waiting: string[] = []
  for await (const [key] of store.scan(FIRST_SHARED_PARTITION + DELIVERIES_MAP, 'p:')) waiting.push(key)
  return waiting
}

/** The newest keys of the filter; how many older ones are still there depends on the cuts. */
function recent(chunks: readonly { readonly bytes: Uint8Array }[]): Uint8Array {
  const all = Buffer.concat(chunks.map((chunk) => chunk.bytes))
  return all.subarray(-8 * Math.min(1_000, all.length / 8))
}

function hashOf(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

/** What differs or is wrong by itself, one line each; empty when all is well. Repeats are judged by the caller. */
export function differences(expected: FinalState, found: FinalState): readonly string[] {
  const out: string[] = [...mapDifferences(expected.values, found.values)]
  const length = Math.max(expected.outbox.length, found.outbox.length)
  for (let i = 0; i < length; i++) {
    const [wanted, is] = [expected.outbox[i] ?? 'nothing', found.outbox[i] ?? 'nothing']
    if (wanted !== is) out.push(`outbox entry ${i}: expected ${wanted}, found ${is}`)
  }
  for (const id of found.doubled) out.push(`${id} stands in the outbox more than once`)
  for (const what of found.untold) out.push(`nobody was told: ${what}`)
  return [...out, ...mapDifferences(expected.enforced, found.enforced)]
}

function mapDifferences(
  expected: ReadonlyMap<string, string>,
  found: ReadonlyMap<string, string>,
): readonly string[] {
  const out: string[] = []
  for (const [key, value] of expected) {
    const other = found.get(key)
    if (other === undefined) out.push(`${key} is missing`)
    else if (other !== value) out.push(`${key} differs: expected ${value}, found ${other}`)
  }
  for (const key of found.keys()) if (!expected.has(key)) out.push(`${key} is too many`)
  return out
}

/** How many stored values have a prefix such as `p:`. */
export function countOf(state: FinalState, prefix: string): number {
  let count = 0
  for (const key of state.values.keys()) if (key.slice(key.indexOf('/') + 1).startsWith(prefix)) count++
  return count
}
