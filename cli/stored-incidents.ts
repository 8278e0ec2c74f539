import { setImmediate as nextTurn } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import type { Clock } from '../core/time.ts'
import type { PageQuery } from '../engine/control-plane.ts'
import type { Incident } from '../engine/incident.ts'
import { INCIDENT_PREFIX } from '../engine/partition-state.ts'

export interface StoredIncidentsOptions {
  readonly store: StateStore
  readonly partitions: () => Promise<readonly number[]>
  readonly clock: Clock
}

export type IncidentQuery = PageQuery & { readonly state?: 'open' | 'resolved'; readonly entity?: string }

/** A committed incident and the partition that holds it. */
export interface FoundIncident {
  readonly partition: number
  readonly incident: Incident
}

/** What a list needs to know about an incident. */
interface Listed {
  readonly id: string
  readonly partition: number
  readonly openedAt: number
  readonly tenant: string
  readonly entity: string
  readonly open: boolean
}

/** A list is at most this old, and collecting it takes at most a tenth of the time. */
const LIST_AGE_MS = 500
const MAX_SHARE = 10
/** Incidents in a list; the newest are kept. */
const MAX_LISTED = 100_000
const TURN = 200
const ID = /^inc_[0-9a-f]{20}$/
const utf8 = new TextDecoder()

/** The committed incidents of all partitions, newest first. */
export class StoredIncidents {
  private readonly options: StoredIncidentsOptions
  private list: readonly Listed[] = []
  private validUntil = Number.NEGATIVE_INFINITY
  private collecting: Promise<void> | null = null

  constructor(options: StoredIncidentsOptions) {
    this.options = options
  }

  /** Null for an id that no partition holds. */
  async one(id: string): Promise<FoundIncident | null> {
    return findIncident(this.options.store, await this.options.partitions(), id)
  }

  /** One page; the cursor is the id of the last incident shown. */
  async page(query: IncidentQuery): Promise<{ items: readonly FoundIncident[]; nextCursor: string | null }> {
    await this.collect()
    const matching = this.list.filter(
      (each) =>
        (query.tenant === undefined || each.tenant === query.tenant) &&
        (query.entity === undefined || each.entity === query.entity) &&
        (query.state === undefined || each.open === (query.state === 'open')),
    )
    const start = query.cursor === undefined ? 0 : this.behind(query.cursor, matching)
    const shown = matching.slice(start, start + query.limit)
    const read = await Promise.all(
      shown.map((each) => readIncident(this.options.store, each.partition, each.id)),
    )
    const items = read.filter(
      (each) => each !== null && agrees(each.incident, query),
    ) as readonly FoundIncident[]
    const more = start + shown.length < matching.length
    return { items, nextCursor: more ? (shown.at(-1)?.id ?? null) : null }
  }

  /** Where the list goes on behind an incident, even when that one no longer matches; its end for an unknown one. */
  private behind(cursor: string, matching: readonly Listed[]): number {
    const last = this.list.find((each) => each.id === cursor)
    if (last === undefined) return matching.length
    const next = matching.findIndex((each) => newestFirst(last, each) < 0)
    return next === -1 ? matching.length : next
  }

  /** Brings the list up to date when it is too old; callers at the same time share the work. */
  private async collect(): Promise<void> {
    if (this.options.clock.now() < this.validUntil) return
    this.collecting ??= this.collectNow().finally(() => {
      this.collecting = null
    })
    await this.collecting
  }

  private async collectNow(): Promise<void> {
    const { store, clock, partitions } = this.options
    const started = clock.now()
    const list: Listed[] = []
    let count = 0
    for (const partition of await partitions()) {
      for await (const [, bytes] of store.scan(partition, INCIDENT_PREFIX)) {
        if (++count % TURN === 0) await nextTurn()
        const { id, openedAt, tenant, entity, resolvedAt } = parse(bytes)
        list.push({ id, partition, openedAt, tenant, entity: entity.id, open: resolvedAt === null })
        if (list.length >= 2 * MAX_LISTED) keepNewest(list)
      }
    }
    keepNewest(list)
    this.list = list
    const now = clock.now()
    this.validUntil = now + Math.max(LIST_AGE_MS, MAX_SHARE * (now - started))
  }
}

/** Looks an incident up in all partitions given; null when none holds it, or when the text is no id. */
export async function findIncident(
  store: StateStore,
  partitions: readonly number[],
  id: string,
): Promise<FoundIncident | null> {
  if (!ID.test(id)) return null
  const found = await Promise.all(partitions.map((partition) => readIncident(store, partition, id)))
  return found.find((each) => each !== null) ?? null
}

async function readIncident(store: StateStore, partition: number, id: string): Promise<FoundIncident | null> {
  const [bytes] = await store.read(partition, [INCIDENT_PREFIX + id])
  return bytes === undefined ? null : { partition, incident: parse(bytes) }
}

function keepNewest(list: Listed[]): void {
  list.sort(newestFirst)
  list.splice(MAX_LISTED)
}

function newestFirst(a: Pick<Listed, 'openedAt' | 'id'>, b: Pick<Listed, 'openedAt' | 'id'>): number {
  return b.openedAt - a.openedAt || (a.id < b.id ? -1 : a.id > b.id ? 1 : 0)
}

function agrees(incident: Incident, query: IncidentQuery): boolean {
  return query.state === undefined || (incident.resolvedAt === null) === (query.state === 'open')
}

function parse(bytes: Uint8Array): Incident {
  return JSON.parse(utf8.decode(bytes)) as Incident
}
