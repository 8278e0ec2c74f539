import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { Principal } from '../core/event.ts'
import { isoTime } from '../core/time.ts'
import type { EnvelopeHolder } from '../enforcement/envelope.ts'
import { EnvelopeBook } from '../enforcement/envelope-book.ts'
import {
  EnvelopeKeeper,
  type EnvelopeKeeperOptions,
  type EnvelopeStatus,
} from '../enforcement/envelope-keeper.ts'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import { HaproxyEnvelopes } from '../enforcement/gateways/haproxy-envelopes.ts'
import type { EnvelopesView, EnvelopeView } from '../engine/control-plane.ts'
import type { Config } from './config/schema.ts'
import { envelopeMemory } from './envelope-memory.ts'
import { adapterNames, chosenGateways, type GatewayChoice } from './gateways.ts'
import type { SharedMap } from './shared-map.ts'
import { storedWishes } from './stored-envelopes.ts'

type KeeperParts = Pick<EnvelopeKeeperOptions, 'clock' | 'logger' | 'latched' | 'exempt'>

/** The envelopes of a running Curfew. */
export interface Envelopes {
  readonly keeper: EnvelopeKeeper
  /** What the decision endpoint asks; null where there is none, or when envelopes are off. */
  readonly endpoint: { readonly book: EnvelopeBook; readonly enforced: boolean } | null
  view(limit: number): EnvelopesView
  /** A person accepted what a caller did. */
  accepted(tenant: string, principal: Principal): void
}

/** Gateways outside of Curfew that can hold envelopes: each HAProxy process. */
export function outerHolders(config: Config, choice: GatewayChoice = {}): readonly EnvelopeHolder[] {
  return chosenGateways(config, choice).flatMap((gateway) => {
    if (gateway.kind !== 'haproxy') return []
    const names = adapterNames(config, gateway)
    return gateway.sockets.map(
      (socketPath, i) => new HaproxyEnvelopes({ name: names[i]!, socketPath, mapFolder: gateway.mapFolder }),
    )
  })
}

/** Puts together what keeps envelopes; the caller runs the keeper. `map` is owned by this process. */
export function buildEnvelopes(
  config: Config,
  store: StateStore,
  map: SharedMap,
  parts: KeeperParts,
): Envelopes {
  const settings = config.enforcement.envelopes
  const own = config.enforcement.gateways.find(({ kind }) => kind === 'decision')
  const book = own === undefined ? null : new EnvelopeBook(own.name)
  const keeper = new EnvelopeKeeper({
    ...parts,
    mode: settings.mode,
    holders: [...outerHolders(config), ...(book === null ? [] : [book])],
    watcher: settings.mode === 'observe' ? book : null,
    wishes: () => storedWishes(store, settings.headroom),
    memory: envelopeMemory(map),
    growthPerDay: settings.growthPerDay,
    changeFactor: settings.changeFactor,
    holdMs: settings.holdSeconds * 1_000,
    everyMs: settings.everySeconds * 1_000,
    pushesPerSecond: settings.pushesPerSecond,
    maxCallers: settings.maxCallers,
  })
  const endpoint =
    book === null || settings.mode === 'off' ? null : { book, enforced: settings.mode === 'enforce' }
  return {
    keeper,
    endpoint,
    accepted: (tenant, principal) => keeper.accept(tenant, principal),
    view: (limit) => {
      const all = keeper.views()
      const items = all.slice(0, limit).map((status) => viewOf(status, book?.refusals(status.id) ?? 0))
      return { mode: settings.mode, callers: all.length, items }
    },
  }
}

function viewOf({ principal, since, excess, ...status }: EnvelopeStatus, refused: number): EnvelopeView {
  return {
    id: status.id,
    tenant: status.tenant,
    entity: `${principal.kind}:${principal.label}`,
    limits: status.limits,
    reason: status.reason,
    since: isoTime(since),
    exceeded: excess === null ? null : { ...excess, at: isoTime(excess.at) },
    refusedByEndpoint: refused,
    gateways: status.gateways,
  }
}

/** A holder's envelopes as rules, for commands that list and remove what is ours: each with its requests per 10 s. */
export function removableEnvelopes(holder: EnvelopeHolder): GatewayAdapter {
  const remove = async (ids: ReadonlySet<string>, stop: AbortSignal) => {
    await holder.remove(ids, stop)
    await holder.settle(stop)
  }
  return {
    name: `${holder.name} (envelopes)`,
    kind: 'envelopes',
    can: [],
    list: async (stop) =>
      (await holder.list(stop)).map(({ id, principal, limits, until }) => ({
        id,
        action: 'throttle' as const,
        scope: { kind: 'principal' as const, principal },
        limit: { requests: limits.requestsPer10s, windowSeconds: 10 },
        until,
      })),
    put: async () => {
      throw new CurfewError('GATEWAY_UNSUPPORTED', 'envelopes are put by a running Curfew only')
    },
    remove: (id, stop) => remove(new Set([id]), stop),
    removeMany: remove,
    check: async (stop) => {
      await holder.list(stop)
    },
  }
}
