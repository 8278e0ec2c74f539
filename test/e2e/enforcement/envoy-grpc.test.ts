import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { wallTime } from '../../../core/time.ts'
import { DecisionDesk } from '../../../enforcement/decision-desk.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { startGrpcEndpoint } from '../../../enforcement/grpc/grpc-endpoint.ts'
import { gatewayInstalled, type InlineGateway, startInlineGateway } from '../../services/inline-gateway.ts'

const ISSUER = 'https://idp.test/realm'
const TOKEN = 'a-token-of-the-gateway-0123456789'
const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
const KEY_SET = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'RS256', kid: 'k1' }] })
const STOP = new AbortController().signal
const required = process.env.CI === 'true' && process.env.CURFEW_GATEWAYS_OFFLINE !== '1'

function jwt(sub: string, jti: string): Promise<string> {
  const now = Math.floor(Date.now() / 1_000)
  return new SignJWT({ iss: ISSUER, sub, jti, iat: now - 5, exp: now + 600 })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .sign(privateKey)
}

const revoked = (jti: string): Rule => ({
  id: `dec_${jti}`,
  action: 'revoke-token',
  scope: { kind: 'token', iss: ISSUER, jti },
  limit: null,
  until: wallTime(Date.now() + 3_600_000),
})

/** What may go wrong is let pass by this gateway: nothing that is refused may go wrong. */
const lenient = (sample: string) =>
  sample
    .replace('failure_mode_allow: false', 'failure_mode_allow: true')
    .replace('failure_mode_deny: true', 'failure_mode_deny: false')
    .replace('timeout: 0.5s', 'timeout: 30s')

const KINDS = ['envoy-grpc', 'envoy-ratelimit'] as const

describe.skipIf(!gatewayInstalled('envoy-grpc') && !required).each(KINDS)('%s', (kind) => {
  const closing: (() => unknown)[] = []
  const answered: string[] = []
  /** Headers of the calls that reached the application. */
  const reached: Record<string, unknown>[] = []
  let app: Server
  let denyList: DenyList
  let offset = 0

  beforeEach(async () => {
    answered.length = 0
    reached.length = 0
    offset = 0
    app = createServer({ maxHeaderSize: 200_000 }, (request, reply) => {
      reached.push(request.headers)
      reply.end('orders')
    })
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
    closing.push(
      () => app.close(),
      () => app.closeAllConnections(),
    )
  })
  afterEach(async () => {
    for (const close of closing.splice(0).reverse()) await close()
  })

  async function start(token: string | null, edit: (sample: string) => string): Promise<InlineGateway> {
    const clock = { now: () => wallTime(Date.now() + offset) }
    denyList = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
    await denyList.refresh(STOP)
    const desk = await DecisionDesk.open({
      denyList,
      clock,
      issuers: [
        {
          issuer: ISSUER,
          audience: null,
          keys: [{ kind: 'jwks', algorithms: ['RS256'], keys: JSON.parse(KEY_SET) }],
        },
      ],
      requireIdentity: true,
      trustHeaders: null,
      apiKeyHeader: null,
      failMode: 'closed',
      maxStaleMs: 300_000,
      answered: (status, reason) => answered.push(`${status} ${reason}`),
    })
    const grpc = await startGrpcEndpoint(desk, {
      host: '127.0.0.1',
      port: 0,
      token,
      verifiedClaims: 'claims',
      rateLimitDomain: 'curfew',
    })
    closing.push(() => grpc.close())
    const gateway = await startInlineGateway(kind, {
      appPort: (app.address() as AddressInfo).port,
      decidePort: grpc.port,
      issuer: ISSUER,
      keySet: KEY_SET,
      edit,
    })
    closing.push(() => gateway.stop())
    // The first call of all asked whether the gateway listens.
    answered.length = 0
    return gateway
  }

  const statusOf = (url: string, bearer: string, headers: Record<string, string> = {}): Promise<number> =>
    new Promise((resolve, reject) => {
      const all = { authorization: `Bearer ${bearer}`, ...headers }
      httpRequest(url, { headers: all, agent: false }, (answer) => resolve(answer.resume().statusCode ?? 0))
        .on('error', reject)
        .end()
    })

  it('asks with the token that its configuration holds, and lets nobody pass with a wrong one', async () => {
    const sends = (token: string) => (sample: string) =>
      sample.replace('# initial_metadata', 'initial_metadata').replace('Bearer TOKEN', `Bearer ${token}`)
    const right = await start(TOKEN, sends(TOKEN))
    expect(await statusOf(`${right.url}/v1/x`, await jwt('alice', 'a-1'))).toBe(200)
    const wrong = await start(TOKEN, sends(`${TOKEN}x`))
    expect(await statusOf(`${wrong.url}/v1/x`, await jwt('alice', 'a-1'))).toBe(503)
    const without = await start(TOKEN, (sample) => sample)
    expect(await statusOf(`${without.url}/v1/x`, await jwt('alice', 'a-1'))).toBe(503)
    expect([answered, reached.length]).toEqual([[], 1])
  }, 60_000)

  it('lets no client name itself to the application', async () => {
    const { url } = await start(null, (sample) => sample)
    const forged = { 'x-curfew-subject': 'root', 'x-curfew-token': 'x', 'x-curfew-envelope': 'x' }
    expect(await statusOf(`${url}/v1/x`, await jwt('alice', 'a-1'), forged)).toBe(200)
    const named = kind === 'envoy-grpc'
    expect([reached[0]?.['x-curfew-subject'], reached[0]?.['x-curfew-token']]).toEqual(
      named ? ['alice', 'a-1'] : [undefined, undefined],
    )
    if (named) expect(reached[0]).not.toHaveProperty('x-curfew-envelope')
  }, 60_000)

  it('refuses whom the list names in a flood, beyond the calls that one connection may have', async () => {
    const { url } = await start(null, lenient)
    await denyList.put(revoked('m-1'), STOP)
    const bearer = await jwt('mallory', 'm-1')
    const statuses = await Promise.all(
      Array.from({ length: 400 }, (_, i) => statusOf(`${url}/v1/${i}`, bearer)),
    )
    expect([...new Set(statuses)]).toEqual([kind === 'envoy-grpc' ? 401 : 429])
    expect(reached).toEqual([])
  }, 60_000)

  it('refuses a call whose question is too large, and one while the list is stale', async () => {
    const everything = (sample: string) => lenient(sample).replace(/^ *allowed_headers:.*\n/m, '')
    const { url } = await start(null, everything)
    await denyList.put(revoked('m-1'), STOP)
    const path = 'x'.repeat(40_000)
    const tooLarge = await statusOf(`${url}/v1/${path}`, await jwt('mallory', 'm-1'))
    expect(tooLarge).toBe(kind === 'envoy-grpc' ? 431 : 429)
    offset = 400_000
    expect(await statusOf(`${url}/v1/x`, await jwt('alice', 'a-1'))).toBe(kind === 'envoy-grpc' ? 503 : 429)
    expect(reached).toEqual([])
    expect(answered.map((line) => line.split(' ')[1])).toEqual([
      kind === 'envoy-grpc' ? 'question-too-large' : 'token-revoked',
      'deny-list-stale',
    ])
  }, 60_000)
})
