import { CurfewError } from '../core/errors.ts'
import type { GatewayAdapter } from '../enforcement/gateway.ts'
import { createHaproxyGateways } from '../enforcement/gateways/haproxy.ts'
import { KongGateway } from '../enforcement/gateways/kong.ts'
import { nearest } from './config/nearest.ts'
import { shown } from './config/problem.ts'
import type { Config } from './config/schema.ts'

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
export function gatewaysOf(config: Config, choice: GatewayChoice = {}): readonly GatewayAdapter[] {
  return chosenGateways(config, choice).flatMap(adaptersOf)
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

function adaptersOf(gateway: GatewayConfig): readonly GatewayAdapter[] {
  switch (gateway.kind) {
    case 'haproxy':
      return createHaproxyGateways(gateway)
    case 'kong':
      return [
        new KongGateway({
          name: gateway.name,
          adminUrl: new URL(gateway.adminUrl),
          adminToken: gateway.token?.reveal() ?? null,
          workspace: gateway.workspace ?? null,
        }),
      ]
    case 'decision':
      return []
  }
}
