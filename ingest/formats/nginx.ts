import type { Token } from '../../core/event.ts'
import { encodedName } from './encoded-name.ts'
import { refusal } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import { claimsOf, type Names } from './gateway-names.ts'
import type { Members } from './members.ts'
import { withoutSyslogPrefix } from './opened.ts'

/**
 * NGINX: the JSON `log_format` of docs/gateways/nginx.md, with names from the decision endpoint by
 * `auth_request_set`. The user name of Basic authentication (`$remote_user`) is not among them: NGINX logs it
 * whether anybody checked it or not.
 */
export const NGINX: Mapping = {
  name: 'nginx',
  members: {
    time: 'ts',
    duration: 'request_time_s',
    id: 'request_id',
    clientIp: 'client_ip',
    status: 'status',
    authStatus: 'auth_status',
    upstreamStatus: 'upstream_status',
    encoding: 'names',
    sub: 'sub',
    iss: 'iss',
    jti: 'jti',
    scope: 'scope',
    decision: 'decision',
    requestBytes: 'bytes_in',
    responseBytes: 'bytes_out',
    records: 'records',
    method: 'method',
    uri: 'path',
    userAgent: 'ua',
  },
  timeIs: 'end',
  durationUnitMs: 1_000,
  sealedBy: ['encoding', 'authStatus', 'sub', 'iss', 'jti'],
  names: namesOf,
  refusedBy: (m, status) => {
    const answered = m.states('upstreamStatus')
    return refusal(status, !answered, m.isInFront('decision'))
  },
  open: withoutSyslogPrefix,
}

/** The variables are filled by the answer of whoever authenticates the call, and by nothing else. */
function namesOf(m: Members): Names | null {
  const code = m.number('authStatus')
  if (code === null || Number.isNaN(code)) return null
  const isAccepted = code >= 200 && code < 300
  if (!isAccepted && !m.isInFront('decision')) return null
  return { token: m.text('encoding') === 'uri' ? encodedClaims(m) : claimsOf(m) }
}

function encodedClaims(m: Members): Token | null {
  const sub = encodedName(m, 'sub')
  if (sub === null) return null
  return { ...(claimsOf(m) ?? NO_CLAIMS), sub, iss: encodedName(m, 'iss'), jti: encodedName(m, 'jti') }
}

const NO_CLAIMS = { iat: null, exp: null, scopes: [] }
