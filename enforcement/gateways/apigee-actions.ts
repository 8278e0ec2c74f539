import { CurfewError } from '../../core/errors.ts'
import { hashOf } from '../../core/hash.ts'
import { isoTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { Turns } from '../turns.ts'
import { untilAgreed } from './agreement.ts'
import type { ApigeeAnswer, ApigeeClient, ApigeeRequest } from './apigee-client.ts'
import { parseRule } from './deny-list-store.ts'

/** Google: a security action takes effect in up to 10 minutes. */
export const APIGEE_ACTION_WORST_CASE_DELAY_MS = 600_000

const OWNER = 'curfew:1 '
const ADDRESS = /^(\d{1,3}(\.\d{1,3}){3}|[0-9a-f:]{2,39}\/64)$/

interface Action {
  readonly id: string
  readonly enabled: boolean
  readonly rule: Rule
}

/**
 * Blocks addresses through security actions of Advanced API Security. An action cannot be changed or deleted: a change
 * is a new one and the old one disabled, and disabled ones stay listed at Apigee. Each ends by itself.
 */
export class ApigeeSecurityActions implements GatewayAdapter {
  readonly name: string
  readonly kind = 'apigee-actions'
  readonly can: readonly Capability[] = [
    { action: 'block', scope: 'principal', worstCaseDelayMs: APIGEE_ACTION_WORST_CASE_DELAY_MS },
  ]
  private readonly client: ApigeeClient
  private readonly turns = new Turns()

  constructor(name: string, client: ApigeeClient) {
    this.name = name
    this.client = client
  }

  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const actions = await this.actions(stop)
    return actions.filter(({ enabled }) => enabled).map(({ rule }) => rule)
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    const { scope } = rule
    const address = scope.kind === 'principal' && scope.principal.kind === 'ip' ? scope.principal.id : null
    const fits = address !== null && ADDRESS.test(address) && RULE_ID.test(rule.id) && rule.limit === null
    if (capabilityFor(this, rule) === null || !fits) {
      const what = `${this.name}: security actions hold a block of an address only, not ${rule.action} of a ${scope.kind}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', what)
    }
    await this.turns.run(rule.id, () =>
      untilAgreed(this.name, 'security action', () => this.hold(rule, address, stop)),
    )
  }

  async remove(id: string, stop: AbortSignal): Promise<void> {
    await this.turns.run(id, () =>
      untilAgreed(this.name, 'security action', async () => {
        const mine = (await this.actions(stop)).filter((one) => one.enabled && one.rule.id === id)
        for (const one of mine) await this.disable(one, stop)
        return mine.length === 0
      }),
    )
  }

  async check(stop: AbortSignal): Promise<void> {
    const path = ['environments', this.client.environment, 'securityActionsConfig']
    const config = await this.client.call({ method: 'GET', path, what: 'the security actions' }, stop)
    if (config?.enabled === true) return
    const what = 'security actions are switched off in this environment: none of them is enforced'
    throw new CurfewError('GATEWAY_UNSUPPORTED', `${this.name}: ${what}`)
  }

  /** True once the one enabled action of the rule says what it should. */
  private async hold(rule: Rule, address: string, stop: AbortSignal): Promise<boolean> {
    await this.check(stop)
    const mine = (await this.actions(stop)).filter((one) => one.rule.id === rule.id)
    const isSame = (one: Action): boolean => one.enabled && noteOf(one.rule) === noteOf(rule)
    const [kept] = mine.filter(isSame)
    // The stronger or newer one is in force before the old one goes.
    if (kept === undefined) {
      await this.create(rule, address, mine.length + 1, stop)
      return false
    }
    const surplus = mine.filter((one) => one.enabled && one.id !== kept.id)
    for (const one of surplus) await this.disable(one, stop)
    return surplus.length === 0
  }

  private async create(rule: Rule, address: string, number: number, stop: AbortSignal): Promise<void> {
    const query = { securityActionId: `${prefixOf(rule.id)}${number}` }
    const body = {
      state: 'ENABLED',
      deny: { responseCode: 403 },
      conditionConfig: { ipAddressRanges: [address] },
      description: OWNER + noteOf(rule),
      expireTime: isoTime(rule.until),
    }
    await this.client.call({ ...this.request('POST'), query, body }, stop)
  }

  private async disable({ id }: Action, stop: AbortSignal): Promise<void> {
    const request = this.request('POST')
    try {
      await this.client.call({ ...request, path: [...request.path, id], verb: 'disable', body: {} }, stop)
    } catch (error) {
      // Apigee refuses to disable what is disabled: the next look tells.
      if (!(error instanceof CurfewError) || error.code !== 'GATEWAY_REFUSED') throw error
    }
  }

  private async actions(stop: AbortSignal): Promise<readonly Action[]> {
    const rows = await this.client.follow(this.request('GET'), 'securityActions', stop)
    return rows.flatMap((row) => this.parse(row) ?? [])
  }

  /** Null for an action of others: ours bear the hash of the rule that their text names. */
  private parse({ name, state, description }: ApigeeAnswer): Action | null {
    const id = typeof name === 'string' ? name.slice(name.lastIndexOf('/') + 1) : ''
    if (typeof description !== 'string' || !description.startsWith(OWNER)) return null
    try {
      const stored = JSON.parse(description.slice(OWNER.length)) as { readonly id?: unknown }
      if (typeof stored.id !== 'string' || !id.startsWith(prefixOf(stored.id))) return null
      const rule = parseRule(stored.id, description.slice(OWNER.length))
      return { id, enabled: state === 'ENABLED', rule }
    } catch (cause) {
      const what = `security action ${JSON.stringify(id.slice(0, 61))} is not readable by this build; disable it`
      throw new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}`, { cause })
    }
  }

  private request<Method extends 'GET' | 'POST'>(
    method: Method,
  ): ApigeeRequest & { readonly method: Method } {
    const path = ['environments', this.client.environment, 'securityActions']
    return { method, path, what: 'the security actions' }
  }
}

/** Ids have 61 characters at most and are never used twice. */
function prefixOf(ruleId: string): string {
  return `curfew-${hashOf(ruleId).slice(0, 24)}-`
}

function noteOf(rule: Rule): string {
  return JSON.stringify({ layout: 1, ...parseRule(rule.id, JSON.stringify({ layout: 1, ...rule })) })
}
