import { hashOf } from '../core/hash.ts'

/**
 * Keys under which checks beside a gateway know a token. They are hashes of claims, never of the token
 * text: one token has several spellings that verify (base64url padding bits, a second ECDSA signature).
 * Hex also keeps attacker-chosen claims out of maps, commands and key names.
 */

/** One token by its identifier (RFC 7519 section 4.1.7), unique within its issuer only. */
export function tokenKey(iss: string | null, jti: string): string {
  return hashOf(iss, jti)
}

/** All tokens of a subject (RFC 7519 section 4.1.2), unique within its issuer only. */
export function subjectKey(iss: string | null, sub: string): string {
  return hashOf(iss, sub)
}

/** Tokens without `jti`: what was issued to a subject at one second. */
export function issueKey(iss: string | null, sub: string, iat: number): string {
  return hashOf(iss, sub, iat)
}
