import type { Random } from './random.ts'

/** Kinds of operation; also the states of a caller's Markov chain. */
export const OPS = [
  'list',
  'read',
  'search',
  'export',
  'create',
  'update',
  'delete',
  'admin',
  'auth',
] as const
export type Op = (typeof OPS)[number]
export const OP = Object.fromEntries(OPS.map((op, i) => [op, i])) as Readonly<Record<Op, number>>

/** One route template of a tenant. */
export interface Route {
  readonly index: number
  readonly op: Op
  readonly method: string
  /** Path up to the object id, or all of it. */
  readonly before: string
  /** Path after the object id. */
  readonly after: string
  readonly hasObject: boolean
  readonly uuid: boolean
  readonly resource: number
  readonly service: string
  /** Response bytes per record (median) and beside them. */
  readonly recordBytes: number
  readonly baseBytes: number
  /** Upstream latency, median milliseconds. */
  readonly latency: number
}

/** Routes of a tenant and where to find them. */
export interface RouteTable {
  readonly routes: readonly Route[]
  readonly resources: number
  /** The resource that appears only when a new feature is released. */
  readonly featureResource: number
  readonly admin: readonly Route[]
  readonly login: Route
  readonly refresh: Route
  readonly me: Route
  readonly health: Route
  of(resource: number, op: Op): Route
}

const RESOURCES = (
  'orders customers invoices payments products shipments reports users subscriptions contracts tickets ' +
  'documents warehouses suppliers quotes refunds campaigns assets devices locations events messages tasks ' +
  'projects leads accounts transactions statements claims policies'
).split(' ')
const FEATURES = ['insights', 'forecasts', 'summaries', 'timelines']
const ADMIN: readonly (readonly [method: string, path: string, object: boolean])[] = [
  ['GET', 'users', false],
  ['GET', 'users', true],
  ['POST', 'users', false],
  ['DELETE', 'users', true],
  ['GET', 'roles', false],
  ['PUT', 'roles', true],
  ['GET', 'keys', false],
  ['POST', 'keys', false],
  ['DELETE', 'keys', true],
  ['GET', 'settings', false],
  ['PUT', 'settings', false],
  ['GET', 'audit', false],
  ['GET', 'billing', false],
  ['POST', 'impersonate', true],
  ['GET', 'tenants', false],
]
const METHODS = {
  list: 'GET',
  read: 'GET',
  search: 'GET',
  export: 'GET',
  create: 'POST',
  update: 'PUT',
  delete: 'DELETE',
}

/** 13 to 25 resources with seven operations each, administration, log-in: 107 to 191 templates. */
export function buildRoutes(random: Random): RouteTable {
  const names = random.shuffle([...RESOURCES]).slice(0, 12 + random.below(13))
  names.push(random.pick(FEATURES))
  const routes: Route[] = []
  const add = (route: Omit<Route, 'index'>): Route => {
    const added = { ...route, index: routes.length }
    routes.push(added)
    return added
  }
  const table = names.map((name, resource) => resourceRoutes(name, resource, random, add))
  const common = { resource: -1, recordBytes: 240, baseBytes: 420, uuid: false, hasObject: false, after: '' }
  const admin = ADMIN.map(([method, path, hasObject]) =>
    add({
      ...common,
      op: 'admin',
      method,
      before: `/v1/admin/${path}${hasObject ? '/' : ''}`,
      hasObject,
      service: 'admin',
      latency: 40,
    }),
  )
  const auth = (method: string, before: string) =>
    add({ ...common, op: 'auth', method, before, service: 'auth', latency: 25 })
  return {
    routes,
    resources: names.length - 1,
    featureResource: names.length - 1,
    admin,
    login: auth('POST', '/v1/auth/login'),
    refresh: auth('POST', '/v1/auth/refresh'),
    me: auth('GET', '/v1/me'),
    health: auth('GET', '/v1/health'),
    of: (resource, op) => table[resource]![op as keyof typeof METHODS],
  }
}

type ResourceRoutes = Readonly<Record<keyof typeof METHODS, Route>>

function resourceRoutes(
  name: string,
  resource: number,
  random: Random,
  add: (route: Omit<Route, 'index'>) => Route,
): ResourceRoutes {
  const uuid = random.chance(0.4)
  const recordBytes = random.logNormal(220, 0.6)
  const latency = random.logNormal(22, 0.5)
  const make = (op: keyof typeof METHODS): Route => {
    const hasObject = op === 'read' || op === 'update' || op === 'delete'
    const tail = op === 'search' ? '/search' : op === 'export' ? '/export' : hasObject ? '/' : ''
    return add({
      op,
      method: METHODS[op],
      before: `/v1/${name}${tail}`,
      after: '',
      hasObject,
      uuid,
      resource,
      service: name,
      recordBytes: op === 'read' ? recordBytes * 2.5 : recordBytes,
      baseBytes: op === 'delete' ? 290 : 380,
      latency: latency * (op === 'export' ? 6 : op === 'search' ? 3 : op === 'list' ? 1.6 : 1),
    })
  }
  return {
    list: make('list'),
    read: make('read'),
    search: make('search'),
    export: make('export'),
    create: make('create'),
    update: make('update'),
    delete: make('delete'),
  }
}
