import { isRecord } from './answer-shape.ts'
import type { KeycloakClient } from './keycloak-client.ts'

export interface KeycloakUser {
  readonly enabled: boolean
  /** Tokens issued earlier are refused by Keycloak itself, epoch seconds; 0 for none. */
  readonly notBefore: number
  /** The server's own time when it was read, epoch seconds. */
  readonly readAt: number | null
}

/** Nodes of one Keycloak may disagree about the time by as much, seconds. */
const CLOCKS_APART = 2

/** What enforcement does to users of a realm. */
export class KeycloakUsers {
  private readonly client: KeycloakClient

  constructor(client: KeycloakClient) {
    this.client = client
  }

  /** Null when there is no such user. */
  async find(id: string, stop: AbortSignal): Promise<KeycloakUser | null> {
    const answer = await this.client.call({ method: 'GET', path: ['users', id], what: 'a user' }, stop)
    if (answer === null) return null
    const { body } = answer
    if (!isRecord(body) || typeof body.enabled !== 'boolean')
      throw this.client.nonsense('a user without status')
    const notBefore = typeof body.notBefore === 'number' ? body.notBefore : 0
    return { enabled: body.enabled, notBefore, readAt: answer.serverTime }
  }

  /** Switches an account on or off, and nothing else of it; whether it was found so afterwards. */
  async enable(id: string, enabled: boolean, stop: AbortSignal): Promise<boolean> {
    const request = { method: 'PUT', path: ['users', id], what: 'a user', body: { enabled } } as const
    if ((await this.client.call(request, stop)) === null) return true
    const user = await this.find(id, stop)
    return user === null || user.enabled === enabled
  }

  /**
   * Ends all sessions of a user, online and offline, and has Keycloak refuse the tokens issued so far; whether that
   * was found so afterwards.
   */
  async logOut(id: string, stop: AbortSignal): Promise<boolean> {
    const before = await this.find(id, stop)
    const online = await this.sessions(['users', id, 'sessions'], stop)
    const request = { method: 'POST', path: ['users', id, 'logout'], what: 'the logout of a user' } as const
    if ((await this.client.call(request, stop)) === null) return true
    const offline = await this.offlineSessions(id, stop)
    for (const session of offline) {
      const path = ['sessions', session]
      const query = { isOffline: 'true' }
      await this.client.call({ method: 'DELETE', path, what: 'an offline session', query }, stop)
    }
    const after = await this.find(id, stop)
    if (after === null) return true
    if (before?.readAt != null && after.notBefore < before.readAt - CLOCKS_APART) return false
    const left = await this.sessions(['users', id, 'sessions'], stop)
    if (online.some((session) => left.includes(session))) return false
    const still = await this.offlineSessions(id, stop)
    return !offline.some((session) => still.includes(session))
  }

  /** Offline sessions are listed by client; those that a user has some with are told among the consents. */
  private async offlineSessions(id: string, stop: AbortSignal): Promise<readonly string[]> {
    const request = {
      method: 'GET',
      path: ['users', id, 'consents'],
      what: 'the consents of a user',
    } as const
    const rows = (await this.client.call(request, stop))?.body ?? []
    if (!Array.isArray(rows)) throw this.client.nonsense('consents without a list')
    const grants = rows.flatMap((row: unknown) => (isRecord(row) ? (row.additionalGrants ?? []) : []))
    const clients = grants.flatMap((grant: unknown) =>
      isRecord(grant) && typeof grant.client === 'string' ? [grant.client] : [],
    )
    const found: string[] = []
    for (const client of new Set(clients))
      found.push(...(await this.sessions(['users', id, 'offline-sessions', client], stop)))
    return found
  }

  private async sessions(path: readonly string[], stop: AbortSignal): Promise<readonly string[]> {
    const rows =
      (await this.client.call({ method: 'GET', path, what: 'the sessions of a user' }, stop))?.body ?? []
    if (!Array.isArray(rows)) throw this.client.nonsense('sessions without a list')
    return rows.map((row: unknown) => {
      if (!isRecord(row) || typeof row.id !== 'string') throw this.client.nonsense('a session without an id')
      return row.id
    })
  }
}
