import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import type { DecisionDesk } from '../enforcement/decision-desk.ts'
import { type DecisionEndpoint, startDecisionEndpoint } from '../enforcement/decision-endpoint.ts'
import type { TrustedIssuer, VerificationKey } from '../enforcement/decision-endpoint-tokens.ts'
import type { DenyList } from '../enforcement/gateways/deny-list.ts'
import { type GrpcEndpoint, startGrpcEndpoint } from '../enforcement/grpc/grpc-endpoint.ts'
import type { Envelopes } from './build-envelopes.ts'
import { listenAddress } from './config/listen-address.ts'
import type { Config } from './config/schema.ts'
import { listening } from './listening.ts'

/** What the endpoint needs of its process. */
export interface EndpointParts {
  readonly config: Pick<Config, 'decisionEndpoint'>
  readonly clock: Clock
  /** Told of every answer; status and reason. */
  readonly answered: (status: number, reason: string) => void
}

/** The endpoint on all the ways that are configured. */
export interface OpenedEndpoint extends DecisionEndpoint {
  /** Null where it is not configured. */
  readonly grpc: GrpcEndpoint | null
}

/** Starts the decision endpoint as the configuration says; null where none is configured. */
export async function openEndpoint(
  options: EndpointParts,
  denyList: DenyList | null,
  envelopes: Envelopes['endpoint'] = null,
): Promise<OpenedEndpoint | null> {
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
      requireIdentity: endpoint.requireIdentity,
      trustHeaders: endpoint.trustHeaders ? { consumer: 'x-consumer-id', credential: null } : null,
      apiKeyHeader: endpoint.apiKeyHeader?.toLowerCase() ?? null,
      addressHeader: endpoint.addressHeader?.toLowerCase() ?? null,
      subjectId: (token) => (token.sub === null ? null : JSON.stringify([token.iss, token.sub])),
      failMode: endpoint.failMode,
      maxStaleMs: endpoint.maxStaleSeconds * 1_000,
      answered: options.answered,
      ...(envelopes === null ? {} : { envelopes }),
    })
  const http = await listening('decisionEndpoint.listen', endpoint.listen, start)
  const grpc = await openGrpc(endpoint, http.desk).catch(async (error: unknown) => {
    await http.close()
    throw error
  })
  const close = async (): Promise<void> => {
    await Promise.all([http.close(), grpc?.close()])
  }
  return { ...http, grpc, close }
}

async function openGrpc(
  { grpc }: NonNullable<Config['decisionEndpoint']>,
  desk: DecisionDesk,
): Promise<GrpcEndpoint | null> {
  if (grpc === undefined) return null
  const { host, port } = listenAddress(grpc.listen)!
  const options = {
    host,
    port,
    token: grpc.token?.reveal() ?? null,
    verifiedClaims: grpc.verifiedClaims ?? null,
    rateLimitDomain: grpc.rateLimitDomain,
  }
  return listening('decisionEndpoint.grpc.listen', grpc.listen, () => startGrpcEndpoint(desk, options))
}

/** Whether somebody verifies tokens: the endpoint itself, or Envoy before it asks. */
export function claimsVerified({ decisionEndpoint }: Pick<Config, 'decisionEndpoint'>): boolean {
  return decisionEndpoint?.keys.length !== 0 || decisionEndpoint.grpc?.verifiedClaims !== undefined
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
