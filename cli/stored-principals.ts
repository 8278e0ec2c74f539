import { setImmediate as nextTurn } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import type { Page, PageQuery, PrincipalState, PrincipalView } from '../engine/control-plane.ts'
import {
  FROZEN_KEY,
  PROFILE_PREFIX,
  profileStoreKey,
  STRANGERS_FROZEN_KEY,
  storedPrior,
} from '../engine/partition-state.ts'
import { type Priors, ProfileReader } from './principal-view.ts'

export interface StoredPrincipalsOptions {
  readonly store: StateStore
  readonly partitions: () => Promise<readonly number[]>
  readonly identityKey: Uint8Array
}

type PrincipalQuery = PageQuery & { readonly search?: string; readonly state?: PrincipalState }

/** A stored profile by its place. */
interface Place {
  readonly partition: number
  readonly key: string
}

/** Profiles that one page may look at; a page that stops here says where to go on. */
const MAX_SCANNED = 200_000
/** Profiles looked at before others get a turn. */
const TURN = 1_000
/** Names whose place is remembered, so that the next question about them reads one key. */
const MAX_PLACES = 50_000
const CURSOR = /^(\d{1,15})\/(p:[0-9a-f:]{1,100})$/

/**
 * The committed profiles of all partitions, for people. In the order of partition and stored key, which is a
 * hash of the name: stable between calls whatever is learnt meanwhile.
 */
export class StoredPrincipals {
  private readonly options: StoredPrincipalsOptions
  private readonly reader = new ProfileReader()
  private readonly places = new Map<string, Place>()

  constructor(options: StoredPrincipalsOptions) {
    this.options = options
  }

  /** One page. At most {@link MAX_SCANNED} profiles are looked at, so that a page may be short and yet go on. */
  async page(query: PrincipalQuery): Promise<Page<PrincipalView>> {
    const { store } = this.options
    const partitions = [...(await this.options.partitions())].sort((a, b) => a - b)
    const start = query.cursor === undefined ? null : await this.placeOf(query.cursor, partitions)
    if (query.cursor !== undefined && start === null) return { items: [], nextCursor: null }
    const items: PrincipalView[] = []
    let last: Place | null = null
    let scanned = 0
    for (const partition of partitions) {
      if (start !== null && partition < start.partition) continue
      if (scanned >= MAX_SCANNED && last !== null) return { items, nextCursor: cursorOf(last) }
      const after = start?.partition === partition ? start.key : ''
      const found = new SmallestKeys(query.limit + 1 - items.length)
      let end = after
      for await (const [key, blob] of store.scan(partition, PROFILE_PREFIX)) {
        if (++scanned % TURN === 0) await nextTurn()
        if (key > end) end = key
        if (key > after && this.matches(blob, query)) found.offer(key, blob)
      }
      const priors = found.entries.length === 0 ? null : await this.priorsOf(partition)
      for (const [key, blob] of found.entries) {
        if (items.length === query.limit) return { items, nextCursor: last === null ? null : cursorOf(last) }
        last = { partition, key }
        const view = this.reader.view(blob, priors)
        if (view === null) continue
        items.push(view)
        this.remember(view, last)
      }
      // Nothing else of this partition matches, so the next page may start behind all of it.
      if (end !== '' && items.length < query.limit) last = { partition, key: end }
    }
    return { items, nextCursor: null }
  }

  private matches(blob: Uint8Array, query: PrincipalQuery): boolean {
    const head = this.reader.headline(blob)
    if (head === null) return false
    if (query.tenant !== undefined && head.tenant !== query.tenant) return false
    if (query.state !== undefined && head.state !== query.state) return false
    return query.search === undefined || head.entity.toLowerCase().includes(query.search.toLowerCase())
  }

  /** A principal by its stable id, such as `consumer:6f1c`: one key is read in each partition. */
  async byStableId(tenant: string, stableId: string): Promise<PrincipalView | null> {
    const key = profileStoreKey(this.options.identityKey, tenant, `${tenant}\u0000${stableId}`)
    const partitions = await this.options.partitions()
    const views = await Promise.all(partitions.map((partition) => this.read({ partition, key })))
    return views.find((view) => view?.tenant === tenant && view.stableId === stableId) ?? null
  }

  /** No longer remembers where the profile of a name was. */
  forget(tenant: string, entity: string): void {
    this.places.delete(placeKey(tenant, entity))
  }

  /** A principal by its shown name: by its key where name and stable id agree, else by looking through all. */
  async one(tenant: string, entity: string): Promise<PrincipalView | null> {
    const known = this.places.get(placeKey(tenant, entity))
    if (known !== undefined) {
      const view = await this.read(known)
      if (view?.tenant === tenant && view.entity === entity) return view
    }
    const partitions = await this.options.partitions()
    const key = profileStoreKey(this.options.identityKey, tenant, `${tenant}\u0000${entity}`)
    for (const view of await Promise.all(partitions.map((partition) => this.read({ partition, key })))) {
      if (view?.tenant === tenant && view.entity === entity) return view
    }
    return this.lookThrough(partitions, tenant, entity)
  }

  private async lookThrough(
    partitions: readonly number[],
    tenant: string,
    entity: string,
  ): Promise<PrincipalView | null> {
    let scanned = 0
    for (const partition of partitions) {
      for await (const [key, blob] of this.options.store.scan(partition, PROFILE_PREFIX)) {
        if (++scanned % TURN === 0) await nextTurn()
        const head = this.reader.headline(blob)
        if (head?.entity !== entity || head.tenant !== tenant) continue
        const view = this.reader.view(blob, await this.priorsOf(partition))
        if (view !== null) this.remember(view, { partition, key })
        return view
      }
    }
    return null
  }

  private async read({ partition, key }: Place): Promise<PrincipalView | null> {
    const [blob] = await this.options.store.read(partition, [key])
    return blob === undefined ? null : this.reader.view(blob, await this.priorsOf(partition))
  }

  private async priorsOf(partition: number): Promise<Priors> {
    const frozen = await this.options.store.read(partition, [FROZEN_KEY, STRANGERS_FROZEN_KEY])
    const [known = null, strangers = null] = frozen.map((bytes) =>
      bytes === undefined ? null : storedPrior(bytes),
    )
    return { known, strangers }
  }

  private async placeOf(cursor: string, partitions: readonly number[]): Promise<Place | null> {
    const match = CURSOR.exec(cursor)
    if (match === null) return null
    const place = { partition: Number(match[1]), key: match[2]! }
    if (!partitions.includes(place.partition)) return null
    const [blob] = await this.options.store.read(place.partition, [place.key])
    return blob === undefined ? null : place
  }

  private remember(view: PrincipalView, place: Place): void {
    if (this.places.size >= MAX_PLACES) this.places.delete(this.places.keys().next().value!)
    this.places.set(placeKey(view.tenant, view.entity), place)
  }
}

function cursorOf({ partition, key }: Place): string {
  return `${partition}/${key}`
}

function placeKey(tenant: string, entity: string): string {
  return JSON.stringify([tenant, entity])
}

/** The few smallest keys of many, in order. */
class SmallestKeys {
  readonly entries: (readonly [string, Uint8Array])[] = []
  private readonly limit: number

  constructor(limit: number) {
    this.limit = limit
  }

  offer(key: string, blob: Uint8Array): void {
    const { entries } = this
    if (entries.length === this.limit) {
      if (entries.at(-1)![0] <= key) return
      entries.pop()
    }
    let low = 0
    let high = entries.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if (entries[middle]![0] < key) low = middle + 1
      else high = middle
    }
    entries.splice(low, 0, [key, blob])
  }
}
