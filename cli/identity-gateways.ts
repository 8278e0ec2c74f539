import { join } from 'node:path'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import { CaepGateway } from '../enforcement/gateways/caep.ts'
import { EventReceiver } from '../enforcement/gateways/event-receiver.ts'
import { eventSigner } from '../enforcement/gateways/event-signer.ts'
import { KeycloakGateway } from '../enforcement/gateways/keycloak.ts'
import type { Config } from './config/schema.ts'
import type { GatewayEdges } from './gateway-edges.ts'

type GatewayConfig = Config['enforcement']['gateways'][number]

const TIMEOUT_MS = 5_000

/** A realm of Keycloak. */
export function keycloakGateway(
  gateway: Extract<GatewayConfig, { kind: 'keycloak' }>,
  edges: GatewayEdges,
): GatewayAdapter {
  const { name, realm, clientId, clientSecret, users, accessTokenSeconds } = gateway
  const url = new URL(gateway.url)
  return new KeycloakGateway({
    name,
    url,
    realm,
    clientId,
    clientSecret: clientSecret.reveal(),
    issuer: gateway.issuer ?? `${url.href.replace(/\/+$/, '')}/realms/${encodeURIComponent(realm)}`,
    disablesUsers: users === 'switch-off',
    accessTokenSeconds,
    fetch: edges.fetch,
  })
}

/** A receiver of security events; what it was told is on record below the folder of enforcement. */
export function caepGateway(
  gateway: Extract<GatewayConfig, { kind: 'caep' }>,
  enforcementFolder: string,
  edges: GatewayEdges,
): GatewayAdapter {
  const { name, issuer, audience, tokenIssuer = null, alg, keyId = null, effectSeconds } = gateway
  const token = gateway.token?.reveal() ?? null
  return new CaepGateway({
    name,
    issuer,
    audience,
    tokenIssuer,
    receiver: new EventReceiver({
      name,
      url: new URL(gateway.url),
      token,
      timeoutMs: TIMEOUT_MS,
      fetch: edges.fetch,
    }),
    sign: eventSigner(name, { pem: gateway.signingKey.reveal(), algorithm: alg, keyId }),
    told: edges.events(join(enforcementFolder, 'events', name)),
    clock: edges.clock,
    effectSeconds,
  })
}
