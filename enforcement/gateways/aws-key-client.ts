import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import type { PlanThrottle, UsagePlan } from './aws-quarantine.ts'
import type { AwsAnswer, AwsCall } from './aws-sdk.ts'

/** An API key without its value, which is never asked for. */
export interface ApiKey {
  readonly id: string
  readonly enabled: boolean
  /** Empty when there is none: API Gateway cannot remove a description, only write another. */
  readonly description: string
}

/** Largest page that API Gateway gives. */
const PAGE_SIZE = 500
const MAX_PAGES = 100

/** API Gateway's control plane, as much of it as moving and disabling keys needs. */
export class ApiKeyClient {
  private readonly name: string
  private readonly call: AwsCall

  constructor(name: string, call: AwsCall) {
    this.name = name
    this.call = call
  }

  /** Every API key of the account and region. */
  async keys(stop: AbortSignal): Promise<readonly ApiKey[]> {
    const rows = await this.pages('GetApiKeys', { includeValues: false }, stop)
    return rows.map((row) => this.key(row))
  }

  /** Null when there is no such key. */
  async keyById(id: string, stop: AbortSignal): Promise<ApiKey | null> {
    const row = await this.call('GetApiKey', { apiKey: id, includeValue: false }, stop)
    return row === null ? null : this.key(row)
  }

  /** Changes what is named, in one call. False when there is no such key. */
  async update(
    id: string,
    change: { readonly enabled?: boolean; readonly description?: string },
    stop: AbortSignal,
  ): Promise<boolean> {
    const replace = (path: string, value: string) => ({ op: 'replace', path, value })
    const patchOperations = [
      ...(change.enabled === undefined ? [] : [replace('/enabled', String(change.enabled))]),
      ...(change.description === undefined ? [] : [replace('/description', change.description)]),
    ]
    if (patchOperations.length === 0) return true
    return (await this.call('UpdateApiKey', { apiKey: id, patchOperations }, stop)) !== null
  }

  /** Plans that a key is in. */
  async plansOf(keyId: string, stop: AbortSignal): Promise<readonly UsagePlan[]> {
    const rows = await this.pages('GetUsagePlans', { keyId }, stop)
    return rows.map((row) => this.plan(row))
  }

  /** Null when there is no such plan. */
  async planById(usagePlanId: string, stop: AbortSignal): Promise<UsagePlan | null> {
    const row = await this.call('GetUsagePlan', { usagePlanId }, stop)
    return row === null ? null : this.plan(row)
  }

  /** Ids of the keys in a plan; null when there is no such plan. */
  async membersOf(usagePlanId: string, stop: AbortSignal): Promise<ReadonlySet<string> | null> {
    if ((await this.call('GetUsagePlan', { usagePlanId }, stop)) === null) return null
    const rows = await this.pages('GetUsagePlanKeys', { usagePlanId }, stop)
    return new Set(rows.map((row) => this.text(row, 'id')))
  }

  /** Puts a key into a plan; false when there is no such plan or key. `GATEWAY_CONFLICT` when it may be there already. */
  async join(usagePlanId: string, keyId: string, stop: AbortSignal): Promise<boolean> {
    return (await this.call('CreateUsagePlanKey', { usagePlanId, keyId, keyType: 'API_KEY' }, stop)) !== null
  }

  /** Takes a key out of a plan; absent is success. */
  async leave(usagePlanId: string, keyId: string, stop: AbortSignal): Promise<void> {
    await this.call('DeleteUsagePlanKey', { usagePlanId, keyId }, stop)
  }

  /** Throws unless the control plane answers and takes our credentials. */
  async check(stop: AbortSignal): Promise<void> {
    this.items(await this.call('GetApiKeys', { includeValues: false, limit: 1 }, stop), 'GetApiKeys')
  }

  private async pages(operation: string, input: object, stop: AbortSignal): Promise<readonly AwsAnswer[]> {
    const found: AwsAnswer[] = []
    let position: string | null = null
    for (let page = 0; page < MAX_PAGES; page++) {
      const from = position === null ? {} : { position }
      const answer = await this.call(operation, { ...input, limit: PAGE_SIZE, ...from }, stop)
      found.push(...this.items(answer, operation))
      const next: unknown = answer?.position
      if (next === undefined || next === null || next === '') return found
      if (typeof next !== 'string' || next === position)
        throw this.nonsense(`${operation} with a page that leads nowhere`)
      position = next
    }
    throw this.nonsense(`more than ${MAX_PAGES} pages of ${operation}`)
  }

  private items(answer: AwsAnswer | null, operation: string): readonly AwsAnswer[] {
    const items = answer?.items
    if (!Array.isArray(items) || !items.every(isRecord)) throw this.nonsense(`${operation} without a list`)
    return items
  }

  private key(row: AwsAnswer): ApiKey {
    const { description = '', enabled } = row
    if (typeof description !== 'string' || typeof enabled !== 'boolean')
      throw this.nonsense('an API key without its state')
    return { id: this.text(row, 'id'), enabled, description }
  }

  private plan(row: AwsAnswer): UsagePlan {
    const { apiStages = [], quota } = row
    if (!Array.isArray(apiStages)) throw this.nonsense('a usage plan without its stages')
    const stages = apiStages.map((stage: unknown): [string, readonly PlanThrottle[]] => {
      if (!isRecord(stage)) throw this.nonsense('a usage plan with an unreadable stage')
      const methods = isRecord(stage.throttle) ? Object.values(stage.throttle) : []
      return [`${this.text(stage, 'apiId')}/${this.text(stage, 'stage')}`, methods.map(throttleOf)]
    })
    const hasQuota = isRecord(quota) && typeof quota.limit === 'number' && typeof quota.period === 'string'
    return {
      id: this.text(row, 'id'),
      throttle: throttleOf(row.throttle),
      quota: hasQuota ? { limit: Number(quota.limit), period: String(quota.period) } : null,
      stages: new Map(stages),
    }
  }

  private text(row: AwsAnswer, field: string): string {
    const value = row[field]
    if (typeof value !== 'string' || value === '') throw this.nonsense(`something without ${field}`)
    return value
  }

  private nonsense(what: string): CurfewError {
    return new CurfewError('GATEWAY_UNREACHABLE', `${this.name}: AWS answered ${what}`, { retriable: true })
  }
}

function throttleOf(value: unknown): PlanThrottle {
  const { rateLimit, burstLimit } = isRecord(value) ? value : {}
  return {
    rate: typeof rateLimit === 'number' ? rateLimit : null,
    burst: typeof burstLimit === 'number' ? burstLimit : null,
  }
}
