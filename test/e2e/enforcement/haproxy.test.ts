import { createSocket, type Socket } from 'node:dgram'
import { createServer, type Server } from 'node:http'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AccessEvent, entityId, type Principal } from '../../../core/event.ts'
import { wallTime } from '../../../core/time.ts'
import { createEnforcer, type Enforcer } from '../../../enforcement/enforcer.ts'
import type { GatewayAdapter, Rule } from '../../../enforcement/gateway.ts'
import { createHaproxyGateway } from '../../../enforcement/gateways/haproxy.ts'
import { liftGateway } from '../../../enforcement/reconcile-lift.ts'
import type { Format, SourceSettings } from '../../../ingest/format.ts'
import { FORMATS } from '../../../ingest/formats/catalog.ts'
import { eventually, MemoryLedger, quietLogger, sampleDecision } from '../../services/decision-ledger.ts'
import { haproxyMissing, type RunningHaproxy, startHaproxy } from '../../services/haproxy.ts'

const CANONICAL = FORMATS.get('canonical') as Format
const SETTINGS: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'haproxy', id: 'edge' },
  principal: { order: ['sub'], issuers: new Map() },
  records: { headers: [], contentRange: false, field: null, bytesPerRecord: null },
}

const never = new AbortController().signal
const nowSeconds = () => Math.floor(Date.now() / 1_000)

interface LogLine {
  readonly principal: {
    readonly kind: string
    readonly id: string
    readonly label: string
    readonly verified: boolean
  }
  readonly token: { readonly jti: string; readonly scopes: readonly string[] } | null
  readonly status: number | null
  readonly refusedBy: string | null
  readonly records: number | null
  readonly path: string
  readonly userAgent: string | null
}

describe.skipIf(haproxyMissing !== null)('HAProxy enforces on real calls', () => {
  let haproxy: RunningHaproxy
  let upstream: Server
  let log: Socket
  let gateway: GatewayAdapter
  let reached = 0
  const lines: string[] = []

  beforeAll(async () => {
    log = createSocket('udp4').on('message', (message) => lines.push(message.toString('utf8')))
    await new Promise<void>((resolve) => log.bind(0, '127.0.0.1', resolve))
    upstream = createServer((_, response) => {
      reached++
      response.setHeader('X-Records-Returned', '25')
      response.setHeader('X-Curfew-Decision', 'forged-by-upstream')
      response.end('{"ok":true}')
    })
    await new Promise<void>((resolve) => upstream.listen(0, '127.0.0.1', resolve))
    const address = upstream.address()
    if (address === null || typeof address === 'string') throw new Error('no port')
    haproxy = await startHaproxy({ logPort: log.address().port, upstreamPort: address.port })
    gateway = createHaproxyGateway({
      name: 'edge',
      socketPath: haproxy.socketPath,
      mapFolder: haproxy.mapFolder,
    })
  })
  afterAll(async () => {
    await haproxy.stop()
    await new Promise((resolve) => upstream.close(resolve))
    log.close()
  })
  beforeEach(async () => {
    await liftGateway(gateway, { endedBy: null, stop: never, callTimeoutMs: 5_000 })
    lines.length = 0
  })

  function token(sub: string, claims: Record<string, unknown> = {}, iat = nowSeconds()): Promise<string> {
    const payload = { iss: haproxy.issuer, sub, jti: `${sub}-1`, exp: nowSeconds() + 300, iat, ...claims }
    return new SignJWT(payload)
      .setProtectedHeader({ alg: 'HS256' })
      .sign(new TextEncoder().encode(haproxy.secret))
  }

  async function call(bearer: string, headers: Record<string, string> = {}, path = '/v1/orders/7?page=2') {
    const url = `http://127.0.0.1:${haproxy.port}${path}`
    const ask = () => fetch(url, { headers: { authorization: `Bearer ${bearer}`, ...headers } })
    // A worker that is replaced closes its idle connections; whoever was about to use one asks again (RFC 9112, 9.3.1).
    const response = await ask().catch(ask)
    await response.text()
    return {
      status: response.status,
      decision: response.headers.get('x-curfew-decision'),
      retryAfter: response.headers.get('retry-after'),
    }
  }

  function principal(sub: string): Principal {
    return { kind: 'sub', id: JSON.stringify([haproxy.issuer, sub]), label: sub, verified: true }
  }

  function rule(sub: string, changes: Partial<Rule> = {}): Rule {
    return {
      id: 'dec_1',
      action: 'block',
      scope: { kind: 'principal', principal: principal(sub) },
      limit: null,
      until: wallTime(Date.now() + 60_000),
      ...changes,
    }
  }

  function enforcer(): Enforcer {
    return createEnforcer({
      gateways: [gateway],
      ledger: new MemoryLedger(),
      clock: { now: () => wallTime(Date.now()) },
      random: () => 0.5,
      logger: quietLogger,
      isAllowed: () => null,
    })
  }

  it('goes from free to throttled to revoked and back, and nobody else notices', async () => {
    const curfew = enforcer()
    const stop = new AbortController()
    await curfew.load()
    curfew.start(stop.signal)
    const alice = await token('alice')
    const other = await token('carol')
    expect(await call(alice)).toMatchObject({ status: 200, decision: null })

    await curfew.accept(sampleDecision({ evidenceAt: Date.now(), id: 'dec_slow' }))
    await eventually(() => curfew.view('dec_slow')?.status === 'in-force', 'the throttle')
    const throttled = await Promise.all([call(alice), call(alice), call(alice)])
    expect(throttled.filter((answer) => answer.status === 429)).not.toHaveLength(0)
    expect(await call(alice)).toEqual({ status: 429, decision: 'dec_slow', retryAfter: '10' })

    const scope = { kind: 'token', iss: haproxy.issuer, jti: 'alice-1' } as const
    const revocation = { id: 'dec_gone', action: 'revoke-token', scope, limit: null } as const
    await curfew.accept(sampleDecision({ evidenceAt: Date.now(), ...revocation }))
    await eventually(() => curfew.view('dec_gone')?.status === 'in-force', 'the revocation')
    expect(await call(alice)).toMatchObject({ status: 401, decision: 'dec_gone' })
    expect(await call(other)).toMatchObject({ status: 200, decision: null })
    expect(await call(await token('alice', { jti: 'alice-2' }))).toMatchObject({
      status: 429,
      decision: 'dec_slow',
    })

    expect(await curfew.release('dec_gone', 'planned migration')).toMatchObject({ ok: true })
    await eventually(async () => (await gateway.list(never)).length === 0, 'both rungs lifted')
    expect(await call(alice)).toMatchObject({ status: 200, decision: null })
    expect(curfew.view('dec_slow')?.status).toBe('released')
    stop.abort()
    await curfew.drain()
  })

  it('lets go at the end of a rule with nobody there to remove it', async () => {
    const bearer = await token('dora')
    await gateway.put(rule('dora', { until: wallTime(Date.now() + 1_500) }), never)
    expect(await call(bearer)).toMatchObject({ status: 403, decision: 'dec_1' })
    await eventually(async () => (await call(bearer)).status === 200, 'the end of the rule')
    expect(await gateway.list(never)).toHaveLength(1)
  })

  it('keeps a rule over a reload', async () => {
    const bearer = await token('erin')
    await gateway.put(rule('erin'), never)
    await haproxy.reload()
    expect(await call(bearer)).toMatchObject({ status: 403 })
    await gateway.remove('dec_1', never)
    await haproxy.reload()
    expect(await call(bearer)).toMatchObject({ status: 200 })
  })

  it('refuses tokens of a held subject issued earlier, however often they are re-minted', async () => {
    const notBefore = nowSeconds() - 10
    const scope = { kind: 'subject', iss: haproxy.issuer, sub: 'frank', notBefore } as const
    await gateway.put(rule('frank', { action: 'revoke-token', scope }), never)
    expect(await call(await token('frank', {}, notBefore - 1))).toMatchObject({
      status: 401,
      decision: 'dec_1',
    })
    expect(await call(await token('frank', { jti: 'other' }, notBefore - 1))).toMatchObject({ status: 401 })
    expect(await call(await token('frank', { jti: 'new' }, notBefore))).toMatchObject({ status: 200 })
    expect(await call(await token('frank', { iat: undefined }))).toMatchObject({ status: 401 })
  })

  it('knows a token without jti by its issue, and refuses tokens without exp, iat, jti or sub', async () => {
    for (const missing of ['exp', 'iat', 'jti', 'sub']) {
      expect([missing, (await call(await token('gina', { [missing]: undefined }))).status]).toEqual([
        missing,
        401,
      ])
    }
    const iat = nowSeconds() - 5
    const scope = { kind: 'token-issue', iss: haproxy.issuer, sub: 'gina', iat } as const
    await gateway.put(rule('gina', { action: 'revoke-token', scope }), never)
    expect(await call(await token('gina', {}, iat))).toMatchObject({ status: 401, decision: 'dec_1' })
    expect(await call(await token('gina', {}, iat + 1))).toMatchObject({ status: 200 })
  })

  it('tells a forger nothing, and holds nobody of another issuer', async () => {
    await gateway.put(rule('hana'), never)
    const genuine = await token('hana')
    expect(await call(`${genuine.slice(0, -8)}AAAAAAAA`)).toMatchObject({ status: 401, decision: null })
    const partner = new SignJWT({ iss: haproxy.partnerIssuer, sub: 'hana', jti: 'hana-1' })
    const bearer = await partner
      .setIssuedAt()
      .setExpirationTime('1m')
      .setProtectedHeader({ alg: 'RS256' })
      .sign(haproxy.privateKey)
    expect(await call(bearer)).toMatchObject({ status: 200 })
    expect(await call(await token('hana', { iss: haproxy.partnerIssuer }))).toMatchObject({ status: 401 })
    const none = `${Buffer.from('{"alg":"none"}').toString('base64url')}.${genuine.split('.')[1]}.`
    const before = reached
    expect(await call(none)).toMatchObject({ status: 401 })
    expect(await call(await token('hana', { jti: 'x', exp: nowSeconds() - 1 }))).toMatchObject({
      status: 401,
      decision: null,
    })
    expect(reached).toBe(before)
  })

  it('holds callers with hostile or alike names one by one', async () => {
    const long = 'x'.repeat(70)
    const names = ['evil;show info', 'a"b\\c', 'Zoë', `${long}1`, 'DOM\\user']
    for (const [index, sub] of names.entries()) await gateway.put(rule(sub, { id: `dec_${index}` }), never)
    for (const [index, sub] of names.entries()) {
      expect([sub, await call(await token(sub))]).toMatchObject([
        sub,
        { status: 403, decision: `dec_${index}` },
      ])
    }
    const twin: Rule = rule(`${long}1`, {
      id: 'dec_slow',
      action: 'throttle',
      limit: { requests: 0, windowSeconds: 10 },
    })
    await gateway.remove('dec_3', never)
    await gateway.put(twin, never)
    expect(await call(await token(`${long}1`))).toMatchObject({ status: 429 })
    expect(await call(await token(`${long}2`))).toMatchObject({ status: 200 })
    for (const sub of ['😀', 'a\u0000b', 'y'.repeat(256), '']) {
      expect([sub, (await call(await token(sub))).status]).toEqual([sub, 401])
    }
  })

  it('writes one valid line per call that names who was verified, whatever the client sends', async () => {
    const hostile = '"\\\t{}é'.repeat(1_300)
    const agent = Buffer.from(hostile, 'utf8').toString('latin1')
    await call(
      await token('a"b\\ü', { scope: 'orders:read "x' }),
      { 'user-agent': agent },
      `/v1/"%0a/${'p'.repeat(4_000)}?q`,
    )
    await gateway.put(rule('ivan'), never)
    await call(await token('ivan'))
    await call('not.a.token')
    await haproxy.reload()
    await call(await token('jane'))
    await eventually(() => lines.length >= 4, 'four log lines')
    const [first, second, third, fourth] = lines.map((line) => JSON.parse(line) as LogLine)
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(8_000)
    const id = JSON.stringify([haproxy.issuer, 'a"b\\ü'])
    expect(first?.principal).toEqual({ kind: 'sub', id, label: 'a"b\\ü', verified: true })
    expect(first).toMatchObject({
      status: 200,
      refusedBy: null,
      records: 25,
      token: { scopes: ['orders:read', '"x'] },
    })
    expect(first?.path.length).toBeLessThanOrEqual(256)
    expect(first?.userAgent?.length).toBeLessThanOrEqual(256)
    expect(second).toMatchObject({
      status: 403,
      refusedBy: 'curfew',
      principal: { label: 'ivan', verified: true },
    })
    expect(third).toMatchObject({
      status: 401,
      refusedBy: 'gateway',
      token: null,
      principal: { kind: 'ip', verified: false },
    })
    expect(fourth).toMatchObject({ status: 200, principal: { label: 'jane' } })
    expect(lines).toHaveLength(4)

    const events: AccessEvent[] = []
    for (const [offset, line] of lines.entries()) {
      const bytes = Buffer.from(line, 'utf8')
      const record = { bytes, receivedAt: Date.now(), topic: 'haproxy', partition: 0, offset }
      CANONICAL.parse(record, SETTINGS, {
        event: (event) => events.push(event),
        rejected: (rejection) => expect(rejection).toBeNull(),
      })
    }
    expect(events.map((event) => entityId(event.principal))).toEqual([
      'sub:a"b\\ü',
      'sub:ivan',
      'ip:127.0.0.1',
      'sub:jane',
    ])
    expect(events[0]?.principal.id).toBe(id)
  })
})
