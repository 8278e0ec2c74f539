import { anonymousObject, kongObject } from '../../../unit/ingest/formats/kong-line.ts'
import { type Call, jsonSubject } from './call.ts'
import type { FormatSubject } from './format-contract.ts'

function kongLine(call: Call): string {
  const changes = {
    started_at: call.time,
    response: { status: 200, size: call.bytes },
    request: { id: call.id, method: 'GET', uri: call.uri, size: 612, headers: { 'user-agent': call.agent } },
  }
  if (call.who === 'turned away')
    return JSON.stringify(kongObject({ ...changes, source: 'kong', response: { status: 401, size: 90 } }))
  if (call.who === 'caller') return JSON.stringify(kongObject(changes))
  const headers = { 'user-agent': call.agent, 'x-consumer-username': 'acme-mobile' }
  const claims = { jwt: { sub: 'acme-mobile' }, request: { ...changes.request, headers } }
  return JSON.stringify(anonymousObject({ ...changes, ...claims }))
}

/** Kong: the gateway escapes what it writes. */
export function kongSubject(): FormatSubject {
  return jsonSubject({
    name: 'kong',
    caller: 'consumer:acme-mobile',
    write: kongLine,
    template: false,
    victim: '"consumer":{"id":"victim","username":"victim"}',
  })
}

function canonicalLine(call: Call, raw: boolean): string {
  const verified = call.who !== 'claimed'
  const refused = call.who === 'turned away'
  const head = JSON.stringify({
    id: call.id,
    time: call.time,
    principal: { kind: 'consumer', id: 'c-1', label: 'orders-svc', verified },
    clientIp: '203.0.113.10',
    status: refused ? 401 : 200,
    ...(refused ? { refusedBy: 'gateway', token: { sub: 'orders-svc' }, credential: 'k1' } : {}),
    responseBytes: call.bytes,
    method: 'GET',
  })
  const text = (value: string) => (raw ? `"${value}"` : JSON.stringify(value))
  return `${head.slice(0, -1)},"path":${text(call.uri)},"userAgent":${text(call.agent)}}`
}

/** Curfew's own format, which gateways write from a template. */
export function canonicalSubject(): FormatSubject {
  return jsonSubject({
    name: 'canonical',
    caller: 'consumer:orders-svc',
    write: canonicalLine,
    template: true,
    victim: '"principal":{"kind":"consumer","id":"victim"}',
  })
}

export const OWN_FORMATS: readonly FormatSubject[] = [kongSubject(), canonicalSubject()]
