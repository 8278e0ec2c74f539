import { createHash } from 'node:crypto'
import type { Config } from './schema.ts'

/**
 * SHA-256 over the configuration with defaults filled in and keys sorted, lower-case hex. Secrets do not
 * count: rotating one leaves the hash as it is.
 */
export function configHash(config: Config): string {
  const plain: unknown = JSON.parse(JSON.stringify(config))
  return createHash('sha256')
    .update(JSON.stringify(sorted(plain)))
    .digest('hex')
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
  return entries.map(([key, item]) => [key, sorted(item)])
}
