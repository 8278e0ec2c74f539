import { refusal } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import { claimsOf } from './gateway-names.ts'

/** Response flags of calls that an upstream answered; with any other one Envoy answered by itself. */
const ANSWERED = /^(?:-|DC|DPE|UT)?$/

/**
 * Envoy, Istio: the `json_format` of docs/gateways/envoy.md; Envoy escapes what stands in it. Claims come from
 * the metadata that `jwt_authn` writes for tokens that held. Flags and details: Envoy's access log and response
 * code details pages.
 */
export const ENVOY: Mapping = {
  name: 'envoy',
  members: {
    time: 'start_time',
    duration: 'duration',
    id: 'request_id',
    clientIp: 'client_ip',
    spareIp: 'downstream_remote_address',
    status: 'response_code',
    details: 'response_code_details',
    flags: 'response_flags',
    sub: 'jwt_sub',
    iss: 'jwt_iss',
    jti: 'jwt_jti',
    iat: 'jwt_iat',
    exp: 'jwt_exp',
    scope: 'jwt_scope',
    decision: 'decision',
    requestBytes: 'bytes_received',
    responseBytes: 'bytes_sent',
    records: 'records',
    method: 'method',
    uri: 'path',
    userAgent: 'user_agent',
  },
  timeIs: 'start',
  durationUnitMs: 1,
  sealedBy: [],
  names: (m) => (m.text('details')?.startsWith('jwt_authn_access_denied') ? null : { token: claimsOf(m) }),
  refusedBy: (m, status) => {
    const details = m.text('details')
    const isOwn =
      details === null ? !ANSWERED.test(m.text('flags') ?? '') : !details.startsWith('via_upstream')
    return refusal(status, isOwn, m.states('decision'))
  },
}
