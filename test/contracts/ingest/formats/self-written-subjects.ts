import { type Call, jsonSubject } from './call.ts'
import type { FormatSubject } from './format-contract.ts'

const ISSUER = 'https://idp.example.test/'

function envoyLine(call: Call): string {
  const known = call.who !== 'claimed'
  const refused = call.who === 'turned away'
  return JSON.stringify({
    start_time: new Date(call.time).toISOString(),
    duration: 44,
    request_id: call.id,
    client_ip: '203.0.113.10',
    response_code: refused ? 401 : 200,
    response_code_details: refused ? 'jwt_authn_access_denied{Jwt_is_expired}' : 'via_upstream',
    response_flags: '-',
    jwt_sub: known ? 'user-42' : null,
    jwt_iss: known ? ISSUER : null,
    jwt_jti: known ? '0f9c2c4e' : null,
    bytes_received: 0,
    bytes_sent: call.bytes,
    method: 'GET',
    path: call.uri,
    user_agent: call.agent,
    authorization_claim: 'user-42',
  })
}

function apisixLine(call: Call): string {
  const refused = call.who === 'turned away'
  return JSON.stringify({
    start_time: call.time,
    latency: 44.0001,
    client_ip: '203.0.113.10',
    route_id: 'orders',
    ...(refused ? {} : { upstream: '10.2.0.7:8080' }),
    ...(call.who === 'claimed' ? {} : { consumer: { username: 'acme_mobile' } }),
    request: {
      method: 'GET',
      uri: call.uri,
      size: 300,
      headers: { 'user-agent': call.agent, 'x-consumer-username': 'acme_mobile' },
    },
    response: { status: refused ? 401 : 200, size: call.bytes, headers: { 'x-request-id': call.id } },
  })
}

function tykLine(call: Call): string {
  const known = call.who !== 'claimed'
  return JSON.stringify({
    timestamp: new Date(call.time).toISOString(),
    method: 'GET',
    path: call.uri,
    raw_path: call.uri,
    response_code: call.who === 'turned away' ? 401 : 200,
    alias: known ? 'acme-mobile' : '',
    api_key: known ? 'c4f0e1a2' : '00000000',
    api_id: '8ddd91f3cda9453442c477b06c4e2da4',
    org_id: '5e9d9544a1dcd60001d0ed20',
    oauth_id: '',
    request_time_ms: 44,
    ip_address: '203.0.113.10',
    content_length: call.bytes,
    user_agent: call.agent,
    tags: known ? [] : ['key-acme-mobile'],
  })
}

function caddyLine(call: Call): string {
  return JSON.stringify({
    level: 'info',
    ts: call.time / 1_000,
    logger: 'http.log.access.log0',
    msg: 'handled request',
    request: {
      remote_ip: '203.0.113.10',
      method: 'GET',
      uri: call.uri,
      headers: { 'User-Agent': [call.agent], 'X-Curfew-Subject': ['orders-svc'] },
    },
    user_id: call.who === 'claimed' ? '' : 'orders-svc',
    duration: 0.0033,
    size: call.bytes,
    status: call.who === 'turned away' ? 401 : 200,
    resp_headers: { Server: ['Caddy'] },
  })
}

function traefikLine(call: Call): string {
  const refused = call.who === 'turned away'
  const known = call.who !== 'claimed'
  return JSON.stringify({
    ClientAddr: '203.0.113.10:51234',
    ClientHost: '203.0.113.10',
    ClientUsername: call.who === 'claimed' ? 'user-42' : '-',
    DownstreamContentSize: call.bytes,
    DownstreamStatus: refused ? 401 : 200,
    Duration: 44_000_000,
    OriginStatus: refused ? 0 : 200,
    RequestContentSize: 0,
    RequestMethod: 'GET',
    RequestPath: call.uri,
    StartUTC: new Date(call.time).toISOString(),
    'request_User-Agent': call.agent,
    ...(known ? { 'request_X-Curfew-Issuer': ISSUER, 'request_X-Curfew-Subject': 'user-42' } : {}),
  })
}

function cloudtrailLine(call: Call): string {
  const arn = 'arn:aws:iam::123456789012:user/alice'
  const user = { type: 'IAMUser', arn, accountId: '123456789012', accessKeyId: 'AKIAIOSFODNN7EXAMPLE' }
  const stranger = { type: 'AWSAccount', principalId: 'ANONYMOUS_PRINCIPAL', accountId: 'anonymous', arn }
  return JSON.stringify({
    eventVersion: '1.09',
    userIdentity: call.who === 'claimed' ? stranger : user,
    eventTime: new Date(call.time).toISOString(),
    eventSource: 's3.amazonaws.com',
    eventName: 'GetObject',
    sourceIPAddress: '203.0.113.10',
    userAgent: call.agent,
    ...(call.who === 'turned away' ? { errorCode: 'SignatureDoesNotMatch' } : {}),
    requestParameters: { bucketName: 'orders', key: call.uri },
    additionalEventData: { bytesTransferredIn: 0, bytesTransferredOut: call.bytes },
    eventID: call.id,
    readOnly: true,
  })
}

function ocsfLine(call: Call): string {
  const known = call.who !== 'claimed'
  const refused = call.who === 'turned away'
  return JSON.stringify({
    class_uid: 6003,
    activity_id: 2,
    time: call.time,
    metadata: { uid: call.id, version: '1.3.0' },
    ...(known ? { actor: { user: { uid: 'u-42', name: 'alice' } } } : {}),
    api: { operation: 'ListOrders', service: { name: 'orders' } },
    src_endpoint: { ip: '203.0.113.10' },
    http_request: { http_method: 'GET', url: { path: call.uri }, user_agent: call.agent },
    http_response: { code: refused ? 401 : 200, length: call.bytes },
    status_id: refused ? 2 : 1,
  })
}

const subject = (
  name: string,
  caller: string,
  write: (call: Call) => string,
  victim: string,
  after = '{',
): FormatSubject => jsonSubject({ name, caller, write, template: false, victim, after })

/** Formats whose lines a gateway writes from objects, so that it escapes all texts. */
export const SELF_WRITTEN: readonly FormatSubject[] = [
  subject('envoy', 'sub:user-42', envoyLine, '"jwt_sub":"victim"'),
  subject('apisix', 'consumer:acme_mobile', apisixLine, '"consumer":{"username":"victim"}'),
  subject('tyk', 'key:acme-mobile', tykLine, '"api_key":"victim","alias":"victim"'),
  subject('traefik', 'sub:user-42', traefikLine, '"request_X-Curfew-Subject":"victim"'),
  subject('caddy', 'consumer:orders-svc', caddyLine, '"user_id":"victim"'),
  subject(
    'cloudtrail',
    'account:arn:aws:iam::123456789012:user/alice',
    cloudtrailLine,
    '"userIdentity":{"type":"IAMUser","arn":"victim"}',
  ),
  subject('ocsf', 'account:alice', ocsfLine, '"actor":{"user":{"uid":"victim","name":"victim"}}'),
]
