import { setTimeout as pause } from 'node:timers/promises'
import type { StateStore } from '../baseline/store.ts'
import { entityId, type Principal, profileKey } from '../core/event.ts'
import { partitionOf } from '../core/hash.ts'
import { MINUTE_MS } from '../core/time.ts'
import type { Alias, AliasMember } from '../enforcement/aliases.ts'
import type { EnforcementLogger } from '../enforcement/reconcile.ts'
import { isTooLarge, shareReason } from '../engine/blast-radius.ts'
import { busiestDay, type StoredTraffic } from '../engine/gateway-traffic.ts'
import {
  CLOCK_KEY,
  FROZEN_KEY,
  profileStoreKey,
  storedPrior,
  storedTraffic,
} from '../engine/partition-state.ts'
import { ProfileReader } from './principal-view.ts'

export interface AliasTrafficOptions {
  readonly aliases: readonly Alias[]
  readonly store: Pick<StateStore, 'read'>
  readonly partitions: number
  /** Key of the hashes under which profiles are stored. */
  readonly identityKey: Uint8Array
  readonly maxTrafficShare: () => number
  readonly logger: EnforcementLogger
}

/** Shares move by the day. */
const REFRESH_MS = 5 * MINUTE_MS
/** Profiles read at once. */
const BATCH = 500

/** Knows how much of the traffic the callers are that may be held for what another of their names did. */
export class AliasTraffic {
  readonly #options: AliasTrafficOptions
  readonly #reader = new ProfileReader()
  #shares: ReadonlyMap<string, { readonly callsPerDay: number; readonly share: number }> = new Map()

  constructor(options: AliasTrafficOptions) {
    this.#options = options
  }

  /** Why a person must agree before a caller is held for what another of its names did, or null. */
  readonly tooWide = (tenant: string, principal: Principal): string | null => {
    const traffic = this.#shares.get(profileKey(tenant, principal))
    const most = this.#options.maxTrafficShare()
    if (traffic === undefined || !isTooLarge(traffic, most)) return null
    return shareReason(`its other name ${entityId(principal)}`, 'its gateway', traffic.share, most)
  }

  /** Reads what the workers committed. Rejects with what the store says; what was known stays. */
  async refresh(): Promise<void> {
    const { aliases, store, partitions } = this.#options
    if (aliases.length === 0) return
    const all = Array.from({ length: partitions }, (_, partition) => store.read(partition, [CLOCK_KEY]))
    const traffic = (await Promise.all(all)).flatMap(([bytes]) =>
      bytes === undefined ? [] : [storedTraffic(bytes)],
    )
    const members = aliases.flatMap(({ tenant, members: names }) =>
      names.map((member) => ({ tenant, member })),
    )
    const shares = new Map<string, { callsPerDay: number; share: number }>()
    for (let i = 0; i < members.length; i += BATCH) {
      const found = await Promise.all(
        members.slice(i, i + BATCH).map(({ tenant, member }) => this.#shareOf(tenant, member, traffic)),
      )
      for (const { key, ...share } of found) {
        // A name known to several gateways counts where it is the largest.
        if (share.share >= (shares.get(key)?.share ?? 0)) shares.set(key, share)
      }
    }
    this.#shares = shares
  }

  async #shareOf(
    tenant: string,
    { principal, evidenceFrom }: AliasMember,
    traffic: readonly StoredTraffic[],
  ) {
    const key = profileKey(tenant, principal)
    const { store, partitions, identityKey } = this.#options
    const stored = profileStoreKey(identityKey, tenant, key)
    const [blob, frozen] = await store.read(partitionOf(key, partitions), [stored, FROZEN_KEY])
    const priors = { known: frozen === undefined ? null : storedPrior(frozen), strangers: null }
    const callsPerDay = blob === undefined ? 0 : this.#reader.usualCallsPerDay(blob, priors)
    const all = Math.max(callsPerDay, busiestDay(traffic, evidenceFrom))
    return { key, callsPerDay, share: all === 0 ? 0 : callsPerDay / all }
  }

  /** Reads at once, and then again and again until `stop`; `done` resolves after that. Never rejects. */
  async follow(stop: AbortSignal): Promise<{ readonly done: Promise<void> }> {
    await this.#try()
    return { done: this.#options.aliases.length === 0 ? Promise.resolve() : this.#go(stop) }
  }

  async #go(stop: AbortSignal): Promise<void> {
    while (!stop.aborted) {
      await pause(REFRESH_MS, undefined, { signal: stop }).catch(() => undefined)
      if (!stop.aborted) await this.#try()
    }
  }

  async #try(): Promise<void> {
    await this.refresh().catch((error: unknown) =>
      this.#options.logger.warn(
        { detail: String(error) },
        'how much callers with several names call could not be read',
      ),
    )
  }
}
