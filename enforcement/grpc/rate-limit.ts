import { type Reply, refusalHeaders } from '../decision-answer.ts'
import type { AskedCall } from '../decision-desk.ts'
import type { AskedToken } from '../gateways/deny-list-index.ts'
import type { RateLimitRequest } from './envoy-messages.ts'

/** `RateLimitResponse.Code`. */
const OK = 1
const OVER_LIMIT = 2

/** Claims that descriptors may carry: Envoy's action for metadata knows texts only, so neither `iat` nor `exp`. */
const CLAIMS = { iss: 'jwt_iss', sub: 'jwt_sub', jti: 'jwt_jti' } as const

/**
 * A question of the rate limit filter as a call. Nothing but its descriptors is told, so they name the caller: an entry's
 * key is the name of the header that it carries (`authorization`), `remote_address`, or one of the claims, which
 * are believed only where `trustsClaims` says so. Entries of all descriptors count together: one question is one call.
 */
export function limitedCall({ descriptors }: RateLimitRequest, trustsClaims: boolean): AskedCall {
  const values = new Map<string, string | undefined>()
  for (const { entries } of descriptors ?? []) {
    for (const { key = '', value = '' } of entries ?? []) {
      const known = values.has(key) && values.get(key) !== value
      values.set(key, known ? undefined : value)
    }
  }
  const entry = (key: string) => (values.has(key) ? values.get(key) : null)
  return {
    // Envoy joins repeated headers with commas, which neither tokens nor ids hold.
    header: (name) => (entry(name)?.includes(',') ? undefined : entry(name)),
    address: entry('remote_address') ?? null,
    verified: trustsClaims ? verifiedClaims(entry) : null,
  }
}

function verifiedClaims(entry: (key: string) => string | null | undefined): AskedToken | null | undefined {
  const [iss, sub, jti] = [entry(CLAIMS.iss), entry(CLAIMS.sub), entry(CLAIMS.jti)]
  if (iss === undefined || sub === undefined || jti === undefined) return undefined
  if (!iss && !sub && !jti) return null
  // That the token has an end is for `require_expiration` of `jwt_authn` to see to; which one does not matter here.
  const exp = Number.MAX_SAFE_INTEGER
  return { iss: iss || null, sub: sub || null, jti: jti || null, iat: null, exp, malformed: false }
}

/** An answer for the rate limit filter: whoever is refused for whatever reason is over the limit. */
export function limitResponse({ answer }: Reply, { descriptors }: RateLimitRequest): object {
  const code = answer.status === 200 ? OK : OVER_LIMIT
  const statuses = (descriptors ?? []).map(() => ({ code }))
  if (code === OK) return { overallCode: code, statuses }
  const responseHeadersToAdd: object[] = []
  const pairs = refusalHeaders(answer)
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    // The filter has a body and a status of its own, and only adds headers: these would stand there twice.
    if (pairs[i] === 'content-type' || pairs[i] === 'www-authenticate') continue
    responseHeadersToAdd.push({ key: pairs[i], value: pairs[i + 1] })
  }
  return { overallCode: code, statuses, responseHeadersToAdd }
}
