import { createHmac } from 'node:crypto'
import { CurfewError } from '../core/errors.ts'

/** Bounds that the Standard Webhooks specification sets for a symmetric secret, in bytes. */
const MIN_KEY_BYTES = 24
const MAX_KEY_BYTES = 64

/** While a secret is rotated every message carries a signature for each. */
const MAX_SECRETS = 5

/**
 * The signing keys of `whsec_<base64>` secrets, current one first. Errors name the position of a bad secret,
 * never its text.
 */
export function signingKeys(sink: string, secrets: readonly string[]): readonly Buffer[] {
  if (secrets.length === 0 || secrets.length > MAX_SECRETS) {
    throw new CurfewError(
      'SECRET_MISSING',
      `webhook ${sink} needs 1 to ${MAX_SECRETS} secrets, got ${secrets.length}`,
    )
  }
  return secrets.map((secret, index) => {
    const key = /^whsec_([A-Za-z0-9+/]+={0,2})$/.exec(secret)?.[1]
    const bytes = Buffer.from(key ?? '', 'base64')
    if (bytes.length < MIN_KEY_BYTES || bytes.length > MAX_KEY_BYTES) {
      const form = `whsec_ and ${MIN_KEY_BYTES} to ${MAX_KEY_BYTES} bytes in base64`
      throw new CurfewError('CONFIG_INVALID', `secret ${index + 1} of webhook ${sink} must be ${form}`)
    }
    return bytes
  })
}

/**
 * The value of `webhook-signature`: one `v1` HMAC-SHA-256 over id, timestamp and body per key, as in
 * github.com/standard-webhooks/standard-webhooks, "Signature scheme". `timestamp` is in seconds.
 */
export function signature(keys: readonly Buffer[], id: string, timestamp: number, body: string): string {
  return keys
    .map((key) => `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`)
    .join(' ')
}
