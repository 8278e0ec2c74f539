import { Writable } from 'node:stream'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ROLES, type Role, roleAtLeast } from '../../../admin/access.ts'
import { createAdminServer, type RouteAccess } from '../../../admin/server.ts'
import { CurfewError } from '../../../core/errors.ts'
import { MemoryControlPlane } from '../../contracts/admin/memory-control-plane.ts'
import { nightClock } from '../../contracts/admin/sample-state.ts'
import { type RunningServer, runServer, TOKENS, tokenEntries } from './running-server.ts'

let running: RunningServer
const log: string[] = []
const logger = pino(
  new Writable({
    write: (chunk, _encoding, done) => {
      log.push(String(chunk))
      done()
    },
  }),
)

beforeAll(async () => {
  running = await runServer({ logger })
})
afterAll(() => running.server.close())

/** A path of a route with its parameters filled in by something that exists nowhere. */
const concrete = (path: string) => path.replace(/:\w+/g, 'nothing')

const EXPECTED: Record<string, string> = {
  'GET /': 'public',
  'GET /dashboard.css': 'public',
  'GET /dashboard.js': 'public',
  'GET /dashboard.svg': 'public',
  'GET /healthz': 'public',
  'GET /readyz': 'public',
  'GET /metrics': 'viewer',
  'GET /openapi.json': 'viewer',
  'GET /v1/me': 'viewer',
  'GET /v1/status': 'viewer',
  'GET /v1/coverage': 'viewer',
  'GET /v1/envelopes': 'viewer',
  'GET /v1/principals': 'viewer',
  'GET /v1/principals/:tenant/:entity': 'viewer',
  'POST /v1/principals/:tenant/:entity/forget': 'admin',
  'GET /v1/incidents': 'viewer',
  'GET /v1/incidents/:id': 'viewer',
  'POST /v1/incidents/:id/close': 'responder',
  'GET /v1/decisions': 'viewer',
  'GET /v1/decisions/:id': 'viewer',
  'POST /v1/decisions/:id/release': 'responder',
  'POST /v1/decisions/:id/approve': 'responder',
  'POST /v1/decisions/:id/extend': 'responder',
  'GET /v1/settings': 'viewer',
  'GET /v1/settings/specs': 'viewer',
  'GET /v1/settings/history': 'viewer',
  'POST /v1/settings/preview': 'viewer',
  'PUT /v1/settings': 'responder',
  'POST /v1/settings/revert': 'responder',
  'GET /v1/audit': 'responder',
  'GET /v1/audit/last': 'responder',
  'GET /v1/audit/export': 'admin',
}

async function statusFor(route: RouteAccess, role: Role | undefined): Promise<number> {
  const body = route.method === 'GET' ? {} : { body: {} }
  const answer = await running.call({
    method: route.method,
    path: concrete(route.path),
    ...(role && { role }),
    ...body,
  })
  return answer.status
}

describe('who may call what', () => {
  it('serves exactly the routes of the table, each with its role', () => {
    const served = Object.fromEntries(running.server.routes.map((r) => [`${r.method} ${r.path}`, r.role]))
    expect(served).toEqual(EXPECTED)
  })

  it('answers every route by role: 401 without a token, 403 below the role, neither from it on', async () => {
    for (const route of running.server.routes) {
      const name = `${route.method} ${route.path}`
      if (route.role === 'public') {
        expect(await statusFor(route, undefined), name).toBe(200)
        continue
      }
      expect(await statusFor(route, undefined), name).toBe(401)
      for (const role of ROLES) {
        const status = await statusFor(route, role)
        if (roleAtLeast(role, route.role)) expect([200, 400, 404], `${name} as ${role}`).toContain(status)
        else expect(status, `${name} as ${role}`).toBe(403)
      }
    }
  })

  it('tells strangers nothing about which paths exist', async () => {
    for (const path of ['/v1/nothing', '/v1/incidents/inc_1', '/v1/%2e%2e/x', '/admin']) {
      expect((await running.call({ path })).status).toBe(401)
    }
    expect((await running.call({ path: '/v1/nothing', role: 'viewer' })).status).toBe(404)
    expect((await running.call({ path: '/v1/me', method: 'DELETE', role: 'viewer' })).status).toBe(404)
  })

  it('refuses wrong, cut, doubled and misplaced tokens', async () => {
    const good = TOKENS.admin
    const hash = tokenEntries[3]!.sha256
    const tries = [
      good.slice(0, -1),
      `${good}x`,
      good.toUpperCase(),
      hash,
      `${good} ${good}`,
      '',
      'x'.repeat(4_000),
    ]
    for (const text of tries) {
      const answer = await running.call({ path: '/v1/me', headers: { authorization: `Bearer ${text}` } })
      expect(answer.status).toBe(401)
      expect(answer.headers['www-authenticate']).toBe('Bearer')
    }
    expect((await running.call({ path: `/v1/me?token=${good}` })).status).toBe(401)
    const basic = `Basic ${Buffer.from(`a:${good}`).toString('base64')}`
    expect((await running.call({ path: '/v1/me', headers: { authorization: basic } })).status).toBe(401)
    const right = await running.call({ path: '/v1/me', role: 'admin' })
    expect(right.json).toEqual({ name: 'a-admin', role: 'admin' })
  })
})

describe('what a request must look like', () => {
  it('serves only the host names that it has, against DNS rebinding', async () => {
    const port = new URL(running.url).port
    for (const host of [
      'evil.example',
      'localhost.evil.example',
      '127.0.0.1.nip.io',
      `evil.example:${port}`,
    ]) {
      const answer = await running.call({ path: '/v1/me', role: 'admin', headers: { host } })
      expect(answer.status).toBe(421)
    }
    for (const host of [`localhost:${port}`, '127.0.0.1', `[::1]:${port}`, 'LOCALHOST']) {
      expect((await running.call({ path: '/v1/me', role: 'admin', headers: { host } })).status).toBe(200)
    }
  })

  it('accepts requests of its own page only, and never allows another origin', async () => {
    const host = new URL(running.url).host
    for (const origin of [
      'https://evil.example',
      'null',
      `http://${host}.evil.example`,
      'http://localhost:1',
      'file://',
    ]) {
      const answer = await running.call({ path: '/v1/me', role: 'admin', headers: { origin } })
      expect(answer.status, origin).toBe(403)
      expect(answer.headers['access-control-allow-origin']).toBeUndefined()
    }
    const own = await running.call({ path: '/v1/me', role: 'admin', headers: { origin: `http://${host}` } })
    expect(own.status).toBe(200)
    const preflight = await running.call({
      path: '/v1/settings',
      method: 'OPTIONS',
      headers: { origin: 'https://evil.example' },
    })
    expect(preflight.status).toBe(403)
  })

  it('sends the security headers with successes and with errors', async () => {
    for (const call of [
      { path: '/' },
      { path: '/v1/me' },
      { path: '/v1/nothing', role: 'viewer' as const },
    ]) {
      const { headers } = await running.call(call)
      expect(headers['content-security-policy']).toContain("default-src 'none'")
      expect(headers['content-security-policy']).not.toContain('unsafe')
      expect(headers['x-content-type-options']).toBe('nosniff')
      expect(headers['x-frame-options']).toBe('DENY')
      expect(headers['cache-control']).toBe('no-store')
    }
  })

  it('limits bodies to 64 KiB and to JSON', async () => {
    const path = '/v1/decisions/dec_2/release'
    const big = JSON.stringify({ reason: 'x'.repeat(70_000) })
    const large = await running.call({ path, method: 'POST', role: 'responder', body: big })
    expect(large.status).toBe(413)
    const headers = { 'content-type': 'text/plain' }
    const plain = await running.call({ path, method: 'POST', role: 'responder', body: 'reason', headers })
    expect(plain.status).toBe(415)
    expect(plain.json).toMatchObject({ error: { code: 'unsupported-media-type' } })
    const broken = await running.call({ path, method: 'POST', role: 'responder', body: '{"reason":' })
    expect(broken.status).toBe(400)
    const proto = await running.call({
      path,
      method: 'POST',
      role: 'responder',
      body: '{"reason":"x","__proto__":{}}',
    })
    expect(proto.status).toBe(400)
    expect((await running.plane.decision('dec_2'))?.status).toBe('in-force')
  })
})

describe('how often a client may ask', () => {
  it('limits each token and each address apart, failed sign-ins included', async () => {
    const limited = await runServer({ rateLimit: { requestsPerMinute: 5, anonymousPerMinute: 3 } })
    try {
      const wrong = { path: '/v1/me', headers: { authorization: 'Bearer guess' } }
      const guesses: number[] = []
      for (let i = 0; i < 5; i++) guesses.push((await limited.call(wrong)).status)
      expect(guesses).toEqual([401, 401, 401, 429, 429])
      const refused = await limited.call({ path: '/v1/nothing' })
      expect(refused.status).toBe(429)
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
      expect(refused.json).toMatchObject({ error: { code: 'rate-limited' } })
      expect((await limited.call({ path: '/healthz' })).status).toBe(200)
      const answers: number[] = []
      for (let i = 0; i < 6; i++)
        answers.push((await limited.call({ path: '/v1/me', role: 'viewer' })).status)
      expect(answers).toEqual([200, 200, 200, 200, 200, 429])
      expect((await limited.call({ path: '/v1/me', role: 'admin' })).status).toBe(200)
    } finally {
      await limited.server.close()
    }
  })
})

describe('what gets out', () => {
  it('never logs tokens, queries or bodies, and never answers with a stack', async () => {
    const secret = 'sk-live-guessed-token-000111'
    await running.call({ path: `/v1/me?apikey=${secret}`, headers: { authorization: `Bearer ${secret}` } })
    running.plane.audit = async () => {
      throw new Error(`boom at /srv/app with ${TOKENS.admin}`)
    }
    const failed = await running.call({ path: '/v1/audit', role: 'admin' })
    expect(failed.status).toBe(500)
    expect(failed.json).toEqual({
      error: { code: 'internal', message: 'something went wrong; see the log of the engine' },
    })
    expect(log.join('')).toContain('admin request failed')
    expect(log.join('')).not.toContain(secret)
  })

  it('answers 503 with Retry-After when a part of the engine cannot be reached', async () => {
    running.plane.settings = async () => {
      throw new CurfewError('STORE_UNREACHABLE', 'redis://:hunter2@10.0.0.5 refused', {
        retriable: true,
        retryAfterMs: 2_500,
      })
    }
    const answer = await running.call({ path: '/v1/settings', role: 'viewer' })
    expect(answer.status).toBe(503)
    expect(answer.headers['retry-after']).toBe('3')
    expect(answer.text).not.toContain('hunter2')
    expect(log.join('')).not.toContain('hunter2')
  })
})

describe('a server that cannot be safe does not start', () => {
  const base = {
    controlPlane: new MemoryControlPlane(nightClock),
    clock: nightClock,
    metrics: async () => ({ contentType: 'text/plain', body: '' }),
  }

  it('beyond loopback without allowed hosts, or with tokens that are no hashes', async () => {
    const open = createAdminServer({ ...base, tokens: [], listen: { host: '0.0.0.0' } })
    await expect(open).rejects.toMatchObject({ code: 'CONFIG_INVALID' })
    const entry = { name: 'a', role: 'viewer', sha256: 'a'.repeat(64) } as const
    const wrong = [
      { ...entry, sha256: 'plain-token' },
      { ...entry, name: 'a b' },
      { ...entry, role: 'root' as Role },
    ]
    for (const token of wrong) {
      await expect(createAdminServer({ ...base, tokens: [token] })).rejects.toMatchObject({
        code: 'CONFIG_INVALID',
      })
    }
    await expect(createAdminServer({ ...base, tokens: [entry, entry] })).rejects.toThrow('used twice')
  })
})
