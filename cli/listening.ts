import { CurfewError } from '../core/errors.ts'

/** What the operating system says when an address cannot be listened on. */
const REASONS: Readonly<Record<string, string>> = {
  EADDRINUSE: 'another process has that port',
  EADDRNOTAVAIL: 'this machine has no such address',
  EACCES: 'the port is reserved',
  ENOTFOUND: 'there is no such host',
}

/** Starts a server; an address that cannot be used is a fault of the configuration: `CONFIG_INVALID`. */
export async function listening<T>(setting: string, address: string, start: () => Promise<T>): Promise<T> {
  try {
    return await start()
  } catch (cause) {
    const system = cause instanceof CurfewError ? cause.cause : cause
    const code = system instanceof Error && 'code' in system ? String(system.code) : ''
    const why = REASONS[code]
    if (why === undefined) throw cause
    throw new CurfewError('CONFIG_INVALID', `${setting}: cannot listen on ${address}: ${why} (${code})`, {
      cause,
    })
  }
}
