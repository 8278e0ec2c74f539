import { AGENTS } from './agents.ts'
import { SECOND } from './calendar.ts'
import { type Call, type CallSink, emptyCall } from './event-buffer.ts'
import type { Principal } from './principal.ts'
import type { Random } from './random.ts'
import { OP, type Op, type Route } from './routes.ts'
import type { Tenant } from './world.ts'

/** What whoever calls in the name of a caller does otherwise. */
export interface Manner {
  readonly episode: number
  readonly random: Random
  /** Address at a time; the caller's own where absent. */
  readonly address?: (time: number) => number
  readonly agent?: number
  /** The operations of administration are allowed. */
  readonly granted?: boolean
  /** Calls without identity (a log-in form). */
  readonly nobody?: boolean
  /** Records of an export, times the caller's usual. */
  readonly exportTimes?: number
  /** Status that every call gets, where the route's own course is not wanted. */
  readonly status?: number
  /** Tokens of one's own: the same credential, issued apart from the victim's. */
  readonly tokenApart?: boolean
}

const call: Call = emptyCall()

/**
 * One call of a route and, where the answer is a failure that clients repeat, its repetitions. Returns when the
 * last one was complete. Attackers, look-alikes and everyday traffic all pass through here: statuses, sizes
 * and durations follow one law.
 */
export function makeCall(
  sink: CallSink,
  p: Principal,
  route: Route,
  start: number,
  object: number,
  page: number,
  manner: Manner | null,
): number {
  const random = manner?.random ?? p.random
  const isMachine = p.is.model.rhythm !== 'sessions'
  let begin = start
  for (let attempt = 0; ; attempt++) {
    const status = manner?.status ?? statusOf(p, route, begin, object, random, manner?.granted ?? false)
    fill(p, route, begin, object, page, status, random, manner)
    emit(sink, p, manner)
    const retried = status >= 500 || status === 429 || (status === 401 && manner?.status === undefined)
    if (!retried || attempt >= (isMachine ? 4 : 2) || !random.chance(isMachine ? 0.9 : 0.5)) return call.time
    begin = call.time + random.logNormal(isMachine ? 1.2 : 4, 0.6) * SECOND * 2 ** attempt
  }
}

function emit(sink: CallSink, p: Principal, manner: Manner | null): void {
  if (manner !== null) call.episode = manner.episode
  else {
    const pair = call.principal < 0 ? p.is.tenant.addressPairs.get(call.ip) : p.pair
    call.episode = pair == null ? -1 : pair.take(call.route, call.time)
  }
  sink.add(call)
}

function fill(
  p: Principal,
  route: Route,
  begin: number,
  object: number,
  page: number,
  status: number,
  random: Random,
  manner: Manner | null,
): void {
  const nobody = manner?.nobody === true || status === 401 || route === p.is.tenant.table.login
  const records = status === 200 ? recordsOf(p, route, object, random, manner?.exportTimes ?? 1) : -1
  const agent = manner?.agent ?? p.agent(begin)
  call.latency = latencyOf(route, status, records, random)
  call.time = Math.round(begin) + call.latency
  call.tenant = p.is.tenant.index
  call.principal = nobody ? -1 : p.is.index
  call.route = route.index
  call.object = object
  call.page = page
  call.records = records
  call.bytes = bytesOf(route, status, records, random)
  call.requestBytes = 330 + AGENTS[agent]!.length + requestBody(route, random)
  call.status = status
  call.ip = manner?.address?.(begin) ?? p.address(begin, p.session)
  call.agent = agent
  call.token = nobody ? -1 : p.token(begin) + (manner?.tokenApart === true ? 1_000_000 : 0)
  if (p.is.tokenLife === 0) call.token = -1
  call.refused = status === 401 || status === 429 ? 1 : 0
}

function statusOf(
  p: Principal,
  route: Route,
  time: number,
  object: number,
  random: Random,
  granted: boolean,
): number {
  const { tenant, isAdmin, badShare, tokenLife } = p.is
  const failing = failingShare(tenant, route.resource, time)
  if (failing > 0 && random.chance(failing)) return random.chance(0.6) ? 503 : 502
  const u = random.next()
  if (route === tenant.table.login) return u < 0.07 ? 401 : 200
  if (route.op === 'admin' && !isAdmin && !granted) return random.chance(0.85) ? 403 : 404
  if (object >= 0 && !tenant.objects.exists(object)) return random.chance(0.25) ? 403 : 404
  if (u < 0.0006) return 500
  if (u < 0.0012 && p.is.model.rhythm !== 'sessions') return 429
  if (u < 0.0032 && tokenLife > 0) return 401
  if (u < 0.0035 + badShare) return badStatus(route, random)
  const isBrowser = p.is.model.network === 'person'
  if (isBrowser && route.op === 'read' && u > 0.95) return 304
  return route.op === 'create' ? 201 : route.op === 'delete' ? 204 : 200
}

function badStatus(route: Route, random: Random): number {
  if (route.hasObject) return random.chance(0.78) ? 404 : 403
  return random.pick([400, 400, 422, 409])
}

function failingShare(tenant: Tenant, resource: number, time: number): number {
  for (const o of tenant.outages) {
    if (time >= o.from && time < o.to && o.resources.has(resource)) return o.failing
  }
  return 0
}

function recordsOf(p: Principal, route: Route, object: number, random: Random, exportTimes: number): number {
  switch (route.op) {
    case 'list':
      return random.chance(0.72) ? p.is.pageSize : random.below(p.is.pageSize + 1)
    case 'search':
      return Math.min(p.is.pageSize, Math.floor(random.logNormal(6, 1)))
    case 'export':
      return Math.min(200_000, Math.ceil(exportTimes * random.logNormal(p.is.exportRecords, 0.35)))
    case 'read':
      return 1
    case 'admin':
      return route.method !== 'GET' ? -1 : object >= 0 ? 1 : 5 + random.below(45)
    default:
      return -1
  }
}

function bytesOf(route: Route, status: number, records: number, random: Random): number {
  if (status === 304 || status === 204) return 240 + random.below(60)
  if (status >= 400) return 260 + random.below(140)
  const perRecord = route.recordBytes * random.logNormal(1, records > 20 ? 0.1 : 0.35)
  return Math.round(route.baseBytes + (records < 0 ? 1 : records) * perRecord)
}

function requestBody(route: Route, random: Random): number {
  const changes = route.method === 'POST' || route.method === 'PUT'
  return (changes ? Math.round(random.logNormal(520, 0.6)) : 0) + random.below(90)
}

function latencyOf(route: Route, status: number, records: number, random: Random): number {
  if (status === 401 || status === 429) return 1 + random.below(4)
  if (status === 502 || status === 503) return Math.round(random.logNormal(900, 0.9))
  const base = random.logNormal(route.latency, 0.45)
  return Math.max(2, Math.round(base * (1 + Math.max(0, records) / 500)))
}

const OBJECT_OPS: ReadonlySet<Op> = new Set(['read', 'update', 'delete'])

/** An object that the caller would touch itself: its own, the one just made, at times a colleague's. */
export function usualObject(p: Principal, route: Route, time: number, random: Random): number {
  if (route.op === 'admin') return route.hasObject ? p.ownFrom + random.below(p.ownCount) : -1
  if (!OBJECT_OPS.has(route.op)) {
    if (route.op === 'create') p.created = p.is.tenant.objects.made(time, random)
    return -1
  }
  if (random.next() > p.is.ownShare) return othersObject(p, random)
  if (p.created >= 0 && random.chance(0.25)) return p.created
  const popular = random.next() ** 2.2
  return p.ownFrom + Math.floor(p.ownCount * popular)
}

function othersObject(p: Principal, random: Random): number {
  const org = p.is.tenant.orgs[p.is.org % 10_000]!
  return org.ownFrom + random.below(org.ownCount)
}

/** How far a caller leafs: attackers too, or the number of a page would give them away. */
export function usualPage(p: Principal, route: Route, random: Random): number {
  if (route.op === 'search') return random.below(5_000)
  if (p.is.model.rhythm === 'exports' && (route.op === 'list' || route.op === 'export'))
    return 1 + random.below(20)
  return route.op === 'list' ? 1 + (random.chance(0.6) ? 0 : random.geometric(2.2)) : 0
}

/** The route of an operation: of the resource that the caller is at, or wherever that operation lives. */
export function routeOf(p: Principal, op: number, resource: number, random: Random): Route {
  const { table } = p.is.tenant
  if (op === OP.admin) return random.pick(table.admin)
  if (op === OP.auth) {
    if (p.is.model.rhythm === 'probe') return table.health
    return p.is.tokenLife > 0 && random.chance(0.3) ? table.refresh : table.me
  }
  return table.of(resource, OP_NAMES[op]!)
}

const OP_NAMES = ['list', 'read', 'search', 'export', 'create', 'update', 'delete'] as const
