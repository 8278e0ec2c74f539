import { isLoopback } from './listen-address.ts'
import { type Reporter, shown } from './problem.ts'
import type { Config } from './schema.ts'

/** What is known of an address at which a control plane listens. */
interface AdminAddress {
  /** Path that is added to it. */
  readonly adds: string
  /** What is sent with each call, for people, and the setting that it belongs into. */
  readonly secret: string
  readonly setting: string
}

const ADDRESSES = {
  apisix: { adds: '/apisix/admin', secret: 'admin key', setting: 'adminKeyFile' },
  tyk: { adds: '/tyk', secret: 'secret of Tyk', setting: 'secretFile' },
} as const satisfies Readonly<Record<string, AdminAddress>>

/** Rules about the addresses of gateways of the kinds `apisix` and `tyk`. */
export function checkAdminUrls({ enforcement }: Config, report: Reporter): void {
  for (const [i, gateway] of enforcement.gateways.entries()) {
    if (gateway.kind !== 'apisix' && gateway.kind !== 'tyk') continue
    const { adds, secret, setting } = ADDRESSES[gateway.kind]
    const path = `enforcement.gateways[${i}].adminUrl`
    const { protocol, hostname, pathname, search } = new URL(gateway.adminUrl)
    // What stands there may be the secret, so it is not shown.
    if (search !== '') report.no(path, `\`${path}\` has a query: the ${secret} belongs into \`${setting}\``)
    else if (pathname.replace(/\/+$/, '').endsWith(adds))
      report.no(
        path,
        `\`${path}\` is ${shown(gateway.adminUrl)}: give the address alone, \`${adds}\` is added to it`,
      )
    const hasSecret = gateway.kind === 'tyk' || gateway.adminKey !== undefined
    if (hasSecret && protocol === 'http:' && !isLoopback(hostname))
      report.beware(path, `the ${secret} travels unencrypted`)
  }
}
