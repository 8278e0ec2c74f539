import type { GatewayAdapter } from '../gateway.ts'
import { ApigeeGateway } from './apigee.ts'
import { ApigeeSecurityActions } from './apigee-actions.ts'
import { ApigeeClient } from './apigee-client.ts'

export interface ApigeeGatewaysOptions {
  /** Name in the configuration. */
  readonly name: string
  readonly url: URL
  readonly organization: string
  readonly environment: string
  readonly token: () => Promise<string>
  readonly map: string
  readonly throttles: boolean
  /** Whether addresses are blocked through security actions. */
  readonly securityActions: boolean
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
}

/** The adapters of one Apigee environment: `<name>`, and `<name>-actions` for addresses. */
export function createApigeeGateways(options: ApigeeGatewaysOptions): readonly GatewayAdapter[] {
  const { name, map, throttles, securityActions, timeoutMs = 5_000 } = options
  const connection = { ...options, timeoutMs, fetch: options.fetch ?? fetch }
  const actionsName = `${name}-actions`
  return [
    new ApigeeGateway({ client: new ApigeeClient(connection), map, throttles }),
    ...(securityActions
      ? [new ApigeeSecurityActions(actionsName, new ApigeeClient({ ...connection, name: actionsName }))]
      : []),
  ]
}
