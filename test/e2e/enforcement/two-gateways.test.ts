import { createSocket, type Socket } from 'node:dgram'
import { createServer, request, type Server } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import { SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import type { Alias } from '../../../enforcement/aliases.ts'
import { type DecisionEndpoint, startDecisionEndpoint } from '../../../enforcement/decision-endpoint.ts'
import { DenyList } from '../../../enforcement/gateways/deny-list.ts'
import { MemoryDenyStore } from '../../../enforcement/gateways/deny-list-store.ts'
import { createHaproxyGateway } from '../../../enforcement/gateways/haproxy.ts'
import { liftGateway } from '../../../enforcement/reconcile-lift.ts'
import { sampleDecision } from '../../services/decision-ledger.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'
import {
  type ForwardAuthGateway,
  nginxInstalled,
  startForwardAuthGateway,
} from '../../services/nginx-forward-auth.ts'
import { member } from '../../unit/enforcement/alias-rig.ts'
import { LiveEngine } from './live-engine.ts'

/** What HAProxy calls the caller, and what NGINX does, with tokens of another issuer. */
const [AT_HAPROXY, AT_NGINX] = ['orders', 'orders-batch']
const OTHER_ISSUER = 'https://batch.test'
const NGINX_SECRET = new TextEncoder().encode('another-secret-0123456789abcdef01')
const HOME = '127.0.0.1'
const RECORDS = 25
/** What a throttle leaves is enough to see it end. */
const LOOSE = { throttleRequests: 20, throttleWindowSeconds: 60, impactRecords: 2_500 }
const never = new AbortController().signal
const clock = { now: () => wallTime(Date.now()) }

const subject = (iss: string, sub: string): Principal => ({
  kind: 'sub',
  id: JSON.stringify([iss, sub]),
  label: sub,
  verified: true,
})

const missing = haproxyMissing !== null || !nginxInstalled
describe.skipIf(missing && process.env.CI !== 'true')(
  'one caller with two names, at a real HAProxy and a real NGINX',
  { timeout: 120_000 },
  () => {
    let log: Socket
    let upstream: Server
    let haproxy: RunningHaproxy
    let nginx: ForwardAuthGateway
    let endpoint: DecisionEndpoint
    let denyList: DenyList
    let engine: LiveEngine
    let onLine: (line: string) => void = () => undefined

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
      denyList = new DenyList({ name: 'deny', store: new MemoryDenyStore(), clock, worstCaseDelayMs: 0 })
      await denyList.refresh(never)
      const secret = { kind: 'secret', algorithm: 'HS256', secret: NGINX_SECRET } as const
      endpoint = await startDecisionEndpoint({
        ...{ denyList, clock, port: 0, requireIdentity: true, trustHeaders: null, apiKeyHeader: null },
        ...{ failMode: 'closed', maxStaleMs: 600_000 },
        issuers: [{ issuer: OTHER_ISSUER, audience: null, keys: [secret] }],
        subjectId: ({ iss, sub }) => (sub === null ? null : JSON.stringify([iss, sub])),
      })
      nginx = await startForwardAuthGateway(endpoint.port)
    })
    afterAll(async () => {
      await nginx?.stop()
      await endpoint?.close()
      await haproxy?.stop()
      await new Promise((resolve) => upstream?.close(resolve))
      log?.close()
    })

    beforeEach(async () => {
      const { socketPath, mapFolder } = haproxy
      const edge = createHaproxyGateway({ name: 'edge', socketPath, mapFolder })
      for (const gateway of [edge, denyList])
        await liftGateway(gateway, { endedBy: null, stop: never, callTimeoutMs: 5_000 })
      const alias: Alias = {
        name: 'orders',
        tenant: 'default',
        members: [
          member(subject(haproxy.issuer, AT_HAPROXY), { adapters: ['edge'] }),
          member(subject(OTHER_ISSUER, AT_NGINX), { adapters: ['deny'] }),
        ],
      }
      engine = await LiveEngine.start([edge, denyList], LOOSE, [alias])
      engine.learn(
        [AT_HAPROXY, 'billing', 'crm-sync', 'warehouse-1'].map((name) => subject(haproxy.issuer, name)),
        HOME,
      )
      onLine = (line) => engine.take(line)
    })
    afterEach(async () => {
      onLine = () => undefined
      await engine?.close()
    })

    function token(iss: string, sub: string, key: Uint8Array): Promise<string> {
      const now = Math.floor(Date.now() / 1_000)
      const claims = { iss, sub, jti: `${sub}-1`, iat: now - 5, exp: now + 600 }
      return new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).sign(key)
    }

    async function status(url: string, bearer: string): Promise<number> {
      return new Promise((resolve, reject) => {
        request(url, { headers: { authorization: `Bearer ${bearer}` }, agent: false }, (answer) => {
          answer.resume().on('end', () => resolve(answer.statusCode ?? 0))
        })
          .on('error', reject)
          .end()
      })
    }

    const atHaproxy = async (sub: string) =>
      status(
        `http://127.0.0.1:${haproxy.port}/v1/export`,
        await token(haproxy.issuer, sub, new TextEncoder().encode(haproxy.secret)),
      )
    const atNginx = async (sub: string) =>
      status(`${nginx.url}/v1/export`, await token(OTHER_ISSUER, sub, NGINX_SECRET))

    /** Calls until the answer is no longer 200; what it was, 200 after too many. */
    async function until(call: () => Promise<number>, most: number): Promise<number> {
      for (let i = 0; i < most; i++) {
        const answer = await call()
        if (answer !== 200) return answer
        await sleep(5)
      }
      return 200
    }

    it('holds the thief seen at one at both, touches nobody else, and frees both at one release', async () => {
      expect(await until(() => atHaproxy(AT_HAPROXY), 2_000)).toBe(429)
      await expect.poll(() => engine.standing('principal')?.status).toBe('in-force')
      expect(await until(() => atNginx(AT_NGINX), LOOSE.throttleRequests + 5)).toBe(429)
      expect(await until(() => atNginx('billing'), LOOSE.throttleRequests + 5)).toBe(200)
      expect(await atHaproxy('billing')).toBe(200)
      // The name of one gateway is nobody's at the other.
      expect(await until(() => atNginx(AT_HAPROXY), LOOSE.throttleRequests + 5)).toBe(200)
      const view = engine.standing('principal')!
      expect(view.aliases).toEqual([{ gateway: 'deny', principal: `sub:${AT_NGINX}`, state: 'held' }])
      expect(view.receipts.map(({ gateway, detail }) => [gateway, detail]).sort()).toEqual([
        ['deny', `as sub:${AT_NGINX}`],
        ['edge', ''],
      ])
      onLine = () => undefined
      expect(await engine.enforcer.release(view.decision.id, 'a planned export')).toMatchObject({ ok: true })
      await expect.poll(() => atHaproxy(AT_HAPROXY), { timeout: 5_000 }).toBe(200)
      await expect.poll(() => atNginx(AT_NGINX), { timeout: 5_000 }).toBe(200)
    })

    it('revokes the subject of each gateway, and gives both back', async () => {
      onLine = () => undefined
      const principal = subject(OTHER_ISSUER, AT_NGINX)
      const scope = { kind: 'subject', iss: OTHER_ISSUER, sub: AT_NGINX, notBefore: null } as const
      await engine.enforcer.accept(
        sampleDecision({
          ...{ id: 'dec_revoke', action: 'revoke-token', limit: null, evidenceAt: Date.now() },
          ...{ principal, scope, gateway: { kind: 'nginx', id: 'deny' } },
        }),
      )
      await expect.poll(() => engine.enforcer.view('dec_revoke')?.status).toBe('in-force')
      const everybody = async () => [
        await atNginx(AT_NGINX),
        await atHaproxy(AT_HAPROXY),
        await atNginx('billing'),
        await atHaproxy('billing'),
      ]
      expect(await everybody()).toEqual([401, 401, 200, 200])
      await engine.enforcer.release('dec_revoke', 'looked at')
      await expect.poll(everybody, { timeout: 5_000 }).toEqual([200, 200, 200, 200])
    })

    it('holds nobody for calls of whoever only claims the name', async () => {
      for (let i = 0; i < 600; i++) {
        const claimed = { ...subject(haproxy.issuer, AT_HAPROXY), verified: false }
        const call = {
          method: 'GET',
          path: '/v1/export',
          status: 200,
          records: RECORDS,
          responseBytes: 4_500,
        }
        engine.take(
          JSON.stringify({ time: Date.now(), principal: claimed, clientIp: '198.51.100.7', ...call }),
        )
      }
      await sleep(200)
      const names = engine.enforcer.views().map(({ decision }) => decision.entity.id)
      expect(names.filter((name) => !name.startsWith('ip:'))).toEqual([])
      expect(await until(() => atNginx(AT_NGINX), LOOSE.throttleRequests + 5)).toBe(200)
      expect(engine.enforcer.views().flatMap(({ aliases }) => aliases)).toEqual([])
    })
  },
)
