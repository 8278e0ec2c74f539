import { createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, exportSPKI, generateKeyPair, SignJWT, UnsecuredJWT } from 'jose'
import { afterEach, describe, expect, it } from 'vitest'
import type { Scope } from '../../../core/decision.ts'
import { wallTime } from '../../../core/time.ts'
import { apiKeyId } from '../../../enforcement/decision-desk.ts'
import type { DecisionEndpointOptions } from '../../../enforcement/decision-endpoint.ts'
import { startDecisionEndpoint } from '../../../enforcement/decision-endpoint.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'

const NOW_S = 1_790_000_000
const ISS = 'https://id.example'
const SECRET = new TextEncoder().encode('0123456789abcdef0123456789abcdef')
const never = new AbortController().signal
const closing: (() => Promise<void>)[] = []
let nowMs = NOW_S * 1_000
const clock = { now: () => wallTime(nowMs) }

afterEach(async () => {
  nowMs = NOW_S * 1_000
  for (const close of closing.splice(0)) await close()
})

async function start(options: Partial<DecisionEndpointOptions> = {}) {
  const denyList = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
  await denyList.refresh(never)
  const endpoint = await startDecisionEndpoint({
    denyList,
    clock,
    port: 0,
    issuers: [
      { issuer: ISS, audience: null, keys: [{ kind: 'secret', algorithm: 'HS256', secret: SECRET }] },
    ],
    requireIdentity: true,
    trustHeaders: null,
    apiKeyHeader: null,
    failMode: 'closed',
    maxStaleMs: 10_000,
    ...options,
  })
  closing.push(() => endpoint.close())
  const ask = (headers: Record<string, string>, init: RequestInit = {}) =>
    fetch(`${endpoint.url}/decide`, { headers, ...init })
  return { denyList, endpoint, ask, withToken: (token: string) => ask({ authorization: `Bearer ${token}` }) }
}

function claims(
  more: Record<string, unknown> = {},
  header: { alg: string; kid?: string } = { alg: 'HS256' },
): SignJWT {
  const base = { iss: ISS, sub: 'alice', jti: 'j1', iat: NOW_S - 60, exp: NOW_S + 600 }
  return new SignJWT({ ...base, ...more }).setProtectedHeader(header)
}

const signed = (more: Record<string, unknown> = {}, secret = SECRET) => claims(more).sign(secret)

function rule(action: Rule['action'], scope: Scope, limit: Rule['limit'] = null): Rule {
  return { id: 'dec_1', action, scope, limit, until: wallTime((NOW_S + 3_600) * 1_000) }
}

const alice = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const

describe('the decision endpoint', () => {
  it('lets a verified caller pass and names it for the log', async () => {
    const { withToken } = await start()
    const answer = await withToken(await signed({ sub: 'al ice\n' }))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-curfew-subject')).toBe('al%20ice%0A')
    expect(answer.headers.get('x-curfew-token')).toBe('j1')
    expect(answer.headers.get('x-curfew-decision')).toBeNull()
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })

  it.each([
    ['a foreign signature', () => signed({}, new TextEncoder().encode('f'.repeat(32))), 'bad-signature'],
    [
      'no signature',
      async () => new UnsecuredJWT({ iss: ISS, sub: 'alice', exp: NOW_S + 60 }).encode(),
      'bad-signature',
    ],
    ['an expired token', () => signed({ exp: NOW_S - 60 }), 'expired'],
    ['a token without exp', () => signed({ exp: undefined }), 'missing-exp'],
    ['a token that is not valid yet', () => signed({ nbf: NOW_S + 60 }), 'invalid-token'],
    ['an unknown issuer', () => signed({ iss: 'https://evil.example' }), 'unknown-issuer'],
    ['a jti that is no text', () => signed({ jti: 7 }), 'invalid-token'],
    ['another algorithm', () => claims({}, { alg: 'HS512' }).sign(SECRET), 'bad-signature'],
    ['no JWT', async () => 'abc.def', 'invalid-token'],
    ['an endless token', async () => 'a'.repeat(9_000), 'invalid-token'],
  ])('refuses %s', async (_what, token, reason) => {
    const { withToken } = await start()
    const answer = await withToken(await token())
    expect(answer.status).toBe(401)
    expect(await answer.json()).toEqual({ error: reason })
    expect(answer.headers.get('x-curfew-decision')).toBeNull()
  })

  it('believes a token that it has verified, but not beyond its end, and only that one', async () => {
    const { denyList, withToken } = await start()
    const token = await signed({ exp: NOW_S + 30 })
    expect((await withToken(token)).status).toBe(200)
    expect((await withToken(token)).headers.get('x-curfew-subject')).toBe('alice')
    const forged = await signed({ exp: NOW_S + 30 }, new TextEncoder().encode('f'.repeat(32)))
    expect((await withToken(forged)).status).toBe(401)
    nowMs += 34_000
    await denyList.refresh(never)
    expect((await withToken(token)).status).toBe(200)
    nowMs += 1_000
    expect(await (await withToken(token)).json()).toEqual({ error: 'expired' })
  })

  it('refuses and throttles a token that it has verified before', async () => {
    const { denyList, withToken } = await start()
    const token = await signed()
    expect((await withToken(token)).status).toBe(200)
    const limit = { requests: 1, windowSeconds: 10 }
    await denyList.put(rule('throttle', { kind: 'principal', principal: alice }, limit), never)
    expect([(await withToken(token)).status, (await withToken(token)).status]).toEqual([200, 429])
    await denyList.put(rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' }), never)
    const refused = await withToken(token)
    expect([refused.status, refused.headers.get('x-curfew-subject')]).toEqual([401, 'alice'])
  })

  it('asks the deny list before it looks at the signature, and marks the refusal as ours', async () => {
    const { denyList, withToken } = await start()
    await denyList.put(rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' }), never)
    for (const token of [await signed(), await signed({}, new TextEncoder().encode('f'.repeat(32)))]) {
      const answer = await withToken(token)
      expect(answer.status).toBe(401)
      expect(answer.headers.get('x-curfew-decision')).toBe('dec_1')
      expect(answer.headers.get('x-curfew-reason')).toBe('token-revoked')
    }
    expect((await withToken(await signed({ jti: 'j2' }))).status).toBe(200)
    await denyList.remove('dec_1', never)
    expect((await withToken(await signed())).status).toBe(200)
  })

  it('throttles, and forged tokens do not use up the share of the caller they name', async () => {
    const { denyList, withToken } = await start()
    await denyList.put(
      rule('throttle', { kind: 'principal', principal: alice }, { requests: 1, windowSeconds: 10 }),
      never,
    )
    const forged = await signed({}, new TextEncoder().encode('f'.repeat(32)))
    for (let i = 0; i < 5; i++) expect((await withToken(forged)).status).toBe(401)
    expect((await withToken(await signed())).status).toBe(200)
    const limited = await withToken(await signed())
    expect(limited.status).toBe(429)
    expect(limited.headers.get('retry-after')).toBe('10')
    nowMs += 10_000
    expect((await withToken(await signed())).status).toBe(200)
  })

  it('refuses a held caller whose token it could not match, known here or not', async () => {
    const { denyList, withToken } = await start({ issuers: [] })
    const loose = await signed({ jti: undefined, iat: undefined })
    expect((await withToken(loose)).status).toBe(200)
    await denyList.put(
      rule('throttle', { kind: 'principal', principal: alice }, { requests: 9, windowSeconds: 1 }),
      never,
    )
    expect(await (await withToken(loose)).json()).toEqual({ error: 'unidentifiable-token' })
  })

  it('does not count tokens that nobody verified against the caller that they name', async () => {
    const { denyList, withToken, ask } = await start({
      issuers: [],
      trustHeaders: { consumer: 'x-consumer-id', credential: null },
    })
    const limit = { requests: 2, windowSeconds: 10 }
    const consumer = { kind: 'consumer', id: 'c-1', label: 'c', verified: true } as const
    await denyList.put(rule('throttle', { kind: 'principal', principal: alice }, limit), never)
    const scope = { kind: 'principal', principal: consumer } as const
    await denyList.put({ ...rule('throttle', scope, limit), id: 'dec_2' }, never)
    const forged = await signed({}, new TextEncoder().encode('f'.repeat(32)))
    for (let i = 0; i < 5; i++) expect((await withToken(forged)).status).toBe(200)
    const statuses: number[] = []
    for (let i = 0; i < 3; i++) {
      const headers = { authorization: `Bearer ${await signed()}`, 'x-consumer-id': 'c-1' }
      statuses.push((await ask(headers)).status)
    }
    expect(statuses).toEqual([200, 200, 429])
    await denyList.put({ ...rule('block', { kind: 'principal', principal: alice }), id: 'dec_3' }, never)
    expect((await withToken(forged)).status).toBe(403)
  })

  it('says that it cannot throttle by claims that nobody verifies, and can all the rest', async () => {
    const denyList = new DenyList({
      name: 'deny',
      store: new MemoryDenyStore(),
      clock,
      worstCaseDelayMs: 0,
      claimsVerified: false,
    })
    const limit = { requests: 2, windowSeconds: 10 }
    const subject = { kind: 'subject', iss: ISS, sub: 'alice', notBefore: null } as const
    const consumer = { kind: 'consumer', id: 'c-1', label: 'c', verified: true } as const
    for (const scope of [subject, { kind: 'principal', principal: alice } as const]) {
      const refused = denyList.put(rule('throttle', scope, limit), never)
      await expect(refused).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
      await denyList.put(rule('block', scope), never)
    }
    await denyList.put(rule('throttle', { kind: 'principal', principal: consumer }, limit), never)
    expect(denyList.can.some(({ action, scope }) => action === 'throttle' && scope === 'token')).toBe(false)
  })

  it('asks for an identity: a text that is no token is none where nothing is verified', async () => {
    const { ask, withToken } = await start({ issuers: [] })
    expect(await (await ask({})).json()).toEqual({ error: 'no-identity' })
    expect(await (await withToken('opaque')).json()).toEqual({ error: 'no-identity' })
    const { ask: lenient } = await start({ issuers: [], requireIdentity: false })
    expect((await lenient({})).status).toBe(200)
  })

  it('knows API keys by their hash', async () => {
    const { denyList, ask } = await start({ apiKeyHeader: 'x-api-key' })
    const principal = { kind: 'key', id: apiKeyId('k-secret'), label: 'k', verified: true } as const
    expect((await ask({ 'x-api-key': 'k-secret' })).status).toBe(200)
    await denyList.put(rule('block', { kind: 'principal', principal }), never)
    expect((await ask({ 'x-api-key': 'k-secret' })).status).toBe(403)
    expect((await ask({ 'x-api-key': 'other' })).status).toBe(200)
  })

  it('believes identity headers only when told to', async () => {
    const principal = { kind: 'consumer', id: 'c-1', label: 'c', verified: true } as const
    for (const [trustHeaders, status] of [
      [null, 401],
      [{ consumer: 'x-consumer-id', credential: null }, 403],
    ] as const) {
      const { denyList, ask } = await start({ trustHeaders })
      await denyList.put(rule('block', { kind: 'principal', principal }), never)
      expect((await ask({ 'x-consumer-id': 'c-1' })).status).toBe(status)
    }
  })

  it('refuses a call that names two callers', async () => {
    const { endpoint } = await start()
    const [one, two] = [await signed(), await signed({ jti: 'j2' })]
    const status = await new Promise((resolve, reject) => {
      const headers = ['host', 'x', 'authorization', `Bearer ${one}`, 'authorization', `Bearer ${two}`]
      httpRequest(`${endpoint.url}/decide`, { headers }, (answer) => resolve(answer.resume().statusCode))
        .on('error', reject)
        .end()
    })
    expect(status).toBe(401)
  })

  it('takes a call with a body of any type, and cuts off huge headers', async () => {
    const { ask } = await start()
    const authorization = `Bearer ${await signed()}`
    const body = 'x'.repeat(100_000)
    expect((await ask({ authorization, 'content-type': 'text/odd' }, { method: 'POST', body })).status).toBe(
      200,
    )
    expect((await ask({ authorization: 'x'.repeat(20_000) })).status).toBe(431)
  })

  it('answers whatever the method and the path behind its own', async () => {
    const { endpoint, denyList } = await start()
    await denyList.put(rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' }), never)
    const headers = { authorization: `Bearer ${await signed()}` }
    for (const method of ['GET', 'HEAD', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
      const answer = await fetch(`${endpoint.url}/decide/v1/${'x'.repeat(4_000)}?a=b`, { method, headers })
      expect([method, answer.status, answer.headers.get('x-curfew-decision')]).toEqual([method, 401, 'dec_1'])
    }
  })

  it('knows no other path, and none that cannot be decoded', async () => {
    const { endpoint } = await start()
    const headers = { authorization: `Bearer ${await signed()}` }
    const statuses: number[] = []
    for (const path of ['/decide', '/decide?a=%zz', '/decide/a', '/decided', '/', '/decide/%zz']) {
      statuses.push((await fetch(`${endpoint.url}${path}`, { headers })).status)
    }
    expect(statuses).toEqual([200, 200, 200, 404, 404, 400])
  })

  it('finds the token in every spelling of the header that somebody else may accept', async () => {
    const { denyList, ask } = await start({ requireIdentity: false, issuers: [] })
    await denyList.put(rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' }), never)
    const token = await signed()
    for (const authorization of [
      `bearer ${token}`,
      `BEARER   ${token}`,
      token,
      `Bearer\t${token}`,
      `Bearer a ${token}`,
      `X Bearer ${token}`,
      `Basic YTpi, Bearer ${token}`,
    ]) {
      expect((await ask({ authorization })).status).toBe(401)
    }
    expect((await ask({ authorization: 'Basic YTpi' })).status).toBe(200)
    expect((await ask({})).status).toBe(200)
  })

  it.each([
    ['closed', 503],
    ['open', 200],
  ] as const)(
    'fails %s when its list is stale, and still refuses whom it knows',
    async (failMode, status) => {
      const { denyList, withToken, endpoint } = await start({ failMode })
      await denyList.put(rule('revoke-token', { kind: 'token', iss: ISS, jti: 'j1' }), never)
      expect((await fetch(`${endpoint.url}/healthz`)).status).toBe(200)
      nowMs += 10_001
      expect((await fetch(`${endpoint.url}/healthz`)).status).toBe(503)
      expect((await withToken(await signed({ jti: 'j2' }))).status).toBe(status)
      expect((await withToken(await signed())).status).toBe(401)
    },
  )

  it('verifies public keys, pinned to their algorithm', async () => {
    const pair = await generateKeyPair('ES256', { extractable: true })
    const pem = await exportSPKI(pair.publicKey)
    const issuers = [
      { issuer: ISS, audience: 'api', keys: [{ kind: 'public-key', algorithm: 'ES256', pem }] },
    ] as const
    const { withToken } = await start({ issuers })
    const token = (aud: string) => claims({ aud }, { alg: 'ES256' }).sign(pair.privateKey)
    expect((await withToken(await token('api'))).status).toBe(200)
    expect((await withToken(await token('other'))).status).toBe(401)
    const confused = await claims({ aud: 'api' }).sign(new TextEncoder().encode(pem))
    expect((await withToken(confused)).status).toBe(401)
  })

  it('fetches a key set, and says 503 when it cannot', async () => {
    const pair = await generateKeyPair('RS256', { extractable: true })
    const jwk = { ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'RS256' }
    let broken = false
    const server = createServer((_req, res) =>
      broken ? res.writeHead(500).end() : res.end(JSON.stringify({ keys: [jwk] })),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    closing.push(() => new Promise((resolve) => server.close(() => resolve())))
    const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/jwks`)
    const issuers = [
      { issuer: ISS, audience: null, keys: [{ kind: 'jwks-url', algorithms: ['RS256'], url }] },
    ] as const
    const token = await claims({}, { alg: 'RS256', kid: 'k1' }).sign(pair.privateKey)
    expect((await (await start({ issuers })).withToken(token)).status).toBe(200)
    broken = true
    expect((await (await start({ issuers })).withToken(token)).status).toBe(503)
  })

  it('refuses keys that are too weak or could be confused', async () => {
    const keys = (key: object) =>
      [{ issuer: ISS, audience: null, keys: [key] }] as DecisionEndpointOptions['issuers']
    const short = keys({ kind: 'secret', algorithm: 'HS256', secret: new Uint8Array(16) })
    const confused = keys({ kind: 'jwks', algorithms: ['HS256'], keys: { keys: [] } })
    const none = keys({ kind: 'public-key', algorithm: 'none', pem: '' })
    for (const issuers of [short, confused, none]) {
      await expect(start({ issuers })).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    }
  })
})
