import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { MAPPINGS } from '../../../../ingest/formats/catalog.ts'
import { momentOf } from '../../../../ingest/formats/moment.ts'
import { formatNamed, SETTINGS } from '../../../contracts/ingest/formats/call.ts'
import { GATEWAY_FORMATS } from '../../../contracts/ingest/formats/gateway-subjects.ts'
import { type JsonObject, parsed, theEvent } from './kong-line.ts'

const subjectOf = (name: string) => GATEWAY_FORMATS.find((s) => s.format.name === name)!
const ordinary = (name: string): JsonObject => JSON.parse(subjectOf(name).ordinary) as JsonObject
const principals = (name: string, line: JsonObject | string | Uint8Array): string[] =>
  parsed(formatNamed(name), line, SETTINGS).events.map((e) => `${e.principal.kind}:${e.principal.label}`)

describe('a line from a template that lacks a member of identity', () => {
  const sealed = MAPPINGS.flatMap((m) => m.sealedBy.map((member) => [m.name, m.members[member]!] as const))

  it.each(sealed)('%s without %s: names nobody, since a client may have added the others', (name, member) => {
    const { [member]: left, ...rest } = ordinary(name)
    expect(left).toBeDefined()
    expect(principals(name, rest)).toEqual(['ip:203.0.113.10'])
  })
})

describe('Cloud Logging entries', () => {
  it('are read by their jsonPayload', () => {
    expect(principals('apigee', { insertId: 'x', jsonPayload: ordinary('apigee') })).toEqual(['sub:user-42'])
  })

  it('inside a line that has members of its own name nobody', () => {
    const victim = { ...ordinary('apigee'), jwt_sub: 'victim' }
    const line = { ...ordinary('apigee'), jsonPayload: victim }
    expect(principals('apigee', line)).toEqual(['ip:203.0.113.10'])
    expect(parsed(formatNamed('apigee'), line).rejections.map((r) => r.reason)).toEqual(['duplicate-key'])
  })
})

describe('CloudWatch subscriptions', () => {
  const line = subjectOf('aws-rest').ordinary
  const envelope = (messages: unknown[]) =>
    JSON.stringify({ messageType: 'DATA_MESSAGE', logEvents: messages.map((message) => ({ message })) })

  it.each([
    ['plain', Buffer.from(envelope([line, line]))],
    ['gzip', gzipSync(envelope([line, line]))],
  ])('give each line its place (%s)', (_, bytes) => {
    const { events, rejections } = parsed(formatNamed('aws-rest'), bytes, SETTINGS)
    expect(events.map((e) => e.source.index)).toEqual([0, 1])
    expect(rejections).toEqual([])
  })

  it('without calls say nothing', () => {
    expect(parsed(formatNamed('aws-rest'), '{"messageType":"CONTROL_MESSAGE","logEvents":[]}')).toEqual({
      events: [],
      rejections: [],
    })
  })

  it.each([
    ['cut off', envelope([line]).slice(0, -9), 'truncated'],
    ['with no lines', envelope([]), 'missing-field'],
    ['damaged gzip', gzipSync(envelope([line])).subarray(0, 60), 'truncated'],
    ['too large', gzipSync(Buffer.alloc(9 * 1_048_576)), 'too-long'],
    ['whose line is no text', envelope([7]), 'truncated'],
  ])('%s are dead letters', (_, bytes, reason) => {
    expect(parsed(formatNamed('aws-rest'), bytes).rejections.map((r) => r.reason)).toEqual([reason])
  })

  it('are not taken from the middle of a line', () => {
    const inner = JSON.stringify(line.replaceAll('user-42', 'victim')).slice(1, -1)
    const agent = `x","messageType":"DATA_MESSAGE","logEvents":[{"message":"${inner}"}],"y":"`
    expect(principals('aws-rest', subjectOf('aws-rest').write({ agent }, true))).toEqual(['sub:user-42'])
  })
})

describe('a subscription that a client wrote into a line whose texts stand first', () => {
  it('is part of that line', () => {
    const line = subjectOf('aws-rest').ordinary
    const inner = JSON.stringify(line.replaceAll('user-42', 'victim'))
    const agent = `"userAgent":"x","messageType":"DATA_MESSAGE","logEvents":[{"message":${inner}}]`
    expect(principals('aws-rest', line.replace('{', `{${agent},`))).not.toContain('sub:victim')
  })
})

describe('a line that is cut before its status', () => {
  it.each(['apigee', 'aws-rest', 'aws-http', 'nginx', 'haproxy'])(
    '%s: is no call, but a dead letter',
    (name) => {
      const { ordinary } = subjectOf(name)
      const { events, rejections } = parsed(
        formatNamed(name),
        ordinary.slice(0, ordinary.indexOf('"status"')),
      )
      expect(events).toEqual([])
      expect(rejections.map((r) => [r.reason, r.clientIp])).toEqual([['truncated', '203.0.113.10']])
    },
  )
})

describe('syslog prefixes', () => {
  it.each([
    '<134>Nov 23 17:00:03 edge haproxy[412]: ',
    '<134>1 2026-11-23T17:00:03.1+01:00 edge haproxy 412 - - ',
    'Nov 23 17:00:03 edge haproxy: ',
  ])('are skipped: %s', (prefix) => {
    expect(principals('haproxy', prefix + subjectOf('haproxy').ordinary)).toEqual(['sub:alice'])
  })

  it('with a quote are none', () => {
    expect(principals('haproxy', `"x" ${subjectOf('haproxy').ordinary}`)).toEqual([])
  })
})

describe('names from the decision endpoint', () => {
  const line = { ...ordinary('nginx'), names: 'uri' }
  it('are percent-decoded, and not believed when they may have been cut', () => {
    expect(principals('nginx', { ...line, sub: 'a%2Fb' })).toEqual(['sub:a/b'])
    expect(principals('nginx', { ...line, sub: 'a'.repeat(256) })).toEqual(['ip:203.0.113.10'])
    expect(principals('nginx', { ...ordinary('nginx'), sub: 'a%2Fb' })).toEqual(['sub:a%2Fb'])
  })
})

describe('API keys', () => {
  it('of Tyk are kept as a hash', () => {
    expect(JSON.stringify(theEvent(formatNamed('tyk'), ordinary('tyk'), SETTINGS))).not.toContain('c4f0e1a2')
  })

  it('of AWS are not read by value', () => {
    const line = { ...ordinary('aws-rest'), apiKey: 'the-value-of-the-key' }
    expect(JSON.stringify(theEvent(formatNamed('aws-rest'), line, SETTINGS))).not.toContain('the-value')
  })
})

describe('times', () => {
  it.each([
    [1_795_453_200, 1_795_453_200_000],
    ['1795453200.5', 1_795_453_200_500],
    ['1795453200123', 1_795_453_200_123],
    [1_795_453_200_123_456, 1_795_453_200_123.456],
    ['23/Nov/2026:18:00:00 +0100', 1_795_453_200_000],
    ['2026-11-23T17:00:00.123456789Z', 1_795_453_200_123],
    ['23/Nox/2026:18:00:00 +0100', Number.NaN],
    ['soon', Number.NaN],
    [-5, Number.NaN],
    [{}, Number.NaN],
  ])('%s', (written, moment) => {
    expect(momentOf(written)).toBe(moment)
  })
})
