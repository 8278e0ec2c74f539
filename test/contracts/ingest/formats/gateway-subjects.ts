import { type Call, jsonSubject, templated } from './call.ts'
import { combinedSubject } from './combined-subject.ts'
import type { FormatSubject } from './format-contract.ts'
import { SELF_WRITTEN } from './self-written-subjects.ts'

const ISSUER = 'https://idp.example.test/'

function apigeeLine(call: Call, raw: boolean): string {
  const known = call.who !== 'claimed'
  const name = (text: string) => (known ? text : '')
  return templated(
    [
      ['messageid', call.id],
      ['client_received_start_ms', String(call.time)],
      ['client_sent_end_ms', String(call.time + 48)],
      ['target_sent_start_ms', call.who === 'turned away' ? '' : String(call.time + 3)],
      ['client_ip', '203.0.113.10'],
      ['status', call.who === 'turned away' ? '401' : '200'],
      ['fault', call.who === 'turned away' ? 'InvalidToken' : ''],
      ['client_id', name('AbCdEf123')],
      ['developer_app', name('acme-mobile')],
      ['developer_id', name('dev-1001')],
      ['jwt_valid', known ? 'true' : 'false'],
      ['jwt_sub', 'user-42'],
      ['jwt_jti', '0f9c2c4e'],
      ['jwt_iss', ISSUER],
      ['resp_content_length', String(call.bytes)],
      ['verb', 'GET'],
      ['uri', call.uri],
      ['user_agent', call.agent],
    ],
    raw,
  )
}

function awsLine(call: Call, raw: boolean, isRest: boolean): string {
  const name = (text: string) => (call.who === 'claimed' ? '-' : text)
  const refused = call.who === 'turned away'
  return templated(
    [
      ['requestId', 'r'],
      [isRest ? 'extendedRequestId' : 'requestId2', call.id],
      ['requestTimeEpoch', String(call.time)],
      ['ip', '203.0.113.10'],
      ['status', refused ? '401' : '200'],
      ['responseLength', String(call.bytes)],
      ['responseLatency', '44'],
      ['integrationLatency', refused ? '-' : '39'],
      ['integrationStatus', refused ? '-' : '200'],
      ...(isRest ? ([['apiKeyId', name('nmp1runaeh')]] as const) : []),
      ...(isRest ? ([['principalId', name('user-42')]] as const) : []),
      ['sub', isRest ? '-' : name('user-42')],
      ['jti', name('0f9c2c4e')],
      ['iss', name(ISSUER)],
      ['scope', name('orders:read')],
      ['authorizerError', '-'],
      ['errorResponseType', refused ? 'UNAUTHORIZED' : '-'],
      ['httpMethod', 'GET'],
      isRest ? ['resourcePath', '/{proxy+}'] : ['routeKey', '$default'],
      ['path', call.uri],
      ['userAgent', call.agent],
    ],
    raw,
  )
}

function nginxLine(call: Call, raw: boolean): string {
  const name = (text: string) => (call.who === 'claimed' ? '' : text)
  const refused = call.who === 'turned away'
  return templated(
    [
      ['names', 'plain'],
      ['ts', (call.time + 10) / 1_000],
      ['request_time_s', 0.01],
      ['request_id', call.id],
      ['client_ip', '203.0.113.10'],
      ['status', refused ? 401 : 200],
      ['auth_status', call.who === 'claimed' ? '' : refused ? '401' : '200'],
      ['upstream_status', refused ? '' : '200'],
      ['sub', name('alice')],
      ['iss', name(ISSUER)],
      ['jti', name('jti-1')],
      ['decision', ''],
      ['bytes_in', 300],
      ['bytes_out', call.bytes],
      ['records', ''],
      ['method', 'GET'],
      ['path', call.uri],
      ['ua', call.agent],
    ],
    raw,
  )
}

function haproxyLine(call: Call, raw: boolean): string {
  const refused = call.who === 'turned away'
  return templated(
    [
      ['ts_ms', call.time],
      ['ms_total', 10],
      ['request_id', call.id],
      ['client_ip', '203.0.113.10'],
      ['status', refused ? 401 : 200],
      ['termination', refused ? 'PR--' : '----'],
      ['ms_upstream', refused ? -1 : 9],
      ['verified', call.who === 'caller' ? 1 : 0],
      ['sub', 'alice'],
      ['iss', ISSUER],
      ['jti', 'jti-1'],
      ['decision', ''],
      ['bytes_in', 300],
      ['bytes_out', call.bytes],
      ['method', 'GET'],
      ['path', call.uri],
      ['ua', call.agent],
    ],
    raw,
  )
}

/** Every gateway's format, each telling the same calls. */
export const GATEWAY_FORMATS: readonly FormatSubject[] = [
  jsonSubject({
    name: 'apigee',
    caller: 'sub:user-42',
    write: apigeeLine,
    template: true,
    victim: '"jwt_valid":"true","jwt_sub":"victim"',
  }),
  jsonSubject({
    name: 'aws-rest',
    caller: 'sub:user-42',
    write: (call, raw) => awsLine(call, raw, true),
    template: true,
    victim: '"principalId":"victim","sub":"victim","apiKeyId":"victim"',
  }),
  jsonSubject({
    name: 'aws-http',
    caller: 'sub:user-42',
    write: (call, raw) => awsLine(call, raw, false),
    template: true,
    victim: '"sub":"victim","routeKey":"GET /victim"',
  }),
  jsonSubject({
    name: 'nginx',
    caller: 'sub:alice',
    write: nginxLine,
    template: true,
    victim: '"auth_status":"200","sub":"victim"',
  }),
  jsonSubject({
    name: 'haproxy',
    caller: 'sub:alice',
    write: haproxyLine,
    template: true,
    victim: '"verified":1,"sub":"victim"',
  }),
  ...SELF_WRITTEN,
  combinedSubject(),
]
