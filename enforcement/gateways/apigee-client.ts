import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import { busy, isBusy, jsonIn, quoted, type Reply, replyTo } from './control-plane-call.ts'

export interface ApigeeConnection {
  /** Name of the gateway in the configuration, for messages. */
  readonly name: string
  /** `https://apigee.googleapis.com`, or a regional endpoint. */
  readonly url: URL
  readonly organization: string
  readonly environment: string
  /** An access token that is valid now; asked before every call. */
  readonly token: () => Promise<string>
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

export interface ApigeeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Names below the organisation; each becomes one part of the path, whatever is in it. */
  readonly path: readonly string[]
  /** What to call it in messages: names of others and keys stay out of them. */
  readonly what: string
  /** A custom method after the path, such as `disable`. */
  readonly verb?: 'disable'
  readonly query?: Readonly<Record<string, string>>
  readonly body?: object
}

export type ApigeeAnswer = Readonly<Record<string, unknown>>

const MAX_ANSWER_BYTES = 32 * 1_048_576
const MAX_PAGES = 1_000

/** Apigee's management API, as much of it as enforcement needs. Every failure is a {@link CurfewError}. */
export class ApigeeClient {
  private readonly connection: ApigeeConnection

  constructor(connection: ApigeeConnection) {
    this.connection = connection
  }

  get name(): string {
    return this.connection.name
  }

  get environment(): string {
    return this.connection.environment
  }

  /** Follows the pages of a list to the end, or throws. */
  async follow(request: ApigeeRequest, list: string, stop: AbortSignal): Promise<readonly ApigeeAnswer[]> {
    const found: ApigeeAnswer[] = []
    let pageToken = ''
    for (let page = 0; page < MAX_PAGES; page++) {
      const query = { ...request.query, pageSize: '100', ...(pageToken === '' ? {} : { pageToken }) }
      const answer = await this.call({ ...request, query }, stop)
      if (answer === null) {
        throw new CurfewError(
          'GATEWAY_REFUSED',
          `${this.name}: Apigee has no ${request.what}: create it first`,
        )
      }
      // Google leaves an empty list out of the answer; anything else in its place is not an answer.
      const rows = answer[list] ?? []
      if (!Array.isArray(rows) || !rows.every(isRecord)) throw this.nonsense(`${request.what} without a list`)
      found.push(...rows)
      const next = answer.nextPageToken ?? ''
      if (next === '') return found
      if (typeof next !== 'string' || next === pageToken) throw this.nonsense('a page that leads nowhere')
      pageToken = next
    }
    throw this.nonsense(`more than ${MAX_PAGES} pages`)
  }

  /** The parsed answer; null for 404, an empty object for an empty answer. */
  async call(request: ApigeeRequest, stop: AbortSignal): Promise<ApigeeAnswer | null> {
    const { name, timeoutMs } = this.connection
    const send = (signal: AbortSignal) => this.send(request, signal)
    const from = `Apigee to ${told(request)}`
    const reply = await replyTo({ name, from, timeoutMs, maxBytes: MAX_ANSWER_BYTES, send }, stop)
    const { status, text } = reply
    if (status === 404) return null
    if (status < 200 || status >= 300) throw this.failure(request, reply)
    if (text.trim() === '') return {}
    let parsed: unknown
    try {
      parsed = JSON.parse(text)
    } catch (cause) {
      throw this.nonsense(`${told(request)} without JSON`, cause)
    }
    if (!isRecord(parsed)) throw this.nonsense(`${told(request)} with something else than an object`)
    return parsed
  }

  private async send(
    { method, path, verb, query, body }: ApigeeRequest,
    signal: AbortSignal,
  ): Promise<Response> {
    const { url, organization, token } = this.connection
    const names = ['v1', 'organizations', organization, ...path].map(encodeURIComponent).join('/')
    const search = query === undefined ? '' : `?${new URLSearchParams(query)}`
    const target = `${url.href.replace(/\/+$/, '')}/${names}${verb === undefined ? '' : `:${verb}`}${search}`
    const headers: Record<string, string> = {
      accept: 'application/json',
      authorization: `Bearer ${await token()}`,
    }
    if (body !== undefined) headers['content-type'] = 'application/json'
    // Changes of a status have no body, and Apigee wants them told so.
    else if (method === 'POST') headers['content-type'] = 'application/octet-stream'
    return this.connection.fetch(target, {
      method,
      headers,
      signal,
      redirect: 'error',
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  }

  private failure(request: ApigeeRequest, reply: Reply): CurfewError {
    const { status, text } = reply
    const what = `${this.name}: Apigee answered ${status} to ${told(request)}`
    if (status === 409) return new CurfewError('GATEWAY_CONFLICT', what, { retriable: true })
    if (status === 405) return new CurfewError('GATEWAY_UNSUPPORTED', `${what}: not at this organisation`)
    if (isBusy(status)) return busy(what, reply)
    return new CurfewError('GATEWAY_REFUSED', `${what}: ${reasonIn(text)}`)
  }

  private nonsense(what: string, cause?: unknown): CurfewError {
    const message = `${this.name}: Apigee answered ${what}`
    return new CurfewError('GATEWAY_UNREACHABLE', message, { retriable: true, cause })
  }
}

function told({ method, what }: ApigeeRequest): string {
  return `${method} of ${what}`
}

/** The status word of a `google.rpc.Status`; its message may repeat a key. */
function reasonIn(text: string): string {
  const answer = jsonIn(text)
  return quoted(isRecord(answer) && isRecord(answer.error) ? answer.error.status : null, 40)
}
