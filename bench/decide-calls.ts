import { createHmac } from 'node:crypto'

/** Who signs the tokens of the benchmark, and with what. */
export const ISSUER = 'https://idp.bench.test'
export const SECRET = new TextEncoder().encode('bench-secret-of-nobody-0123456789')
/** One token in so many is on the deny list. */
export const REVOKED_EVERY = 50

/** What the callers of one run send. */
export type Kind =
  /** Tokens that hold, each used many times; one in {@link REVOKED_EVERY} is revoked. */
  | 'known'
  /** Tokens that hold, none seen before. */
  | 'first-seen'
  /** Half tokens of a wrong signature, half no tokens at all. */
  | 'garbage'
  /** As callers that use a token some fifty times: of a hundred calls two bring a token not seen before, one brings garbage. */
  | 'mixed'

/** Raw requests as a gateway sends them, and the status that each deserves. */
export interface Calls {
  readonly requests: readonly Buffer[]
  readonly statuses: readonly number[]
}

function part(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url')
}

function token(number: number, secret: Uint8Array): string {
  const now = Math.floor(Date.now() / 1_000)
  const claims = { iss: ISSUER, sub: `caller-${number}`, jti: `token-${number}`, iat: now, exp: now + 7_200 }
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`
}

function request(authorization: string): Buffer {
  const lines = [
    'GET /decide HTTP/1.1',
    'Host: 127.0.0.1',
    'X-Real-IP: 203.0.113.7',
    'User-Agent: orders-client/4.2 (linux)',
    'Accept: application/json',
    `Authorization: Bearer ${authorization}`,
  ]
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`)
}

/** Calls `from` to `from + count`, of callers numbered alike; so many rules are on the list. */
export function callsOf(kind: Exclude<Kind, 'mixed'>, from: number, count: number, rules: number): Calls {
  const requests: Buffer[] = []
  const statuses: number[] = []
  const wrong = new TextEncoder().encode('some-other-secret-0123456789-0123')
  for (let i = from; i < from + count; i++) {
    if (kind === 'garbage') {
      // Never the number of a revoked token: those are refused before anything is verified.
      requests.push(
        request(i % 2 === 0 ? token(i * REVOKED_EVERY + 1, wrong) : `garbage-${i}.${'x'.repeat(180)}`),
      )
      statuses.push(401)
    } else {
      requests.push(request(token(i, SECRET)))
      statuses.push(i % REVOKED_EVERY === 0 && i / REVOKED_EVERY < rules ? 401 : 200)
    }
  }
  return { requests, statuses }
}

/** A long mixture of known calls with others of callers numbered from `from`; see {@link Kind}. */
export function mixedCalls(known: Calls, from: number, count: number, rules: number): Calls {
  const hundreds = Math.ceil(count / 100)
  const fresh = callsOf('first-seen', from, 2 * hundreds, rules)
  const garbage = callsOf('garbage', from, hundreds, rules)
  const requests: Buffer[] = []
  const statuses: number[] = []
  const add = (calls: Calls, i: number): void => {
    requests.push(calls.requests[i]!)
    statuses.push(calls.statuses[i]!)
  }
  for (let i = 0; i < count; i++) {
    const hundred = Math.floor(i / 100)
    if (i % 50 === 49) add(fresh, 2 * hundred + (i % 100 === 99 ? 1 : 0))
    else if (i % 100 === 25) add(garbage, hundred)
    else add(known, i % known.requests.length)
  }
  return { requests, statuses }
}
