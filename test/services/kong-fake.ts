import { existsSync, readFileSync } from 'node:fs'
import { type Answered, type Asked, ControlPlaneServer, type JsonAnswer } from './control-plane-server.ts'
import { InjectedFaults, type Refusal } from './injected-faults.ts'
import type { DescribedPlugin, KongDescription } from './kong-description.ts'

/** A plugin as Kong stores it, with everything that Kong fills in. */
export interface StoredPlugin {
  id: string
  name: string
  enabled: boolean
  consumer: { id: string } | null
  route: { id: string } | null
  service: { id: string } | null
  config: Record<string, unknown>
  tags: string[] | null
  [field: string]: unknown
}

export interface FakeKongOptions {
  /** Checks every request and answer; null when the official descriptions are not at hand. */
  readonly description: KongDescription | null
  /** Largest page, so that few plugins already make several. */
  readonly pageSize?: number
  readonly database?: 'postgres' | 'off'
  readonly role?: 'traditional' | 'control_plane' | 'data_plane'
  /** Without a database: a declarative file that is loaded, whole, before each answer. */
  readonly loads?: string
  /** Answers as Konnect does: below the path of this control plane, with a bearer token, without PATCH. */
  readonly controlPlane?: string
}

const PERIODS = ['second', 'minute', 'hour', 'day', 'month', 'year']
/** What Kong fills in, as far as enforcement reads it; used where the official schemas are not at hand. */
const DEFAULTS: Readonly<Record<DescribedPlugin, Record<string, unknown>>> = {
  'rate-limiting': {
    ...Object.fromEntries(PERIODS.map((p) => [p, null])),
    limit_by: 'consumer',
    policy: 'local',
  },
  'request-termination': { status_code: 503, message: null, trigger: null, echo: false },
}
/** Tags: printable ASCII and UTF-8, but no comma and no slash (kong/db/schema/typedefs.lua). */
const TAG = /^[\x20-\x2b\x2d\x2e\x30-\x7e\u0080-\u{10ffff}]+$/u

const REFUSALS: Readonly<Record<Refusal, JsonAnswer>> = {
  'too-many-requests': { status: 429, body: { message: 'slow down' }, headers: { 'retry-after': '0' } },
  conflict: { status: 409, body: { code: 5, message: 'UNIQUE violation' } },
  'server-error': { status: 500, body: { message: 'An unexpected error occurred' } },
}

/** Kong's admin API in this process: the part that enforcement uses, with its traps. */
export class FakeKong extends ControlPlaneServer {
  readonly plugins = new Map<string, StoredPlugin>()
  readonly consumers = new Set<string>()
  /** Writes to lose: answered with 200, and overwritten by somebody else at once. */
  loseWrites = 0
  /** Writes to answer with 409. */
  conflicts = 0
  /** Status for every call, such as 429 or 401; null for none. */
  status: number | null = null
  headers: Record<string, string | string[] | undefined> = {}
  /** Operations are a method and a path below the control plane. */
  readonly faults = new InjectedFaults({
    snapshot: () => structuredClone([...this.plugins]),
    restore: (rows: readonly [string, StoredPlugin][]) => {
      this.plugins.clear()
      for (const [id, row] of structuredClone(rows)) this.plugins.set(id, row)
    },
  })
  private readonly options: FakeKongOptions
  private clockS = 1_700_000_000

  constructor(options: FakeKongOptions) {
    super()
    this.options = options
  }

  /** Everything stored, without timestamps, in a stable order. */
  state(): unknown[] {
    return [...this.plugins.values()]
      .map(({ created_at: _created, updated_at: _updated, tags, ...rest }) => ({
        ...rest,
        tags: tags && [...tags].sort(),
      }))
      .sort((a, b) => (a.id < b.id ? -1 : 1))
  }

  /** Stores a plugin as its owner would through the admin API. */
  plant(plugin: Partial<StoredPlugin> & { id: string; name: string }): void {
    const fault = this.store(plugin.id, plugin)
    if (fault !== null) throw new Error(`fake Kong: ${fault.status} ${fault.message}`)
  }

  protected broken(): Answered {
    return { status: 500, body: { message: 'An unexpected error occurred' } }
  }

  protected answerTo({ method, url, headers, body }: Asked): Answered {
    this.headers = headers
    if (this.status !== null)
      return { status: this.status, body: { message: 'no' }, headers: { 'retry-after': '7' } }
    this.note(this.options.description?.request(method, url.pathname, body) ?? null)
    if (this.options.loads !== undefined) this.load(this.options.loads)
    const path = url.pathname
    const konnect = this.options.controlPlane
    if (konnect !== undefined) {
      const prefix = `/v2/control-planes/${konnect}/core-entities`
      if (!url.pathname.startsWith(`${prefix}/`) || method === 'PATCH')
        return { status: 404, body: { message: 'no' } }
      if (!/^Bearer \S+$/.test(headers.authorization ?? '')) return { status: 401, body: { message: 'no' } }
      url.pathname = url.pathname.slice(prefix.length)
    }
    const answer = this.faults.respond(
      `${method} ${url.pathname}`,
      method === 'GET',
      () => this.answer(method, url, body as Record<string, unknown> | null),
      (refusal) => REFUSALS[refusal],
    )
    if (answer === null || answer === 'garbage') return answer
    this.note(this.options.description?.answer(path, answer.status, answer.body) ?? null)
    return answer
  }

  /** As the pipeline of its owner would: everybody's own objects, and what the file says. */
  private load(path: string): void {
    for (const [id, { tags }] of this.plugins) if (tags?.includes('curfew')) this.plugins.delete(id)
    if (!existsSync(path)) return
    const { plugins, _format_version, _comment, ...more } = JSON.parse(readFileSync(path, 'utf8'))
    if (_format_version !== '3.0' || typeof _comment !== 'string' || Object.keys(more).length > 0)
      this.violations.push('no declarative file')
    const reference = (id: unknown) => (typeof id === 'string' ? { id } : null)
    for (const row of plugins) {
      const owners = {
        consumer: reference(row.consumer),
        route: reference(row.route),
        service: reference(row.service),
      }
      const fault = this.store(row.id, { ...row, ...owners })
      if (fault !== null) this.violations.push(`${fault.status} ${fault.message}`)
    }
  }

  private answer(method: string, url: URL, body: Record<string, unknown> | null): JsonAnswer {
    const { database = 'postgres', role = 'traditional' } = this.options
    if (url.pathname === '/')
      return { status: 200, body: { version: '3.9.1', configuration: { database, role } } }
    if (url.pathname === '/status')
      return { status: 200, body: { database: { reachable: true }, server: {} } }
    if (url.pathname === '/plugins' && method === 'GET') return this.page(url)
    const id = /^\/plugins\/([^/]+)$/.exec(url.pathname)?.[1]
    if (id === undefined) return { status: 404, body: { message: 'Not found' } }
    const stored = this.plugins.get(id)
    if (method === 'GET')
      return stored ? { status: 200, body: stored } : { status: 404, body: { message: 'Not found' } }
    if (database === 'off')
      return { status: 405, body: { code: 12, name: 'operation unsupported', message: 'no database' } }
    if (this.conflicts > 0 && this.conflicts--)
      return { status: 409, body: { code: 5, message: 'UNIQUE violation' } }
    if (method === 'DELETE') {
      this.plugins.delete(id)
      return { status: 204, body: null }
    }
    if (method === 'PATCH' && stored === undefined) return { status: 404, body: { message: 'Not found' } }
    return this.write(id, method === 'PATCH' ? merged(stored!, body ?? {}) : (body ?? {}), stored)
  }

  private write(
    id: string,
    wanted: Record<string, unknown>,
    before: StoredPlugin | undefined,
  ): { status: number; body: unknown } {
    const fault = this.store(id, wanted)
    if (fault !== null) return { status: fault.status, body: { code: 2, message: fault.message } }
    const row = this.plugins.get(id)
    if (this.loseWrites > 0 && this.loseWrites--) {
      if (before === undefined) this.plugins.delete(id)
      else this.plugins.set(id, before)
    }
    return { status: 200, body: row }
  }

  private page(url: URL): { status: number; body: unknown } {
    const tags = (url.searchParams.get('tags') ?? '').split(',').filter((tag) => tag !== '')
    const size = Math.min(Number(url.searchParams.get('size') ?? 100), this.options.pageSize ?? 1_000)
    const from = Number(Buffer.from(url.searchParams.get('offset') ?? '', 'base64url').toString() || 0)
    const rows = [...this.plugins.values()].filter((row) => tags.every((tag) => row.tags?.includes(tag)))
    const offset = from + size < rows.length ? Buffer.from(String(from + size)).toString('base64url') : null
    const next =
      offset === null ? null : `/plugins?offset=${offset}${tags.length > 0 ? `&tags=${tags.join(',')}` : ''}`
    const data = rows.slice(from, from + size)
    return { status: 200, body: offset === null ? { data, next } : { data, next, offset } }
  }

  /** Validates like Kong's schema, fills in defaults, stores. */
  private store(id: string, wanted: Record<string, unknown>): { status: number; message: string } | null {
    const name = wanted.name as DescribedPlugin
    const given = Object.entries((wanted.config as Record<string, unknown> | undefined) ?? {})
    const defaults = this.options.description?.defaults(name) ?? DEFAULTS[name]
    const config = {
      ...defaults,
      ...Object.fromEntries(given.filter(([f, v]) => v !== null || !(f in defaults) || defaults[f] === null)),
    }
    const row: StoredPlugin = {
      consumer: null,
      route: null,
      service: null,
      protocols: ['grpc', 'grpcs', 'http', 'https'],
      enabled: true,
      tags: null,
      instance_name: null,
      created_at: this.clockS,
      ...wanted,
      id,
      name,
      config,
      updated_at: this.clockS++,
    }
    const fault = this.fault(row)
    if (fault === null) this.plugins.set(id, row)
    return fault
  }

  private fault(row: StoredPlugin): { status: number; message: string } | null {
    const bad = (message: string) => ({ status: 400, message: `schema violation (${message})` })
    if (!/^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/.test(row.id))
      return bad('id: expected a valid UUID')
    const fault = this.options.description?.config(row.name as DescribedPlugin, row.config) ?? null
    if (fault !== null) return bad(fault)
    if (row.name === 'rate-limiting') {
      const limits = PERIODS.map((period) => row.config[period]).filter((value) => typeof value === 'number')
      if (limits.length === 0) return bad('at least one of second, minute, hour, day, month, year')
      if (limits.some((value) => value <= 0)) return bad('limits must be greater than 0')
      const smaller = limits.findIndex((value, i) => limits.slice(i + 1).some((later) => later < value))
      if (smaller >= 0) return bad('the limit for a longer period cannot be lower')
    }
    if (row.tags?.some((tag) => !TAG.test(tag))) return bad('tags: invalid tag')
    if (row.consumer !== null && !this.consumers.has(row.consumer.id))
      return bad('foreign key: no such consumer')
    const key = (one: StoredPlugin) => JSON.stringify([one.name, one.consumer, one.route, one.service])
    const twin = [...this.plugins.values()].find((other) => other.id !== row.id && key(other) === key(row))
    return twin === undefined ? null : { status: 409, message: 'UNIQUE violation detected' }
  }
}

function merged(stored: StoredPlugin, body: Record<string, unknown>): Record<string, unknown> {
  const config = { ...stored.config, ...(body.config as Record<string, unknown> | undefined) }
  return { ...stored, ...body, config }
}
