import { describe, expect, it } from 'vitest'
import { entityId } from '../../../../core/event.ts'
import { kong } from '../../../../ingest/formats/kong.ts'
import {
  anonymousObject,
  type JsonObject,
  kongObject,
  parsed,
  RECEIVED_AT,
  SETTINGS,
  STARTED_AT,
  theEvent,
} from './kong-line.ts'

const event = (changes: JsonObject = {}, settings = SETTINGS) => theEvent(kong, kongObject(changes), settings)
const request = (changes: JsonObject): JsonObject => ({
  request: { ...(kongObject().request as JsonObject), ...changes },
})
const response = (changes: JsonObject): JsonObject => ({
  response: { ...(kongObject().response as JsonObject), ...changes },
})

describe('a Kong line', () => {
  it('becomes an event', () => {
    expect(event()).toEqual({
      id: '00000000000000000000000000abc001',
      time: STARTED_AT + 44,
      receivedAt: RECEIVED_AT,
      tenant: 'default',
      principal: {
        kind: 'consumer',
        id: '8a4c1c1e-1111-4c0a-9b6a-5f1f1d1e0001',
        label: 'acme-mobile',
        verified: true,
      },
      parents: [],
      token: {
        iss: 'https://idp.example.test/',
        sub: 'user-42',
        jti: '0f9c2c4e-7e0a',
        iat: null,
        exp: 1795460000,
        scopes: ['orders:read', 'orders:list'],
      },
      credential: '5d7f0a11-2222-4b1b-8c1c-1c2d3e4f0001',
      clientIp: '203.0.113.10',
      userAgent: 'acme-ios/4.2',
      method: 'GET',
      route: '/v1/orders/{id}',
      path: '/v1/orders/8841',
      objectIds: ['8841'],
      status: 200,
      latencyMs: 44,
      requestBytes: 612,
      responseBytes: 5120,
      records: null,
      recordsFrom: 'none',
      refusedBy: null,
      gateway: { kind: 'kong', id: 'edge' },
      source: { topic: 'access', partition: 3, offset: 77, index: 0 },
    })
  })

  it('may come in an array, each call with its place', () => {
    const { events, rejections } = parsed(kong, [kongObject(), anonymousObject(), kongObject()])
    expect(rejections).toEqual([])
    expect(events.map((e) => [entityId(e.principal), e.source.index])).toEqual([
      ['consumer:acme-mobile', 0],
      ['ip:203.0.113.10', 1],
      ['consumer:acme-mobile', 2],
    ])
  })

  it('loses only the damaged element of an array', () => {
    const good = JSON.stringify(kongObject())
    const { events, rejections } = parsed(kong, `[${good},{"broken":tru},7,${good}]`)
    expect(events.map((e) => e.source.index)).toEqual([0, 3])
    expect(rejections.map((r) => [r.reason, r.index])).toEqual([
      ['not-json', 1],
      ['not-json', 2],
    ])
  })

  it('says so when an array has no end', () => {
    const { events, rejections } = parsed(kong, `[${JSON.stringify(kongObject())}`)
    expect(events).toHaveLength(1)
    expect(rejections.map((r) => r.reason)).toEqual(['truncated'])
  })

  it('without a request id is named after its position', () => {
    const { id: _, ...rest } = kongObject().request as JsonObject
    expect(event({ request: rest }).id).toBe('access/3/77/0')
  })

  it('keeps escapes in texts readable', () => {
    const line = JSON.stringify(kongObject()).replaceAll('/', '\\/')
    expect(theEvent(kong, line)).toEqual(event())
  })

  it('takes the first of a header that was sent twice', () => {
    expect(event(request({ headers: { 'user-agent': ['curl/8', 'other'] } })).userAgent).toBe('curl/8')
    expect(event(request({ headers: {} })).userAgent).toBeNull()
    expect(event(request({ headers: { 'user-agent': 'x'.repeat(5_000) } })).userAgent).toHaveLength(256)
  })

  it('has sizes as numbers or digits, and none where nginx had none', () => {
    expect(event(response({ size: '5121' })).responseBytes).toBe(5121)
    expect(event(response({ size: '' })).responseBytes).toBeNull()
    expect(event(response({ size: '-' })).responseBytes).toBeNull()
  })

  it.each([-5, '-5', 1.5])('with the size %s has no size and says so', (size) => {
    const { events, rejections } = parsed(kong, kongObject(response({ size })))
    expect(events[0]?.responseBytes).toBeNull()
    expect(rejections.map((r) => r.reason)).toEqual(['bad-number'])
    expect(rejections[0]?.detail).toContain('response.size')
  })

  it.each(['1e999', 'NaN', '-Infinity'])('with the size %s is still an event', (size) => {
    const { events, rejections } = parsed(
      kong,
      JSON.stringify(kongObject()).replace('"size":5120', `"size":${size}`),
    )
    expect(events[0]).toMatchObject({ responseBytes: null, principal: { label: 'acme-mobile' } })
    expect(rejections.map((r) => r.reason)).toEqual(['bad-number'])
  })

  it('without a status has none', () => {
    expect(event({ response: { size: 1 } }).status).toBeNull()
  })

  it('is dated by its start when it has no duration, and never-proxied is no latency', () => {
    expect(event({ latencies: {} })).toMatchObject({ time: STARTED_AT, latencyMs: null })
    expect(event({ latencies: { proxy: -1, request: 3 } })).toMatchObject({
      time: STARTED_AT + 3,
      latencyMs: 3,
    })
  })

  it('of a broken request line counts for its address', () => {
    const line = anonymousObject({ request: { size: 0 }, response: { status: 400, size: 0 }, source: 'kong' })
    expect(theEvent(kong, line)).toMatchObject({
      method: 'UNKNOWN',
      route: '{unknown}',
      principal: { kind: 'ip' },
    })
  })

  it('names the objects of its query too', () => {
    expect(event(request({ uri: '/v1/orders?ids=1,2,3&page=9' })).objectIds).toEqual(['1', '2', '3'])
  })

  it('keeps no token that a client put into its path or agent', () => {
    const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl'
    const e = event(request({ uri: `/reset/${jwt}?jwt=${jwt}`, headers: { 'user-agent': `x ${jwt}` } }))
    expect(JSON.stringify(e)).not.toContain('eyJ')
  })
})

describe('the time of a Kong line', () => {
  it.each([
    ['missing-field', undefined],
    ['missing-field', null],
    ['wrong-type', '1795453200123'],
    ['time-out-of-bounds', RECEIVED_AT - 8 * 86_400_000],
    ['time-out-of-bounds', RECEIVED_AT + 121_000],
    ['time-out-of-bounds', 1_795_453_200],
    ['time-out-of-bounds', -1],
  ])('is refused as %s when it is %s', (reason, startedAt) => {
    const { started_at: _, ...rest } = kongObject()
    const line = startedAt === undefined ? rest : { ...rest, started_at: startedAt }
    const { events, rejections } = parsed(kong, line)
    expect(events).toEqual([])
    expect(rejections.map((r) => [r.reason, r.clientIp])).toEqual([[reason, '203.0.113.10']])
    expect(rejections[0]?.detail).toContain('started_at')
  })

  it('may lie anywhere in this century when its receipt is unknown', () => {
    const old = kongObject({ started_at: 978_307_200_000 })
    expect(parsed(kong, old, SETTINGS, Number.NaN).events).toHaveLength(1)
    expect(parsed(kong, kongObject({ started_at: 900_000_000_000 }), SETTINGS, Number.NaN).events).toEqual([])
    expect(parsed(kong, kongObject({ started_at: 4_102_444_800_000 }), SETTINGS, Number.NaN).events).toEqual(
      [],
    )
  })
})

describe('who a Kong line is about', () => {
  const withOrder = (order: typeof SETTINGS.principal.order, issuers: [string, string][] = []) => ({
    ...SETTINGS,
    principal: { order, issuers: new Map(issuers) },
  })
  const IDP = 'https://idp.example.test/'

  it('is the consumer by id, under the best name it has', () => {
    expect(event({ consumer: { id: 'c-1', username: null, custom_id: 'cust' } }).principal.label).toBe('cust')
    expect(event({ consumer: { id: 'c-2' } }).principal).toMatchObject({ id: 'c-2', label: 'c-2' })
  })

  it('is the subject where the configuration asks for it', () => {
    const e = event({}, withOrder(['sub', 'consumer']))
    expect(e.principal).toEqual({
      kind: 'sub',
      id: JSON.stringify([IDP, 'user-42']),
      label: 'user-42',
      verified: true,
    })
    expect(e.parents).toEqual(['app:acme-mobile'])
  })

  it('shows the alias of the issuer when there are several, and an unknown issuer in full', () => {
    const two: [string, string][] = [
      [IDP, 'corp'],
      ['https://other.test', 'other'],
    ]
    expect(event({}, withOrder(['sub'], two)).principal.label).toBe('corp/user-42')
    expect(event({}, withOrder(['sub'], [[IDP, 'corp']])).principal.label).toBe('user-42')
    expect(event({}, withOrder(['sub'], [['https://x.test', 'x']])).principal.label).toBe(`${IDP}/user-42`)
  })

  it('cannot be confused by separators in issuer or subject', () => {
    const settings = withOrder(['sub'])
    const a = event({ jwt: { iss: 'a","b', sub: 'c' } }, settings).principal.id
    const b = event({ jwt: { iss: 'a', sub: 'b","c' } }, settings).principal.id
    expect(a).not.toBe(b)
  })

  it('is the address when nobody vouched: unsigned claims and headers name nobody', () => {
    const claims = { sub: 'alice', iss: IDP, jti: 'j' }
    const e = theEvent(kong, anonymousObject({ jwt: claims }), withOrder(['sub', 'consumer', 'key']))
    expect(e).toMatchObject({
      principal: { kind: 'ip', id: '203.0.113.10', verified: false },
      token: null,
      credential: null,
    })
  })

  it('is the address behind the anonymous consumer, whose claims nobody checked', () => {
    const { authenticated_entity: _, ...rest } = kongObject(
      request({ headers: { 'x-anonymous-consumer': 'true' } }),
    )
    expect(theEvent(kong, rest, withOrder(['sub', 'consumer']))).toMatchObject({
      principal: { kind: 'ip' },
      token: null,
    })
    const spoofed = event(request({ headers: { 'x-anonymous-consumer': 'true' } }))
    expect(spoofed.principal.kind).toBe('consumer')
  })

  it('is the credential when only that is known', () => {
    const { consumer: _, ...rest } = kongObject()
    expect(theEvent(kong, rest, withOrder(['consumer', 'key'])).principal).toMatchObject({
      kind: 'key',
      verified: true,
    })
  })

  it.each([
    ['2001:DB8:1:2:3:4:5:6', '2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['::ffff:203.0.113.9', '203.0.113.9', '203.0.113.9'],
    ['fe80::1%eth0', 'fe80::1', 'fe80::/64'],
    ['::', '::', '::/64'],
  ])('is, for the address %s, its network', (given, ip, id) => {
    const e = theEvent(kong, anonymousObject({ client_ip: given }))
    expect([e.clientIp, e.principal.id]).toEqual([ip, id])
  })

  it.each([undefined, null, 5, '', 'localhost', '1.2.3', 'unix:'])('is nobody with the address %s', (ip) => {
    const { client_ip: _, ...rest } = anonymousObject()
    const { events, rejections } = parsed(kong, ip === undefined ? rest : { ...rest, client_ip: ip })
    expect(events).toEqual([])
    expect(rejections.map((r) => r.reason)).toEqual(['no-principal'])
  })

  it('falls back to the address when the consumer has the wrong type', () => {
    for (const consumer of [
      'acme',
      5,
      ['x'],
      { id: 7, username: 'acme-mobile' },
      { username: 'acme-mobile' },
    ]) {
      const { authenticated_entity: _, ...rest } = kongObject({ consumer })
      const { events, rejections } = parsed(kong, rest)
      expect(events.map((e) => e.principal.kind)).toEqual(['ip'])
      expect(rejections.map((r) => r.reason)).toEqual(['wrong-type'])
    }
  })

  it('keeps long ids apart', () => {
    const id = (tail: string) => event({ consumer: { id: `${'x'.repeat(400)}${tail}` } }).principal.id
    expect(id('a')).not.toBe(id('b'))
    expect(id('a').length).toBeLessThanOrEqual(256)
  })

  it('gives the tenant from the configuration only', () => {
    expect(event({ tenant: 'victim', workspace_name: 'victim' }).tenant).toBe('default')
    const settings = { ...SETTINGS, tenantField: 'workspace_name', gatewayField: 'node' }
    expect(event({ workspace_name: 'blue', node: 'kong-2' }, settings)).toMatchObject({
      tenant: 'blue',
      gateway: { id: 'kong-2' },
    })
    expect(event({}, settings).tenant).toBe('default')
    const { events, rejections } = parsed(kong, kongObject({ workspace_name: 'a\u0000b' }), settings)
    expect([events.length, rejections[0]?.reason]).toEqual([0, 'wrong-type'])
  })
})

describe('who refused a Kong call', () => {
  const mark = { 'x-curfew-decision': 'dec_1' }
  it.each([
    ['served', {}, null],
    ['by upstream', { ...response({ status: 404 }) }, 'upstream'],
    ['upstream failure', { ...response({ status: 502 }) }, null],
    ['by Kong', { source: 'kong', ...response({ status: 429 }) }, 'gateway'],
    ['by us', { source: 'kong', ...response({ status: 429, headers: mark }) }, 'curfew'],
    ['an upstream that pretends to be us', { ...response({ status: 403, headers: mark }) }, 'upstream'],
    ['our mark on a 404', { source: 'kong', ...response({ status: 404, headers: mark }) }, 'gateway'],
  ] as const)('%s', (_, changes, expected) => {
    expect(event(changes as JsonObject).refusedBy).toBe(expected)
  })

  it('is told by tries and latency in logs without a source', () => {
    const { source: _s, tries: _t, ...untried } = kongObject(response({ status: 401 }))
    expect(theEvent(kong, untried).refusedBy).toBe('gateway')
    const { source: _, ...rest } = kongObject(response({ status: 401 }))
    expect(theEvent(kong, rest).refusedBy).toBe('upstream')
    expect(theEvent(kong, { ...rest, latencies: { proxy: -1, request: 1 } }).refusedBy).toBe('gateway')
  })
})

describe('the records of a Kong call', () => {
  const rule = (records: Partial<typeof SETTINGS.records>) => ({
    ...SETTINGS,
    records: { ...SETTINGS.records, ...records },
  })
  const headers = (h: JsonObject) => response({ headers: h })

  it('come from the configured headers in order; totals count only when listed', () => {
    const settings = rule({ headers: ['x-records-returned', 'x-total-count'] })
    expect(event(headers({ 'x-total-count': '25', 'x-records-returned': '7' }), settings)).toMatchObject({
      records: 7,
      recordsFrom: 'header',
    })
    expect(event({}, settings).records).toBe(25)
    expect(event(headers({ 'x-records-returned': '-3' }), settings).records).toBeNull()
  })

  it('come from Content-Range in units other than bytes', () => {
    const settings = rule({ contentRange: true })
    expect(event(headers({ 'content-range': 'items 0-24/319' }), settings).records).toBe(25)
    expect(event(headers({ 'content-range': 'bytes 0-24/319' }), settings).records).toBeNull()
    expect(event(headers({ 'content-range': 'items */319' }), settings).records).toBeNull()
    expect(event(headers({ 'content-range': 'items 9-2/319' }), settings).records).toBeNull()
  })

  it('come from a field of the log', () => {
    expect(event({ stats: { rows: 12 } }, rule({ field: 'stats.rows' }))).toMatchObject({
      records: 12,
      recordsFrom: 'field',
    })
  })

  it('are estimated from the bytes of successful responses', () => {
    const settings = rule({ bytesPerRecord: 1_000 })
    expect(event({}, settings)).toMatchObject({ records: 6, recordsFrom: 'estimate' })
    expect(event(response({ status: 500 }), settings)).toMatchObject({ records: null, recordsFrom: 'none' })
  })
})
