import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import { busy, isBusy, jsonIn, quoted, type Reply, replyTo } from './control-plane-call.ts'

export interface KeycloakConnection {
  /** Name of the gateway in the configuration, for messages. */
  readonly name: string
  /** Where the server answers, such as `https://login.example.org`, with its relative path if it has one. */
  readonly url: URL
  readonly realm: string
  /** A confidential client with a service account that may manage the users of the realm. */
  readonly clientId: string
  readonly clientSecret: string
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

export interface KeycloakRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Names below the realm; each becomes one part of the path, whatever is in it. */
  readonly path: readonly string[]
  /** What to call it in messages: ids of people stay out of them. */
  readonly what: string
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object
}

/** An answer: parsed JSON, null for an empty one, and the server's own time in epoch seconds. */
export interface KeycloakAnswer {
  readonly body: unknown
  readonly serverTime: number | null
}

interface HeldToken {
  readonly text: string
  /** Epoch ms by the monotonic clock of this process. */
  readonly until: number
}

const MAX_ANSWER_BYTES = 32 * 1_048_576
const MAX_PAGES = 1_000
export const KEYCLOAK_PAGE = 200
/** An access token is renewed this long before it ends. */
const RENEW_BEFORE_MS = 10_000

/** Keycloak's admin API of one realm, as much of it as enforcement needs. Every failure is a {@link CurfewError}. */
export class KeycloakClient {
  private readonly connection: KeycloakConnection
  private token: HeldToken | null = null

  constructor(connection: KeycloakConnection) {
    this.connection = connection
  }

  get name(): string {
    return this.connection.name
  }

  /** Follows the pages of a list to the end, or throws. */
  async follow(
    request: KeycloakRequest,
    stop: AbortSignal,
  ): Promise<readonly Readonly<Record<string, unknown>>[]> {
    const found: Readonly<Record<string, unknown>>[] = []
    for (let page = 0; page < MAX_PAGES; page++) {
      const place = { first: String(page * KEYCLOAK_PAGE), max: String(KEYCLOAK_PAGE) }
      const answer = await this.call({ ...request, query: { ...request.query, ...place } }, stop)
      const rows = answer?.body
      if (!Array.isArray(rows) || !rows.every(isRecord)) throw this.nonsense(`${request.what} without a list`)
      found.push(...rows)
      if (rows.length < KEYCLOAK_PAGE) return found
    }
    throw this.nonsense(`more than ${MAX_PAGES} pages of ${request.what}`)
  }

  /** Null for what does not exist (404). */
  async call(request: KeycloakRequest, stop: AbortSignal): Promise<KeycloakAnswer | null> {
    let reply = await this.send(request, await this.accessToken(stop), stop)
    if (reply.status === 401) {
      // Keys may have been rotated, or the session of our own client ended: a new token is worth one try.
      this.token = null
      reply = await this.send(request, await this.accessToken(stop), stop)
    }
    const { status, text } = reply
    const date = Date.parse(reply.headers.get('date') ?? '')
    const serverTime = Number.isFinite(date) ? date / 1_000 : null
    if (status === 404) return null
    if (status < 200 || status >= 300) throw this.failure(told(request), reply)
    if (text.trim() === '') return { body: null, serverTime }
    return { body: this.parsed(text, told(request)), serverTime }
  }

  private async accessToken(stop: AbortSignal): Promise<string> {
    if (this.token !== null && performance.now() < this.token.until) return this.token.text
    const { clientId, clientSecret, realm } = this.connection
    const form = new URLSearchParams({
      grant_type: 'client_credentials',
      client_id: clientId,
      client_secret: clientSecret,
    })
    const asked = performance.now()
    const path = ['realms', realm, 'protocol', 'openid-connect', 'token']
    const headers = { 'content-type': 'application/x-www-form-urlencoded' }
    const reply = await this.fetched(path, '', { method: 'POST', headers, body: form.toString() }, stop)
    if (reply.status < 200 || reply.status >= 300)
      throw this.failure('the request for an access token', reply)
    const body = this.parsed(reply.text, 'the request for an access token')
    const token = isRecord(body) ? body.access_token : undefined
    if (typeof token !== 'string' || !/^[\x21-\x7e]{1,16384}$/.test(token))
      throw this.nonsense('the request for an access token without one')
    const seconds = isRecord(body) && typeof body.expires_in === 'number' ? body.expires_in : 0
    this.token = { text: token, until: asked + seconds * 1_000 - RENEW_BEFORE_MS }
    return token
  }

  private send(
    { method, path, query, body }: KeycloakRequest,
    token: string,
    stop: AbortSignal,
  ): Promise<Reply> {
    const search = query === undefined ? '' : `?${new URLSearchParams(query)}`
    const headers: Record<string, string> = { accept: 'application/json', authorization: `Bearer ${token}` }
    if (body !== undefined) headers['content-type'] = 'application/json'
    const init = { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) }
    return this.fetched(['admin', 'realms', this.connection.realm, ...path], search, init, stop)
  }

  private async fetched(
    path: readonly string[],
    search: string,
    init: RequestInit,
    stop: AbortSignal,
  ): Promise<Reply> {
    const { name, url, timeoutMs } = this.connection
    const target = `${url.href.replace(/\/+$/, '')}/${path.map(encodeURIComponent).join('/')}${search}`
    const send = (signal: AbortSignal) =>
      this.connection.fetch(target, { ...init, signal, redirect: 'error' })
    return replyTo({ name, from: 'Keycloak', timeoutMs, maxBytes: MAX_ANSWER_BYTES, send }, stop)
  }

  private failure(what: string, reply: Reply): CurfewError {
    const { status, text } = reply
    const message = `${this.name}: Keycloak answered ${status} to ${what}`
    if (status === 409) return new CurfewError('GATEWAY_CONFLICT', message, { retriable: true })
    if (isBusy(status)) return busy(message, reply)
    return new CurfewError('GATEWAY_REFUSED', `${message}: ${reasonIn(text)}`)
  }

  private parsed(text: string, what: string): unknown {
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw this.nonsense(`${what} without JSON`, cause)
    }
  }

  /** For an answer that is none. */
  nonsense(what: string, cause?: unknown): CurfewError {
    const message = `${this.name}: Keycloak answered ${what}`
    return new CurfewError('GATEWAY_UNREACHABLE', message, { retriable: true, cause })
  }
}

function told({ method, what }: KeycloakRequest): string {
  return `${method} of ${what}`
}

/** The error word of an answer; what else it says may repeat what we sent. */
function reasonIn(text: string): string {
  const answer = jsonIn(text)
  return quoted(isRecord(answer) ? (answer.error ?? answer.errorMessage) : null, 80)
}
