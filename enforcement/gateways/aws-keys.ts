import { CurfewError } from '../../core/errors.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { Turns } from '../turns.ts'
import { untilAgreed } from './agreement.ts'
import { type ApiKey, ApiKeyClient } from './aws-key-client.ts'
import { type KeyMarks, NO_MARKS, readDescription, writeDescription } from './aws-key-marks.ts'
import { KeyMover } from './aws-key-mover.ts'
import type { AwsCall } from './aws-sdk.ts'

export interface AwsKeysOptions {
  readonly name: string
  /** API Gateway. */
  readonly call: AwsCall
  /** Ids of plans that keys may be moved into; made beforehand, changed by nobody while a key is in them. */
  readonly quarantinePlans: readonly string[]
  /** Signs our marks, so that nobody else can write one. */
  readonly markKey: Uint8Array
}

/** API Gateway states no bound; seconds as a rule, and usage plans are a best effort. */
export const AWS_KEYS_WORST_CASE_DELAY_MS = 60_000

/** Reads and plans again this often when others write at the same time. */

const DISABLING: readonly Rule['action'][] = ['block', 'revoke-credential']
/** Ids go into paths: nothing but what API Gateway itself makes. */
const KEY_ID = /^[A-Za-z0-9]{1,64}$/

/**
 * API keys of AWS API Gateway (REST). Block and revoke-credential disable the key, which is reversible; a
 * throttle moves it into a quarantine usage plan. Who is no API key cannot be held here: that is the deny
 * table's part.
 */
export class AwsKeysGateway implements GatewayAdapter {
  readonly name: string
  readonly kind = 'aws-keys'
  readonly can: readonly Capability[]
  private readonly client: ApiKeyClient
  private readonly mover: KeyMover
  private readonly markKey: Uint8Array
  /** Changes of one process to one key go one after another: API Gateway has no conditional writes. */
  private readonly turns = new Turns()

  constructor({ name, call, quarantinePlans, markKey }: AwsKeysOptions) {
    this.name = name
    this.markKey = markKey
    this.client = new ApiKeyClient(name, call)
    this.mover = new KeyMover(name, this.client, quarantinePlans)
    const actions = quarantinePlans.length > 0 ? ['throttle' as const, ...DISABLING] : DISABLING
    this.can = actions.flatMap((action) =>
      (['principal', 'credential'] as const).map((scope) => ({
        action,
        scope,
        worstCaseDelayMs: AWS_KEYS_WORST_CASE_DELAY_MS,
      })),
    )
  }

  /** Every rule of ours; one that does not hold any more is listed as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const marked = (await this.client.keys(stop)).flatMap((key) => {
      const { marks } = this.read(key)
      return marks === null ? [] : [{ key, marks }]
    })
    const plans = new Set(marked.flatMap(({ marks }) => (marks.plan === null ? [] : [marks.plan])))
    const members = new Map<string, ReadonlySet<string> | null>()
    for (const plan of plans) members.set(plan, await this.client.membersOf(plan, stop))
    return marked.flatMap(({ key, marks }) => {
      const quarantined = marks.plan !== null && (members.get(marks.plan)?.has(key.id) ?? false)
      return marks.rules.map((rule) =>
        (rule.action === 'throttle' ? quarantined : !key.enabled) ? rule : { ...rule, until: wallTime(0) },
      )
    })
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const keyId = this.supportedKey(rule)
    await this.turns.run(keyId, () => untilAgreed(this.name, 'key', () => this.hold(keyId, rule, stop)))
    // The same decision about another key, or of before: at most one place holds an id.
    await this.liftWhere(rule.id, stop, keyId)
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.liftWhere(id, stop, null)
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.client.check(stop)
  }

  private async liftWhere(id: string, stop: AbortSignal, except: string | null): Promise<void> {
    for (const key of await this.client.keys(stop)) {
      if (key.id === except || !this.read(key).marks?.rules.some((rule) => rule.id === id)) continue
      await this.turns.run(key.id, () => untilAgreed(this.name, 'key', () => this.lift(key.id, id, stop)))
    }
  }

  private supportedKey(rule: Rule): string {
    const refuse = (why: string): never => {
      const what = `${this.name}: API keys cannot hold ${rule.action} of a ${rule.scope.kind}: ${why}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', what)
    }
    if (capabilityFor(this, rule) === null)
      return refuse('that is for the deny table, or needs a quarantine plan')
    if (!RULE_ID.test(rule.id)) return refuse('the decision id does not fit into a mark')
    if ((rule.action === 'throttle') !== (rule.limit !== null))
      return refuse('a limit goes with a throttle and with nothing else')
    const { limit } = rule
    if (limit !== null && !(limit.requests >= 1 && limit.windowSeconds > 0))
      return refuse('a plan lets out one request at least: block instead')
    const keyId = keyOf(rule)
    return keyId ?? refuse('the caller is no verified API key')
  }

  /** True when the key was found to be as it should be afterwards. */
  private async hold(keyId: string, rule: Rule, stop: AbortSignal): Promise<boolean> {
    const key = await this.client.keyById(keyId, stop)
    if (key === null) throw new CurfewError('GATEWAY_REFUSED', `${this.name}: no API key ${keyId}`)
    const { marks, foreign } = this.read(key)
    const rules = [...(marks ?? NO_MARKS).rules.filter(({ id }) => id !== rule.id), cutLabel(rule)]
    return this.settle(key, foreign, marks ?? NO_MARKS, rules, stop)
  }

  private async lift(keyId: string, ruleId: string, stop: AbortSignal): Promise<boolean> {
    const key = await this.client.keyById(keyId, stop)
    if (key === null) return true
    const { marks, foreign } = this.read(key)
    if (marks === null || !marks.rules.some(({ id }) => id === ruleId)) return true
    return this.settle(
      key,
      foreign,
      marks,
      marks.rules.filter(({ id }) => id !== ruleId),
      stop,
    )
  }

  /**
   * Makes a key hold exactly these rules. The mark comes before what it describes and goes after it, so that
   * whoever finds a half-done change knows how to finish it or undo it.
   */
  private async settle(
    key: ApiKey,
    foreign: string,
    marks: KeyMarks,
    rules: readonly Rule[],
    stop: AbortSignal,
  ): Promise<boolean> {
    const throttles = rules.flatMap((rule) => (rule.limit === null ? [] : [rule.limit]))
    const disable = rules.some(({ action }) => DISABLING.includes(action))
    const wasEnabled = disable ? (marks.wasEnabled ?? key.enabled) : null
    if (throttles.length > 0) {
      const move = await this.mover.plan(key.id, marks, throttles, stop)
      const held: KeyMarks = { rules, wasEnabled, wasPlans: move.wasPlans, plan: move.plan.id }
      if (!(await this.write(key, foreign, held, enabledAfter(key, marks, disable), stop))) return false
      return this.mover.move(key.id, move, stop)
    }
    const bare: KeyMarks = { rules, wasEnabled, wasPlans: null, plan: null }
    if (marks.wasPlans === null)
      return this.write(key, foreign, bare, enabledAfter(key, marks, disable), stop)
    // Refused before it leaves quarantine, and listed until it has left.
    const during: KeyMarks = rules.length > 0 ? { ...marks, rules, wasEnabled } : marks
    if (!(await this.write(key, foreign, during, disable ? false : key.enabled, stop))) return false
    if (!(await this.mover.restore(key.id, marks, stop))) return false
    const now = await this.client.keyById(key.id, stop)
    if (now === null) return true
    return this.write(now, this.read(now).foreign, bare, enabledAfter(now, marks, disable), stop)
  }

  /** Writes mark and state in one call, only what differs, then reads back; false when it did not stay. */
  private async write(
    key: ApiKey,
    foreign: string,
    marks: KeyMarks,
    enabled: boolean,
    stop: AbortSignal,
  ): Promise<boolean> {
    const description = writeDescription(this.markKey, key.id, foreign, marks)
    const change = {
      ...(description === key.description ? {} : { description }),
      ...(enabled === key.enabled ? {} : { enabled }),
    }
    if (Object.keys(change).length === 0) return true
    if (!(await this.client.update(key.id, change, stop))) return marks.rules.length === 0
    const now = await this.client.keyById(key.id, stop)
    return now !== null && now.description === description && now.enabled === enabled
  }

  private read(key: ApiKey): { readonly marks: KeyMarks | null; readonly foreign: string } {
    try {
      return readDescription(this.markKey, key.id, key.description)
    } catch (cause) {
      const what = `the curfew mark of API key ${key.id.slice(0, 64)} is not readable by this build`
      throw new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}`, { cause })
    }
  }
}

/** The API key that a rule acts on, or null. */
function keyOf({ scope }: Rule): string | null {
  if (scope.kind !== 'principal' && scope.kind !== 'credential') return null
  const { principal } = scope
  const id = scope.kind === 'credential' ? scope.credential : principal.kind === 'key' ? principal.id : null
  return id !== null && principal.verified && KEY_ID.test(id) ? id : null
}

/** Given back only where it is still as we left it. */
function enabledAfter(key: ApiKey, before: KeyMarks, disable: boolean): boolean {
  if (disable) return false
  return before.wasEnabled === true ? true : key.enabled
}

const MAX_KEPT_LABEL = 64

/** Labels are for people and come from logs; the description has little room. */
function cutLabel(rule: Rule): Rule {
  const { scope } = rule
  if (scope.kind !== 'principal' && scope.kind !== 'credential') return rule
  const label = Buffer.from(scope.principal.label.slice(0, MAX_KEPT_LABEL), 'utf8').toString('utf8')
  return { ...rule, scope: { ...scope, principal: { ...scope.principal, label } } }
}
