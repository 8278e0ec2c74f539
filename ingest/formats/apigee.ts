import { refusal } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import { claimsOf, hashedCredential, type Names, named } from './gateway-names.ts'
import type { Members } from './members.ts'
import { withoutSyslogPrefix } from './opened.ts'

/** Faults that Apigee raises about callers whom it has identified. */
const FAULTS_OF_KNOWN_CALLERS: ReadonlySet<string> = new Set([
  'QuotaViolation',
  'SpikeArrestViolation',
  'ConnectionsLimitViolation',
])

/**
 * Apigee: the JSON that our MessageLogging template writes (docs/gateways/apigee.md), alone, behind a syslog
 * prefix, or as `jsonPayload` of a Cloud Logging entry. All its values are text. Variable names: Apigee's flow
 * variables reference, and the VerifyJWT, VerifyAPIKey and OAuthV2 policies.
 */
export const APIGEE: Mapping = {
  name: 'apigee',
  inside: 'jsonPayload',
  members: {
    time: 'client_received_start_ms',
    end: 'client_sent_end_ms',
    targetSent: 'target_sent_start_ms',
    id: 'messageid',
    clientIp: 'client_ip',
    method: 'verb',
    uri: 'uri',
    status: 'status',
    requestBytes: 'req_content_length',
    responseBytes: 'resp_content_length',
    userAgent: 'user_agent',
    records: 'records',
    clientId: 'client_id',
    app: 'developer_app',
    developer: 'developer_id',
    jwtValid: 'jwt_valid',
    sub: 'jwt_sub',
    jti: 'jwt_jti',
    iss: 'jwt_iss',
    iat: 'jwt_iat',
    exp: 'jwt_exp',
    scope: 'jwt_scope',
    fault: 'fault',
    decision: 'decision',
  },
  timeIs: 'start',
  durationUnitMs: 1,
  sealedBy: ['clientId', 'app', 'developer', 'sub', 'jti', 'iss', 'fault'],
  names: namesOf,
  refusedBy: (m, status) =>
    refusal(status, m.states('fault') || !m.states('targetSent'), m.isInFront('decision')),
  open: withoutSyslogPrefix,
}

/**
 * Claims count where VerifyJWT says that they are valid, whatever went wrong later: a policy that goes on after
 * an error sets them as well. An app counts where nothing went wrong before it was known. The consumer key is
 * kept as a hash.
 */
function namesOf(m: Members): Names | null {
  const fault = m.text('fault')
  const token = m.text('jwtValid') === 'true' ? claimsOf(m) : null
  const isKnown = fault === null || FAULTS_OF_KNOWN_CALLERS.has(fault) || m.isInFront('decision')
  if (!isKnown) return token === null ? null : { token }
  const app = m.name('app')
  const developer = m.name('developer')
  const credential = hashedCredential(m.text('clientId'))
  return {
    app: app === null ? null : { id: JSON.stringify([developer, app]), label: app },
    key: named(credential),
    token,
    credential,
    owners: developer === null ? [] : [`org:${developer}`],
  }
}
