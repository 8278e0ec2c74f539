/** Where a server listens. */
export interface ListenAddress {
  readonly host: string
  readonly port: number
}

/** Splits `host:port` or `[ipv6]:port`, already checked by the schema; null when the port is impossible. */
export function listenAddress(text: string): ListenAddress | null {
  const colon = text.lastIndexOf(':')
  const port = Number(text.slice(colon + 1))
  if (colon < 1 || !Number.isInteger(port) || port < 0 || port > 65_535) return null
  return { host: text.slice(0, colon).replace(/^\[(.*)\]$/, '$1'), port }
}

/** Whether only this machine can reach the address. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host)
}
