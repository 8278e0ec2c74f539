import { DAY, HOUR, JUDGE_FROM, START } from './calendar.ts'
import type { Call } from './event-buffer.ts'
import type { EpisodeLabel } from './labels.ts'
import type { Traffic } from './traffic.ts'

/** Totals per caller over the judged period that a lazy judge would sort by. */
export const AGGREGATES = [
  'requests',
  'records',
  'bytes',
  'errors',
  'share of errors',
  'writes',
  'routes',
  'addresses',
  'agents',
  'active days',
  'most requests in an hour',
  'requests against before',
  'first day',
] as const

interface Running {
  requests: number
  before: number
  records: number
  bytes: number
  errors: number
  writes: number
  hour: number
  inHour: number
  mostInHour: number
  first: number
  readonly routes: Set<number>
  readonly addresses: Set<number>
  readonly agents: Set<number>
  readonly days: Set<number>
}

/** Collects the aggregates of the callers of several worlds. */
export class PrincipalAggregates {
  readonly rows: { readonly isVictim: boolean; readonly values: readonly number[] }[] = []
  private running = new Map<number, Running>()
  private traffic: Traffic | null = null

  open(traffic: Traffic): void {
    this.traffic = traffic
    this.running = new Map()
  }

  add(call: Call): void {
    if (call.principal < 0) return
    const r = this.of(call)
    if (call.time < JUDGE_FROM) {
      r.before++
      return
    }
    const hour = Math.floor((call.time - START) / HOUR)
    r.inHour = hour === r.hour ? r.inHour + 1 : 1
    r.hour = hour
    r.mostInHour = Math.max(r.mostInHour, r.inHour)
    r.requests++
    r.records += Math.max(0, call.records)
    r.bytes += call.bytes
    if (call.status >= 400) r.errors++
    if (this.traffic!.world.tenants[call.tenant]!.table.routes[call.route]!.method !== 'GET') r.writes++
    r.routes.add(call.route)
    r.addresses.add(call.ip)
    r.agents.add(call.agent)
    r.days.add(Math.floor(hour / 24))
  }

  /** A world is over. Of keys that share one attack, the first stands for all; sybils are left out. */
  close(traffic: Traffic, episodes: readonly EpisodeLabel[]): void {
    const key = (tenant: string, id: string) => `${tenant}/${id}`
    const victims = new Set<string>()
    const left = new Set<string>()
    for (const e of episodes) {
      const ids = e.entities.filter((x) => x.type === 'principal').map((x) => key(e.tenant, x.id))
      if (e.kind === 'noise') for (const id of ids) left.add(id)
      if (e.kind !== 'attack') continue
      victims.add(ids[0]!)
      for (const id of ids.slice(1)) left.add(id)
    }
    for (const [index, r] of this.running) {
      const p = traffic.world.principals[index]!
      const id = key(p.is.tenant.name, `consumer:${p.is.username}`)
      if (r.requests > 0 && !left.has(id)) this.rows.push({ isVictim: victims.has(id), values: valuesOf(r) })
    }
  }

  private of(call: Call): Running {
    const known = this.running.get(call.principal)
    if (known !== undefined) return known
    const made: Running = {
      requests: 0,
      before: 0,
      records: 0,
      bytes: 0,
      errors: 0,
      writes: 0,
      hour: -1,
      inHour: 0,
      mostInHour: 0,
      first: Math.floor((call.time - START) / DAY),
      routes: new Set(),
      addresses: new Set(),
      agents: new Set(),
      days: new Set(),
    }
    this.running.set(call.principal, made)
    return made
  }
}

function valuesOf(r: Running): readonly number[] {
  return [
    r.requests,
    r.records,
    r.bytes,
    r.errors,
    r.errors / r.requests,
    r.writes,
    r.routes.size,
    r.addresses.size,
    r.agents.size,
    r.days.size,
    r.mostInHour,
    r.requests / (r.before + 1),
    r.first,
  ]
}
