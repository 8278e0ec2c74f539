import { createSocket, type Socket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import { type DecisionEndpoint, startDecisionEndpoint } from '../../../enforcement/decision-endpoint.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { createHaproxyGateway } from '../../../enforcement/gateways/haproxy.ts'
import { liftGateway } from '../../../enforcement/reconcile-lift.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'
import { LiveEngine } from './live-engine.ts'

const RECORDS = 25
const COLLEAGUES = ['orders-svc', 'billing', 'crm-sync', 'warehouse-1']
const THIEF = 'export-svc'
/** A throttle that leaves much: what is let out afterwards is the revocation's doing alone. */
const LOOSE = { throttleRequests: 30, throttleWindowSeconds: 10, impactRecords: 2_500 }
const nowSeconds = () => Math.floor(Date.now() / 1_000)

/** Calls until the first 401, then with a new token for each call; returns how many of those were served. */
async function evade(
  call: (token: string) => Promise<number>,
  mint: (jti: string) => Promise<string>,
  engine: LiveEngine,
): Promise<{ served: number; late: number; calls: number }> {
  const first = await mint('stolen')
  let status = 0
  for (let i = 0; i < 2_000 && status !== 401; i++) {
    status = await call(first)
    await sleep(5)
  }
  expect(status).toBe(401)
  const revocation = engine.enforcer.views().find((view) => view.decision.scope.kind === 'token')
  const by = Date.parse(revocation?.effectiveBy ?? '')
  let served = 0
  let late = 0
  let calls = 0
  for (let refused = 0; refused < 200 && calls < 3_000; calls++) {
    status = await call(await mint(`minted-${calls}`))
    if (status === 200) {
      served++
      if (Date.now() > by) late++
    }
    refused = engine.standing('subject') !== null && status === 401 ? refused + 1 : 0
    await sleep(5)
  }
  return { served, late, calls }
}

/** Spellings of one bearer token, as raw header lines. */
function spellings(token: string, other: string): readonly (readonly string[])[] {
  const [head = '', body = '', signature = ''] = token.split('.')
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const padding = (text: string, bits: number) =>
    text.slice(0, -1) + alphabet[(alphabet.indexOf(text.at(-1)!) & ~3) | bits]
  const auth = (value: string) => `Authorization: ${value}`
  return [
    [auth(`Bearer ${token}`)],
    ...[0, 1, 2, 3].map((bits) => [auth(`Bearer ${head}.${body}.${padding(signature, bits)}`)]),
    [auth(`Bearer ${token}=`)],
    [auth(`Bearer ${head}.${body}=.${signature}`)],
    [auth(`bearer ${token}`)],
    [auth(`BEARER ${token}`)],
    [auth(`Bearer  ${token}`)],
    [auth(`Bearer ${token}   `)],
    [auth(`Bearer\t${token}`)],
    [auth(token)],
    [`AUTHORIZATION: Bearer ${token}`],
    [auth(`Bearer ${token}.`)],
    [auth(`Bearer ${token.replaceAll('-', '+').replaceAll('_', '/')}`)],
    [auth(`Bearer ${token}`), auth(`Bearer ${token}`)],
    [auth(`Bearer ${other}`), auth(`Bearer ${token}`)],
    [auth(`Bearer ${token}`), auth(`Bearer ${other}`)],
    [auth(`Bearer ${other}, Bearer ${token}`)],
    [auth(`Basic eDp5`), auth(`Bearer ${token}`)],
    [`X-Authorization: Bearer ${token}`],
    [`Proxy-Authorization: Bearer ${token}`],
    [`Cookie: access_token=${token}`],
    [`X-Padding: 1`, auth(`Bearer\r\n ${token}`)],
  ]
}

/** The status of a call with exactly these header lines. */
function rawStatus(port: number, path: string, lines: readonly string[]): Promise<number> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = createConnection(port, '127.0.0.1', () => {
      socket.write([`GET ${path} HTTP/1.1`, 'Host: api', 'Connection: close', ...lines, '', ''].join('\r\n'))
    })
    socket.setEncoding('latin1').on('data', (chunk: string) => {
      answer += chunk
    })
    socket.on('close', () => resolve(Number(/^HTTP\/1\.1 (\d+)/.exec(answer)?.[1] ?? 0)))
    socket.on('error', reject)
  })
}

describe.skipIf(haproxyMissing !== null)(
  'a revoked client that mints new tokens',
  { timeout: 120_000 },
  () => {
    let log: Socket
    let upstream: Server
    let haproxy: RunningHaproxy
    let engine: LiveEngine
    let onLine: (line: string) => void = () => undefined

    const person = (sub: string): Principal => ({
      kind: 'sub',
      id: JSON.stringify([haproxy.issuer, sub]),
      label: sub,
      verified: true,
    })

    beforeAll(async () => {
      log = createSocket('udp4').on('message', (message) => onLine(message.toString('utf8').trimEnd()))
      await new Promise<void>((resolve) => log.bind(0, '127.0.0.1', resolve))
      upstream = createServer((_, response) => {
        response.setHeader('X-Records-Returned', String(RECORDS))
        response.end('r'.repeat(180 * RECORDS))
      })
      await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
      const address = upstream.address()
      if (address === null || typeof address === 'string') throw new Error('no port')
      haproxy = await startHaproxy({ logPort: log.address().port, upstreamPort: address.port })
    })
    afterEach(async () => {
      onLine = () => undefined
      await engine?.close()
    })
    afterAll(async () => {
      await haproxy.stop()
      await new Promise((resolve) => upstream.close(resolve))
      log.close()
    })

    async function mint(sub: string, claims: Record<string, unknown>): Promise<string> {
      const now = nowSeconds()
      return new SignJWT({ iss: haproxy.issuer, sub, iat: now, exp: now + 600, ...claims })
        .setProtectedHeader({ alg: 'HS256' })
        .sign(new TextEncoder().encode(haproxy.secret))
    }

    const partner = async (sub: string, jti: string) =>
      new SignJWT({ iss: haproxy.partnerIssuer, sub, jti, iat: nowSeconds(), exp: nowSeconds() + 600 })
        .setProtectedHeader({ alg: 'RS256' })
        .sign(haproxy.privateKey)

    /** Claims that no key matches, or whose type no key has. */
    const odd = (): readonly Record<string, unknown>[] => [
      { jti: undefined },
      { jti: undefined, iat: undefined },
      { jti: 'x', exp: undefined },
      { jti: 7 },
      { jti: ['stolen'] },
    ]

    describe('at HAProxy', () => {
      const gateway = () =>
        createHaproxyGateway({ name: 'edge', socketPath: haproxy.socketPath, mapFolder: haproxy.mapFolder })
      const call = async (token: string) =>
        rawStatus(haproxy.port, '/v1/orders', [`Authorization: Bearer ${token}`])

      beforeEach(async () => {
        const stop = new AbortController().signal
        await liftGateway(gateway(), { endedBy: null, stop, callTimeoutMs: 5_000 })
        engine = await LiveEngine.start([gateway()], LOOSE)
        engine.learn([THIEF, ...COLLEAGUES].map(person))
        onLine = (line) => engine.take(line)
      })

      it('is served at most five more calls, whatever it sends afterwards', async () => {
        const of = (jti: string) => mint(THIEF, { jti })
        const { served, late, calls } = await evade(call, of, engine)
        console.info(
          `HAProxy: ${calls} calls with new tokens, ${served} served, ${late} later than effective by`,
        )
        expect(late).toBeLessThanOrEqual(5)

        const [stolen, other] = [await of('stolen'), await mint('billing', { jti: 'b-1' })]
        const statuses = await Promise.all(
          spellings(stolen, other).map((lines) => rawStatus(haproxy.port, '/', lines)),
        )
        console.info(
          `HAProxy: ${statuses.length} spellings of the revoked token: ${[...new Set(statuses)].join(', ')}`,
        )
        expect(statuses.filter((status) => status !== 401 && status !== 400)).toEqual([])
        expect(await rawStatus(haproxy.port, `/?access_token=${stolen}`, [])).toBe(401)
        for (const claims of odd()) expect(await call(await mint(THIEF, claims))).toBe(401)
        expect(await call(await partner(THIEF, 'stolen'))).toBe(200)
        expect(await call(other)).toBe(200)
        await sleep(50)
        expect(engine.standing('subject')?.proof?.state).toBe('held')
      })
    })

    describe('at the decision endpoint', () => {
      let endpoint: DecisionEndpoint
      let deny: DenyList

      beforeEach(async () => {
        const clock = { now: () => wallTime(Date.now()) }
        deny = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
        await deny.refresh(new AbortController().signal)
        const secret = new TextEncoder().encode(haproxy.secret)
        const publicKey = { kind: 'secret', algorithm: 'HS256', secret } as const
        endpoint = await startDecisionEndpoint({
          denyList: deny,
          clock,
          port: 0,
          issuers: [haproxy.issuer, haproxy.partnerIssuer].map((issuer) => ({
            issuer,
            audience: null,
            keys: [publicKey],
          })),
          requireIdentity: true,
          trustHeaders: null,
          apiKeyHeader: null,
          subjectId: (token) => (token.sub === null ? null : JSON.stringify([token.iss, token.sub])),
          failMode: 'closed',
          maxStaleMs: 600_000,
        })
        engine = await LiveEngine.start([deny], LOOSE)
        engine.learn([THIEF, ...COLLEAGUES].map(person))
      })
      afterEach(() => endpoint.close())

      /** Asks as a gateway does, and logs what came of it. */
      async function call(token: string): Promise<number> {
        const status = await rawStatus(endpoint.port, '/decide', [`Authorization: Bearer ${token}`])
        const claims = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as object
        const refusedBy = status === 200 ? null : 'curfew'
        const [records, responseBytes] = status === 200 ? [RECORDS, 180 * RECORDS] : [null, 20]
        const base = { time: Date.now(), principal: person(THIEF), method: 'GET', path: '/v1/orders' }
        engine.take(
          JSON.stringify({
            ...base,
            status,
            records,
            responseBytes,
            refusedBy,
            token: { ...claims, scopes: [] },
          }),
        )
        return status
      }

      it('is served at most five more calls, whatever it sends afterwards', async () => {
        const of = (jti: string) => mint(THIEF, { jti })
        const { served, late, calls } = await evade(call, of, engine)
        console.info(
          `endpoint: ${calls} calls with new tokens, ${served} served, ${late} later than effective by`,
        )
        expect(late).toBeLessThanOrEqual(5)

        const [stolen, other] = [await of('stolen'), await mint('billing', { jti: 'b-1' })]
        const ask = (lines: readonly string[]) => rawStatus(endpoint.port, '/decide', lines)
        const statuses = await Promise.all(spellings(stolen, other).map(ask))
        console.info(
          `endpoint: ${statuses.length} spellings of the revoked token: ${[...new Set(statuses)].join(', ')}`,
        )
        expect(statuses.filter((status) => status !== 401 && status !== 400)).toEqual([])
        expect(await rawStatus(endpoint.port, `/decide?access_token=${stolen}`, [])).toBe(401)
        for (const claims of odd()) {
          expect(await ask([`Authorization: Bearer ${await mint(THIEF, claims)}`])).toBe(401)
        }
        const second = await mint(THIEF, { iss: haproxy.partnerIssuer, jti: 'stolen' })
        expect(await ask([`Authorization: Bearer ${second}`])).toBe(200)
        expect(await ask([`Authorization: Bearer ${other}`])).toBe(200)
        expect(engine.standing('subject')?.proof?.state).toBe('held')
      })
    })
  },
)
