import type { StateStore } from '../baseline/store.ts'
import type { Clock } from '../core/time.ts'
import { Enforcer } from '../enforcement/enforcer.ts'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import { DenyList } from '../enforcement/gateways/deny-list.ts'
import { type TextMap, textMapDenyStore } from '../enforcement/gateways/deny-list-store.ts'
import { DEFAULT_GUARD, type GuardSettings } from '../enforcement/guard.ts'
import type { EnforcementView } from '../enforcement/ledger.ts'
import type { EnforcementLogger, GatewayObserver } from '../enforcement/reconcile.ts'
import { AliasTraffic } from './alias-traffic.ts'
import { claimsVerified, type OpenedEndpoint, openEndpoint } from './build-endpoint.ts'
import { buildEnvelopes, type Envelopes } from './build-envelopes.ts'
import type { Config } from './config/schema.ts'
import { evidenceFor, gatewaysOf } from './gateways.ts'
import { identityKeyOf } from './identity-key.ts'
import { decisionLedger, denyListMap } from './ledgers.ts'
import { aliasesOf } from './principal-aliases.ts'
import type { Safety } from './safety.ts'
import { SharedMap } from './shared-map.ts'

/** Indices of the shared maps. */
export const DECISIONS_MAP = 0
export const DENY_LIST_MAP = 1
export const DELIVERIES_MAP = 2
export const COVERAGE_MAP = 3
/** The audit's principals, and wishes to forget one. */
export const SUBJECTS_MAP = 4
/** What envelopes stood since when. */
export const ENVELOPES_MAP = 5

const DENY_REFRESH_MS = 1_000

export interface EnforcementOptions {
  readonly config: Config
  readonly store: StateStore
  /** Partitions over which callers are spread. */
  readonly partitions: number
  /** Share of its traffic above which a caller is acted on only when a person agrees. */
  readonly maxTrafficShare: () => number
  readonly clock: Clock
  readonly random: () => number
  readonly logger: EnforcementLogger
  readonly isAllowed: (tenant: string, entity: string) => string | null
  readonly planned: (tenant: string, entity: string, groups: readonly string[]) => string | null
  readonly knownPrincipals: () => number
  readonly onChange: (decision: string) => void
  readonly onLeak: (view: EnforcementView) => void
  readonly observer: GatewayObserver
  readonly safety: Pick<Safety, 'latched' | 'liftsAll' | 'keepsUnknownRules' | 'liftFirst'>
  readonly answered: (status: number, reason: string) => void
}

/** The enforcing half: gateways, deny list, decision endpoint, enforcer. */
export interface Enforcement {
  readonly enforcer: Enforcer
  readonly gateways: readonly GatewayAdapter[]
  readonly endpoint: OpenedEndpoint | null
  readonly envelopes: Envelopes
  close(): Promise<void>
}

export async function openEnforcement(options: EnforcementOptions, stop: AbortSignal): Promise<Enforcement> {
  const { config, store, clock } = options
  const decisions = await SharedMap.open(store, DECISIONS_MAP, stop)
  const denied = await SharedMap.open(store, DENY_LIST_MAP, stop)
  const denyList = denyListOn(config, denyListMap(denied), clock)
  await denyList?.refresh(stop)
  denyList?.follow(DENY_REFRESH_MS, stop, (error) =>
    options.logger.warn({ error: String(error) }, 'deny list cannot be refreshed'),
  )
  const gateways = [...gatewaysOf(config), ...(denyList === null ? [] : [denyList])]
  const aliases = aliasesOf(config)
  const { partitions, maxTrafficShare } = options
  const identityKey = identityKeyOf(config)
  const traffic = new AliasTraffic({
    aliases,
    store,
    partitions,
    identityKey,
    maxTrafficShare,
    logger: options.logger,
  })
  const counting = await traffic.follow(stop)
  const enforcer = new Enforcer({
    gateways,
    ledger: decisionLedger(decisions),
    clock,
    random: options.random,
    logger: options.logger,
    isAllowed: options.isAllowed,
    planned: options.planned,
    knownPrincipals: options.knownPrincipals,
    maxEvidenceAgeMs: config.enforcement.maxEvidenceAgeSeconds * 1000,
    maxTokenLifetimeSeconds: config.enforcement.maxTokenLifetimeSeconds,
    guard: guardSettings(config),
    onlyFor: evidenceFor(config),
    aliases,
    tooWide: traffic.tooWide,
    onChange: options.onChange,
    onLeak: options.onLeak,
    observer: options.observer,
    latched: options.safety.latched,
    liftsAll: options.safety.liftsAll,
    keepsUnknownRules: options.safety.keepsUnknownRules,
  })
  await enforcer.load()
  await options.safety.liftFirst(enforcer)
  enforcer.start(stop)
  const standing = await SharedMap.open(store, ENVELOPES_MAP, stop)
  const { logger, isAllowed: exempt } = options
  const { latched } = options.safety
  const envelopes = buildEnvelopes(config, store, standing, { clock, logger, latched, exempt })
  const keeping = envelopes.keeper.run(stop)
  const endpoint = await openEndpoint(options, denyList, envelopes.endpoint)
  return {
    enforcer,
    gateways,
    endpoint,
    envelopes,
    close: async () => {
      await endpoint?.close()
      await enforcer.drain()
      await keeping
      await counting.done
      await standing.close()
      await decisions.close()
      await denied.close()
    },
  }
}

/** The deny list of a configuration over the map that holds it; null where no gateway is of that kind. */
export function denyListOn(config: Config, map: TextMap, clock: Clock): DenyList | null {
  const wanted = config.enforcement.gateways.find(({ kind }) => kind === 'decision')
  if (wanted === undefined) return null
  return new DenyList({
    name: wanted.name,
    store: textMapDenyStore(map),
    clock,
    worstCaseDelayMs: 0,
    claimsVerified: claimsVerified(config),
    knowsAddress: config.decisionEndpoint?.addressHeader !== undefined,
  })
}

function guardSettings(config: Config): GuardSettings {
  const { maxNewPrincipals, maxShareOfPrincipals, maxLiveRules } = config.enforcement.guard
  return {
    ...DEFAULT_GUARD,
    newPrincipals: maxNewPrincipals,
    shareOfPrincipals: maxShareOfPrincipals,
    maxLiveRules,
  }
}
