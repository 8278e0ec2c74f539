import { encodedName } from './encoded-name.ts'
import { refusal } from './gateway-format.ts'
import type { Mapping } from './gateway-mapping.ts'
import type { Names } from './gateway-names.ts'
import type { Members } from './members.ts'

/**
 * Traefik: its JSON access log with the headers of docs/gateways/traefik.md. A request header is in the log as the client
 * sent it until ForwardAuth has replaced it by the endpoint's: that it has is certain only where a service answered.
 * `ClientUsername` names nobody: it may be the user of an absolute URL that the client wrote.
 */
export const TRAEFIK: Mapping = {
  name: 'traefik',
  members: {
    time: 'StartUTC',
    duration: 'Duration',
    clientIp: 'ClientHost',
    spareIp: 'ClientAddr',
    status: 'DownstreamStatus',
    answered: 'OriginStatus',
    sub: 'request_X-Curfew-Subject',
    iss: 'request_X-Curfew-Issuer',
    jti: 'request_X-Curfew-Token',
    refusedSub: 'downstream_X-Curfew-Subject',
    refusedIss: 'downstream_X-Curfew-Issuer',
    refusedJti: 'downstream_X-Curfew-Token',
    decision: 'downstream_X-Curfew-Decision',
    requestBytes: 'RequestContentSize',
    responseBytes: 'DownstreamContentSize',
    method: 'RequestMethod',
    uri: 'RequestPath',
    userAgent: 'request_User-Agent',
  },
  headers: { prefix: 'downstream_', capitals: true },
  timeIs: 'start',
  durationUnitMs: 1e-6,
  sealedBy: [],
  names: namesOf,
  refusedBy: (m, status) => refusal(status, !isAnswered(m), m.states('decision')),
}

/** Whether a service of the user's answered; else Traefik or a middleware did. */
function isAnswered(m: Members): boolean {
  return (m.number('answered') ?? 0) > 0
}

function namesOf(m: Members): Names | null {
  const answered = isAnswered(m)
  // Without a service behind it a response can come from the endpoint only, marked as such, or names nobody.
  if (!answered && !m.states('decision')) return null
  const [of, from, token] = answered ? ['sub', 'iss', 'jti'] : ['refusedSub', 'refusedIss', 'refusedJti']
  const sub = encodedName(m, of!)
  const claims = { iss: encodedName(m, from!), sub, jti: encodedName(m, token!) }
  return sub === null ? null : { token: { ...claims, iat: null, exp: null, scopes: [] } }
}
