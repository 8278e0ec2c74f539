import type { Config } from './config/schema.ts'

/** Used when the configuration names no key: stored names are then hashed, but by a key that everybody knows. */
const UNKEYED = 'curfew'

/** Key of the hashes under which principals are stored. */
export function identityKeyOf(config: Config): Uint8Array {
  return new TextEncoder().encode(config.identityKey?.reveal() ?? UNKEYED)
}
