import { CurfewError } from '../core/errors.ts'
import { listenAddress } from './config/listen-address.ts'
import type { Config } from './config/schema.ts'

/** What a running Curfew answers. */
export interface AdminAnswer {
  readonly status: number
  /** JSON; null when the answer is none. */
  readonly body: unknown
}

/** Asks the admin API at a path; with a body it is a POST. */
export type AdminClient = (path: string, body?: object) => Promise<AdminAnswer>

/**
 * Speaks to the running Curfew of a configuration with a token of it that suits. Throws `STORE_UNREACHABLE` when the
 * configuration does not say how, or nobody answers within `timeoutMs`.
 */
export function adminClient(
  config: Config,
  suits: (role: Config['admin']['tokens'][number]['role']) => boolean,
  timeoutMs: number,
  fetcher: typeof fetch = fetch,
): AdminClient {
  const token = config.admin.tokens.find((each) => each.token !== undefined && suits(each.role))?.token
  const address = listenAddress(config.admin.listen)
  if (token === undefined || address === null || address.port === 0) {
    const needs = 'admin.listen with a port and a token under admin.tokens that is not only a hash'
    throw new CurfewError('STORE_UNREACHABLE', `to ask a running Curfew the configuration needs ${needs}`)
  }
  const host = address.host === '0.0.0.0' || address.host === '::' ? '127.0.0.1' : address.host
  const base = `http://${host.includes(':') ? `[${host}]` : host}:${address.port}`
  return async (path, body) => {
    const response = await fetcher(base + path, {
      headers: {
        authorization: `Bearer ${token.reveal()}`,
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
      signal: AbortSignal.timeout(timeoutMs),
      redirect: 'error',
    }).catch((cause: unknown) => {
      throw new CurfewError('STORE_UNREACHABLE', `the admin API at ${base} does not answer`, { cause })
    })
    return { status: response.status, body: await response.json().catch(() => null) }
  }
}
