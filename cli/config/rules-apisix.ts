import { isLoopback } from './listen-address.ts'
import { type Reporter, shown } from './problem.ts'
import type { Config } from './schema.ts'

/** Rules about gateways of kind `apisix`. */
export function checkApisix({ enforcement }: Config, report: Reporter): void {
  for (const [i, gateway] of enforcement.gateways.entries()) {
    if (gateway.kind !== 'apisix') continue
    const path = `enforcement.gateways[${i}].adminUrl`
    const { protocol, hostname, pathname, search } = new URL(gateway.adminUrl)
    // What stands there may be the key, so it is not shown.
    if (search !== '') report.no(path, `\`${path}\` has a query: the key belongs into \`adminKeyFile\``)
    else if (/\/apisix\/admin\/*$/.test(pathname))
      report.no(
        path,
        `\`${path}\` is ${shown(gateway.adminUrl)}: give the address alone, \`/apisix/admin\` is added to it`,
      )
    if (gateway.adminKey !== undefined && protocol === 'http:' && !isLoopback(hostname))
      report.beware(path, 'the admin key travels unencrypted')
  }
}
