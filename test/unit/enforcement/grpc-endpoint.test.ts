import { createServer } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import type { DecisionDeskOptions } from '../../../enforcement/decision-desk.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import type { GrpcEndpointOptions } from '../../../enforcement/grpc/grpc-endpoint.ts'
import { MAX_GRPC_CONNECTIONS, MAX_QUESTION_BYTES } from '../../../enforcement/grpc/grpc-endpoint.ts'
import { loadGrpc } from '../../../enforcement/grpc/grpc-packages.ts'
import type { CheckAnswer } from '../../services/grpc-client.ts'
import { type GrpcRig, NOW_S, STOP, startGrpcRig } from './grpc-rig.ts'

const TOKEN = 'a-token-of-the-gateway-0123456789'
const UNAUTHENTICATED = 16
const OVER_LIMIT = 2
const closing: (() => Promise<void> | void)[] = []

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close()
})

async function start(
  grpc: Partial<GrpcEndpointOptions> = {},
  desk: Partial<DecisionDeskOptions> = {},
): Promise<GrpcRig> {
  const rig = await startGrpcRig(grpc, desk)
  closing.push(() => rig.close())
  return rig
}

const alice = { kind: 'sub', id: 'alice', label: 'alice', verified: true } as const
const block = (id = 'dec_1'): Rule => ({
  id,
  action: 'block',
  scope: { kind: 'principal', principal: alice },
  limit: null,
  until: wallTime((NOW_S + 600) * 1_000),
})

const text = (stringValue: string) => ({ stringValue })
const CLAIMS = {
  iss: text('https://id.example'),
  sub: text('alice'),
  jti: text('j1'),
  iat: { numberValue: NOW_S - 60 },
  exp: { numberValue: NOW_S + 600 },
}

/** A question with claims as Envoy passes them on from `jwt_authn`. */
function withClaims(
  fields: object,
  headers: Record<string, string> = {},
  filter = 'envoy.filters.http.jwt_authn',
) {
  const filterMetadata = { [filter]: { fields: { claims: { structValue: { fields } } } } }
  return { attributes: { request: { http: { headers } }, metadataContext: { filterMetadata } } }
}

function unsigned(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${part({ alg: 'HS256' })}.${part(claims)}.AAAA`
}

function refusal({ deniedResponse }: CheckAnswer): readonly [number | undefined, string | undefined] {
  const reason = deniedResponse?.headers.find(({ header }) => header.key === 'x-curfew-reason')
  return [deniedResponse?.status.code, reason?.header.value]
}

describe('the token of the gateway', () => {
  it.each([
    ['none', null],
    ['a wrong one', `Bearer ${TOKEN}x`],
    ['the beginning of it', `Bearer ${TOKEN.slice(0, -1)}`],
    ['it without its scheme', TOKEN],
    ['it in another scheme', `Basic ${TOKEN}`],
  ])('answers nothing to %s', async (_what, authorization) => {
    const { client, answered, denyList } = await start({ token: TOKEN })
    await denyList.put(block(), STOP)
    const { check, limit, send } = await client(authorization)
    const unauthenticated = { code: UNAUTHENTICATED }
    await expect(check({})).rejects.toMatchObject(unauthenticated)
    await expect(limit({ domain: 'curfew' })).rejects.toMatchObject(unauthenticated)
    await expect(send('check', Buffer.alloc(MAX_QUESTION_BYTES + 1))).rejects.toMatchObject(unauthenticated)
    expect(answered).toEqual([])
  })

  it('answers to the right one', async () => {
    const { client } = await start({ token: TOKEN })
    const { check } = await client(`Bearer ${TOKEN}`)
    expect(refusal(await check({}))).toEqual([401, 'no-identity'])
  })
})

describe('an answer of ext_authz', () => {
  it('tells the client why, and nothing of the caller', async () => {
    const { client, denyList } = await start({ verifiedClaims: 'claims' })
    await denyList.put(block(), STOP)
    const answer = await (await client()).check(withClaims(CLAIMS))
    expect(answer.status?.code).toBe(7)
    expect(answer.deniedResponse?.body).toBe('{"error":"blocked"}')
    expect(answer.deniedResponse?.headers.map(({ header }) => [header.key, header.value])).toEqual([
      ['cache-control', 'no-store'],
      ['content-type', 'application/json; charset=utf-8'],
      ['x-curfew-reason', 'blocked'],
      ['x-curfew-decision', 'dec_1'],
    ])
  })

  it('names the caller to the application, and lets nobody else do so', async () => {
    const { client } = await start({ verifiedClaims: 'claims' })
    const { iss: _, jti: __, ...rest } = CLAIMS
    // A caller that is named like one of the headers.
    const answer = await (await client()).check(withClaims({ ...rest, sub: text('x-curfew-token') }))
    expect(answer.okResponse?.headers).toEqual([
      { header: { key: 'x-curfew-subject', value: 'x-curfew-token' }, appendAction: 2 },
    ])
    expect(answer.okResponse?.headersToRemove).toEqual([
      'x-curfew-issuer',
      'x-curfew-token',
      'x-curfew-envelope',
    ])
  })
})

describe('claims that Envoy verified', () => {
  it('are believed where the configuration names them, and counted against their throttle', async () => {
    const { client, denyList } = await start({ verifiedClaims: 'claims' })
    const limit = { requests: 1, windowSeconds: 10 }
    await denyList.put({ ...block(), action: 'throttle', limit }, STOP)
    const { check } = await client()
    expect((await check(withClaims(CLAIMS))).okResponse).toBeDefined()
    expect(refusal(await check(withClaims(CLAIMS)))).toEqual([429, 'throttled'])
  })

  it.each([
    ['under another name', 'other', 'envoy.filters.http.jwt_authn'],
    ['of another filter', 'claims', 'envoy.filters.http.lua'],
    ['without being named', null, 'envoy.filters.http.jwt_authn'],
  ])('are not believed %s', async (_what, verifiedClaims, filter) => {
    const { client } = await start({ verifiedClaims })
    const answer = await (await client()).check(withClaims(CLAIMS, {}, filter))
    expect(refusal(answer)).toEqual([401, 'no-identity'])
  })

  it('must be those of the token that comes along', async () => {
    const { client } = await start({ verifiedClaims: 'claims' })
    const { check } = await client()
    const own = { iss: 'https://id.example', sub: 'alice', jti: 'j1', iat: NOW_S - 60, exp: NOW_S + 600 }
    const ask = (token: string) => check(withClaims(CLAIMS, { authorization: `Bearer ${token}` }))
    expect((await ask(unsigned(own))).okResponse).toBeDefined()
    for (const other of [
      unsigned({ ...own, sub: 'bob' }),
      unsigned({ ...own, jti: 'j2' }),
      unsigned({ ...own, iat: NOW_S }),
      'opaque',
    ]) {
      expect(refusal(await ask(other))).toEqual([401, 'ambiguous-identity'])
    }
  })

  it.each([
    ['a list', {}],
    ['a number', { numberValue: 7 }],
  ])('name nobody with %s for a subject', async (_what, sub) => {
    const { client } = await start({ verifiedClaims: 'claims' })
    const answer = await (await client()).check(withClaims({ ...CLAIMS, sub }))
    expect(refusal(answer)).toEqual([401, 'invalid-token'])
  })
})

describe('the rate limit service', () => {
  const entry = (key: string, value: string) => ({ entries: [{ key, value }] })
  const claims = [entry('jwt_iss', 'https://id.example'), entry('jwt_sub', 'alice'), entry('jwt_jti', 'j1')]

  it('refuses filters of another domain, or of none', async () => {
    const { client, answered } = await start({}, { requireIdentity: false })
    const { limit } = await client()
    for (const domain of ['other', '']) {
      const answer = await limit({ domain, descriptors: claims })
      expect(answer.overallCode).toBe(OVER_LIMIT)
      expect(answer.statuses).toEqual(claims.map(() => ({ code: OVER_LIMIT })))
      expect(answer.responseHeadersToAdd).toContainEqual({ key: 'x-curfew-reason', value: 'unknown-domain' })
    }
    expect(answered).toEqual(['403 unknown-domain', '403 unknown-domain'])
  })

  it('knows a caller by claims only where they are believed', async () => {
    const believing = await start({ verifiedClaims: 'claims' })
    await believing.denyList.put(block(), STOP)
    const ask = async (rig: GrpcRig, descriptors: object[]) =>
      (await (await rig.client()).limit({ domain: 'curfew', descriptors })).overallCode
    expect(await ask(believing, claims)).toBe(OVER_LIMIT)
    expect(await ask(believing, [claims[0]!, entry('jwt_sub', 'bob'), entry('jwt_jti', 'b1')])).toBe(1)
    expect(await ask(believing, [...claims, entry('jwt_sub', 'bob')])).toBe(OVER_LIMIT)
    // Two callers are nobody's excuse to be no caller at all.
    const open = await start({ verifiedClaims: 'claims' }, { requireIdentity: false })
    expect(await ask(open, [...claims, entry('jwt_sub', 'bob')])).toBe(OVER_LIMIT)
    const other = await start({}, { requireIdentity: false })
    await other.denyList.put(block(), STOP)
    expect(await ask(other, claims)).toBe(1)
  })

  it('throttles a caller known by claims, and counts a call once whatever its descriptors', async () => {
    const { client, denyList } = await start({ verifiedClaims: 'claims' })
    const limit = { requests: 2, windowSeconds: 10 }
    await denyList.put({ ...block(), action: 'throttle', limit }, STOP)
    const grpc = await client()
    const codes: number[] = []
    for (let i = 0; i < 3; i++) {
      const descriptors = [...claims, ...claims]
      codes.push((await grpc.limit({ domain: 'curfew', descriptors })).overallCode)
    }
    expect(codes).toEqual([1, 1, OVER_LIMIT])
  })
})

describe('the bounds of the gRPC endpoint', () => {
  it('answers a question that is too large or unreadable with a refusal, which no failure mode lets pass', async () => {
    const { client } = await start({}, { requireIdentity: false })
    const { check, send } = await client()
    const header = (length: number) => ({
      attributes: { request: { http: { headers: { 'x-padding': 'x'.repeat(length) } } } },
    })
    expect((await check(header(MAX_QUESTION_BYTES - 100))).okResponse).toBeDefined()
    expect(refusal(await check(header(MAX_QUESTION_BYTES)))).toEqual([431, 'question-too-large'])
    expect(refusal(await check(header(3 * MAX_QUESTION_BYTES)))).toEqual([431, 'question-too-large'])
    const unreadable = Buffer.from([0x0a, 0x7f])
    expect(refusal((await send('check', unreadable)) as CheckAnswer)).toEqual([400, 'unreadable-question'])
    expect(await send('limit', unreadable)).toMatchObject({ overallCode: OVER_LIMIT })
    await expect(check(header(5 * MAX_QUESTION_BYTES))).rejects.toMatchObject({ code: 8 })
    expect((await check({})).okResponse).toBeDefined()
  })

  it('tells how many calls one connection may have, and takes no more connections than it has places', async () => {
    const { endpoint, client } = await start({}, { requireIdentity: false })
    const session = connectHttp2(`http://127.0.0.1:${endpoint.port}`)
    closing.push(() => session.destroy())
    const streams = await new Promise((resolve) =>
      session.once('remoteSettings', (settings) => resolve(settings.maxConcurrentStreams)),
    )
    expect(streams).toBe(100)
    const sockets: Socket[] = []
    closing.push(() => {
      for (const socket of sockets) socket.destroy()
    })
    let refused = 0
    for (let i = 0; i < MAX_GRPC_CONNECTIONS + 10; i++) {
      const socket = connect(endpoint.port, '127.0.0.1')
      socket.on('error', () => undefined).once('close', () => refused++)
      sockets.push(socket)
      await new Promise((resolve) => socket.once('connect', resolve))
    }
    await expect.poll(() => refused).toBe(11)
    await expect((await client()).check({})).rejects.toMatchObject({ code: 14 })
    for (const socket of sockets) socket.destroy()
    await expect
      .poll(async () => (await client()).check({}).then((answer) => answer.okResponse !== undefined, String))
      .toBe(true)
  })

  it('lets a call in flight end before it closes, and takes none after that', async () => {
    let verify: (jwks: string) => void = () => undefined
    const keys = createServer((_request, reply) => {
      verify = (jwks) => void reply.end(jwks)
    })
    await new Promise<void>((resolve) => keys.listen(0, '127.0.0.1', resolve))
    closing.push(() => new Promise((resolve) => keys.close(() => resolve())))
    const address = keys.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    const url = new URL(`http://127.0.0.1:${address.port}/`)
    const issuers = [
      { issuer: 'i', audience: null, keys: [{ kind: 'jwks-url', algorithms: ['RS256'], url }] },
    ] as const
    const { endpoint, client, answered } = await start({}, { issuers })
    const { check } = await client()
    const token = unsigned({ iss: 'i', sub: 's', exp: NOW_S + 60 }).replace(/^[^.]+/, () =>
      Buffer.from('{"alg":"RS256"}').toString('base64url'),
    )
    let asked = false
    keys.once('request', () => {
      asked = true
    })
    const answer = check({
      attributes: { request: { http: { headers: { authorization: `Bearer ${token}` } } } },
    })
    await expect.poll(() => asked).toBe(true)
    const closed = endpoint.close()
    verify('{"keys":[]}')
    expect(refusal(await answer)).toEqual([401, 'bad-signature'])
    await closed
    await expect(check({})).rejects.toMatchObject({ code: 14 })
    expect(answered).toEqual(['401 bad-signature'])
  })
})

describe('a gRPC endpoint that cannot start', () => {
  it('says so when another has its port', async () => {
    const { endpoint } = await start()
    await expect(start({ port: endpoint.port })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      cause: { code: 'EADDRINUSE' },
    })
  })

  it('says what to install', async () => {
    const missing = loadGrpc(() => Promise.reject(new Error('Cannot find package')))
    await expect(missing).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringMatching(/npm install @grpc\/grpc-js@\S+ @grpc\/proto-loader@\S+/),
    })
  })
})
