import { isDeepStrictEqual } from 'node:util'
import { APISIX_DEFAULTS, consumerFault, pluginsFault } from './apisix-description.ts'
import { type Answered, type Asked, ControlPlaneServer, type JsonAnswer } from './control-plane-server.ts'
import { InjectedFaults, type Refusal } from './injected-faults.ts'

type Row = Readonly<Record<string, unknown>>
type Kind = 'consumers' | 'consumer_groups' | 'routes' | 'services' | 'plugin_configs'

interface Stored {
  readonly value: Row
  readonly createdIndex: number
  readonly modifiedIndex: number
}

export interface FakeApisixOptions {
  /** As releases before 3.5, with shorter labels; and as those that store what a plugin does not say. */
  readonly isOld?: boolean
  /** `standalone`: one configuration as a whole; `none`: a data plane; `v2`: the answers of before version 3. */
  readonly admin?: 'v3' | 'v2' | 'standalone' | 'none'
}

export const FAKE_ADMIN_KEY = 'canary-apisix-admin-key'
const VERSION = { 'x-api-version': 'v3' }
const NOT_FOUND: JsonAnswer = { status: 404, body: { message: 'Key not found' }, headers: VERSION }

const REFUSALS: Readonly<Record<Refusal, JsonAnswer>> = {
  'too-many-requests': { status: 429, body: null, headers: { 'retry-after': '0' } },
  conflict: { status: 409, body: { error_msg: 'conflict' }, headers: VERSION },
  'server-error': {
    status: 503,
    body: { error_msg: 'has no healthy etcd endpoint available' },
    headers: VERSION,
  },
}

/** APISIX's Admin API in this process: the part that enforcement uses, with its traps. */
export class FakeApisix extends ControlPlaneServer {
  readonly objects = new Map<string, Stored>()
  /** Writes to lose: answered with 200, and overwritten by somebody else at once. */
  loseWrites = 0
  /** Status for every call, such as 401; null for none. */
  status: number | null = null
  /** Called with each request before it is answered: somebody else who gets in between. */
  before: (asked: Asked) => void = () => undefined
  readonly faults = new InjectedFaults({
    snapshot: () => structuredClone([...this.objects]),
    restore: (rows: readonly [string, Stored][]) => {
      this.objects.clear()
      for (const [key, row] of structuredClone(rows)) this.objects.set(key, row)
    },
  })
  private readonly options: FakeApisixOptions
  private readonly groups = new Map<string, Row>()
  private revision = 100
  private seconds = 1_700_000_000

  constructor(options: FakeApisixOptions = {}) {
    super()
    this.options = options
  }

  /** Everything stored, without times and revisions. */
  state(): unknown {
    return [...this.objects]
      .map(([key, { value }]) => {
        const { create_time: _created, update_time: _updated, ...kept } = value
        return [key, kept] as const
      })
      .sort(([a], [b]) => (a < b ? -1 : 1))
  }

  /** Stores an object as its owner would. */
  plant(kind: Kind, name: string, value: Row): void {
    const fault =
      kind === 'consumers' ? consumerFault(value, this.options.isOld) : pluginsFault(value.plugins ?? {})
    if (fault !== null) throw new Error(`fake APISIX: ${fault}`)
    // As after a restart, which forgets what a group said.
    const conf = groupedLimit(value)
    if (conf !== null) this.groups.set(conf.group, conf)
    this.store(`/apisix/${kind}/${name}`, value)
  }

  /** A consumer as it is stored; null for none. */
  consumer(name: string): Row | null {
    return this.objects.get(`/apisix/consumers/${name}`)?.value ?? null
  }

  protected broken(): Answered {
    return REFUSALS['server-error']
  }

  protected answerTo(asked: Asked): Answered {
    const { method, url, headers } = asked
    if (this.status !== null)
      return { status: this.status, body: { error_msg: 'no' }, headers: { 'retry-after': '7' } }
    const { admin = 'v3' } = this.options
    if (admin === 'none') return { status: 404, body: { error_msg: '404 Route Not Found' } }
    // Nothing else leads anywhere, whatever the key.
    if (admin === 'standalone' && url.pathname !== '/apisix/admin/configs') return { status: 404, body: null }
    if (headers['x-api-key'] !== FAKE_ADMIN_KEY)
      return { status: 401, body: { error_msg: 'failed to check token', description: 'wrong apikey' } }
    if (admin === 'standalone')
      return { status: 200, body: { consumers_conf_version: 0, routes_conf_version: 0 } }
    this.before(asked)
    return this.faults.respond(
      `${method} ${url.pathname}`,
      method === 'GET',
      () => this.answer(asked),
      (refusal) => REFUSALS[refusal],
    )
  }

  private answer({ method, url, body }: Asked): JsonAnswer {
    const [kind = '', name, ...more] = url.pathname.replace(/^\/apisix\/admin\//, '').split('/')
    const known = /^(consumers|consumer_groups|routes|services|plugin_configs)$/.test(kind)
    if (!known || more.length > 0)
      return { status: 404, body: { error_msg: `Unsupported resource type: ${kind}` } }
    if (method === 'PUT' && kind === 'consumers') return this.put(name, body)
    if (method !== 'GET') {
      this.violations.push(`${method} ${url.pathname}: enforcement has no business there`)
      return { status: 405, body: { error_msg: `not supported \`${method}\` method` }, headers: VERSION }
    }
    if (name === undefined) return this.list(kind, url.searchParams)
    const key = `/apisix/${kind}/${decodeURIComponent(name)}`
    const row = this.objects.get(key)
    return row === undefined ? NOT_FOUND : { status: 200, body: { key, ...row }, headers: VERSION }
  }

  private list(kind: string, query: URLSearchParams): JsonAnswer {
    const label = query.get('label')
    const rows = [...this.objects]
      .filter(([key]) => key.startsWith(`/apisix/${kind}/`))
      .filter(([, { value }]) => label === null || Object.hasOwn((value.labels as Row) ?? {}, label))
      .map(([key, row]) => ({ key, ...row }))
    if (this.options.admin === 'v2')
      return { status: 200, body: { node: { dir: true, key: `/apisix/${kind}`, nodes: rows } } }
    // A filtered list that became empty is an empty Lua table, which is written as an object.
    const list = rows.length === 0 ? {} : rows
    return { status: 200, body: { list, total: rows.length }, headers: VERSION }
  }

  private put(name: string | undefined, body: unknown): JsonAnswer {
    const bad = (message: string): JsonAnswer => ({
      status: 400,
      body: { error_msg: `invalid configuration: ${message}` },
      headers: VERSION,
    })
    const fault = consumerFault(body, this.options.isOld)
    if (fault !== null) {
      this.violations.push(`PUT of a consumer: ${fault}`)
      return bad(fault)
    }
    const value = body as Row & { readonly username: string }
    if (name !== undefined && name !== value.username) return bad('wrong username')
    if (value.group_id !== undefined && !this.objects.has(`/apisix/consumer_groups/${value.group_id}`))
      return bad('failed to fetch consumer group info')
    if (this.mismatches(value)) return bad('group conf mismatched')
    const key = `/apisix/consumers/${value.username}`
    const before = this.objects.get(key)
    const stored = this.store(key, value)
    if (this.loseWrites > 0 && this.loseWrites--) {
      if (before === undefined) this.objects.delete(key)
      else this.objects.set(key, before)
    }
    return { status: before === undefined ? 201 : 200, body: { key, value: stored.value }, headers: VERSION }
  }

  /** Whatever names one group of `limit-count` must be equal (`check_schema` in limit-count/init.lua). */
  private mismatches(value: Row): boolean {
    const conf = groupedLimit(value)
    if (conf === null) return false
    const first = this.groups.get(conf.group) ?? conf
    this.groups.set(conf.group, first)
    return !isDeepStrictEqual(first, conf)
  }

  private store(key: string, wanted: Row): Stored {
    const before = this.objects.get(key)
    const plugins = (wanted.plugins as Readonly<Record<string, Row>> | undefined) ?? null
    const filled = Object.entries(plugins ?? {}).map(([name, conf]) => [
      name,
      this.options.isOld === true ? { ...APISIX_DEFAULTS[name], ...conf } : conf,
    ])
    const value = {
      ...wanted,
      ...(plugins === null ? {} : { plugins: Object.fromEntries(filled) }),
      create_time: before?.value.create_time ?? this.seconds,
      update_time: ++this.seconds,
    }
    const modifiedIndex = ++this.revision
    const row = { value, createdIndex: before?.createdIndex ?? modifiedIndex, modifiedIndex }
    this.objects.set(key, structuredClone(row))
    return row
  }
}

/** The `limit-count` of a group, with what it does not say; null for one without a group. */
function groupedLimit({ plugins }: Row): (Row & { readonly group: string }) | null {
  const conf = (plugins as Readonly<Record<string, Row>> | undefined)?.['limit-count']
  return typeof conf?.group === 'string'
    ? { ...APISIX_DEFAULTS['limit-count'], ...conf, group: conf.group }
    : null
}
