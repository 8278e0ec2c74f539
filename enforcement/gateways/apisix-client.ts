import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import { busy, isBusy, jsonIn, quoted, type Reply, replyTo } from './control-plane-call.ts'

export interface ApisixClientOptions {
  readonly name: string
  /** Where the Admin API listens, such as `http://127.0.0.1:9180`. */
  readonly adminUrl: URL
  /** Sent as `X-API-KEY`; null where `admin_key_required` is off. */
  readonly adminKey: string | null
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

/** An object of APISIX's configuration, or a part of one. */
export type ApisixRow = Readonly<Record<string, unknown>>

/** A consumer as it was read. */
export interface ApisixConsumer {
  readonly name: string
  /** All of it but its times, which APISIX keeps itself. */
  readonly value: ApisixRow
  /** etcd's `modifiedIndex`: another one after every write. */
  readonly revision: number
}

/** Usernames as APISIX takes them (`schema_def.lua`); here no longer than a rule's name may be there. */
export const APISIX_USERNAME = /^[a-zA-Z0-9_-]{1,256}$/

const ROOT = '/apisix/admin'
const MAX_ANSWER_BYTES = 32 * 1_048_576

/** APISIX's Admin API (v3), as much of it as enforcement needs. Every failure is a {@link CurfewError}. */
export class ApisixClient {
  private readonly options: ApisixClientOptions

  constructor(options: ApisixClientOptions) {
    this.options = options
  }

  /** Consumers with a label of this name; every one of them, or throws. */
  async consumersLabelled(label: string, stop: AbortSignal): Promise<readonly ApisixConsumer[]> {
    const query = new URLSearchParams({ label })
    const rows = await this.listed(`/consumers?${query}`, 'consumers', stop)
    return rows.map((row) => this.consumer(row))
  }

  /** Null when there is no such consumer. */
  async consumerNamed(name: string, stop: AbortSignal): Promise<ApisixConsumer | null> {
    const row = await this.call('GET', `/consumers/${encodeURIComponent(name)}`, null, stop)
    if (row === null) return null
    const consumer = this.consumer(row)
    if (consumer.name !== name) throw this.nonsense('another consumer than the one asked for')
    return consumer
  }

  /** Creates or replaces the whole consumer: there is no other way to write one. */
  async putConsumer(value: ApisixRow, stop: AbortSignal): Promise<void> {
    if ((await this.call('PUT', '/consumers', value, stop)) === null)
      throw this.nonsense('404 to a consumer that was written')
  }

  /** The plugins of a consumer group; null when there is no such group. */
  async groupPlugins(id: string, stop: AbortSignal): Promise<ApisixRow | null> {
    const row = await this.call('GET', `/consumer_groups/${encodeURIComponent(id)}`, null, stop)
    return row === null ? null : this.pluginsOf(row, 'a consumer group')
  }

  /** The plugins of each route, service or plugin configuration; every one of them, or throws. */
  async pluginsIn(
    kind: 'routes' | 'services' | 'plugin_configs',
    stop: AbortSignal,
  ): Promise<readonly ApisixRow[]> {
    const rows = await this.listed(`/${kind}`, kind, stop)
    return rows.map((row) => this.pluginsOf(row, `one of the ${kind}`))
  }

  /**
   * A list, without pages: they could shift between two reads. An empty one may come as `{}`, since Lua does not tell
   * an empty list from an empty object.
   */
  private async listed(path: string, what: string, stop: AbortSignal): Promise<readonly unknown[]> {
    const body = await this.call('GET', path, null, stop)
    if (body === null) return []
    if (!isRecord(body)) throw this.nonsense(`${what} without a list`)
    if (body.node !== undefined)
      throw new CurfewError(
        'GATEWAY_UNSUPPORTED',
        `${this.options.name}: APISIX answers as before version 3; set deployment.admin.admin_api_version to v3`,
      )
    const { list, total } = body
    const rows = isRecord(list) && Object.keys(list).length === 0 ? [] : list
    if (!Array.isArray(rows)) throw this.nonsense(`${what} without a list`)
    if (total !== rows.length) throw this.nonsense(`${what} of which some are missing`)
    return rows
  }

  private consumer(row: unknown): ApisixConsumer {
    const value = isRecord(row) ? row.value : undefined
    const revision = isRecord(row) ? row.modifiedIndex : undefined
    if (!isRecord(value)) throw this.nonsense('a consumer that is no object')
    const { create_time: _created, update_time: _updated, ...kept } = value
    const name = kept.username
    if (typeof name !== 'string' || !APISIX_USERNAME.test(name))
      throw this.nonsense('a consumer without a name')
    if (typeof revision !== 'number') throw this.nonsense('a consumer without modifiedIndex')
    for (const field of ['labels', 'plugins'] as const)
      if (kept[field] !== undefined && !isRecord(kept[field]))
        throw this.nonsense(`a consumer with unreadable ${field}`)
    return { name, value: kept, revision }
  }

  private pluginsOf(row: unknown, what: string): ApisixRow {
    const value = isRecord(row) ? row.value : undefined
    if (!isRecord(value)) throw this.nonsense(`${what} that is no object`)
    const { plugins = {} } = value
    if (!isRecord(plugins)) throw this.nonsense(`${what} with unreadable plugins`)
    return plugins
  }

  /** The parsed answer; null for what the Admin API itself says is not there. */
  private async call(
    method: 'GET' | 'PUT',
    path: string,
    body: ApisixRow | null,
    stop: AbortSignal,
  ): Promise<unknown> {
    const reply = await this.fetched(method, path, body, stop)
    const { status, text } = reply
    if (status === 404) {
      // The Admin API itself names its version, whatever it says.
      if (reply.headers.has('x-api-version')) return null
      throw await this.notAdmin(stop)
    }
    if (status < 200 || status >= 300) throw this.failure(`${method} ${path}`, reply)
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw this.nonsense(`${method} ${path} without JSON`, cause)
    }
  }

  private fetched(
    method: 'GET' | 'PUT',
    path: string,
    body: ApisixRow | null,
    stop: AbortSignal,
  ): Promise<Reply> {
    const { name, adminUrl, adminKey, timeoutMs } = this.options
    const headers: Record<string, string> = { accept: 'application/json' }
    if (adminKey !== null) headers['x-api-key'] = adminKey
    if (body !== null) headers['content-type'] = 'application/json'
    const root = adminUrl.href.replace(/\/+$/, '')
    const init = { method, headers, redirect: 'error', body: body && JSON.stringify(body) } as const
    const send = (signal: AbortSignal) => this.options.fetch(`${root}${ROOT}${path}`, { ...init, signal })
    const from = `APISIX to ${method} ${path}`
    return replyTo({ name, from, timeoutMs, maxBytes: MAX_ANSWER_BYTES, send }, stop)
  }

  /** Why there is a 404 that does not come from the Admin API that we know. */
  private async notAdmin(stop: AbortSignal): Promise<CurfewError> {
    const { name } = this.options
    const whole = await this.fetched('GET', '/configs', null, stop)
    // Whatever else it says of that path, it knows it; with another key it is a 401.
    const what =
      whole.status !== 404
        ? `APISIX runs in standalone mode: its configuration comes as one file from elsewhere, and rules written to it would be lost. ${ELSEWHERE}`
        : 'there is no Admin API of APISIX: `adminUrl` is where `deployment.admin.admin_listen` says, and a data plane or the standalone mode has none'
    return new CurfewError('GATEWAY_UNSUPPORTED', `${name}: ${what}`)
  }

  private failure(asked: string, reply: Reply): CurfewError {
    const { status, text } = reply
    const what = `${this.options.name}: APISIX answered ${status} to ${asked}`
    if (status === 409) return new CurfewError('GATEWAY_CONFLICT', what, { retriable: true })
    if (isBusy(status)) return busy(what, reply)
    return new CurfewError('GATEWAY_REFUSED', `${what}: ${detail(text)}`)
  }

  private nonsense(what: string, cause?: unknown): CurfewError {
    const whole = `${this.options.name}: APISIX answered ${what}`
    return new CurfewError('GATEWAY_UNREACHABLE', whole, { retriable: true, cause })
  }
}

/** What to do about an APISIX whose consumers cannot be written. */
const ELSEWHERE = 'Let it ask the decision endpoint by forward-auth (samples/gateways/apisix.json)'

/** APISIX's own words. */
function detail(text: string): string {
  const answer = jsonIn(text)
  const words = isRecord(answer) ? [answer.error_msg, answer.description] : []
  return quoted(words.filter((word) => typeof word === 'string').join(': '), 120)
}
