import type { JSONWebKeySet, JWTVerifyGetKey } from 'jose'
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  decodeJwt,
  decodeProtectedHeader,
  errors,
  importSPKI,
  jwtVerify,
} from 'jose'
import { CurfewError } from '../core/errors.ts'
import type { WallTimeMs } from '../core/time.ts'
import type { AskedToken } from './gateways/deny-list-index.ts'

/** A bearer token longer than this is refused unread. */
export const MAX_TOKEN_CHARS = 8_192
const MAX_CLAIM_CHARS = 1_024
/** RFC 7518 section 3.2: an HMAC key is at least as long as its hash. */
const MIN_SECRET_BYTES = 32

type HmacSecret = Extract<VerificationKey, { kind: 'secret' }>

/** What an issuer signs with. Algorithms are pinned here, never taken from the token. */
export type VerificationKey =
  | { readonly kind: 'secret'; readonly algorithm: 'HS256' | 'HS384' | 'HS512'; readonly secret: Uint8Array }
  | { readonly kind: 'public-key'; readonly algorithm: string; readonly pem: string }
  | { readonly kind: 'jwks'; readonly algorithms: readonly string[]; readonly keys: JSONWebKeySet }
  | { readonly kind: 'jwks-url'; readonly algorithms: readonly string[]; readonly url: URL }

/** Whose tokens are accepted. A token is checked against the keys of the issuer that it names, no other. */
export interface TrustedIssuer {
  /** The `iss` claim; null for tokens without one. */
  readonly issuer: string | null
  readonly audience: string | null
  readonly keys: readonly VerificationKey[]
}

export type TokenFault =
  | 'invalid-token'
  | 'unknown-issuer'
  | 'bad-signature'
  | 'expired'
  | 'missing-exp'
  | 'keys-unreachable'

/** Reads a token's claims without believing them; null when it is no JWT at all. */
export function readToken(text: string): AskedToken | null {
  if (text.length > MAX_TOKEN_CHARS) return null
  // Spares the price of an exception for what has not the parts of a token.
  if (text.split('.', 4).length !== 3) return null
  let claims: Readonly<Record<string, unknown>>
  try {
    decodeProtectedHeader(text)
    claims = decodeJwt(text)
  } catch {
    return null
  }
  return claimsOf(claims)
}

/** The claims that decisions look at, as they stand; nothing of them is believed yet. */
export function claimsOf(claims: Readonly<Record<string, unknown>>): AskedToken {
  const texts = {
    iss: textClaim(claims.iss),
    sub: textClaim(claims.sub),
    jti: textClaim(claims.jti),
  }
  const times = { iat: timeClaim(claims.iat), exp: timeClaim(claims.exp) }
  const values: readonly unknown[] = [...Object.values(texts), ...Object.values(times)]
  return {
    iss: texts.iss ?? null,
    sub: texts.sub ?? null,
    jti: texts.jti ?? null,
    iat: times.iat ?? null,
    exp: times.exp ?? null,
    malformed: values.includes(undefined),
  }
}

/** Undefined when the claim is there but is not usable. */
function textClaim(value: unknown): string | null | undefined {
  if (value === undefined || value === null) return null
  return typeof value === 'string' && value.length <= MAX_CLAIM_CHARS ? value : undefined
}

function timeClaim(value: unknown): number | null | undefined {
  if (value === undefined || value === null) return null
  return Number.isFinite(value) ? (value as number) : undefined
}

/** Verifies tokens: signature, pinned algorithm, issuer, audience, `exp` (required) and `nbf`. */
export class TokenVerifier {
  private readonly issuers: ReadonlyMap<string | null, PreparedIssuer>

  private constructor(issuers: ReadonlyMap<string | null, PreparedIssuer>) {
    this.issuers = issuers
  }

  /** Reads the keys; throws `CONFIG_INVALID` for one that is unreadable or too short. */
  static async of(trusted: readonly TrustedIssuer[]): Promise<TokenVerifier> {
    const issuers = new Map<string | null, PreparedIssuer>()
    for (const { issuer, audience, keys } of trusted) {
      if (issuers.has(issuer)) throw invalid(`issuer ${JSON.stringify(issuer)} is listed twice`)
      issuers.set(issuer, { audience, keys: await Promise.all(keys.map(prepare)) })
    }
    return new TokenVerifier(issuers)
  }

  /** Null when the token is good. `clockToleranceSeconds` covers clocks that disagree. */
  async fault(
    text: string,
    claimed: AskedToken,
    now: WallTimeMs,
    clockToleranceSeconds: number,
  ): Promise<TokenFault | null> {
    const issuer = this.issuers.get(claimed.iss)
    if (issuer === undefined) return 'unknown-issuer'
    if (claimed.malformed) return 'invalid-token'
    let worst: TokenFault = 'bad-signature'
    for (const { algorithms, key } of issuer.keys) {
      try {
        await jwtVerify(text, key, {
          algorithms: [...algorithms],
          requiredClaims: ['exp'],
          currentDate: new Date(now),
          clockTolerance: clockToleranceSeconds,
          ...(claimed.iss === null ? {} : { issuer: claimed.iss }),
          ...(issuer.audience === null ? {} : { audience: issuer.audience }),
        })
        return null
      } catch (error) {
        const fault = faultOf(error)
        if (fault === 'expired' || fault === 'missing-exp' || fault === 'invalid-token') return fault
        if (fault === 'keys-unreachable') worst = fault
      }
    }
    return worst
  }
}

interface PreparedKey {
  readonly algorithms: readonly string[]
  readonly key: JWTVerifyGetKey
}

interface PreparedIssuer {
  readonly audience: string | null
  readonly keys: readonly PreparedKey[]
}

async function prepare(key: VerificationKey): Promise<PreparedKey> {
  switch (key.kind) {
    case 'secret':
      if (key.secret.byteLength < MIN_SECRET_BYTES)
        throw invalid(`a secret is shorter than ${MIN_SECRET_BYTES} bytes`)
      return { algorithms: [key.algorithm], key: await hmacKey(key) }
    case 'public-key': {
      assertAsymmetric([key.algorithm])
      const imported = await importSPKI(key.pem, key.algorithm).catch((cause: unknown) => {
        throw invalid(`a public key is no PEM SPKI key for ${key.algorithm}`, cause)
      })
      return { algorithms: [key.algorithm], key: async () => imported }
    }
    case 'jwks':
      assertAsymmetric(key.algorithms)
      return { algorithms: key.algorithms, key: createLocalJWKSet(key.keys) }
    case 'jwks-url':
      assertAsymmetric(key.algorithms)
      return { algorithms: key.algorithms, key: createRemoteJWKSet(key.url, { timeoutDuration: 2_000 }) }
  }
}

/** Imported once: of the bytes of a secret the library would make a key for every token. */
async function hmacKey({ algorithm, secret }: HmacSecret): Promise<JWTVerifyGetKey> {
  const hash = `SHA-${algorithm.slice(2)}`
  const key = await crypto.subtle.importKey('raw', secret, { name: 'HMAC', hash }, false, ['verify'])
  return async () => key
}

/** A public key must never serve as an HMAC secret (RFC 8725 section 2.1). */
function assertAsymmetric(algorithms: readonly string[]): void {
  for (const algorithm of algorithms) {
    if (!/^(RS|PS|ES)(256|384|512)$|^EdDSA$|^Ed25519$/.test(algorithm)) {
      throw invalid(
        `algorithm ${JSON.stringify(algorithm.slice(0, 80))} is no public-key signature algorithm`,
      )
    }
  }
  if (algorithms.length === 0) throw invalid('a key set without allowed algorithms')
}

function invalid(what: string, cause?: unknown): CurfewError {
  return new CurfewError('CONFIG_INVALID', `decision endpoint keys: ${what}`, { cause })
}

function faultOf(error: unknown): TokenFault {
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWTClaimValidationFailed) {
    return error.claim === 'exp' && error.reason === 'missing' ? 'missing-exp' : 'invalid-token'
  }
  const known =
    error instanceof errors.JWSSignatureVerificationFailed ||
    error instanceof errors.JOSEAlgNotAllowed ||
    error instanceof errors.JWKSNoMatchingKey ||
    error instanceof errors.JWKSMultipleMatchingKeys
  if (known) return 'bad-signature'
  if (error instanceof errors.JWTInvalid || error instanceof errors.JWSInvalid) return 'invalid-token'
  if (error instanceof errors.JWKSTimeout || error instanceof errors.JWKSInvalid) return 'keys-unreachable'
  // A remote key set that cannot be fetched arrives as a plain error of the HTTP client.
  return error instanceof errors.JOSEError && error.code !== 'ERR_JOSE_GENERIC'
    ? 'bad-signature'
    : 'keys-unreachable'
}
