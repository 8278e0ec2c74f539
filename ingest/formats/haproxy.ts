import { refusal } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import { claimsOf } from './gateway-names.ts'
import { withoutSyslogPrefix } from './opened.ts'

/**
 * HAProxy: the JSON `log-format` of docs/gateways/haproxy.md, behind a syslog prefix or not. `verified` is what
 * `jwt_verify` said; a claim alone is only what a token says of itself. Termination states: HAProxy
 * configuration manual, section 8.5.
 */
export const HAPROXY: Mapping = {
  name: 'haproxy',
  members: {
    time: 'ts_ms',
    duration: 'ms_total',
    id: 'request_id',
    clientIp: 'client_ip',
    status: 'status',
    termination: 'termination',
    upstreamMs: 'ms_upstream',
    verified: 'verified',
    sub: 'sub',
    iss: 'iss',
    jti: 'jti',
    iat: 'iat',
    exp: 'exp',
    scope: 'scope',
    decision: 'decision',
    requestBytes: 'bytes_in',
    responseBytes: 'bytes_out',
    records: 'records',
    method: 'method',
    uri: 'path',
    userAgent: 'ua',
  },
  timeIs: 'start',
  durationUnitMs: 1,
  sealedBy: ['verified', 'sub', 'iss', 'jti'],
  names: (m) => (m.number('verified') === 1 ? { token: claimsOf(m) } : null),
  refusedBy: (m, status) => {
    const state = m.text('termination') ?? ''
    const isOwn = /^[PL]/.test(state) || (state === '' && m.number('upstreamMs') === -1)
    return refusal(status, isOwn, m.isInFront('decision'))
  },
  open: withoutSyslogPrefix,
}
