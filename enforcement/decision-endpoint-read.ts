import { isUtf8 } from 'node:buffer'
import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto'

/** What `JSON.parse` makes of a header or of claims, before any of it is believed. */
export type Claims = Readonly<Record<string, unknown>>

/** A JWS in compact form (RFC 7515 section 7.1), taken apart. */
export interface UsualToken {
  readonly algorithm: string
  readonly claims: Claims
  /** What was signed: the text up to the second dot. */
  readonly signed: string
  readonly signature: Buffer
}

/**
 * Reads a token in the form that nearly every issuer writes: three parts in the one spelling of base64url (RFC 4648
 * section 5, no padding, no spare bits), JSON objects in UTF-8, a header with `alg` and without `crit` or `b64`. Null for
 * all else, which says nothing about the token: a full JOSE library must read it then.
 */
export function readUsual(text: string): UsualToken | null {
  const first = text.indexOf('.')
  const second = text.indexOf('.', first + 1)
  if (first < 1 || second < first + 2 || text.includes('.', second + 1)) return null
  const header = objectOf(text.slice(0, first))
  const claims = header === null ? null : objectOf(text.slice(first + 1, second))
  if (header === null || claims === null || typeof header.alg !== 'string') return null
  if (header.alg === '') return null
  if (header.crit !== undefined || header.b64 !== undefined) return null
  const signature = bytesOf(text.slice(second + 1))
  if (signature === null) return null
  return { algorithm: header.alg, claims, signed: text.slice(0, second), signature }
}

/** Null unless the text is the spelling that the bytes are written in. */
function bytesOf(text: string): Buffer | null {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? bytes : null
}

function objectOf(text: string): Claims | null {
  const bytes = bytesOf(text)
  // Starting with a brace, it is an object and has no byte order mark, which readers treat differently.
  if (bytes === null || bytes[0] !== 0x7b || !isUtf8(bytes)) return null
  try {
    return JSON.parse(bytes.toString('utf8')) as Claims
  } catch {
    return null
  }
}

/** An HMAC key, ready for use: a call costs no import and no promise. */
export class HmacKey {
  private readonly hash: string
  private readonly key: KeyObject
  private readonly algorithm: string

  constructor(algorithm: 'HS256' | 'HS384' | 'HS512', secret: Uint8Array) {
    this.algorithm = algorithm
    this.hash = `sha${algorithm.slice(2)}`
    this.key = createSecretKey(secret)
  }

  /** Whether the token is of this key and of the one algorithm that it is pinned to. */
  signed(token: UsualToken): boolean {
    if (token.algorithm !== this.algorithm) return false
    const right = createHmac(this.hash, this.key).update(token.signed).digest()
    return right.length === token.signature.length && timingSafeEqual(right, token.signature)
  }
}

/** What claims are held against. */
export interface Expected {
  readonly audience: string | null
  /** Epoch ms. */
  readonly now: number
  readonly toleranceSeconds: number
}

/** Checks `aud`, `exp` (required), `nbf` and the type of `iat`; null when all hold (RFC 7519 section 4.1). */
export function claimsFault(
  { aud, exp, nbf, iat }: Claims,
  { audience, now, toleranceSeconds }: Expected,
): 'invalid-token' | 'missing-exp' | 'expired' | null {
  const seconds = Math.floor(now / 1_000)
  if (audience !== null && aud === undefined) return 'invalid-token'
  if (exp === undefined) return 'missing-exp'
  if (audience !== null && !(Array.isArray(aud) ? aud.includes(audience) : aud === audience))
    return 'invalid-token'
  if (iat !== undefined && typeof iat !== 'number') return 'invalid-token'
  if (nbf !== undefined && (typeof nbf !== 'number' || nbf > seconds + toleranceSeconds))
    return 'invalid-token'
  if (typeof exp !== 'number') return 'invalid-token'
  return exp <= seconds - toleranceSeconds ? 'expired' : null
}
