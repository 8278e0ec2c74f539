import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { type DecisionEndpoint, startDecisionEndpoint } from '../enforcement/decision-endpoint.ts'
import type { TrustedIssuer, VerificationKey } from '../enforcement/decision-endpoint-tokens.ts'
import { Enforcer } from '../enforcement/enforcer.ts'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import { DenyList } from '../enforcement/gateways/deny-list.ts'
import { textMapDenyStore } from '../enforcement/gateways/deny-list-store.ts'
import { DEFAULT_GUARD, type GuardSettings } from '../enforcement/guard.ts'
import type { EnforcementView } from '../enforcement/ledger.ts'
import type { EnforcementLogger, GatewayObserver } from '../enforcement/reconcile.ts'
import { listenAddress } from './config/listen-address.ts'
import type { Config } from './config/schema.ts'
import { evidenceFor, gatewaysOf } from './gateways.ts'
import { decisionLedger, denyListMap } from './ledgers.ts'
import { listening } from './listening.ts'
import type { Safety } from './safety.ts'
import { SharedMap } from './shared-map.ts'

/** Indices of the shared maps. */
export const DECISIONS_MAP = 0
export const DENY_LIST_MAP = 1
export const DELIVERIES_MAP = 2
export const COVERAGE_MAP = 3
/** The audit's principals, and wishes to forget one. */
export const SUBJECTS_MAP = 4

const DENY_REFRESH_MS = 1_000

export interface EnforcementOptions {
  readonly config: Config
  readonly store: StateStore
  readonly clock: Clock
  readonly random: () => number
  readonly logger: EnforcementLogger
  readonly isAllowed: (tenant: string, entity: string) => string | null
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
  readonly endpoint: DecisionEndpoint | null
  close(): Promise<void>
}

export async function openEnforcement(options: EnforcementOptions, stop: AbortSignal): Promise<Enforcement> {
  const { config, store, clock } = options
  const decisions = await SharedMap.open(store, DECISIONS_MAP, stop)
  const denied = await SharedMap.open(store, DENY_LIST_MAP, stop)
  const wantsDenyList = config.enforcement.gateways.find((g) => g.kind === 'decision')
  const denyList =
    wantsDenyList === undefined
      ? null
      : new DenyList({
          name: wantsDenyList.name,
          store: textMapDenyStore(denyListMap(denied)),
          clock,
          worstCaseDelayMs: 0,
        })
  await denyList?.refresh(stop)
  denyList?.follow(DENY_REFRESH_MS, stop, (error) =>
    options.logger.warn({ error: String(error) }, 'deny list cannot be refreshed'),
  )
  const gateways = [...gatewaysOf(config), ...(denyList === null ? [] : [denyList])]
  const enforcer = new Enforcer({
    gateways,
    ledger: decisionLedger(decisions),
    clock,
    random: options.random,
    logger: options.logger,
    isAllowed: options.isAllowed,
    knownPrincipals: options.knownPrincipals,
    maxEvidenceAgeMs: config.enforcement.maxEvidenceAgeSeconds * 1000,
    maxTokenLifetimeSeconds: config.enforcement.maxTokenLifetimeSeconds,
    guard: guardSettings(config),
    onlyFor: evidenceFor(config),
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
  const endpoint = await openEndpoint(options, denyList)
  return {
    enforcer,
    gateways,
    endpoint,
    close: async () => {
      await endpoint?.close()
      await enforcer.drain()
      await decisions.close()
      await denied.close()
    },
  }
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

async function openEndpoint(
  options: EnforcementOptions,
  denyList: DenyList | null,
): Promise<DecisionEndpoint | null> {
  const endpoint = options.config.decisionEndpoint
  if (endpoint === undefined) return null
  if (denyList === null) {
    throw new CurfewError(
      'CONFIG_INVALID',
      'decisionEndpoint needs a gateway of kind `decision` under enforcement.gateways',
    )
  }
  const { host, port } = listenAddress(endpoint.listen)!
  const start = () =>
    startDecisionEndpoint({
      denyList,
      clock: options.clock,
      host,
      port,
      issuers: issuersOf(endpoint),
      requireIdentity: false,
      trustHeaders: endpoint.trustHeaders ? { consumer: 'x-consumer-id', credential: null } : null,
      apiKeyHeader: null,
      subjectId: (token) => (token.sub === null ? null : JSON.stringify([token.iss, token.sub])),
      failMode: endpoint.failMode,
      maxStaleMs: endpoint.maxStaleSeconds * 1_000,
      answered: options.answered,
    })
  return listening('decisionEndpoint.listen', endpoint.listen, start)
}

function issuersOf(endpoint: NonNullable<Config['decisionEndpoint']>): TrustedIssuer[] {
  const byIssuer = new Map<string | null, VerificationKey[]>()
  for (const key of endpoint.keys) {
    const issuer = key.issuer ?? null
    const keys = byIssuer.get(issuer) ?? []
    keys.push(verificationKey(key))
    byIssuer.set(issuer, keys)
  }
  return [...byIssuer].map(([issuer, keys]) => ({ issuer, audience: null, keys }))
}

function verificationKey(key: NonNullable<Config['decisionEndpoint']>['keys'][number]): VerificationKey {
  switch (key.kind) {
    case 'hs':
      return { kind: 'secret', algorithm: key.alg, secret: new TextEncoder().encode(key.secret.reveal()) }
    case 'pem':
      return { kind: 'public-key', algorithm: key.alg, pem: key.publicKey.reveal() }
    case 'jwks':
      return { kind: 'jwks-url', algorithms: [key.alg], url: new URL(key.url) }
  }
}
