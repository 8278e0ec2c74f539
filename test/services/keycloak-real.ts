import { randomUUID } from 'node:crypto'
import { KeycloakGateway } from '../../enforcement/gateways/keycloak.ts'

/**
 * A real Keycloak, where one runs: `CURFEW_KEYCLOAK_URL` names it, and its bootstrap administrator is `admin` with the
 * password `admin` (see docs/gateways/identity.md). It is no part of the usual run: the server alone is 160 MB.
 */
export const KEYCLOAK_URL = process.env.CURFEW_KEYCLOAK_URL

const PASSWORD = 'canary-password-1'

/** A realm of its own in a real Keycloak, with users who are logged in, online and offline. */
export class RealKeycloak {
  readonly realm = `curfew-${randomUUID()}`
  readonly users: string[] = []
  calls = 0
  isDown = false
  private secret = ''
  private readonly url: URL

  constructor(url: string) {
    this.url = new URL(url)
  }

  async start(): Promise<void> {
    await this.admin('POST', '', { realm: this.realm, enabled: true })
    await this.admin('POST', `${this.realm}/clients`, {
      clientId: 'curfew',
      serviceAccountsEnabled: true,
      publicClient: false,
      standardFlowEnabled: false,
    })
    await this.admin('POST', `${this.realm}/clients`, {
      clientId: 'app',
      publicClient: true,
      directAccessGrantsEnabled: true,
    })
    const [own] = await this.list(`${this.realm}/clients?clientId=curfew`)
    const [management] = await this.list(`${this.realm}/clients?clientId=realm-management`)
    const account = (await this.admin('GET', `${this.realm}/clients/${own.id}/service-account-user`)) as {
      id: string
    }
    const role = await this.admin('GET', `${this.realm}/clients/${management.id}/roles/manage-users`)
    await this.admin('POST', `${this.realm}/users/${account.id}/role-mappings/clients/${management.id}`, [
      role,
    ])
    this.secret = (
      (await this.admin('GET', `${this.realm}/clients/${own.id}/client-secret`)) as { value: string }
    ).value
    for (const name of ['user-0', 'user-1', 'user-2', 'user-3']) await this.addUser(name)
  }

  async stop(): Promise<void> {
    await this.admin('DELETE', this.realm)
  }

  /** A new access token and refresh token; null when the user may not log in. */
  async logIn(user: number, scope = 'openid'): Promise<{ access: string; refresh: string } | null> {
    const form = {
      grant_type: 'password',
      client_id: 'app',
      username: `user-${user}`,
      password: PASSWORD,
      scope,
    }
    const answer = await this.token(this.realm, form)
    const body = (await answer.json()) as { access_token: string; refresh_token: string }
    return answer.ok ? { access: body.access_token, refresh: body.refresh_token } : null
  }

  async refreshes(refresh: string): Promise<boolean> {
    const form = { grant_type: 'refresh_token', client_id: 'app', refresh_token: refresh }
    return (await this.token(this.realm, form)).ok
  }

  /** Whether Keycloak itself takes an access token. */
  async takes(access: string): Promise<boolean> {
    const path = `/realms/${this.realm}/protocol/openid-connect/userinfo`
    return (await fetch(new URL(path, this.url), { headers: { authorization: `Bearer ${access}` } })).ok
  }

  gateway(name: string, disablesUsers: boolean): KeycloakGateway {
    return new KeycloakGateway({
      name,
      url: this.url,
      realm: this.realm,
      clientId: 'curfew',
      clientSecret: this.secret,
      issuer: new URL(`/realms/${this.realm}`, this.url).href,
      disablesUsers,
      accessTokenSeconds: 300,
      fetch: async (input, init) => {
        this.calls++
        if (this.isDown) throw new TypeError('fetch failed')
        return fetch(input, init)
      },
    })
  }

  /** Everything about users and groups but sessions and the time of a logout, which no rule gives back. */
  async state(): Promise<unknown> {
    const users = await this.list(`${this.realm}/users?max=100`)
    const groups = await this.list(`${this.realm}/groups?briefRepresentation=false&max=100`)
    const steady = users.map(({ notBefore: _notBefore, ...rest }) => rest)
    return [
      steady.sort((a, b) => (String(a.id) < String(b.id) ? -1 : 1)),
      groups.map(({ id: _id, ...rest }) => rest).sort((a, b) => (String(a.name) < String(b.name) ? -1 : 1)),
    ]
  }

  async addGroup(name: string): Promise<void> {
    await this.admin('POST', `${this.realm}/groups`, { name, attributes: { team: ['a'] } })
  }

  private async addUser(username: string): Promise<void> {
    const credentials = [{ type: 'password', value: PASSWORD, temporary: false }]
    const known = { email: `${username}@example.org`, firstName: 'A', lastName: 'B', emailVerified: true }
    await this.admin('POST', `${this.realm}/users`, { username, enabled: true, credentials, ...known })
    const [user] = await this.list(`${this.realm}/users?username=${username}&exact=true`)
    this.users.push(String(user.id))
  }

  private async list(path: string): Promise<Record<string, unknown>[] & [Record<string, unknown>]> {
    return (await this.admin('GET', path)) as Record<string, unknown>[] & [Record<string, unknown>]
  }

  private token(realm: string, form: Record<string, string>): Promise<Response> {
    const url = new URL(`/realms/${realm}/protocol/openid-connect/token`, this.url)
    return fetch(url, { method: 'POST', body: new URLSearchParams(form) })
  }

  private async admin(method: string, path: string, body?: unknown): Promise<unknown> {
    const form = { grant_type: 'password', client_id: 'admin-cli', username: 'admin', password: 'admin' }
    const { access_token: token } = (await (await this.token('master', form)).json()) as {
      access_token: string
    }
    const answer = await fetch(new URL(`/admin/realms/${path}`.replace(/\/$/, ''), this.url), {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`)
    return text === '' ? null : JSON.parse(text)
  }
}
