import { AGENTS } from './agents.ts'
import type { Call } from './event-buffer.ts'
import { addressText } from './networks.ts'
import { hex32, uuidText } from './objects.ts'
import type { Principal } from './principal.ts'
import { hash, mix } from './random.ts'
import type { Route } from './routes.ts'
import type { Tenant, World } from './world.ts'

const WORDS = 'north blue open late paid draft new gold silver acme west priority'.split(' ')
const ISSUER = 'https://idp.example.test/'

/**
 * Writes calls as Kong's log plugins do (Kong Gateway log serializer, with response headers as `file-log` and
 * `http-log` send them and the claims of the token as custom fields). Parts that repeat are built once.
 */
export class KongLines {
  private readonly world: World
  private readonly routeParts: RouteParts[][]
  private readonly callers: string[] = []
  private readonly agents = AGENTS.map((agent) => `","user-agent":"${agent}","authorization":`)

  constructor(world: World) {
    this.world = world
    this.routeParts = world.tenants.map((t) =>
      t.table.routes.map((route) => routeParts(world.seed, t, route)),
    )
  }

  /** The log id of the n-th call of the log: 32 hexadecimal digits, unique, in no order. */
  idOf(n: number): string {
    const a = mix(n ^ this.world.seed)
    const b = mix(a ^ 0x7feb352d)
    const c = mix(b + 0x846ca68b)
    return hex32(a) + hex32(b) + hex32(c) + hex32(mix(c ^ n))
  }

  /** One line without its line end; `shift` is what the gateway's clock is wrong by, in milliseconds. */
  line(call: Call, id: string, shift: number): string {
    const parts = this.routeParts[call.tenant]![call.route]!
    const path = this.pathOf(call, parts)
    const records = call.records < 0 ? '' : `,"x-records-returned":"${call.records}"`
    const ip = addressText(call.ip)
    const { latency, status } = call
    const proxy = call.refused === 1 ? -1 : Math.max(1, latency - 1)
    const source = call.refused === 1 ? 'kong","upstream_status":"' : `upstream","upstream_status":"${status}`
    const query = parts.query === 'none' ? '' : this.queryObject(call, parts)
    const caller = call.principal < 0 ? '' : this.callerPart(call.principal)
    const token = call.token < 0 || call.principal < 0 ? '' : this.tokenPart(call)
    return (
      `{"response":{"size":${call.bytes},"status":${status},"headers":{"content-type":"application/json","x-kong-request-id":"${id}"${records}}},"route":` +
      `${parts.text},"client_ip":"${ip}","request":{"id":"${id}","headers":{"host":"api.example.test${this.agents[call.agent]!}"REDACTED","accept":"*/*","x-forwarded-for":"${ip}"},"uri":"${path}","size":${call.requestBytes},"method":"${parts.method}","querystring":{${query}}},"started_at":${call.time - latency + shift},"source":"${source}","latencies":{"kong":1,"proxy":${proxy},"request":${latency}},"service":` +
      `${parts.service}${caller}${token}}`
    )
  }

  private pathOf(call: Call, parts: RouteParts): string {
    const { route } = parts
    if (route.hasObject) {
      const { objects } = this.world.tenants[call.tenant]!
      return route.before + objects.idText(route.resource, route.uuid, call.object) + route.after
    }
    if (parts.query === 'page') return call.page <= 1 ? route.before : `${route.before}?page=${call.page}`
    if (parts.query === 'cursor')
      return call.page <= 1 ? `${route.before}?format=csv` : `${route.before}?format=csv&page=${call.page}`
    return parts.query === 'search' ? `${route.before}?q=${searchTerm(call.page)}` : route.before
  }

  private queryObject(call: Call, parts: RouteParts): string {
    if (parts.query === 'page') return call.page <= 1 ? '' : `"page":"${call.page}"`
    if (parts.query === 'cursor')
      return call.page <= 1 ? '"format":"csv"' : `"format":"csv","page":"${call.page}"`
    return `"q":"${searchTerm(call.page).replace('+', ' ')}"`
  }

  private callerPart(principal: number): string {
    const known = this.callers[principal]
    if (known !== undefined) return known
    const p = this.world.principals[principal]!
    const part = callerPart(this.world.seed, p, this.world.tenants[p.is.tenant.index]!)
    this.callers[principal] = part
    return part
  }

  private tokenPart(call: Call): string {
    const p = this.world.principals[call.principal]!
    const { tokenLife, tokenPhase, username, isAdmin } = p.is
    const number = call.token >= 900_000 ? call.token - 1_000_000 : call.token
    const issued = Math.floor((number * tokenLife + tokenPhase) / 1_000)
    const key = hash(this.world.seed, call.principal, call.token)
    const scope = isAdmin ? 'read write admin' : 'read write'
    return `,"jwt":{"sub":"${username}","jti":"${hex32(key)}${hex32(mix(key))}","iss":"${ISSUER}","scope":"${scope}","iat":${issued},"exp":${issued + tokenLife / 1_000}}`
  }
}

interface RouteParts {
  readonly route: Route
  /** The route and workspace of the log. */
  readonly text: string
  readonly method: string
  readonly query: 'none' | 'page' | 'search' | 'cursor'
  readonly service: string
}

function routeParts(seed: number, tenant: Tenant, route: Route): RouteParts {
  const { service, before, op } = route
  const id = uuidText(seed, tenant.index, hash(service.length, service.charCodeAt(0), service.charCodeAt(1)))
  const workspace = uuidText(seed, 77, tenant.index)
  const text = `{"id":"${id}","name":"${service}","paths":["${before.split('/').slice(0, 3).join('/')}"]},"workspace":"${workspace}","workspace_name":"${tenant.name}"`
  const query = op === 'list' ? 'page' : op === 'search' ? 'search' : op === 'export' ? 'cursor' : 'none'
  const serviceId = uuidText(seed, 78, hash(tenant.index, service.length, service.charCodeAt(0)))
  return {
    route,
    text,
    method: route.method,
    query,
    service: `{"id":"${serviceId}","name":"${service}","host":"${service}.internal","protocol":"http","port":80}`,
  }
}

function searchTerm(n: number): string {
  return `${WORDS[n % WORDS.length]!}+${hash(n) % 900}`
}

function callerPart(seed: number, p: Principal, tenant: Tenant): string {
  const id = uuidText(seed, 31, p.is.index)
  const org = tenant.orgs[p.is.org % 10_000]!
  const custom = `c-${hash(seed, 33, p.is.index) % 10_000_000}`
  const credential = uuidText(seed, 32, p.is.index)
  return `,"consumer":{"id":"${id}","username":"${p.is.username}","custom_id":"${custom}","tags":["org:${org.name}"]},"authenticated_entity":{"id":"${credential}","consumer_id":"${id}"}`
}
