import type { GatewayAdapter } from '../gateway.ts'
import { AuthorizerCaches, type CachedStage } from './aws-authorizer-caches.ts'
import type { CallBudget } from './aws-budget.ts'
import { AwsCognitoGateway } from './aws-cognito.ts'
import { AwsDenyTable } from './aws-deny-table.ts'
import { AwsKeysGateway } from './aws-keys.ts'
import { type AwsCredentials, awsService } from './aws-sdk.ts'
import { AwsWafGateway, type IpSetName } from './aws-waf.ts'

export interface AwsOptions {
  /** Name in the configuration. */
  readonly name: string
  readonly region: string
  /** Null: the SDK's own chain. */
  readonly credentials: AwsCredentials | null
  readonly endpoints?: {
    readonly apiGateway?: URL
    readonly cognito?: URL
    readonly dynamodb?: URL
    readonly wafv2?: URL
  }
  /** Shared by all gateways of one account and region. */
  readonly budget: CallBudget
  readonly timeoutMs?: number
  /** Opens a service; the SDK does when not given. */
  readonly service?: typeof awsService
  readonly apiKeys: { readonly quarantinePlans: readonly string[]; readonly markKey: Uint8Array } | null
  readonly denyTable: {
    readonly table: string
    readonly cacheSeconds: number
    readonly flushStages: readonly CachedStage[]
    /** IP sets of AWS WAF that hold blocked addresses; null leaves addresses alone. */
    readonly ipSets: { readonly ipv4: IpSetName | null; readonly ipv6: IpSetName | null } | null
    /** User pool that revoked subjects are signed out of; null for none. */
    readonly userPool: {
      readonly id: string
      readonly issuer: string
      readonly accessTokenSeconds: number
    } | null
  } | null
}

/**
 * The adapters of one AWS account and region: `<name>` for its API keys, `<name>-deny` for its deny table, `<name>-waf`
 * for addresses and `<name>-cognito` for its user pool, so that one of these services failing holds up the others no
 * longer than it must.
 */
export function createAwsGateways(options: AwsOptions): readonly GatewayAdapter[] {
  const {
    name,
    region,
    credentials,
    endpoints = {},
    budget,
    timeoutMs = 5_000,
    service = awsService,
  } = options
  const base = { name, region, credentials, timeoutMs }
  const apiGateway = service('api-gateway', { ...base, endpoint: endpoints.apiGateway ?? null, budget })
  const adapters: GatewayAdapter[] = []
  if (options.apiKeys !== null)
    adapters.push(new AwsKeysGateway({ name, call: apiGateway, ...options.apiKeys }))
  if (options.denyTable !== null) {
    const { table, cacheSeconds, flushStages, ipSets, userPool } = options.denyTable
    const call = service('dynamodb', { ...base, endpoint: endpoints.dynamodb ?? null, budget: null })
    const caches = flushStages.length === 0 ? null : new AuthorizerCaches(apiGateway, flushStages)
    adapters.push(new AwsDenyTable({ name: `${name}-deny`, call, table, cacheSeconds, caches }))
    if (ipSets !== null) {
      const waf = service('wafv2', { ...base, endpoint: endpoints.wafv2 ?? null, budget: null })
      adapters.push(new AwsWafGateway({ name: `${name}-waf`, call: waf, table, dynamodb: call, ipSets }))
    }
    if (userPool !== null) {
      const { id: userPoolId, issuer, accessTokenSeconds } = userPool
      const cognito = { ...base, endpoint: endpoints.cognito ?? null, budget: null }
      adapters.push(
        new AwsCognitoGateway({
          name: `${name}-cognito`,
          call: service('cognito-identity-provider', cognito),
          dynamodb: call,
          table,
          userPoolId,
          issuer,
          accessTokenSeconds,
        }),
      )
    }
  }
  return adapters
}
