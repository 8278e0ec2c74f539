import { CurfewError } from '../core/errors.ts'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import { createApigeeGateways } from '../enforcement/gateways/apigee-gateways.ts'
import { ApisixGateway } from '../enforcement/gateways/apisix.ts'
import { createAwsGateways } from '../enforcement/gateways/aws.ts'
import { CallBudget } from '../enforcement/gateways/aws-budget.ts'
import { createHaproxyGateways } from '../enforcement/gateways/haproxy.ts'
import { KongGateway } from '../enforcement/gateways/kong.ts'
import { TykGateway } from '../enforcement/gateways/tyk.ts'
import { nearest } from './config/nearest.ts'
import { shown } from './config/problem.ts'
import type { Config } from './config/schema.ts'
import { type GatewayEdges, LIVE_EDGES } from './gateway-edges.ts'
import { caepGateway, keycloakGateway } from './identity-gateways.ts'

export interface GatewayChoice {
  /** Name of one gateway of the configuration; all of them when not given. */
  readonly only?: string
}

type GatewayConfig = Config['enforcement']['gateways'][number]

/**
 * Adapters of the gateways of a configuration whose control planes are outside of Curfew; needs nothing but
 * the configuration. The deny list (kind `decision`) lives in the store and is not among them. A HAProxy with
 * several sockets gives one adapter per socket. Throws `USAGE` for an unknown name.
 */
export function gatewaysOf(
  config: Config,
  choice: GatewayChoice = {},
  edges: GatewayEdges = LIVE_EDGES,
): readonly GatewayAdapter[] {
  const budgets = new Map<string, CallBudget>()
  const { folder } = config.enforcement
  return chosenGateways(config, choice).flatMap((gateway) => adaptersOf(gateway, budgets, folder, edges))
}

/** Ids of the gateways whose evidence each adapter acts on, by its name; an adapter that is not there acts on all. */
export function evidenceFor(config: Config): ReadonlyMap<string, readonly string[]> {
  const meant = new Map<string, readonly string[]>()
  for (const gateway of config.enforcement.gateways) {
    if (gateway.onlyFor === undefined) continue
    for (const adapter of adapterNames(config, gateway)) meant.set(adapter, gateway.onlyFor)
  }
  return meant
}

/** Names of the adapters of one entry of the configuration: it may give several, each with a name of its own. */
export function adapterNames(config: Config, { kind, name }: GatewayConfig): readonly string[] {
  return kind === 'decision' ? [name] : gatewaysOf(config, { only: name }).map((one) => one.name)
}

/** The entries of the configuration that a choice names. Throws `USAGE` for an unknown name. */
export function chosenGateways(config: Config, { only }: GatewayChoice): readonly GatewayConfig[] {
  const { gateways } = config.enforcement
  if (only === undefined) return gateways
  const chosen = gateways.filter((gateway) => gateway.name === only)
  if (chosen.length > 0) return chosen
  const names = gateways.map((gateway) => gateway.name)
  const near = nearest(only, names)
  const meant = near === null ? `; there is: ${names.join(', ') || 'none'}` : `; did you mean \`${near}\`?`
  throw new CurfewError('USAGE', `the configuration has no gateway ${shown(only)}${meant}`)
}

function adaptersOf(
  gateway: GatewayConfig,
  budgets: Map<string, CallBudget>,
  folder: string,
  edges: GatewayEdges,
): readonly GatewayAdapter[] {
  switch (gateway.kind) {
    case 'haproxy':
      return createHaproxyGateways({ ...gateway, edges: edges.haproxy })
    case 'kong':
      return [
        new KongGateway({
          name: gateway.name,
          adminUrl: new URL(gateway.adminUrl),
          adminToken: gateway.token?.reveal() ?? null,
          workspace: gateway.workspace ?? null,
          controlPlane: gateway.controlPlane ?? null,
          fetch: edges.fetch,
          ...(gateway.declarative === undefined
            ? {}
            : { file: edges.fragmentFile(gateway.name, gateway.declarative.path) }),
          fragment:
            gateway.declarative === undefined
              ? null
              : {
                  path: gateway.declarative.path,
                  appliedWithinMs: gateway.declarative.appliedWithinSeconds * 1_000,
                },
        }),
      ]
    case 'aws':
      return awsAdapters(gateway, budgets, edges)
    case 'apigee': {
      const token = edges.apigeeToken(gateway)
      return createApigeeGateways({ ...gateway, url: new URL(gateway.url), token, fetch: edges.fetch })
    }
    case 'apisix': {
      const { name, adminUrl, adminKey } = gateway
      const key = adminKey?.reveal() ?? null
      return [new ApisixGateway({ name, adminUrl: new URL(adminUrl), adminKey: key, fetch: edges.fetch })]
    }
    case 'tyk': {
      const { adminUrl, secret, ...rest } = gateway
      const at = { adminUrl: new URL(adminUrl), secret: secret.reveal(), fetch: edges.fetch }
      return [new TykGateway({ ...rest, ...at })]
    }
    case 'keycloak':
      return [keycloakGateway(gateway, edges)]
    case 'caep':
      return [caepGateway(gateway, folder, edges)]
    case 'decision':
      return []
  }
}

/** Requests that may come at once: AWS allows 40 of an account and region. */
const AWS_BURST = 20

function awsAdapters(
  gateway: Extract<GatewayConfig, { kind: 'aws' }>,
  budgets: Map<string, CallBudget>,
  edges: GatewayEdges,
): readonly GatewayAdapter[] {
  const { name, region, accessKeyId, secretAccessKey, sessionToken, apiKeys, denyTable } = gateway
  // The limit is one of the account: gateways that share an access key share it.
  const account = JSON.stringify([region, accessKeyId?.reveal() ?? null])
  const budget = budgets.get(account) ?? new CallBudget(gateway.requestsPerSecond, AWS_BURST)
  budgets.set(account, budget)
  const session = sessionToken === undefined ? {} : { sessionToken: sessionToken.reveal() }
  return createAwsGateways({
    name,
    region,
    credentials:
      accessKeyId === undefined || secretAccessKey === undefined
        ? null
        : { accessKeyId: accessKeyId.reveal(), secretAccessKey: secretAccessKey.reveal(), ...session },
    endpoints: {
      ...(gateway.apiGatewayUrl === undefined ? {} : { apiGateway: new URL(gateway.apiGatewayUrl) }),
      ...(gateway.cognitoUrl === undefined ? {} : { cognito: new URL(gateway.cognitoUrl) }),
      ...(gateway.dynamodbUrl === undefined ? {} : { dynamodb: new URL(gateway.dynamodbUrl) }),
      ...(gateway.wafUrl === undefined ? {} : { wafv2: new URL(gateway.wafUrl) }),
    },
    budget,
    service: edges.awsService,
    apiKeys:
      apiKeys === undefined
        ? null
        : { quarantinePlans: apiKeys.quarantinePlans, markKey: Buffer.from(apiKeys.markKey.reveal()) },
    denyTable:
      denyTable === undefined
        ? null
        : {
            table: denyTable.table,
            cacheSeconds: denyTable.authorizerCacheSeconds,
            flushStages: denyTable.flushStages.map((text) => {
              const [restApiId = '', stage = ''] = text.split('/')
              return { restApiId, stage }
            }),
            ipSets:
              denyTable.ipv4Set === undefined && denyTable.ipv6Set === undefined
                ? null
                : { ipv4: ipSetName(denyTable.ipv4Set), ipv6: ipSetName(denyTable.ipv6Set) },
            userPool: denyTable.userPool === undefined ? null : userPoolOf(region, denyTable.userPool),
          },
  })
}

/** Where AWS documents the issuer of a user pool to be. */
function userPoolOf(region: string, pool: { readonly id: string; readonly accessTokenSeconds: number }) {
  return { ...pool, issuer: `https://cognito-idp.${region}.amazonaws.com/${pool.id}` }
}

function ipSetName(text: string | undefined): { readonly name: string; readonly id: string } | null {
  const [name, id] = text?.split('/') ?? []
  return name === undefined || id === undefined ? null : { name, id }
}
