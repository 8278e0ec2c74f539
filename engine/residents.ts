import type { ProfileOwner, UnknownSection } from '../baseline/codec.ts'
import { CORE } from '../baseline/layout.ts'
import type { PriorSums } from '../baseline/prior.ts'
import { ProfileSlab } from '../baseline/slab.ts'
import { leavePrior } from '../baseline/windows.ts'
import { type AccessEvent, entityId, type Principal, profileKey } from '../core/event.ts'
import { hashOf } from '../core/hash.ts'
import { DAY_MS } from '../core/time.ts'

/** A caller with fewer events is a newcomer: dropped first when idle, never kept at the cost of others. */
export const NEWCOMER_EVENTS = 8
/** Idle newcomers go after this, and after a day when memory runs short. */
const NEWCOMER_IDLE_MS = 30 * DAY_MS
const NEWCOMER_IDLE_FULL_MS = DAY_MS
const FULL_SHARE = 0.9

/**
 * The profiles of a partition and who they belong to. At the bound a newcomer gets no profile until the
 * daily sweep has made room; established callers are never evicted for newcomers.
 */
export class Residents {
  readonly slab: ProfileSlab
  private readonly maxPrincipals: number
  /** Tenant and kind, then stable id, so that the hot path builds no strings. */
  private readonly byId = new Map<string, Map<string, Map<string, number>>>()
  private readonly owners: (ProfileOwner | undefined)[] = []
  private readonly unknownSections = new Map<number, readonly UnknownSection[]>()
  /** The map used last: consecutive events mostly share tenant and kind. */
  private lastTenant = ''
  private lastKind = ''
  private lastIds: Map<string, number> | undefined
  private isDirty = new Uint8Array(1024)
  private dirtySlots: number[] = []
  private readonly removedKeys = new Set<string>()

  constructor(sectionBytes: number, maxPrincipals: number) {
    this.slab = new ProfileSlab(sectionBytes)
    this.maxPrincipals = maxPrincipals
  }

  get size(): number {
    return this.slab.size
  }

  /** The slot of a principal, or -1. */
  find(tenant: string, principal: Principal): number {
    if (this.lastIds === undefined || tenant !== this.lastTenant || principal.kind !== this.lastKind) {
      this.lastTenant = tenant
      this.lastKind = principal.kind
      this.lastIds = this.kindOf(tenant, principal.kind)
    }
    return this.lastIds.get(principal.id) ?? -1
  }

  /** A new, zeroed profile; -1 at the bound. */
  add(tenant: string, principal: Principal): number {
    const slot = this.receive()
    if (slot >= 0) this.settle(slot, tenant, principal)
    return slot
  }

  /** A zeroed profile for one judgement, of nobody yet: {@link settle} keeps it, {@link dismiss} ends it. -1 at the bound. */
  receive(): number {
    return this.slab.size >= this.maxPrincipals ? -1 : this.slab.allocate()
  }

  /** Makes a received profile that of a principal. */
  settle(slot: number, tenant: string, principal: Principal): void {
    this.owners[slot] = { tenant, principal }
    this.kindOf(tenant, principal.kind).set(principal.id, slot)
    if (this.removedKeys.size > 0) this.removedKeys.delete(profileKey(tenant, principal))
  }

  /** Ends a received profile; nothing of it remains. */
  dismiss(slot: number): void {
    this.isDirty[slot] = 0
    this.slab.release(slot)
  }

  /**
   * Whether another principal of the same kind and tenant is known by the same label. Looks through all of
   * them, so it is asked before acting only.
   */
  sharesLabel(tenant: string, { kind, id, label }: Principal): boolean {
    return this.owners.some(
      (owner) =>
        owner !== undefined &&
        owner.principal.label === label &&
        owner.principal.id !== id &&
        owner.principal.kind === kind &&
        owner.tenant === tenant,
    )
  }

  /** How people tell a caller from all others: by its name, and by a hash of its id where two share the name. */
  nameOf({ tenant, principal }: Pick<AccessEvent, 'tenant' | 'principal'>): string {
    const name = entityId(principal)
    if (!this.sharesLabel(tenant, principal)) return name
    return `${name} (${hashOf(principal.kind, principal.id).slice(0, 8)})`
  }

  ownerOf(slot: number): ProfileOwner {
    return this.owners[slot]!
  }

  /** The label is what people call a principal now; the profile stays with the stable id. */
  relabel(slot: number, principal: Principal): void {
    this.owners[slot] = { tenant: this.owners[slot]!.tenant, principal }
  }

  unknownOf(slot: number): readonly UnknownSection[] {
    return this.unknownSections.get(slot) ?? []
  }

  carry(slot: number, unknown: readonly UnknownSection[]): void {
    if (unknown.length > 0) this.unknownSections.set(slot, unknown)
  }

  touch(slot: number): void {
    if (slot >= this.isDirty.length) this.growDirty(slot)
    if (this.isDirty[slot] === 1) return
    this.isDirty[slot] = 1
    this.dirtySlots.push(slot)
  }

  private growDirty(slot: number): void {
    const grown = new Uint8Array(Math.max(slot + 1, this.isDirty.length * 2))
    grown.set(this.isDirty)
    this.isDirty = grown
  }

  /** Bytes of the profiles that the next checkpoint will write, before they are packed. */
  get dirtyBytes(): number {
    return this.dirtySlots.length * this.slab.storedBytes
  }

  /** Slots changed and keys removed since the last call. */
  takeChanges(): { dirty: number[]; removed: string[] } {
    // A slot may have been released, and taken again, since it was marked.
    const dirty = [...new Set(this.dirtySlots)].filter((slot) => this.isDirty[slot] === 1)
    const changes = { dirty, removed: [...this.removedKeys] }
    this.dirtySlots = []
    this.isDirty.fill(0)
    this.removedKeys.clear()
    return changes
  }

  /** Forgets a principal: its profile goes, and its share in what is known about all. */
  remove(slot: number, sums: PriorSums): void {
    const owner = this.owners[slot]
    if (owner === undefined) return
    leavePrior(this.slab.at(slot), sums)
    this.kindOf(owner.tenant, owner.principal.kind).delete(owner.principal.id)
    this.removedKeys.add(profileKey(owner.tenant, owner.principal))
    this.owners[slot] = undefined
    this.unknownSections.delete(slot)
    this.isDirty[slot] = 0
    this.slab.release(slot)
  }

  /** Removes idle newcomers and profiles idle for longer than `idleMs`; `keep` protects open incidents. */
  sweep(
    now: number,
    idleMs: number,
    sumsOf: (principal: Principal) => PriorSums,
    keep: (slot: number) => boolean,
  ): void {
    const isFull = this.slab.size >= FULL_SHARE * this.maxPrincipals
    const newcomerIdle = isFull ? NEWCOMER_IDLE_FULL_MS : NEWCOMER_IDLE_MS
    for (let slot = 0; slot < this.owners.length; slot++) {
      const owner = this.owners[slot]
      if (owner === undefined || keep(slot)) continue
      const view = this.slab.at(slot)
      const idle = now - view.f64[(view.base + CORE.lastSeen) / 8]!
      const events = view.f64[(view.base + CORE.events) / 8]!
      if (idle > idleMs || (events < NEWCOMER_EVENTS && idle > newcomerIdle)) {
        this.remove(slot, sumsOf(owner.principal))
      }
    }
  }

  /** Every slot in use. */
  *slots(): Iterable<number> {
    for (let slot = 0; slot < this.owners.length; slot++) if (this.owners[slot] !== undefined) yield slot
  }

  private kindOf(tenant: string, kind: string): Map<string, number> {
    const kinds = this.byId.get(tenant) ?? new Map<string, Map<string, number>>()
    const ids = kinds.get(kind) ?? new Map<string, number>()
    this.byId.set(tenant, kinds.set(kind, ids))
    return ids
  }
}
