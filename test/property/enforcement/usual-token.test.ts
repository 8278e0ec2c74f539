import { createHmac } from 'node:crypto'
import fc from 'fast-check'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import {
  claimsOf,
  readToken,
  TokenVerifier,
  type TrustedIssuer,
  type VerificationKey,
} from '../../../enforcement/decision-endpoint-tokens.ts'

const NOW_S = 1_790_000_000
const TOLERANCE_S = 5
const SECRET = new TextEncoder().encode('0123456789abcdef0123456789abcdef')
const OTHER = new TextEncoder().encode('f'.repeat(32))
/** A fixed seed: the test below counts which ways were taken. */
const RUNS = { numRuns: 5_000, seed: 20_261 }

const own: VerificationKey = { kind: 'secret', algorithm: 'HS256', secret: SECRET }
/** Holds no key; an issuer that has it as well is left to the library. */
const none: VerificationKey = { kind: 'jwks', algorithms: ['RS256'], keys: { keys: [] } }

function issuers(keys: readonly VerificationKey[]): readonly TrustedIssuer[] {
  return [
    { issuer: null, audience: null, keys },
    { issuer: 'a', audience: null, keys },
    { issuer: 'b', audience: 'api', keys },
  ]
}

const odd = fc.constantFrom<unknown>(null, '', 'x', -1, 0, true, [], {}, [['api']])
const moment = fc.integer({ min: -8, max: 8 }).map((by) => NOW_S + by)
const maybe = (usual: fc.Arbitrary<unknown>) =>
  fc.oneof({ weight: 14, arbitrary: usual }, { weight: 1, arbitrary: odd }, fc.constant(undefined))
const claims = fc.record({
  iss: maybe(fc.constantFrom('a', 'b')),
  sub: maybe(fc.constant('Zoë')),
  aud: maybe(fc.constantFrom<unknown>('api', ['x', 'api'], ['x'])),
  exp: maybe(fc.oneof(moment, fc.constant(NOW_S + 600.5))),
  nbf: fc.oneof({ weight: 9, arbitrary: fc.constant(undefined) }, { weight: 4, arbitrary: moment }, odd),
  iat: maybe(moment),
})
const header = fc.oneof(
  { weight: 8, arbitrary: fc.constant<unknown>({ alg: 'HS256', typ: 'JWT' }) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<unknown>(
      { alg: 'HS512' },
      { alg: 'none' },
      { alg: '' },
      { alg: 7 },
      {},
      { alg: 'HS256', crit: ['b64'], b64: false },
      { alg: 'HS256', crit: ['b64'], b64: true },
      { alg: 'HS256', crit: ['exp'] },
      { alg: 'HS256', crit: [] },
      { alg: 'HS256', b64: false },
      ['HS256'],
    ),
  },
)
/** Mostly the usual one, else one of the others. */
const mostly = <T>(usual: T, ...others: readonly T[]) =>
  fc.oneof({ weight: 12, arbitrary: fc.constant(usual) }, fc.constantFrom(...others))
const written = mostly<(text: string) => Buffer>(
  (text) => Buffer.from(text),
  (text) => Buffer.from(` ${text}`),
  (text) => Buffer.from(`\uFEFF${text}`),
  (text) => Buffer.from(text, 'latin1'),
  (text) => Buffer.from(text.slice(1)),
  (text) => Buffer.from(text.replace('-1', '1e400')),
)
/** Other spellings of a part, and damage. */
const spelled = mostly<(part: string) => string>(
  (part) => part,
  (part) => `${part}=`,
  (part) => `${part}A`,
  (part) => `${part}\n`,
  (part) => part.replaceAll('-', '+').replaceAll('_', '/'),
  (part) => part.slice(0, -1) + (part.endsWith('A') ? 'B' : 'A'),
  (part) => part.slice(0, -1) + String.fromCharCode(part.charCodeAt(part.length - 1) + 1),
  () => '',
)
const token = fc
  .record({
    header,
    claims,
    written,
    spelled: fc.tuple(spelled, spelled, spelled),
    foreign: mostly(false, true),
  })
  .map((made) => {
    const part = (value: unknown) => made.written(JSON.stringify(value)).toString('base64url')
    const text = `${made.spelled[0](part(made.header))}.${made.spelled[1](part(made.claims))}`
    const secret = made.foreign ? OTHER : SECRET
    const signature = createHmac('sha256', secret).update(text).digest('base64url')
    return `${text}.${made.spelled[2](signature)}`
  })

function readByLibrary(text: string) {
  try {
    decodeProtectedHeader(text)
    return claimsOf(decodeJwt(text))
  } catch {
    return null
  }
}

describe('a token read without the library', () => {
  it('says what the library says', () => {
    fc.assert(
      fc.property(fc.oneof(token, fc.string()), (text) => {
        expect(readToken(text)?.claimed ?? null).toEqual(readByLibrary(text))
      }),
      RUNS,
    )
  })

  it('holds or fails as by the library, for the same reason', async () => {
    const alone = await TokenVerifier.of(issuers([own]))
    const library = await TokenVerifier.of(issuers([own, none]))
    const counted = new Map<string, number>()
    const now = wallTime(NOW_S * 1_000 + 500)
    await fc.assert(
      fc.asyncProperty(token, async (text) => {
        const read = readToken(text)
        if (read === null) return
        const found = alone.fault(text, read, now, TOLERANCE_S)
        const what = `${found instanceof Promise ? 'left to the library' : found}`
        counted.set(what, (counted.get(what) ?? 0) + 1)
        expect(await found).toBe(await library.fault(text, read, now, TOLERANCE_S))
      }),
      RUNS,
    )
    // Every way was taken, or nothing was compared.
    const ways = ['null', 'bad-signature', 'expired', 'missing-exp', 'invalid-token', 'left to the library']
    for (const way of ways) expect([way, (counted.get(way) ?? 0) > 0]).toEqual([way, true])
  })
})
