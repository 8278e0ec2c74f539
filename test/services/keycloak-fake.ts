import { randomUUID } from 'node:crypto'
import { type Answered, type Asked, ControlPlaneServer, type JsonAnswer } from './control-plane-server.ts'
import { InjectedFaults, type Refusal } from './injected-faults.ts'
import { keycloakOperation } from './keycloak-description.ts'

export interface FakeUser {
  readonly username: string
  readonly enabled: boolean
  readonly notBefore: number
  readonly sessions: readonly string[]
  /** Offline sessions by the id of their client. */
  readonly offline: Readonly<Record<string, readonly string[]>>
  readonly attributes: Readonly<Record<string, readonly string[]>>
}

interface FakeGroup {
  readonly name: string
  readonly attributes: Readonly<Record<string, readonly string[]>>
}

/** One realm: users and groups. */
class RealmState {
  users = new Map<string, FakeUser>()
  groups = new Map<string, FakeGroup>()

  snapshot() {
    return structuredClone({ users: this.users, groups: this.groups })
  }

  restore({ users, groups }: ReturnType<RealmState['snapshot']>): void {
    this.users = structuredClone(users)
    this.groups = structuredClone(groups)
  }
}

export const FAKE_SECRET = 'canary-client-secret'
const ACCESS_TOKEN = 'canary-keycloak-token'

/** Keycloak's token endpoint and admin API in this process: the part that enforcement uses, with its traps. */
export class FakeKeycloak extends ControlPlaneServer {
  readonly state = new RealmState()
  readonly faults = new InjectedFaults(this.state)
  /** Admin requests, and how many of them kept to the description. */
  answered = 0
  validated = 0
  readonly log: string[] = []
  /** Tokens that were given out become worthless. */
  tokensRevoked = false

  protected broken(): Answered {
    return { status: 500, body: { error: 'unknown_error' } }
  }

  protected answerTo({ method, url, headers, body }: Asked): Answered {
    if (url.pathname === '/realms/acme/protocol/openid-connect/token') return this.giveToken(method, body)
    const path = /^\/admin\/realms\/acme\/(.+)$/.exec(url.pathname)?.[1]
    const asked = path === undefined ? null : keycloakOperation(method, path, url.searchParams, body)
    if (asked === null) {
      this.violations.push(`${method} ${url.pathname} is not described`)
      return { status: 404, body: { error: 'HTTP 404 Not Found' } }
    }
    this.answered++
    if (asked.fault === null) this.validated++
    this.note(asked.fault)
    if (this.tokensRevoked || headers.authorization !== `Bearer ${ACCESS_TOKEN}`)
      return { status: 401, body: { error: 'HTTP 401 Unauthorized' } }
    const { operation, parameters, status } = asked
    this.log.push(operation)
    return this.faults.respond(
      operation,
      method === 'GET',
      () => this.answer(operation, parameters, url.searchParams, body, status),
      (refusal) => refused(refusal),
    )
  }

  private giveToken(method: string, body: unknown): JsonAnswer {
    this.tokensRevoked = false
    const form = new URLSearchParams(String(body))
    const secret = form.get('client_secret')
    if (method !== 'POST' || form.get('grant_type') !== 'client_credentials' || secret !== FAKE_SECRET)
      return { status: 401, body: { error: 'unauthorized_client' } }
    return { status: 200, body: { access_token: ACCESS_TOKEN, expires_in: 60, token_type: 'Bearer' } }
  }

  private answer(
    operation: string,
    [id = '', second = '']: readonly string[],
    query: URLSearchParams,
    body: unknown,
    status: number,
  ): JsonAnswer {
    if (/Group/.test(operation)) return this.groups(operation, id, query, body, status)
    if (operation === 'DeleteSession') return this.endSession(id, query, status)
    const user = this.state.users.get(id)
    if (user === undefined) return { status: 404, body: { error: 'User not found' } }
    const sessions = (ids: readonly string[]) =>
      ids.map((one) => ({ id: one, username: user.username, start: 1 }))
    switch (operation) {
      case 'GetUser': {
        const { sessions: _sessions, offline: _offline, ...shown } = user
        return { status, body: { id, ...shown } }
      }
      case 'UpdateUser':
        this.state.users.set(id, { ...user, enabled: (body as { enabled: boolean }).enabled })
        return { status, body: null }
      case 'Logout':
        this.state.users.set(id, { ...user, sessions: [], notBefore: Math.floor(Date.now() / 1_000) })
        return { status, body: null }
      case 'GetSessions':
        return { status, body: sessions(user.sessions) }
      case 'GetConsents': {
        const clients = Object.entries(user.offline).filter(([, ids]) => ids.length > 0)
        const grant = (client: string) => ({ client, key: 'Offline Token' })
        return {
          status,
          body: clients.map(([client]) => ({ clientId: 'app', additionalGrants: [grant(client)] })),
        }
      }
      default:
        return { status, body: sessions(user.offline[second] ?? []) }
    }
  }

  private endSession(session: string, query: URLSearchParams, status: number): JsonAnswer {
    for (const [id, user] of this.state.users) {
      for (const [client, ids] of Object.entries(user.offline)) {
        if (!ids.includes(session) || query.get('isOffline') !== 'true') continue
        const rest = ids.filter((one) => one !== session)
        this.state.users.set(id, { ...user, offline: { ...user.offline, [client]: rest } })
        return { status, body: null }
      }
    }
    return { status: 404, body: { error: 'Sesssion not found' } }
  }

  private groups(
    operation: string,
    id: string,
    query: URLSearchParams,
    body: unknown,
    status: number,
  ): JsonAnswer {
    const { groups } = this.state
    if (operation === 'GetGroups') {
      const wanted = [...groups].filter(([, { name }]) => name.includes(query.get('search') ?? ''))
      const first = Number(query.get('first') ?? 0)
      const rows = wanted.slice(first, first + Number(query.get('max') ?? 100))
      const brief = query.get('briefRepresentation') !== 'false'
      const shown = rows.map(([group, { name, attributes }]) => ({
        id: group,
        name,
        path: `/${name}`,
        subGroups: [],
        ...(brief ? {} : { attributes }),
      }))
      return { status, body: shown.sort((a, b) => (a.name < b.name ? -1 : 1)) }
    }
    const given = body as FakeGroup | null
    if (operation !== 'CreateGroup' && !groups.has(id))
      return { status: 404, body: { error: 'Could not find group by id' } }
    if (operation === 'DeleteGroup') groups.delete(id)
    else {
      const own = operation === 'CreateGroup' ? randomUUID() : id
      const twin = [...groups].some(([other, { name }]) => name === given!.name && other !== own)
      if (twin) return { status: 409, body: { errorMessage: 'Top level group named ... already exists.' } }
      groups.set(own, given!)
    }
    return { status, body: null }
  }
}

function refused(refusal: Refusal): JsonAnswer {
  switch (refusal) {
    case 'too-many-requests':
      return { status: 429, body: { error: 'too_many_requests' }, headers: { 'retry-after': '0' } }
    case 'conflict':
      return { status: 409, body: { errorMessage: 'conflict' } }
    case 'server-error':
      return { status: 503, body: { error: 'unavailable' } }
  }
}
