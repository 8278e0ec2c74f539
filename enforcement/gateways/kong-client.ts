import { CurfewError } from '../../core/errors.ts'
import { isRecord, isTexts } from './answer-shape.ts'
import { busy, isBusy, jsonIn, quoted, type Reply, replyTo } from './control-plane-call.ts'

export interface KongClientOptions {
  readonly name: string
  /** Admin API, such as `http://127.0.0.1:8001`. */
  readonly adminUrl: URL
  /** Sent as `Kong-Admin-Token`, to Konnect as bearer token; Kong OSS has no authentication of its own. */
  readonly adminToken: string | null
  /** Enterprise workspace; null for Kong OSS. */
  readonly workspace: string | null
  /** Id of a control plane of Konnect: `adminUrl` is its regional API then; null for Kong's own admin API. */
  readonly controlPlane: string | null
  readonly timeoutMs: number
  readonly fetch: typeof fetch
}

/** The fields of a plugin that decide what it does and to whom. Ids only; `null` means any. */
export interface KongPlugin {
  readonly id: string
  readonly name: string
  readonly enabled: boolean
  readonly consumer: string | null
  readonly consumerGroup: string | null
  readonly route: string | null
  readonly service: string | null
  readonly config: Readonly<Record<string, unknown>>
  readonly tags: readonly string[] | null
}

/** Body of a write, as Kong's admin API takes it. */
export type KongPluginBody = Readonly<Record<string, unknown>>

/** Where plugins are read and written: an admin API, or a declarative file. */
export interface KongPlugins {
  /** Plugins, all or those with a tag; every one of them, or throws. */
  plugins(tag: string | null, stop: AbortSignal): Promise<readonly KongPlugin[]>
  /** Null when there is no such plugin. */
  pluginById(id: string, stop: AbortSignal): Promise<KongPlugin | null>
  /** Creates or replaces. */
  upsertPlugin(id: string, body: KongPluginBody, stop: AbortSignal): Promise<void>
  /** Changes the named fields only; false when there is no such plugin. */
  patchPlugin(id: string, body: KongPluginBody, stop: AbortSignal): Promise<boolean>
  /** Absent is success. */
  deletePlugin(id: string, stop: AbortSignal): Promise<void>
  /** Throws while Kong still runs one of these deleted plugins, which is nothing that trying at once again would end. */
  assertDropped(ids: readonly string[], stop: AbortSignal): Promise<void>
  /** What kind of node this is: `off` and `data_plane` take no writes. */
  node(stop: AbortSignal): Promise<{ readonly database: string | null; readonly role: string | null }>
  /** Throws unless it answers and can be relied upon. */
  status(stop: AbortSignal): Promise<void>
}

const PAGE_SIZE = 1_000
const MAX_PAGES = 1_000
const MAX_ANSWER_BYTES = 32 * 1_048_576

/** Kong's admin API, as much of it as enforcement needs. Every failure is a {@link CurfewError}. */
export class KongClient implements KongPlugins {
  private readonly options: KongClientOptions

  constructor(options: KongClientOptions) {
    this.options = options
  }

  /** Plugins, all or those with a tag; follows the pages to the end, or throws. */
  async plugins(tag: string | null, stop: AbortSignal): Promise<readonly KongPlugin[]> {
    const found: KongPlugin[] = []
    let offset: string | null = null
    for (let page = 0; page < MAX_PAGES; page++) {
      const query = new URLSearchParams({ size: String(PAGE_SIZE) })
      if (tag !== null) query.set('tags', tag)
      if (offset !== null) query.set('offset', offset)
      const body = record(await this.call('GET', `/plugins?${query}`, null, stop))
      const data = body?.data
      if (!Array.isArray(data)) throw this.nonsense('a page of plugins without data')
      for (const row of data) found.push(this.plugin(row))
      const { next } = body ?? {}
      if (next === null || next === undefined) return found
      const following: string | null = this.offsetOf(next, body?.offset)
      if (following === offset) throw this.nonsense('a page of plugins that leads to itself')
      offset = following
    }
    throw this.nonsense(`more than ${MAX_PAGES} pages of plugins`)
  }

  /** Null when there is no such plugin. */
  async pluginById(id: string, stop: AbortSignal): Promise<KongPlugin | null> {
    const row = await this.call('GET', `/plugins/${encodeURIComponent(id)}`, null, stop)
    return row === null ? null : this.plugin(row)
  }

  /** Creates or replaces. */
  async upsertPlugin(id: string, body: KongPluginBody, stop: AbortSignal): Promise<void> {
    await this.call('PUT', `/plugins/${encodeURIComponent(id)}`, body, stop)
  }

  /** Changes the named fields only; false when there is no such plugin. */
  async patchPlugin(id: string, body: KongPluginBody, stop: AbortSignal): Promise<boolean> {
    const path = `/plugins/${encodeURIComponent(id)}`
    if (this.options.controlPlane === null) return (await this.call('PATCH', path, body, stop)) !== null
    // Konnect has no PATCH: what was read goes back with the changes in it.
    const row = record(await this.call('GET', path, null, stop))
    if (row === null) return false
    const { created_at: _created, updated_at: _updated, ...kept } = row
    const config = { ...record(row.config), ...record(body.config) }
    await this.call('PUT', path, { ...kept, ...body, config }, stop)
    return true
  }

  /** Absent is success. */
  async deletePlugin(id: string, stop: AbortSignal): Promise<void> {
    await this.call('DELETE', `/plugins/${encodeURIComponent(id)}`, null, stop)
  }

  async assertDropped(): Promise<void> {
    // What the admin API has deleted goes within seconds, by itself.
  }

  /** What kind of node this is: `off` and `data_plane` take no writes. */
  async node(stop: AbortSignal): Promise<{ readonly database: string | null; readonly role: string | null }> {
    if (this.options.controlPlane !== null) return { database: 'konnect', role: 'control_plane' }
    const configuration = record(record(await this.call('GET', '/', null, stop))?.configuration)
    const text = (value: unknown): string | null => (typeof value === 'string' ? value : null)
    return { database: text(configuration?.database), role: text(configuration?.role) }
  }

  /** Throws unless the node answers and reaches its database. */
  async status(stop: AbortSignal): Promise<void> {
    if (this.options.controlPlane !== null) {
      const page = record(await this.call('GET', '/plugins?size=1', null, stop))
      if (!Array.isArray(page?.data)) throw this.nonsense('a page of plugins without data')
      return
    }
    const body = record(await this.call('GET', '/status', null, stop))
    if (body === null) throw this.nonsense('a status that is no object')
    if (record(body.database)?.reachable === false) {
      throw new CurfewError('GATEWAY_UNREACHABLE', `${this.options.name}: Kong cannot reach its database`, {
        retriable: true,
      })
    }
  }

  /** The offset token only: a link that the other side chose is never followed. */
  private offsetOf(next: unknown, stated: unknown): string {
    if (typeof stated === 'string' && stated !== '') return stated
    const query = typeof next === 'string' ? (next.split('?')[1] ?? '') : ''
    const offset = new URLSearchParams(query).get('offset')
    if (offset === null) throw this.nonsense('a next page without an offset')
    return offset
  }

  private plugin(row: unknown): KongPlugin {
    const fields = record(row)
    const config = record(fields?.config)
    if (fields === null || config === null) throw this.nonsense('a plugin that is no object')
    const { id, name, enabled, tags } = fields
    if (typeof id !== 'string' || typeof name !== 'string') throw this.nonsense('a plugin without id or name')
    if (tags !== null && tags !== undefined && !isTexts(tags))
      throw this.nonsense('a plugin with unreadable tags')
    const reference = (field: string): string | null => {
      const target = fields[field]
      if (target === null || target === undefined) return null
      const targetId = record(target)?.id
      if (typeof targetId !== 'string') throw this.nonsense(`a plugin with an unreadable ${field}`)
      return targetId
    }
    return {
      id,
      name,
      enabled: enabled !== false,
      consumer: reference('consumer'),
      consumerGroup: reference('consumer_group'),
      route: reference('route'),
      service: reference('service'),
      config,
      tags: tags ?? null,
    }
  }

  /** The parsed answer; null for 204 and 404. */
  private async call(
    method: string,
    path: string,
    body: KongPluginBody | null,
    stop: AbortSignal,
  ): Promise<unknown> {
    const { name, adminToken, controlPlane, timeoutMs } = this.options
    const headers: Record<string, string> = { accept: 'application/json' }
    if (adminToken !== null && controlPlane === null) headers['kong-admin-token'] = adminToken
    else if (adminToken !== null) headers.authorization = `Bearer ${adminToken}`
    if (body !== null) headers['content-type'] = 'application/json'
    const init = { method, headers, redirect: 'error', body: body && JSON.stringify(body) } as const
    const send = (signal: AbortSignal) => this.options.fetch(`${this.base()}${path}`, { ...init, signal })
    const asked = `${method} ${path}`
    const call = { name, from: `Kong to ${asked}`, timeoutMs, maxBytes: MAX_ANSWER_BYTES, send }
    const reply = await replyTo(call, stop)
    const { status, text } = reply
    if (status === 204 || status === 404) return null
    if (status < 200 || status >= 300) throw failure(name, asked, reply)
    try {
      return JSON.parse(text)
    } catch (cause) {
      throw this.nonsense(`${method} ${path} without JSON`, cause)
    }
  }

  private base(): string {
    const { adminUrl, workspace, controlPlane } = this.options
    const root = adminUrl.href.replace(/\/+$/, '')
    if (controlPlane !== null)
      return `${root}/v2/control-planes/${encodeURIComponent(controlPlane)}/core-entities`
    return workspace === null ? root : `${root}/${encodeURIComponent(workspace)}`
  }

  private nonsense(what: string, cause?: unknown): CurfewError {
    return new CurfewError('GATEWAY_UNREACHABLE', `${this.options.name}: Kong answered ${what}`, {
      retriable: true,
      cause,
    })
  }
}

function failure(name: string, asked: string, reply: Reply): CurfewError {
  const { status, text } = reply
  const what = `${name}: Kong answered ${status} to ${asked}`
  if (status === 405) {
    return new CurfewError('GATEWAY_UNSUPPORTED', `${what}: it takes no writes here; ${NO_WRITES_ADVICE}`)
  }
  if (status === 409)
    return new CurfewError('GATEWAY_CONFLICT', `${what}: ${detail(text)}`, { retriable: true })
  if (isBusy(status)) return busy(what, reply)
  return new CurfewError('GATEWAY_REFUSED', `${what}: ${detail(text)}`)
}

/** What to do about a Kong that cannot be written to. */
export const NO_WRITES_ADVICE =
  'Kong without a database and data planes are configured elsewhere: give the control plane’s admin API, or use the deny list'

/** Kong's own words. */
function detail(text: string): string {
  return quoted(record(jsonIn(text))?.message, 80)
}

function record(value: unknown): Readonly<Record<string, unknown>> | null {
  return isRecord(value) ? value : null
}
