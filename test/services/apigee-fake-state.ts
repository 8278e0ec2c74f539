import type { JsonAnswer } from './control-plane-server.ts'

interface FakeApp {
  name: string
  developerId: string
  status: string
  credentials: { consumerKey: string; status: string }[]
}

interface FakeAction {
  readonly name: string
  readonly state: string
  readonly description?: string
  readonly [field: string]: unknown
}

const ROOT = '/v1/organizations/acme/'

/** What the stand-in for Apigee stores, and what each call does to it. */
export class ApigeeFakeState {
  apps: FakeApp[] = []
  developers = new Map<string, string>()
  entries = new Map<string, string>()
  actions = new Map<string, FakeAction>()
  actionsEnabled = true
  private readonly pageSize: number

  constructor(pageSize: number) {
    this.pageSize = pageSize
  }

  /** Everything stored that counts, in a stable order: disabled actions stay listed for ever and do nothing. */
  content(): Readonly<Record<string, unknown>> {
    return {
      apps: this.apps,
      developers: [...this.developers],
      entries: [...this.entries].sort(([a], [b]) => (a < b ? -1 : 1)),
      actions: [...this.actions.values()].filter(({ state }) => state === 'ENABLED'),
    }
  }

  snapshot(): string {
    return JSON.stringify([this.apps, [...this.developers], [...this.entries], [...this.actions]])
  }

  restore(snapshot: string): void {
    const [apps, developers, entries, actions] = JSON.parse(snapshot)
    this.apps = apps
    this.developers = new Map(developers)
    this.entries = new Map(entries)
    this.actions = new Map(actions)
  }

  fault(code: number, status: string): JsonAnswer {
    return { status: code, body: { error: { code, message: 'no', status } } }
  }

  answer(method: string, url: URL, body: unknown, contentType: string): JsonAnswer {
    if (!url.pathname.startsWith(ROOT)) return this.fault(404, 'NOT_FOUND')
    const [path, verb] = url.pathname.slice(ROOT.length).split(/:(?=[a-z]+$)/)
    const names = path!.split('/').map(decodeURIComponent)
    if (names[0] === 'apps') return this.page('app', this.apps, url)
    if (names[0] === 'developers') return this.caller(method, names, url, contentType)
    if (names[1] !== 'prod') return this.fault(404, 'NOT_FOUND')
    if (names[2] === 'keyvaluemaps' && names[3] === 'curfew') return this.entry(method, names[5], url, body)
    if (names[2] === 'securityActionsConfig') return { status: 200, body: { enabled: this.actionsEnabled } }
    if (names[2] === 'securityActions') return this.action(method, names[3], verb, url, body)
    return this.fault(404, 'NOT_FOUND')
  }

  /** Google leaves empty lists out. */
  private page(list: string, rows: readonly unknown[], url: URL): JsonAnswer {
    const from = Number(url.searchParams.get('pageToken') ?? 0)
    const size = Math.min(Number(url.searchParams.get('pageSize') ?? 25), this.pageSize)
    const part = rows.slice(from, from + size)
    const next = from + size < rows.length ? { nextPageToken: String(from + size) } : {}
    return { status: 200, body: { ...(part.length > 0 ? { [list]: part } : {}), ...next } }
  }

  private caller(method: string, names: readonly string[], url: URL, contentType: string): JsonAnswer {
    const [, developer = '', , appName, , consumerKey] = names
    const app = this.apps.find((one) => one.developerId === developer && one.name === appName)
    const key = app?.credentials.find((one) => one.consumerKey === consumerKey)
    const found =
      consumerKey !== undefined ? key : appName !== undefined ? app : this.developers.get(developer)
    if (found === undefined) return this.fault(404, 'NOT_FOUND')
    if (method === 'GET')
      return {
        status: 200,
        body: typeof found === 'string' ? { developerId: developer, status: found } : found,
      }
    if (contentType !== 'application/octet-stream') return this.fault(400, 'INVALID_ARGUMENT')
    const action = url.searchParams.get('action') ?? ''
    const words: Readonly<Record<string, string>> =
      typeof found === 'string'
        ? { active: 'active', inactive: 'inactive' }
        : { approve: 'approved', revoke: 'revoked' }
    const status = words[action]
    if (status === undefined) return this.fault(400, 'INVALID_ARGUMENT')
    if (typeof found === 'string') this.developers.set(developer, status)
    else found.status = status
    return { status: 204, body: null }
  }

  private entry(method: string, name: string | undefined, url: URL, body: unknown): JsonAnswer {
    const given = body as { readonly name: string; readonly value: string } | null
    if (method === 'GET')
      return this.page(
        'keyValueEntries',
        [...this.entries].map(([key, value]) => ({ name: key, value })),
        url,
      )
    if (method === 'POST' && given !== null) {
      if (this.entries.has(given.name)) return this.fault(409, 'ALREADY_EXISTS')
      this.entries.set(given.name, given.value)
      return { status: 200, body: given }
    }
    if (name === undefined || !this.entries.has(name)) return this.fault(404, 'NOT_FOUND')
    if (method === 'DELETE') this.entries.delete(name)
    else if (given !== null) this.entries.set(name, given.value)
    return { status: 200, body: given ?? { name, value: '' } }
  }

  private action(
    method: string,
    id: string | undefined,
    verb: string | undefined,
    url: URL,
    body: unknown,
  ): JsonAnswer {
    if (method === 'GET') return this.page('securityActions', [...this.actions.values()], url)
    if (id === undefined) {
      const wanted = url.searchParams.get('securityActionId') ?? ''
      if (!/^[a-z]([a-z0-9-]{0,59}[a-z0-9])?$/.test(wanted)) return this.fault(400, 'INVALID_ARGUMENT')
      if (this.actions.has(wanted)) return this.fault(409, 'ALREADY_EXISTS')
      const name = `organizations/acme/environments/prod/securityActions/${wanted}`
      const action = { ...(body as FakeAction), name }
      this.actions.set(wanted, action)
      return { status: 200, body: action }
    }
    const action = this.actions.get(id)
    if (action === undefined) return this.fault(404, 'NOT_FOUND')
    const state = verb === 'disable' ? 'DISABLED' : 'ENABLED'
    if (action.state === state) return this.fault(400, 'FAILED_PRECONDITION')
    this.actions.set(id, { ...action, state })
    return { status: 200, body: this.actions.get(id) }
  }
}
