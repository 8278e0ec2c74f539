import { refusal } from './gateway-format.ts'
import type { Mapping, StatedTarget } from './gateway-mapping.ts'
import { type Names, named } from './gateway-names.ts'
import type { Members } from './members.ts'

/** OCSF classes that tell of a call: API Activity and HTTP Activity. */
const CALLS: ReadonlySet<unknown> = new Set([6003, 4002])
/** `activity_id` of API Activity: create, read, update, delete. */
const METHODS = ['UNKNOWN', 'POST', 'GET', 'PUT', 'DELETE'] as const
const SUCCESS = 1

/**
 * OCSF: events of class API Activity (6003) and HTTP Activity (4002), schema 1.x. A producer states the actor of
 * failed calls as well, so of these only ones that no authentication can have failed count. The app is what the
 * client says of itself: an owner, no principal.
 */
export const OCSF: Mapping = {
  name: 'ocsf',
  members: {
    classUid: 'class_uid',
    time: 'time',
    end: 'end_time',
    duration: 'duration',
    id: 'metadata.uid',
    spareId: 'api.request.uid',
    clientIp: 'src_endpoint.ip',
    status: 'http_response.code',
    apiCode: 'api.response.code',
    statusId: 'status_id',
    activity: 'activity_id',
    userUid: 'actor.user.uid',
    userName: 'actor.user.name',
    org: 'actor.user.org.uid',
    appName: 'actor.app_name',
    credential: 'actor.user.credential_uid',
    service: 'api.service.name',
    operation: 'api.operation',
    method: 'http_request.http_method',
    uri: 'http_request.url.path',
    query: 'http_request.url.query_string',
    requestBytes: 'http_request.length',
    responseBytes: 'http_response.length',
    userAgent: 'http_request.user_agent',
  },
  timeIs: 'start',
  durationUnitMs: 1,
  sealedBy: [],
  isCall: (m) => CALLS.has(m.value('classUid')),
  names: namesOf,
  status: statusOf,
  refusedBy: (_, status) => refusal(status, status === 401, false),
  target: targetOf,
}

/** The HTTP status, else the API's own code where it is one, else what success or failure come to. */
function statusOf(m: Members): number | null {
  for (const member of ['status', 'apiCode']) {
    const code = m.number(member)
    if (code !== null && Number.isInteger(code) && code >= 100 && code <= 999) return code
  }
  if (!m.states('statusId')) return null
  return m.number('statusId') === SUCCESS ? 200 : 401
}

function namesOf(m: Members): Names | null {
  const status = statusOf(m)
  if (status === null || status === 401 || status === 403) return null
  const uid = m.name('userUid')
  const name = m.name('userName')
  const org = m.name('org')
  const app = m.name('appName')
  const owners = org === null ? [] : [`org:${org}`]
  return {
    account: uid === null ? named(name) : { id: uid, label: name ?? uid },
    credential: m.name('credential'),
    owners: app === null ? owners : [...owners, `app:${app}`],
  }
}

function targetOf(m: Members): StatedTarget {
  const path = m.text('uri')
  const query = m.text('query')
  const operation = `/${m.text('service') ?? 'api'}/${m.text('operation') ?? 'unknown'}`
  const method = m.text('method') ?? METHODS[m.number('activity') ?? 0] ?? METHODS[0]
  if (path === null) return { method, uri: operation, route: m.states('operation') ? operation : null }
  return { method, uri: query === null ? path : `${path}?${query}`, route: null }
}
