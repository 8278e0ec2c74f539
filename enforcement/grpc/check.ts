import { type Reply, refusalBody, refusalHeaders } from '../decision-answer.ts'
import type { AskedCall } from '../decision-desk.ts'
import { SHOWN_HEADERS } from '../decision-endpoint-memory.ts'
import { claimsOf } from '../decision-endpoint-tokens.ts'
import { ENVELOPE_HEADER } from '../envelope-book.ts'
import type { AskedToken } from '../gateways/deny-list-index.ts'
import type { CheckRequest, Claim, HeaderValue } from './envoy-messages.ts'

/** Where Envoy's `jwt_authn` puts the claims of tokens that held. */
const JWT_AUTHN = 'envoy.filters.http.jwt_authn'

/** `OVERWRITE_IF_EXISTS_OR_ADD`: what a client sent under such a name does not stay. */
const OVERWRITE = 2

/** `google.rpc.Code` by status; anything but 0 refuses. */
const CODES: Readonly<Record<Reply['answer']['status'], number>> = {
  200: 0,
  400: 3,
  401: 16,
  403: 7,
  429: 8,
  431: 3,
  503: 14,
}

/** Headers that name the caller to the application, all of them ours to set. */
const OURS = [...SHOWN_HEADERS, ENVELOPE_HEADER]

/**
 * A question of `ext_authz` as a call. The address is the one that Envoy believes, never a header. `claimsName` is the
 * `payload_in_metadata` of `jwt_authn`; null believes no claims.
 */
export function checkedCall({ attributes }: CheckRequest, claimsName: string | null): AskedCall {
  const http = attributes?.request?.http
  return {
    header: (name) => {
      const listed = listedValue(http?.headerMap?.headers ?? [], name)
      const joined = joinedValue(http?.headers ?? {}, name)
      // Envoy fills one of the two; a name in both has two values.
      if (listed === null) return joined
      return joined === null ? listed : undefined
    },
    address: attributes?.source?.address?.socketAddress?.address ?? null,
    verified: claimsName === null ? null : verifiedClaims(attributes, claimsName),
  }
}

/** Envoy joins repeated headers with commas, which neither tokens nor ids hold: a comma stands for two values. */
function joinedValue(headers: Readonly<Record<string, string>>, name: string): string | null | undefined {
  let value: string | null = null
  for (const [key, text] of Object.entries(headers)) {
    if (key.length !== name.length || key.toLowerCase() !== name) continue
    if (value !== null || text.includes(',')) return undefined
    value = text
  }
  return value
}

function listedValue(headers: readonly HeaderValue[], name: string): string | null | undefined {
  let found: HeaderValue | null = null
  for (const header of headers) {
    if (header.key?.length !== name.length || header.key.toLowerCase() !== name) continue
    if (found !== null) return undefined
    found = header
  }
  if (found === null) return null
  // As Node reads the headers of an HTTP request.
  return found.rawValue === undefined ? (found.value ?? '') : Buffer.from(found.rawValue).toString('latin1')
}

function verifiedClaims(attributes: CheckRequest['attributes'], claimsName: string): AskedToken | null {
  const filters = new Map(Object.entries(attributes?.metadataContext?.filterMetadata ?? {}))
  const claims = new Map(Object.entries(filters.get(JWT_AUTHN)?.fields ?? {})).get(claimsName)?.structValue
  if (claims === undefined) return null
  const plain = Object.entries(claims.fields ?? {}).map(([name, claim]) => [name, plainClaim(claim)])
  return claimsOf(Object.fromEntries(plain))
}

/** A claim of another type than text or number becomes one that no claim may have, and makes the token malformed. */
function plainClaim({ nullValue, numberValue, stringValue }: Claim): unknown {
  return nullValue === undefined ? (stringValue ?? numberValue ?? {}) : null
}

/**
 * An answer for `ext_authz`. A refusal carries its status and the headers that a client may see; it is never an error, which
 * `failure_mode_allow` could let pass. A call that passes names its caller to the application, and nobody else can.
 */
export function checkResponse({ answer, shown }: Reply): object {
  const status = { code: CODES[answer.status] }
  if (answer.status !== 200) {
    const headers = options(refusalHeaders(answer))
    return { status, deniedResponse: { status: { code: answer.status }, headers, body: refusalBody(answer) } }
  }
  const pairs = shown ?? []
  // Names only: a caller may be named like a header.
  const set = pairs.filter((_, i) => i % 2 === 0)
  const headersToRemove = OURS.filter((name) => !set.includes(name))
  return { status, okResponse: { headers: options(pairs), headersToRemove } }
}

function options(pairs: readonly string[]): object[] {
  const headers: object[] = []
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    headers.push({ header: { key: pairs[i], value: pairs[i + 1] }, appendAction: OVERWRITE })
  }
  return headers
}
