import { isLoopback } from './listen-address.ts'
import { type Reporter, shown } from './problem.ts'
import type { Config } from './schema.ts'

/** Rules about gateways of kind `tyk`. */
export function checkTyk({ enforcement }: Config, report: Reporter): void {
  for (const [i, gateway] of enforcement.gateways.entries()) {
    if (gateway.kind !== 'tyk') continue
    const path = `enforcement.gateways[${i}].adminUrl`
    const { protocol, hostname, pathname, search } = new URL(gateway.adminUrl)
    // What stands there may be the secret, so it is not shown.
    if (search !== '') report.no(path, `\`${path}\` has a query: the secret belongs into \`secretFile\``)
    else if (/\/tyk\/*$/.test(pathname))
      report.no(
        path,
        `\`${path}\` is ${shown(gateway.adminUrl)}: give the address alone, \`/tyk\` is added to it`,
      )
    if (protocol === 'http:' && !isLoopback(hostname))
      report.beware(path, 'the secret of Tyk travels unencrypted')
  }
}
