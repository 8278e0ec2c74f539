import { describe, expect, it } from 'vitest'
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

const request = (changes: JsonObject): JsonObject => ({
  request: { ...(kongObject().request as JsonObject), ...changes },
})

describe('a damaged Kong line', () => {
  const whole = JSON.stringify(kongObject({ zz: 'x' }))

  it('that was cut after what matters is an event and a dead letter', () => {
    const { events, rejections } = parsed(kong, whole.slice(0, whole.indexOf('"zz"') + 3))
    expect(events).toHaveLength(1)
    expect(events[0]).toMatchObject({ status: 200, principal: { label: 'acme-mobile' } })
    expect(rejections.map((r) => r.reason)).toEqual(['truncated'])
  })

  it('that was cut within the consumer is booked on its address', () => {
    const { events, rejections } = parsed(kong, whole.slice(0, whole.indexOf('"custom_id"')))
    expect(events[0]?.principal).toMatchObject({ kind: 'ip', id: '203.0.113.10' })
    expect(rejections).toHaveLength(1)
  })

  it('that was cut before its time is a call of its address at its receipt, besides a dead letter', () => {
    const cut = whole.slice(0, whole.indexOf('"started_at"') + 18)
    const { events, rejections } = parsed(kong, cut)
    expect(events.map((e) => [e.principal.id, e.time])).toEqual([['203.0.113.10', RECEIVED_AT]])
    expect(rejections[0]).toMatchObject({ reason: 'truncated', clientIp: '203.0.113.10' })
  })

  it('that was cut before its time is only a dead letter when nobody knows when it arrived', () => {
    const cut = whole.slice(0, whole.indexOf('"started_at"') + 18)
    const { events, rejections } = parsed(kong, cut, SETTINGS, Number.NaN)
    expect(events).toEqual([])
    expect(rejections[0]).toMatchObject({ reason: 'truncated', clientIp: '203.0.113.10' })
  })

  it('that is too long is looked at up to the limit', () => {
    const long = whole.replace('"zz":"x"', `"zz":"${'x'.repeat(1_100_000)}"`)
    const { events, rejections } = parsed(kong, long)
    expect(events[0]?.principal.label).toBe('acme-mobile')
    expect(rejections.map((r) => r.reason)).toEqual(['too-long'])
    expect(rejections[0]?.excerpt.length).toBeLessThanOrEqual(512)
  })

  it('with bytes outside UTF-8 in a path is still scored', () => {
    const bytes = Buffer.from(whole.replace('8841', '@@'))
    bytes[bytes.indexOf('@@')] = 0xff
    const { events, rejections } = parsed(kong, bytes)
    expect(events[0]).toMatchObject({ principal: { label: 'acme-mobile' }, path: '/v1/orders/\ufffd@' })
    expect(rejections.map((r) => r.reason)).toEqual(['invalid-utf8'])
  })

  it('with bytes outside UTF-8 in a name is booked on its address', () => {
    const bytes = Buffer.from(whole.replace('8a4c1c1e-1111', '@'))
    bytes[bytes.indexOf('@')] = 0xff
    const settings = {
      ...SETTINGS,
      principal: { order: ['consumer' as const], issuers: new Map<string, string>() },
    }
    expect(parsed(kong, bytes, settings).events[0]?.principal.kind).toBe('ip')
  })

  it.each([
    ['consumer', '"consumer":{"id":"victim","username":"victim"},'],
    ['status', '"response":{"status":404},'],
    ['a claim', '"jwt":{"sub":"victim"},'],
    ['the time', '"started_at":1,'],
    ['an escaped key', '"cons\\u0075mer":{"id":"victim","username":"victim"},'],
  ])('that states %s twice names nobody', (_, injected) => {
    const { events, rejections } = parsed(kong, `{${injected}${whole.slice(1)}`)
    expect(events.map((e) => e.principal.kind)).toEqual(['ip'])
    expect(events[0]?.token).toBeNull()
    expect(rejections.map((r) => r.reason)).toEqual(['duplicate-key'])
  })

  it('that states its address twice has none', () => {
    const { events, rejections } = parsed(kong, `{"client_ip":"192.0.2.1",${whole.slice(1)}`)
    expect(events).toEqual([])
    expect(rejections[0]).toMatchObject({ reason: 'duplicate-key', clientIp: null })
  })

  it('is not believed when the true name may stand behind the damage', () => {
    const forged = `{"consumer":{"id":"victim"},"client_ip":"203.0.113.10","started_at":${STARTED_AT},"response":{"status":200},"x":"a"b",${whole.slice(1)}`
    const { events } = parsed(kong, forged)
    expect(events.every((e) => e.principal.kind === 'ip')).toBe(true)
  })

  it('cannot forge members from inside its user agent', () => {
    const agent = '","consumer":{"id":"victim"},"x":"'
    const e = theEvent(kong, anonymousObject(request({ headers: { 'user-agent': agent } })))
    expect(e).toMatchObject({ principal: { kind: 'ip' }, userAgent: agent })
  })

  it('that is nested too deeply is refused before it is parsed', () => {
    const { rejections } = parsed(kong, `{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`)
    expect(rejections.map((r) => r.reason)).toEqual(['too-deep'])
  })

  it.each(['', ' ', 'null', '7', '"text"', '{', '}', '[', '{}', '{"a":01}', '{"a":1,}', 'not a log'])(
    '%j is a dead letter',
    (line) => {
      const { events, rejections } = parsed(kong, line)
      expect(events).toEqual([])
      expect(rejections).toHaveLength(1)
    },
  )

  it('shows no secrets in its dead letter', () => {
    const secret = 'hunter2secret'
    const line = `{"request":{"headers":{"apikey":"${secret}","cookie":"sid=${secret}","authorization":"Bearer ${secret}"},"uri":"/x?access_token=${secret}&jwt=${secret}"},"mail":"jo@example.test"`
    const text = JSON.stringify(parsed(kong, line).rejections)
    expect(text).not.toContain(secret)
    expect(text).not.toContain('jo@example.test')
  })
})
