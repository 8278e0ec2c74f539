import { describe, expect, it } from 'vitest'
import { canonical } from '../../../../ingest/formats/canonical.ts'
import { type JsonObject, parsed, RECEIVED_AT, SETTINGS, theEvent } from './kong-line.ts'

const LINE: JsonObject = {
  time: '2026-11-23T17:00:00.123Z',
  principal: { kind: 'sub', id: 'alice', label: 'Alice' },
  method: 'GET',
  path: '/v1/orders/7?expand=1',
}
const AT = Date.UTC(2026, 10, 23, 17, 0, 0, 123)
const NOW = AT + 1_000
const event = (changes: JsonObject = {}, settings = SETTINGS) => {
  const { events, rejections } = parsed(canonical, { ...LINE, ...changes }, settings, NOW)
  expect(rejections).toEqual([])
  return events[0]
}
const refused = (changes: JsonObject | string) => {
  const line = typeof changes === 'string' ? changes : { ...LINE, ...changes }
  const { events, rejections } = parsed(canonical, line, SETTINGS, NOW)
  expect(events).toEqual([])
  return rejections.map((r) => [r.reason, r.detail.split(':')[0]])
}

describe('the gateway of a line', () => {
  const several = { ...SETTINGS, gatewayField: 'node' }

  it('is the one that the configured field states, of the configured kind', () => {
    expect(event({ node: 'edge-2.example:443' }, several)?.gateway).toEqual({
      kind: SETTINGS.gateway.kind,
      id: 'edge-2.example:443',
    })
    expect(event({ node: 'edge-2' })?.gateway).toEqual(SETTINGS.gateway)
  })

  it.each([[7], [''], ['two words'], ['x'.repeat(65)], ['-a'], [null], [{ id: 'edge-2' }]])(
    'is the configured one when the field says %j, and the call is judged all the same',
    (node) => {
      expect(event({ node }, several)?.gateway).toEqual(SETTINGS.gateway)
    },
  )
})

describe('a canonical line', () => {
  it('needs little', () => {
    expect(event()).toEqual({
      id: 'access/3/77/0',
      time: AT,
      receivedAt: NOW,
      tenant: 'default',
      principal: { kind: 'sub', id: 'alice', label: 'Alice', verified: true },
      parents: [],
      token: null,
      credential: null,
      clientIp: null,
      userAgent: null,
      method: 'GET',
      route: '/v1/orders/{id}',
      path: '/v1/orders/7',
      objectIds: ['7'],
      status: null,
      latencyMs: null,
      requestBytes: null,
      responseBytes: null,
      records: null,
      recordsFrom: 'none',
      refusedBy: null,
      gateway: { kind: 'kong', id: 'edge' },
      source: { topic: 'access', partition: 3, offset: 77, index: 0 },
    })
  })

  it('may say all of it', () => {
    const all: JsonObject = {
      id: 'e-1',
      principal: { kind: 'consumer', id: 'c-1', label: 'orders-svc', verified: true },
      parents: ['org:acme', 'app:mobile'],
      token: { iss: 'https://idp.test', sub: 'alice', jti: 'j', iat: 1, exp: 2, scopes: ['read'] },
      credential: 'row-1',
      clientIp: '192.0.2.1',
      userAgent: 'curl/8',
      route: '/orders/:id',
      objectIds: ['a', 'b'],
      status: 200,
      latencyMs: 1.5,
      requestBytes: 10,
      responseBytes: 20,
      records: 3,
      recordsFrom: 'header',
      refusedBy: 'gateway',
    }
    const { principal, ...rest } = all
    expect(event(all)).toMatchObject({ ...rest, principal })
  })

  it('cannot choose its tenant, gateway, source or receipt', () => {
    const e = event({
      tenant: 'victim',
      gateway: { kind: 'x', id: 'y' },
      source: { topic: 't', offset: 1 },
      receivedAt: 5,
    })
    expect(e).toMatchObject({
      tenant: 'default',
      gateway: { id: 'edge' },
      source: { topic: 'access', offset: 77 },
      receivedAt: NOW,
    })
    expect(event({ tenant: 'blue' }, { ...SETTINGS, tenantField: 'tenant' })?.tenant).toBe('blue')
  })

  it.each([
    ['2026-11-23T17:00:00Z', AT - 123],
    ['2026-11-23T18:00:00.123+01:00', AT],
    ['2026-11-23T12:00:00.123456-05:00', AT],
    [AT, AT],
  ])('takes %s as its time', (time, expected) => {
    expect(event({ time })?.time).toBe(expected)
  })

  it.each([
    ['bad-time', '2026-02-29T00:00:00Z'],
    ['bad-time', '2026-11-23T17:00:00'],
    ['bad-time', '23/Nov/2026'],
    ['bad-time', '2026-11-23T24:00:00.000Z'],
    ['time-out-of-bounds', '2026-11-01T00:00:00.000Z'],
    ['missing-field', null],
    ['wrong-type', true],
  ])('is refused as %s with the time %s', (reason, time) => {
    expect(refused({ time })).toEqual([[reason, 'time']])
  })

  it.each([
    ['wrong-type', 'principal', { principal: 'alice' }],
    ['wrong-type', 'principal.kind', { principal: { kind: 'admin', id: 'x' } }],
    ['missing-field', 'principal.kind', { principal: { id: 'x' } }],
    ['missing-field', 'principal.id', { principal: { kind: 'sub' } }],
    ['wrong-type', 'principal.id', { principal: { kind: 'sub', id: 7 } }],
    ['wrong-type', 'principal.verified', { principal: { kind: 'sub', id: 'x', verified: 'no' } }],
    ['missing-field', 'principal', { principal: null }],
    ['missing-field', 'method', { method: null }],
    ['wrong-type', 'method', { method: 5 }],
    ['missing-field', 'path', { path: null }],
    ['wrong-type', 'status', { status: '200' }],
    ['bad-number', 'status', { status: 20.5 }],
    ['bad-number', 'responseBytes', { responseBytes: -1 }],
    ['wrong-type', 'records', { records: '3' }],
    ['wrong-type', 'parents', { parents: ['a', 1] }],
    ['wrong-type', 'recordsFrom', { recordsFrom: 'guess' }],
    ['wrong-type', 'refusedBy', { refusedBy: 'me' }],
    ['wrong-type', 'clientIp', { clientIp: 'localhost' }],
    ['wrong-type', 'token', { token: 'eyJ' }],
    ['wrong-type', 'token.scopes', { token: { scopes: 'read' } }],
    ['wrong-type', 'userAgent', { userAgent: ['a'] }],
  ] as const)('is refused as %s naming %s', (reason, field, changes) => {
    expect(refused(changes as unknown as JsonObject)).toEqual([[reason, field]])
  })

  it('books what nobody verified on its address', () => {
    const principal = { kind: 'sub', id: 'alice', verified: false }
    const e = event({ principal, clientIp: '192.0.2.1', token: { sub: 'alice' }, credential: 'c' })
    expect(e).toMatchObject({
      principal: { kind: 'ip', id: '192.0.2.1', verified: false },
      token: null,
      credential: null,
    })
    expect(refused({ principal })).toEqual([['no-principal', 'no verified identity and no client address']])
  })

  it('never has a verified address', () => {
    expect(event({ principal: { kind: 'ip', id: '2001:db8::1', verified: true } })?.principal).toEqual({
      kind: 'ip',
      id: '2001:db8::/64',
      label: '2001:db8::/64',
      verified: false,
    })
  })

  it('may give a route instead of a path', () => {
    const { path: _, ...rest } = LINE
    const { events } = parsed(canonical, { ...rest, route: '/a/{x}' }, SETTINGS, NOW)
    expect(events[0]).toMatchObject({ route: '/a/{x}', path: '/a/{x}' })
  })

  it('that states its principal twice counts for its address', () => {
    const line = JSON.stringify({ ...LINE, clientIp: '192.0.2.1' })
    const { events, rejections } = parsed(
      canonical,
      `{"principal":{"kind":"sub","id":"victim"},${line.slice(1)}`,
      SETTINGS,
      NOW,
    )
    expect(events.map((e) => e.principal.kind)).toEqual(['ip'])
    expect(rejections.map((r) => r.reason)).toEqual(['duplicate-key'])
  })

  it('that was cut short is salvaged', () => {
    const line = JSON.stringify({ ...LINE, status: 200, userAgent: 'x' })
    const { events, rejections } = parsed(canonical, line.slice(0, -3), SETTINGS, NOW)
    expect(events[0]).toMatchObject({ principal: { id: 'alice' }, status: 200 })
    expect(rejections.map((r) => r.reason)).toEqual(['truncated'])
  })

  it('is read whatever the alphabet', () => {
    expect(
      theEvent(canonical, {
        ...LINE,
        time: RECEIVED_AT,
        path: '/büro/7',
        principal: { kind: 'sub', id: 'Zoë\ud800' },
      }),
    ).toMatchObject({
      path: '/büro/7',
      principal: { id: 'Zoë\ufffd' },
    })
  })
})
