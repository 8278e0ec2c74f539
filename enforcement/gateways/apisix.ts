import { isDeepStrictEqual } from 'node:util'
import { CurfewError } from '../../core/errors.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { Turns } from '../turns.ts'
import { untilAgreed } from './agreement.ts'
import { isRecord } from './answer-shape.ts'
import type { ApisixConsumer, ApisixRow } from './apisix-client.ts'
import { ApisixClient } from './apisix-client.ts'
import { OWNER_LABEL } from './apisix-marks.ts'
import { agrees, consumerOf, ownLimit, rulesOn, stillHolds, withRules } from './apisix-plan.ts'
import { wholeLimit } from './window-limit.ts'

export interface ApisixOptions {
  readonly name: string
  /** Admin API, such as `http://127.0.0.1:9180`. */
  readonly adminUrl: URL
  /** Sent as `X-API-KEY`; null where APISIX asks for none. */
  readonly adminKey: string | null
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
}

/** Nodes watch etcd; one that lost it looks again after `resync_delay` (5 s) and up to half as much. */
export const APISIX_WORST_CASE_DELAY_MS = 10_000

const SUPPORTED: readonly (readonly [Rule['action'], Capability['scope']])[] = [
  ['throttle', 'principal'],
  ['block', 'principal'],
  ['revoke-credential', 'principal'],
  ['revoke-credential', 'credential'],
]

/**
 * Apache APISIX 3.x through its Admin API; only consumers can be acted on. A throttle is a `limit-count` on the
 * consumer, never looser than what applied before. Block and revoke-credential are a `consumer-restriction` (403) on
 * the consumer: credentials are never edited or deleted, so nothing secret is needed to restore them. Other
 * credentials of the same consumer are refused with it. Tokens are the deny list's part.
 *
 * A consumer can only be written whole and unconditionally. It is read again right before and after each write; what
 * somebody else writes between that read and the write is lost, as it is for everybody who uses that API.
 */
export class ApisixGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'apisix'
  readonly can: readonly Capability[]
  private readonly client: ApisixClient
  private readonly turns = new Turns()

  constructor(options: ApisixOptions) {
    const { name, adminUrl, adminKey, timeoutMs = 5_000 } = options
    this.name = name
    const worstCaseDelayMs = APISIX_WORST_CASE_DELAY_MS
    this.can = SUPPORTED.map(([action, scope]) => ({ action, scope, worstCaseDelayMs }))
    this.client = new ApisixClient({ name, adminUrl, adminKey, timeoutMs, fetch: options.fetch ?? fetch })
  }

  /** Every rule of ours; one whose plugin was edited or taken away is listed as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const marked = await this.client.consumersLabelled(OWNER_LABEL, stop)
    return marked.flatMap(({ value }) =>
      rulesOn(value).map((rule) => (stillHolds(value, rule) ? rule : { ...rule, until: wallTime(0) })),
    )
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const name = this.supportedConsumer(rule)
    await this.inTurn(() => untilAgreed(this.name, 'consumer', () => this.attempt(name, rule, stop)))
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.inTurn(() => untilAgreed(this.name, 'consumer', () => this.lift(new Set([id]), null, stop)))
  }

  /** Each consumer in one write; one that was edited is left to `remove`, which says why. */
  async removeMany(ids: ReadonlySet<string>, stop: AbortSignal): Promise<void> {
    await this.inTurn(async () => {
      for (const consumer of await this.client.consumersLabelled(OWNER_LABEL, stop)) {
        try {
          await this.liftFrom(consumer, ids, stop)
        } catch (error) {
          if (!(error instanceof CurfewError) || error.code !== 'GATEWAY_CONFLICT') throw error
        }
      }
    })
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.client.consumersLabelled(OWNER_LABEL, stop)
  }

  private supportedConsumer(rule: Rule): string {
    const refuse = (why: string): never => {
      const what = `${this.name}: APISIX cannot hold ${rule.action} of a ${rule.scope.kind}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', `${what}: ${why}`)
    }
    if (capabilityFor(this, rule) === null) refuse('its Admin API has no such thing; use the deny list')
    if (!RULE_ID.test(rule.id)) refuse('the decision id does not fit into a label')
    if ((rule.action === 'throttle') !== (rule.limit !== null))
      refuse('a limit goes with a throttle and with nothing else')
    if (rule.limit !== null) wholeLimit('APISIX', rule.limit)
    return consumerOf(rule) ?? refuse('the principal is no verified consumer with a username of APISIX')
  }

  /** One try to have a rule in force; false when somebody else got in between. */
  private async attempt(name: string, rule: Rule, stop: AbortSignal): Promise<boolean> {
    if (!(await this.lift(new Set([rule.id]), name, stop))) return false
    const consumer = await this.client.consumerNamed(name, stop)
    if (consumer === null)
      throw new CurfewError('GATEWAY_REFUSED', `${this.name}: APISIX has no consumer ${name}`)
    const replaced = rule.action === 'throttle' ? await this.replacedBy(consumer.value, stop) : []
    return this.write(consumer, withRules(consumer.value, rule, new Set(), replaced), stop)
  }

  /** Takes rules off all consumers but one. */
  private async lift(ids: ReadonlySet<string>, but: string | null, stop: AbortSignal): Promise<boolean> {
    let agreed = true
    for (const consumer of await this.client.consumersLabelled(OWNER_LABEL, stop))
      if (consumer.name !== but && !(await this.liftFrom(consumer, ids, stop))) agreed = false
    return agreed
  }

  private async liftFrom(
    consumer: ApisixConsumer,
    ids: ReadonlySet<string>,
    stop: AbortSignal,
  ): Promise<boolean> {
    const rules = rulesOn(consumer.value)
    const gone = rules.filter(({ id }) => ids.has(id))
    if (gone.length === 0) return true
    const throttles = rules.filter(({ action }) => action === 'throttle')
    const isEased = throttles.some(({ id }) => ids.has(id)) && throttles.some(({ id }) => !ids.has(id))
    const replaced = isEased ? await this.replacedBy(consumer.value, stop) : []
    return this.write(consumer, withRules(consumer.value, null, ids, replaced), stop)
  }

  /** The `limit-count` of others that one on the consumer would take the place of. */
  private async replacedBy(consumer: ApisixRow, stop: AbortSignal): Promise<readonly ApisixRow[]> {
    if (ownLimit(consumer) !== null) return []
    const { group_id: group } = consumer
    const ofGroup = group === undefined ? null : await this.client.groupPlugins(String(group), stop)
    const found = limitIn(ofGroup ?? {})
    if (found !== null) return [found]
    const all: ApisixRow[] = []
    for (const kind of ['routes', 'services', 'plugin_configs'] as const)
      for (const plugins of await this.client.pluginsIn(kind, stop)) {
        const limit = limitIn(plugins)
        if (limit !== null) all.push(limit)
      }
    return all
  }

  /** Writes a consumer that nobody has touched since, then reads it back; false when somebody has. */
  private async write(consumer: ApisixConsumer, next: ApisixRow, stop: AbortSignal): Promise<boolean> {
    if (isDeepStrictEqual(plain(next), consumer.value)) return true
    const now = await this.client.consumerNamed(consumer.name, stop)
    if (now === null || now.revision !== consumer.revision || !isDeepStrictEqual(now.value, consumer.value))
      return false
    await this.client.putConsumer(plain(next), stop)
    const after = await this.client.consumerNamed(consumer.name, stop)
    return after !== null && agrees(after.value, next)
  }

  /** Changes of one process go one after another: APISIX has no conditional writes of consumers. */
  private inTurn(act: () => Promise<void>): Promise<void> {
    return this.turns.run('consumers', act)
  }
}

function limitIn(plugins: ApisixRow): ApisixRow | null {
  const conf = plugins['limit-count']
  return isRecord(conf) ? conf : null
}

/** Without what is not there. */
function plain(row: ApisixRow): ApisixRow {
  return Object.fromEntries(Object.entries(row).filter(([, value]) => value !== undefined))
}
