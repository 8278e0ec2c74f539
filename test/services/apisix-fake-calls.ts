import type { FakeApisix } from './apisix-fake.ts'

type Row = Readonly<Record<string, unknown>>
type Plugins = Readonly<Record<string, Row>>

/**
 * What a node of APISIX answers to calls, by the objects of a stand-in: `merge_consumer_route` and `check_disable` in
 * `apisix/plugin.lua`, `gen_limit_key` in `limit-count/init.lua`, `consumer-restriction.lua`. No window ever ends.
 */
export class FakeApisixNode {
  private readonly apisix: FakeApisix
  private readonly countsByRoute: boolean
  private readonly counts = new Map<string, number>()

  /** `countsByRoute`: a consumer has a counter for each route, as before 3.15. */
  constructor(apisix: FakeApisix, countsByRoute: boolean) {
    this.apisix = apisix
    this.countsByRoute = countsByRoute
  }

  /** The status of a call with a key of `key-auth`. */
  call(path: string, apikey: string): number {
    const found = this.all('routes').find(([, { uri }]) => path.startsWith(String(uri).replace(/\*$/, '')))
    if (found === undefined) return 404
    const [route, { plugins = {} }] = found
    if ((plugins as Plugins)['key-auth'] === undefined) return this.answer(route, '', plugins as Plugins)
    const consumer = this.all('consumers').find(([, one]) => pluginsOf(one)['key-auth']?.key === apikey)
    if (consumer === undefined) return 401
    const [name, { group_id: group }] = consumer
    const ofGroup = this.all('consumer_groups').find(([id]) => id === group)?.[1] ?? {}
    return this.answer(route, name, {
      ...(plugins as Plugins),
      ...pluginsOf(ofGroup),
      ...pluginsOf(consumer[1]),
    })
  }

  private answer(route: string, consumer: string, plugins: Plugins): number {
    const restriction = plugins['consumer-restriction']
    if (restriction !== undefined && isOn(restriction)) {
      const value = restriction.type === 'route_id' ? route : consumer
      const { blacklist, whitelist, rejected_code: code = 403 } = restriction
      const isOut = Array.isArray(blacklist) && blacklist.includes(value)
      if (isOut || (Array.isArray(whitelist) && !whitelist.includes(value))) return Number(code)
    }
    const limit = plugins['limit-count']
    if (limit === undefined || !isOn(limit)) return 200
    const { count, rejected_code: code = 503, group, key = 'remote_addr' } = limit
    const counted = key === 'consumer_name' ? consumer : '127.0.0.1'
    const own = JSON.stringify([this.countsByRoute ? route : '', limit])
    const counter = `${group === undefined ? own : String(group)}:${counted}`
    const calls = (this.counts.get(counter) ?? 0) + 1
    this.counts.set(counter, calls)
    return calls > Number(count) ? Number(code) : 200
  }

  private all(kind: string): readonly (readonly [string, Row])[] {
    const prefix = `/apisix/${kind}/`
    const ours = [...this.apisix.objects].filter(([key]) => key.startsWith(prefix))
    return ours.map(([key, { value }]) => [key.slice(prefix.length), value] as const)
  }
}

function pluginsOf({ plugins }: Row): Plugins {
  return (plugins ?? {}) as Plugins
}

function isOn({ _meta: meta }: Row): boolean {
  return (meta as Row | undefined)?.disable !== true
}
