import { copyProfile, decodeProfile, encodeProfile, type StoredSection } from '../baseline/codec.ts'
import { DERIVED } from '../baseline/layout.ts'
import type { Prior } from '../baseline/prior.ts'
import { CurfewError } from '../core/errors.ts'
import { type Principal, profileKey, type SourcePosition } from '../core/event.ts'
import { keyedHash } from '../core/hash.ts'
import type { ClockSnapshot } from './event-clock.ts'
import type { StoredNames } from './forgetting.ts'
import type { StoredTraffic } from './gateway-traffic.ts'
import type { Incident } from './incident.ts'
import { type Cut, frozenCut, frozenPrior, type Standing } from './knowledge.ts'
import type { PopulationName } from './merged-knowledge.ts'
import type { Partition } from './partition.ts'
import type { Population } from './population.ts'
import { completed, type EngineSettings } from './settings.ts'

/** What changed since the last checkpoint, as keys and bytes of the state store. */
export interface StateChanges {
  readonly puts: Map<string, Uint8Array>
  readonly deletes: string[]
}

interface Scalars {
  /** Of the callers that a gateway vouches for, and of strangers. */
  readonly clocks: readonly [ClockSnapshot, ClockSnapshot]
  readonly sweptDay: number
  readonly overflowed: number
  readonly late: number
  readonly controlSeq: number
  readonly controlHash: string
  readonly sources: Record<string, readonly [number, number]>
  readonly settings: EngineSettings
  /** Profiles in the store with this checkpoint; absent in states of earlier builds. */
  readonly profiles?: number
  /** Absent in states of earlier builds. */
  readonly forgotten?: readonly string[]
  /** Absent in states of earlier builds. */
  readonly traffic?: StoredTraffic
}

/** Prefixes of the keys of a partition. */
export const PROFILE_PREFIX = 'p:'
export const INCIDENT_PREFIX = 'i:'
const DUPLICATES_PREFIX = 'd:'
const CORRUPT_PREFIX = 'corrupt:'
const DOORSTEP_PREFIX = 'v:'
const UNREADABLE_KEY = 's:unreadable'
const KNOWLEDGE_PREFIX = 'k:'
/** What is known about all, as it is in force; see {@link storedPrior}. */
export const FROZEN_KEY = 'k:frozen'
/** The same for strangers. */
export const STRANGERS_FROZEN_KEY = 'k:strangers:frozen'
/** What is stored of the knowledge of a population; others read the last two, see {@link storedCut}. */
const KNOWLEDGE = {
  known: { sums: 'k:sums', frozen: FROZEN_KEY, standing: 'k:standing' },
  strangers: {
    sums: 'k:strangers:sums',
    frozen: STRANGERS_FROZEN_KEY,
    standing: 'k:strangers:standing',
  },
} as const
/** Clock, counters and settings in force; see {@link storedSettings}. */
export const CLOCK_KEY = 's:clock'
const MAX_SOURCES = 10_000

const text = new TextEncoder()
const utf8 = new TextDecoder()

/** Key of a profile: the tenant by hash too, since a log field may name it. */
export function profileStoreKey(identityKey: Uint8Array, tenant: string, principalKey: string): string {
  return tenantPrefix(identityKey, tenant) + keyedHash(identityKey, principalKey)
}

function tenantPrefix(identityKey: Uint8Array, tenant: string): string {
  return `${PROFILE_PREFIX}${keyedHash(identityKey, tenant).slice(0, 8)}:`
}

/** The prior in force of a partition, from the value under {@link FROZEN_KEY}. */
export function storedPrior(bytes: Uint8Array): Prior {
  return frozenPrior(floatsOf(bytes))
}

/** The key under which a partition says how far its cuts reach and what it has taken; see {@link storedStanding}. */
export function standingKey(population: PopulationName): string {
  return KNOWLEDGE[population].standing
}

/** The key of the latest cut; see {@link storedCut}. */
export function cutKey(population: PopulationName): string {
  return KNOWLEDGE[population].frozen
}

/** How far a partition's cuts reach, from the value under {@link standingKey}. */
export function storedStanding(bytes: Uint8Array): Standing {
  return JSON.parse(utf8.decode(bytes)) as Standing
}

/** The latest cut of a partition, from the value under {@link cutKey}; null before the first. */
export function storedCut(bytes: Uint8Array): Cut | null {
  return frozenCut(floatsOf(bytes))
}

/** The settings in force of a partition, from the value under {@link CLOCK_KEY}. */
export function storedSettings(bytes: Uint8Array): EngineSettings {
  return (JSON.parse(utf8.decode(bytes)) as Scalars).settings
}

/** The calls through each gateway, from the value under {@link CLOCK_KEY}. */
export function storedTraffic(bytes: Uint8Array): StoredTraffic {
  return (JSON.parse(utf8.decode(bytes)) as Scalars).traffic ?? {}
}

/** Collects what a partition must write, and reads it back. One per partition. */
export class PartitionState implements StoredNames {
  private readonly partition: Partition
  private readonly identityKey: Uint8Array
  private readonly sections: readonly StoredSection[]
  /** First key numbers of the duplicate exports in the store. */
  private readonly duplicateChunks: number[] = []
  /** Control records up to this sequence number are in the state. */
  controlSeq = 0
  /** Hash of the last of them: says which control list the state reflects. */
  controlHash = ''
  /** False until some state was loaded. */
  isStored = false
  /** Highest position folded per source partition, so that a re-produced record counts once. */
  private sources: Record<string, readonly [number, number]> = {}
  corrupt = 0
  /** Profiles that the last checkpoint had and that are no longer in the store. */
  lost = 0
  /** Whether no checkpoint was found. */
  blank = true
  private lastTenant: string | null = null
  private lastPrefix = ''
  private loading = emptyLoading()

  constructor(partition: Partition, identityKey: Uint8Array) {
    this.partition = partition
    this.identityKey = identityKey
    this.sections = partition.judge.stored
  }

  /** Whether an event lies above the highest position of its source; remembers it. At most MAX_SOURCES are kept. */
  isNew({ topic, partition, offset, index }: SourcePosition): boolean {
    const key = `${topic}/${partition}`
    const highest = this.sources[key]
    if (highest !== undefined && (offset < highest[0] || (offset === highest[0] && index <= highest[1])))
      return false
    if (highest === undefined && Object.keys(this.sources).length >= MAX_SOURCES) return true
    this.sources[key] = [offset, index]
    return true
  }

  /** Takes all changes since the last call; they must be committed, or the state be loaded anew. */
  takeChanges(): StateChanges {
    const puts = new Map<string, Uint8Array>()
    const deletes: string[] = []
    this.takeProfiles(puts, deletes)
    for (const [key, blob] of this.setAside) {
      puts.set(CORRUPT_PREFIX + key, blob)
      if (!puts.has(key)) deletes.push(key)
    }
    this.setAside.clear()
    for (const key of this.discarded.splice(0)) if (!puts.has(key)) deletes.push(key)
    const { changed, removed } = this.partition.book.takeChanges()
    for (const incident of changed)
      puts.set(INCIDENT_PREFIX + incident.id, text.encode(JSON.stringify(incident)))
    for (const id of removed) deletes.push(INCIDENT_PREFIX + id)
    this.takeDuplicates(puts, deletes)
    const { known, strangers, doorstep, unreadableLines } = this.partition
    putKnowledge(puts, known, 'known')
    putKnowledge(puts, strangers, 'strangers')
    for (const [piece, bytes] of doorstep.takeChanges()) puts.set(`${DOORSTEP_PREFIX}${piece}`, bytes)
    const unreadable = unreadableLines.takeChanges()
    if (unreadable !== null) puts.set(UNREADABLE_KEY, text.encode(unreadable))
    const { sweptDay, overflowed, late, settings, forgotten } = this.partition
    const { controlSeq, controlHash, sources } = this
    const scalars: Scalars = {
      clocks: [known.clock.snapshot(), strangers.clock.snapshot()],
      sweptDay,
      overflowed,
      late,
      controlSeq,
      controlHash,
      sources,
      settings,
      profiles: this.partition.residents.size,
      forgotten,
      traffic: this.partition.traffic.snapshot(),
    }
    puts.set(CLOCK_KEY, text.encode(JSON.stringify(scalars)))
    return { puts, deletes }
  }

  private takeProfiles(puts: Map<string, Uint8Array>, deletes: string[]): void {
    const { residents } = this.partition
    const { dirty, removed } = residents.takeChanges()
    for (const slot of dirty) {
      const owner = residents.ownerOf(slot)
      const key = this.keyOf(owner.tenant, profileKey(owner.tenant, owner.principal))
      puts.set(key, encodeProfile(residents.slab.at(slot), owner, this.sections, residents.unknownOf(slot)))
    }
    for (const key of removed) {
      deletes.push(this.keyOf(key.slice(0, key.indexOf('\u0000')), key))
    }
  }

  identify(tenant: string, principal: Principal): string {
    return this.keyOf(tenant, profileKey(tenant, principal))
  }

  discard(key: string): void {
    this.discarded.push(CORRUPT_PREFIX + key)
    if (this.setAside.delete(key)) this.discarded.push(key)
  }

  /** {@link profileStoreKey}, with the tenant's part remembered: consecutive profiles mostly share it. */
  private keyOf(tenant: string, principalKey: string): string {
    if (tenant !== this.lastTenant) {
      this.lastTenant = tenant
      this.lastPrefix = tenantPrefix(this.identityKey, tenant)
    }
    return this.lastPrefix + keyedHash(this.identityKey, principalKey)
  }

  private takeDuplicates(puts: Map<string, Uint8Array>, deletes: string[]): void {
    const fresh = this.partition.duplicates.exportNew()
    if (fresh === null) return
    puts.set(duplicateKey(fresh.first), bytesOf(fresh.keys))
    this.duplicateChunks.push(fresh.first)
    const { horizon } = this.partition.duplicates
    // A chunk ends where the next begins; it is needed while any of its keys is.
    while (this.duplicateChunks.length > 1 && this.duplicateChunks[1]! <= horizon) {
      deletes.push(duplicateKey(this.duplicateChunks.shift()!))
    }
  }

  /**
   * Takes one entry of a stored partition, in any order; {@link finishLoading} completes it. A newer profile
   * layout throws `STORE_NEWER_LAYOUT` before anything could be overwritten; a corrupt profile is set aside
   * under another key and its principal starts LEARNING.
   */
  loadEntry(key: string, bytes: Uint8Array): void {
    const { loading } = this
    if (key.startsWith(PROFILE_PREFIX)) this.loadProfile(key, bytes)
    else if (key.startsWith(INCIDENT_PREFIX))
      loading.incidents.push(JSON.parse(utf8.decode(bytes)) as Incident)
    else if (key.startsWith(DUPLICATES_PREFIX))
      loading.chunks.push({ first: Number(key.slice(2)), keys: floatsOf(bytes) })
    else if (key.startsWith(DOORSTEP_PREFIX)) this.partition.doorstep.restore(Number(key.slice(2)), bytes)
    else if (key === UNREADABLE_KEY) this.partition.unreadableLines.restore(utf8.decode(bytes))
    else if (key.startsWith(KNOWLEDGE_PREFIX)) loading.knowledge.set(key, bytes)
    else if (key === CLOCK_KEY) this.loadScalars(utf8.decode(bytes))
  }

  /** Puts together what depends on several entries. */
  finishLoading(): void {
    const { chunks, incidents, knowledge, profiles } = this.loading
    this.lost = Math.max(0, profiles - this.corrupt - this.partition.residents.size)
    this.loading = emptyLoading()
    const { known, strangers } = this.partition
    restoreKnowledge(known, knowledge, 'known')
    restoreKnowledge(strangers, knowledge, 'strangers')
    this.partition.duplicates.restore(chunks)
    this.duplicateChunks.push(...chunks.map((c) => c.first).sort((a, b) => a - b))
    incidents.sort((a, b) => a.openedAt - b.openedAt || (a.id < b.id ? -1 : 1))
    for (const incident of incidents) this.partition.book.restore(incident, this.partition.settings)
    this.partition.residents.takeChanges()
    this.partition.refresh()
  }

  private loadScalars(json: string): void {
    const s = JSON.parse(json) as Scalars
    this.blank = false
    this.loading.profiles = s.profiles ?? 0
    this.partition.known.clock.restore(s.clocks[0])
    this.partition.strangers.clock.restore(s.clocks[1])
    this.partition.sweptDay = s.sweptDay
    this.partition.overflowed = s.overflowed
    this.partition.late = s.late
    this.partition.settings = completed(s.settings)
    this.partition.forgotten = [...(s.forgotten ?? [])]
    this.partition.traffic.restore(s.traffic ?? {})
    this.controlSeq = s.controlSeq
    this.controlHash = s.controlHash
    this.isStored = true
    this.sources = s.sources
  }

  private loadProfile(key: string, bytes: Uint8Array): void {
    const decoded = decodeProfile(bytes, this.sections)
    if (decoded.kind === 'newer') {
      throw new CurfewError(
        'STORE_NEWER_LAYOUT',
        `profile ${key} has layout version ${decoded.version}, newer than this build can read; nothing was written`,
      )
    }
    if (decoded.kind === 'corrupt') {
      this.corrupt++
      this.setAside.set(key, bytes)
      return
    }
    const { residents } = this.partition
    const slot = residents.add(decoded.owner.tenant, decoded.owner.principal)
    if (slot < 0)
      throw new CurfewError('STORE_CORRUPT', 'the store holds more profiles than memory.maxPrincipals allows')
    const view = residents.slab.at(slot)
    copyProfile(bytes, view, this.sections)
    view.u32[(view.base + view.derived + DERIVED.version) / 4] = 0
    residents.carry(slot, decoded.unknown)
  }

  /** Corrupt blobs met while loading, by their key; the next checkpoint moves them away for inspection. */
  private readonly setAside = new Map<string, Uint8Array>()
  /** Keys that go with the next checkpoint unless it writes them. */
  private readonly discarded: string[] = []
}

/** Entries that can only be put together when all of them are there. */
interface Loading {
  readonly chunks: { first: number; keys: Float64Array }[]
  readonly incidents: Incident[]
  readonly knowledge: Map<string, Uint8Array>
  profiles: number
}

function putKnowledge(
  puts: Map<string, Uint8Array>,
  { knowledge }: Population,
  population: PopulationName,
): void {
  const keys = KNOWLEDGE[population]
  const { frozen, sums } = knowledge.export()
  puts.set(keys.sums, bytesOf(sums))
  if (frozen === null) return
  puts.set(keys.frozen, bytesOf(frozen))
  puts.set(keys.standing, text.encode(JSON.stringify(knowledge.standing)))
}

function restoreKnowledge(
  { knowledge }: Population,
  stored: ReadonlyMap<string, Uint8Array>,
  population: PopulationName,
): void {
  const keys = KNOWLEDGE[population]
  const [sums, frozen, standing] = [keys.sums, keys.frozen, keys.standing].map((key) => stored.get(key))
  if (sums === undefined || frozen === undefined) return
  // States of earlier builds have taken nothing from other partitions.
  const taken = standing === undefined ? null : storedStanding(standing).taken
  knowledge.restore(floatsOf(frozen), floatsOf(sums), taken)
}

function emptyLoading(): Loading {
  return { chunks: [], incidents: [], knowledge: new Map(), profiles: 0 }
}

function duplicateKey(first: number): string {
  return `${DUPLICATES_PREFIX}${first}`
}

function bytesOf(values: Float64Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
}

function floatsOf(bytes: Uint8Array): Float64Array {
  // A constructor copies whatever it is given; `slice` of a Buffer is a view into a larger one.
  return new Float64Array(new Uint8Array(bytes).buffer)
}
