import type { Mapping } from './gateway-mapping.ts'
import { hashedCredential, type Names } from './gateway-names.ts'
import type { Members } from './members.ts'

/** What Tyk writes for calls to an API without keys. */
const NO_KEY = /^0*$/

/**
 * Tyk: analytics records as tyk-pump's `kafka` pump writes them. `api_key` is the key itself unless Tyk hashes
 * keys, so it is kept as a hash. A record does not say who refused a call, nor whether the key of a refused one
 * was any good: a call refused with 401 or 403 is booked on its address.
 */
export const TYK: Mapping = {
  name: 'tyk',
  members: {
    time: 'timestamp',
    duration: 'request_time_ms',
    clientIp: 'ip_address',
    status: 'response_code',
    apiKey: 'api_key',
    alias: 'alias',
    oauthId: 'oauth_id',
    org: 'org_id',
    requestBytes: 'content_length',
    responseBytes: 'response_length',
    method: 'method',
    uri: 'raw_path',
    userAgent: 'user_agent',
  },
  timeIs: 'end',
  durationUnitMs: 1,
  sealedBy: [],
  names: namesOf,
  refusedBy: (_, status) => {
    if (status === 401 || status === 403 || status === 429) return 'gateway'
    return status === 404 ? 'upstream' : null
  },
}

function namesOf(m: Members): Names | null {
  const apiKey = m.text('apiKey')
  const status = m.number('status')
  if (apiKey === null || NO_KEY.test(apiKey) || status === 401 || status === 403) return null
  const credential = hashedCredential(apiKey) ?? ''
  const owners = [m.name('org')].filter((org) => org !== null).map((org) => `org:${org}`)
  const client = m.name('oauthId')
  return {
    key: { id: credential, label: m.name('alias') ?? credential },
    credential,
    owners: client === null ? owners : [...owners, `app:${client}`],
  }
}
