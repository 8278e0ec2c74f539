/**
 * The operations of Keycloak's admin API that enforcement uses: path, parameters, body and answers. Facts from the
 * resources of Keycloak 26 (`services/src/main/java/org/keycloak/services/resources/admin`: `UserResource`,
 * `GroupsResource`, `GroupResource`, `RealmAdminResource`), which its REST documentation is generated from; no text of
 * it. The same contract ran against a real Keycloak 26.5.6 (`keycloak-real.ts`).
 */
interface Described {
  readonly method: string
  readonly path: RegExp
  readonly operation: string
  readonly query: readonly string[]
  /** Fields that a body may have, null for no body. */
  readonly body: Readonly<Record<string, 'text' | 'flag' | 'lists'>> | null
  readonly status: number
}

const GROUP = { name: 'text', attributes: 'lists' } as const
const PAGES = ['search', 'first', 'max', 'briefRepresentation']

const OPERATIONS: readonly Described[] = [
  { method: 'GET', path: /^groups$/, operation: 'GetGroups', query: PAGES, body: null, status: 200 },
  { method: 'POST', path: /^groups$/, operation: 'CreateGroup', query: [], body: GROUP, status: 201 },
  { method: 'PUT', path: /^groups\/([^/]+)$/, operation: 'UpdateGroup', query: [], body: GROUP, status: 204 },
  {
    method: 'DELETE',
    path: /^groups\/([^/]+)$/,
    operation: 'DeleteGroup',
    query: [],
    body: null,
    status: 204,
  },
  { method: 'GET', path: /^users\/([^/]+)$/, operation: 'GetUser', query: [], body: null, status: 200 },
  {
    method: 'PUT',
    path: /^users\/([^/]+)$/,
    operation: 'UpdateUser',
    query: [],
    body: { enabled: 'flag' },
    status: 204,
  },
  {
    method: 'POST',
    path: /^users\/([^/]+)\/logout$/,
    operation: 'Logout',
    query: [],
    body: null,
    status: 204,
  },
  {
    method: 'GET',
    path: /^users\/([^/]+)\/sessions$/,
    operation: 'GetSessions',
    query: [],
    body: null,
    status: 200,
  },
  {
    method: 'GET',
    path: /^users\/([^/]+)\/consents$/,
    operation: 'GetConsents',
    query: [],
    body: null,
    status: 200,
  },
  {
    method: 'GET',
    path: /^users\/([^/]+)\/offline-sessions\/([^/]+)$/,
    operation: 'GetOfflineSessions',
    query: [],
    body: null,
    status: 200,
  },
  {
    method: 'DELETE',
    path: /^sessions\/([^/]+)$/,
    operation: 'DeleteSession',
    query: ['isOffline'],
    body: null,
    status: 204,
  },
]

/** A request of the admin API, recognised. */
export interface KeycloakOperation {
  readonly operation: string
  readonly parameters: readonly string[]
  /** Status of success. */
  readonly status: number
  /** What the request does not keep to, or null. */
  readonly fault: string | null
}

/** Which operation a request below a realm is; null when there is none such. */
export function keycloakOperation(
  method: string,
  path: string,
  query: URLSearchParams,
  body: unknown,
): KeycloakOperation | null {
  const described = OPERATIONS.find((one) => one.method === method && one.path.test(path))
  if (described === undefined) return null
  const parameters = described.path.exec(path)!.slice(1).map(decodeURIComponent)
  const odd = [...query.keys()].find((name) => !described.query.includes(name))
  const fault = odd !== undefined ? `query ${odd}` : bodyFault(described.body, body)
  return {
    operation: described.operation,
    parameters,
    status: described.status,
    fault: fault === null ? null : `${described.operation}: ${fault}`,
  }
}

function bodyFault(wanted: Described['body'], body: unknown): string | null {
  if (wanted === null) return body === null ? null : 'a body'
  if (typeof body !== 'object' || body === null) return 'no body'
  for (const [name, value] of Object.entries(body)) {
    const type = wanted[name]
    if (type === undefined) return `unknown field ${name}`
    if (type === 'text' && typeof value !== 'string') return `${name} is no text`
    if (type === 'flag' && typeof value !== 'boolean') return `${name} is no flag`
    if (type === 'lists' && !isLists(value)) return `${name} is no map of lists`
  }
  return null
}

function isLists(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  return Object.values(value).every(
    (list) => Array.isArray(list) && list.every((item) => typeof item === 'string' && item.length <= 255),
  )
}
