import { CurfewError } from '../../core/errors.ts'
import { type Capability, capabilityFor, type GatewayAdapter, type Rule } from '../gateway.ts'
import { decodeRule, encodeRule, type HaproxyMap } from './haproxy-keys.ts'
import { type HaproxyEdges, HaproxyMaps } from './haproxy-maps.ts'

/** A HAProxy process that runs samples/haproxy/curfew.cfg, or a configuration with the same maps. */
export interface HaproxyOptions {
  /** Name in the configuration. */
  readonly name: string
  /** Unix socket of the Runtime API. It has no password: keep its mode 600. */
  readonly socketPath: string
  /** Absolute folder of the four map files, as given to HAProxy. */
  readonly mapFolder: string
  /** Those of this machine when not given. */
  readonly edges?: HaproxyEdges
}

/** A map change is in force with the next request; the bound covers a busy process. */
export const HAPROXY_WORST_CASE_DELAY_MS = 100

const CAN: readonly Capability[] = [
  ...(['principal', 'subject'] as const).map((scope) => ({
    action: 'throttle' as const,
    scope,
    worstCaseDelayMs: HAPROXY_WORST_CASE_DELAY_MS,
  })),
  { action: 'block', scope: 'network', worstCaseDelayMs: HAPROXY_WORST_CASE_DELAY_MS },
  ...(['block', 'revoke-token'] as const).flatMap((action) =>
    (['token', 'token-issue', 'subject', 'principal'] as const).map((scope) => ({
      action,
      scope,
      worstCaseDelayMs: HAPROXY_WORST_CASE_DELAY_MS,
    })),
  ),
]

function entryOf(name: string, rule: Rule) {
  const entry = encodeRule(rule)
  if (entry !== null) return entry
  throw new CurfewError(
    'GATEWAY_UNSUPPORTED',
    `${name}: HAProxy knows callers by the subject of their token only; it cannot hold rule ${rule.id.slice(0, 80)}`,
  )
}

/**
 * Steers one HAProxy process through its maps. Each rule carries its end, which HAProxy compares with its own
 * clock: nobody stays held because Curfew is gone. Only principals of kind `sub` can be held. Windows of a
 * throttle are widened to 10 s, 60 s or 1 h with the limit scaled alike.
 */
export function createHaproxyGateway(options: HaproxyOptions): GatewayAdapter {
  const maps = new HaproxyMaps(options.socketPath, options.mapFolder, options.edges)
  /** What the lines of the last look say: reading them anew would cost two hashes each, at every change. */
  let decoded = new Map<string, Rule | null>()

  async function entries(stop: AbortSignal) {
    const lines = await maps.all(stop)
    const before = decoded
    decoded = new Map()
    return lines.map((line) => {
      const identity = `${line.map} ${line.key} ${line.value}`
      const known = before.get(identity)
      const rule = known === undefined ? decodeRule(line) : known
      decoded.set(identity, rule)
      return { line, rule, identity }
    })
  }

  async function removeWhere(
    ids: ReadonlySet<string>,
    keep: { map: HaproxyMap; key: string } | null,
    stop: AbortSignal,
  ) {
    const touched = new Set<HaproxyMap>()
    for (const { line, rule } of await entries(stop)) {
      if (keep !== null && line.map === keep.map && line.key === keep.key) continue
      if (rule === null || !ids.has(rule.id)) continue
      await maps.remove(line, stop)
      touched.add(line.map)
    }
    return touched
  }

  return {
    name: options.name,
    kind: 'haproxy',
    can: CAN,

    async list(stop) {
      const seen = new Set<string>()
      const rules: Rule[] = []
      for (const { rule, identity } of await entries(stop)) {
        if (rule === null || seen.has(identity)) continue
        seen.add(identity)
        rules.push(rule)
      }
      return rules
    },

    async put(rule, stop) {
      if (capabilityFor(this, rule) === null) {
        const what = `${rule.action} of scope ${rule.scope.kind}`
        throw new CurfewError('GATEWAY_UNSUPPORTED', `${options.name}: HAProxy cannot hold a ${what}`)
      }
      const entry = entryOf(options.name, rule)
      await maps.upsert(entry, stop)
      const touched = await removeWhere(new Set([rule.id]), entry, stop)
      await Promise.all([...touched.add(entry.map)].map((map) => maps.persist(map, stop)))
    },

    async remove(id, stop) {
      const touched = await removeWhere(new Set([id]), null, stop)
      await Promise.all([...touched].map((map) => maps.persist(map, stop)))
    },

    async removeMany(ids, stop) {
      const touched = await removeWhere(ids, null, stop)
      await Promise.all([...touched].map((map) => maps.persist(map, stop)))
    },

    check: (stop) => maps.check(stop),
  }
}

/**
 * One adapter per process, so that a host that hangs holds up no other. Named `<name>` for a single socket,
 * else `<name>-1`, `<name>-2` in the order given.
 */
export function createHaproxyGateways(options: {
  readonly name: string
  readonly sockets: readonly string[]
  readonly mapFolder: string
  readonly edges?: (socketPath: string) => HaproxyEdges
}): readonly GatewayAdapter[] {
  return options.sockets.map((socketPath, index) =>
    createHaproxyGateway({
      name: options.sockets.length === 1 ? options.name : `${options.name}-${index + 1}`,
      socketPath,
      mapFolder: options.mapFolder,
      ...(options.edges === undefined ? {} : { edges: options.edges(socketPath) }),
    }),
  )
}
