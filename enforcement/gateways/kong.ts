import { CurfewError } from '../../core/errors.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { untilAgreed } from './agreement.ts'
import type { KongPlugin, KongPlugins } from './kong-client.ts'
import { KongClient, NO_WRITES_ADVICE } from './kong-client.ts'
import { KongFragment } from './kong-fragment.ts'
import { KongFragmentFile, type TextFile } from './kong-fragment-file.ts'
import type { Marks } from './kong-marks.ts'
import { marksOf, OWNER_TAG, stillSet } from './kong-marks.ts'
import type { KongPolicy, KongWrite } from './kong-plan.ts'
import { consumerOf, planLift, planPut } from './kong-plan.ts'
import { kongLimits } from './kong-throttle.ts'

export interface KongOptions {
  readonly name: string
  /** Admin API of a node with a database, or of the control plane. */
  readonly adminUrl: URL
  readonly adminToken?: string | null
  /** Enterprise workspace; null for Kong OSS. */
  readonly workspace?: string | null
  /** Id of a control plane of Konnect, whose regional API `adminUrl` is then. */
  readonly controlPlane?: string | null
  /**
   * A declarative file that our plugins are written to, for a Kong without a database; the node is only read then.
   * `appliedWithinMs` is how long it takes at the most until a changed file is loaded.
   */
  readonly fragment?: { readonly path: string; readonly appliedWithinMs: number } | null
  /** How our throttles count; `local` counts per node, so n nodes let n times as much pass. */
  readonly policy?: KongPolicy
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
  /** The declarative file; the one at `fragment.path` when not given. */
  readonly file?: TextFile
}

/** Nodes poll the database each 5 s (`db_update_frequency`) and rebuild within 5 s (`worker_state_update_frequency`). */
export const KONG_WORST_CASE_DELAY_MS = 10_000

const SUPPORTED: readonly (readonly [Rule['action'], Capability['scope']])[] = [
  ['throttle', 'principal'],
  ['block', 'principal'],
  ['revoke-credential', 'principal'],
  ['revoke-credential', 'credential'],
]

/**
 * Kong Gateway 3.x through its admin API; only consumers can be acted on. A throttle is a rate-limiting
 * plugin on the consumer, never looser than what applied before. Block and revoke-credential are a
 * request-termination plugin (403) on the consumer: credentials are never deleted or edited, so nothing
 * secret is needed to restore them. Other credentials of the same consumer are refused with it. One token
 * by its `jti` cannot be refused by stock Kong: that is the deny list's part.
 */
export class KongGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'kong'
  readonly can: readonly Capability[]
  private readonly client: KongPlugins
  private readonly policy: KongPolicy
  private writable = false
  /** Changes of one process go one after another: Kong has no conditional writes. */
  private turn: Promise<unknown> = Promise.resolve()

  constructor(options: KongOptions) {
    const {
      name,
      adminUrl,
      adminToken = null,
      workspace = null,
      controlPlane = null,
      fragment = null,
      policy = 'local',
      timeoutMs = 5_000,
    } = options
    this.name = name
    this.policy = policy
    const worstCaseDelayMs = fragment === null ? KONG_WORST_CASE_DELAY_MS : fragment.appliedWithinMs
    this.can = SUPPORTED.map(([action, scope]) => ({ action, scope, worstCaseDelayMs }))
    const admin = new KongClient({
      name,
      adminUrl,
      adminToken,
      workspace,
      controlPlane,
      timeoutMs,
      fetch: options.fetch ?? fetch,
    })
    this.client =
      fragment === null
        ? admin
        : new KongFragment({
            name,
            file: options.file ?? new KongFragmentFile(name, fragment.path),
            node: admin,
          })
  }

  /**
   * Every rule of ours. One that does not hold any more (its plugin was edited or is missing in a place
   * that it needs) is listed as expired at time 0, so that whoever compares puts it again or removes it.
   */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const seen = new Map<string, { readonly rule: Rule; readonly places: number; found: number }>()
    for (const plugin of await this.client.plugins(OWNER_TAG, stop)) {
      const marks = this.readable(plugin)
      for (const { rule, places } of marks?.rules ?? []) {
        const entry = seen.get(rule.id) ?? { rule, places, found: 0 }
        if (marks !== null && stillSet(plugin, marks.set)) entry.found++
        seen.set(rule.id, entry)
      }
    }
    return [...seen.values()].map(({ rule, places, found }) =>
      found >= places ? rule : { ...rule, until: wallTime(0) },
    )
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    this.assertSupported(rule)
    await this.inTurn(() =>
      untilAgreed(this.name, 'plugin', async () => {
        await this.assertWritable(stop)
        return this.apply(planPut(await this.client.plugins(null, stop), rule, this.policy), stop)
      }),
    )
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.inTurn(() => untilAgreed(this.name, 'plugin', () => this.lift(id, stop)))
  }

  /** Plugins that bear one rule only; where several share one, what is left of it has to be worked out anew. */
  async removeMany(ids: ReadonlySet<string>, stop: AbortSignal): Promise<void> {
    await this.inTurn(async () => {
      const marked = await this.client.plugins(OWNER_TAG, stop)
      for (const plugin of marked) {
        const [only, ...others] = this.readable(plugin)?.rules ?? []
        if (only === undefined || others.length > 0 || !ids.has(only.rule.id)) continue
        try {
          const write = planLift(marked, plugin, only.rule.id, this.policy)
          if (write !== null) await this.apply([write], stop)
        } catch (error) {
          // Left to `remove`, which says why; the others must not wait for it.
          if (!(error instanceof CurfewError) || error.code !== 'GATEWAY_CONFLICT') throw error
        }
      }
    })
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.client.status(stop)
  }

  private assertSupported(rule: Rule): void {
    const refuse = (why: string): never => {
      throw new CurfewError(
        'GATEWAY_UNSUPPORTED',
        `${this.name}: Kong cannot hold ${rule.action} of a ${rule.scope.kind}: ${why}`,
      )
    }
    if (capabilityFor(this, rule) === null) refuse('its stock admin API has no such thing; use the deny list')
    if (consumerOf(rule) === null) refuse('the principal is no verified consumer with a UUID')
    if (!RULE_ID.test(rule.id)) refuse('the decision id does not fit into a tag')
    if ((rule.action === 'throttle') !== (rule.limit !== null))
      refuse('a limit goes with a throttle and with nothing else')
    if (rule.limit !== null) kongLimits(rule.limit)
  }

  private async assertWritable(stop: AbortSignal): Promise<void> {
    if (this.writable) return
    const { database, role } = await this.client.node(stop)
    if (database === 'off' || role === 'data_plane') {
      const what = role === 'data_plane' ? 'this is a data plane' : 'this Kong runs without a database'
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.name}: ${what}. ${NO_WRITES_ADVICE}`)
    }
    this.writable = true
  }

  private async lift(id: string, stop: AbortSignal): Promise<boolean> {
    const marked = await this.client.plugins(OWNER_TAG, stop)
    const bearing = marked.filter((plugin) => this.readable(plugin)?.rules.some(({ rule }) => rule.id === id))
    const shared = bearing.some((plugin) => (this.readable(plugin)?.rules.length ?? 0) > 1)
    const plugins = shared ? await this.client.plugins(null, stop) : marked
    const writes: KongWrite[] = []
    let conflict: unknown = null
    for (const plugin of bearing) {
      try {
        const write = planLift(plugins, plugin, id, this.policy)
        if (write !== null) writes.push(write)
      } catch (error) {
        conflict = error
      }
    }
    const agreed = await this.apply(writes, stop)
    if (conflict !== null) throw conflict
    const deleted = writes.flatMap((write) => (write.kind === 'delete' ? [write.id] : []))
    if (agreed) await this.client.assertDropped(deleted, stop)
    return agreed
  }

  /** Writes, then reads back; false when somebody else got in between. */
  private async apply(writes: readonly KongWrite[], stop: AbortSignal): Promise<boolean> {
    for (const write of writes) {
      if (write.kind === 'delete') await this.client.deletePlugin(write.id, stop)
      else if (write.kind === 'create') await this.client.upsertPlugin(write.id, write.body, stop)
      else if (!(await this.client.patchPlugin(write.id, write.body, stop)) && write.kind === 'edit')
        return false
    }
    for (const write of writes) {
      if (write.kind !== 'create' && write.kind !== 'edit') continue
      const plugin = await this.client.pluginById(write.id, stop)
      if (plugin === null || !bears(plugin, write.marks)) return false
    }
    return true
  }

  private async inTurn(act: () => Promise<void>): Promise<void> {
    const mine = this.turn.then(act, act)
    this.turn = mine.catch(() => undefined)
    return mine
  }

  private readable(plugin: KongPlugin): Marks | null {
    const marks = marksOf(plugin)
    if (marks !== 'damaged') return marks
    const what = `the curfew tags of plugin ${JSON.stringify(plugin.id.slice(0, 80))} were edited`
    throw new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}; restore them or delete that plugin`)
  }
}

function bears(plugin: KongPlugin, wanted: Marks): boolean {
  const marks = marksOf(plugin)
  if (marks === null || marks === 'damaged' || !stillSet(plugin, wanted.set)) return false
  const content = (one: Marks): string =>
    JSON.stringify(one.rules.map(({ rule }) => [rule.id, Math.floor(rule.until / 1_000), rule.limit]).sort())
  return content(marks) === content(wanted)
}
