import { encodedName } from './encoded-name.ts'
import type { Mapping } from './gateway-mapping.ts'
import { type Names, named } from './gateway-names.ts'
import type { Members } from './members.ts'

/**
 * Caddy: its JSON access log. `user_id` is who Caddy's own authentication accepted; `curfew_sub` and so on are
 * appended by `log_append` where the decision endpoint let a call pass (docs/gateways/caddy.md). Request headers
 * are what the client sent, so none of them names anybody.
 */
export const CADDY: Mapping = {
  name: 'caddy',
  members: {
    time: 'ts',
    duration: 'duration',
    clientIp: 'request.client_ip',
    spareIp: 'request.remote_ip',
    status: 'status',
    user: 'user_id',
    sub: 'curfew_sub',
    iss: 'curfew_iss',
    jti: 'curfew_jti',
    decision: 'resp_headers.X-Curfew-Decision',
    requestBytes: 'bytes_read',
    responseBytes: 'size',
    method: 'request.method',
    uri: 'request.uri',
    userAgent: 'request.headers.User-Agent',
  },
  headers: { prefix: 'resp_headers.', capitals: true },
  timeIs: 'end',
  durationUnitMs: 1_000,
  sealedBy: [],
  names: namesOf,
  refusedBy: (m, status) => {
    if (status === null || status < 400) return null
    const isHold = status === 401 || status === 403 || status === 429
    if (isHold && m.states('decision')) return 'curfew'
    if (status === 401) return 'gateway'
    return status === 403 || status === 404 || status === 429 ? 'upstream' : null
  },
}

function namesOf(m: Members): Names | null {
  const sub = encodedName(m, 'sub')
  const claims = { iss: encodedName(m, 'iss'), sub, jti: encodedName(m, 'jti') }
  return {
    consumer: named(m.name('user')),
    token: sub === null ? null : { ...claims, iat: null, exp: null, scopes: [] },
  }
}
