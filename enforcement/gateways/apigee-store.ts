import { CurfewError } from '../../core/errors.ts'
import type { Rule } from '../gateway.ts'
import { isRecord } from './answer-shape.ts'
import type { ApigeeClient } from './apigee-client.ts'
import { parseRule } from './deny-list-store.ts'

/** A rule as it is noted at Apigee, with what stood there before. */
export interface NotedRule {
  readonly rule: Rule
  /** Status, or requests per minute of somebody else's quota; null when there was nothing. */
  readonly was: string | null
}

const RULE_ENTRY = 'rule__'

/** The key value map that is ours alone: rules, their expiry, what to restore, and quotas for the shared flow. */
export class ApigeeStore {
  private readonly client: ApigeeClient
  private readonly map: string

  constructor(client: ApigeeClient, map: string) {
    this.client = client
    this.map = map
  }

  /** All entries by name. */
  async entries(stop: AbortSignal): Promise<ReadonlyMap<string, string>> {
    const what = `key value map ${this.map}`
    const rows = await this.client.follow({ method: 'GET', path: this.path(), what }, 'keyValueEntries', stop)
    return new Map(
      rows.map(({ name, value }) => {
        if (typeof name !== 'string' || typeof value !== 'string') throw this.damaged('an entry')
        return [name, value]
      }),
    )
  }

  /** The rules among the entries. Throws for one that cannot be read. */
  rulesIn(entries: ReadonlyMap<string, string>): readonly NotedRule[] {
    return [...entries]
      .filter(([name]) => name.startsWith(RULE_ENTRY))
      .map(([name, value]) => this.parse(name.slice(RULE_ENTRY.length), value))
  }

  async putRule({ rule, was }: NotedRule, stop: AbortSignal): Promise<void> {
    await this.put(RULE_ENTRY + rule.id, JSON.stringify({ layout: 1, ...rule, was }), stop)
  }

  async removeRule(id: string, stop: AbortSignal): Promise<void> {
    await this.remove(RULE_ENTRY + id, stop)
  }

  /** Writes an entry, whether it is there or not. */
  async put(name: string, value: string, stop: AbortSignal): Promise<void> {
    const what = `an entry of ${this.map}`
    const body = { name, value }
    const updated = await this.client.call({ method: 'PUT', path: this.path(name), what, body }, stop)
    if (updated === null) await this.client.call({ method: 'POST', path: this.path(), what, body }, stop)
  }

  /** Absent is success. */
  async remove(name: string, stop: AbortSignal): Promise<void> {
    const what = `an entry of ${this.map}`
    await this.client.call({ method: 'DELETE', path: this.path(name), what }, stop)
  }

  private path(entry?: string): readonly string[] {
    const list = ['environments', this.client.environment, 'keyvaluemaps', this.map, 'entries']
    return entry === undefined ? list : [...list, entry]
  }

  private parse(id: string, value: string): NotedRule {
    try {
      const stored: unknown = JSON.parse(value)
      const was = isRecord(stored) ? stored.was : undefined
      if (was !== null && typeof was !== 'string') throw this.damaged(id)
      return { rule: parseRule(id, value), was }
    } catch (cause) {
      throw this.damaged(id, cause)
    }
  }

  private damaged(id: string, cause?: unknown): CurfewError {
    const what = `rule ${JSON.stringify(id.slice(0, 64))} in map ${this.map} was edited or is of a newer build`
    return new CurfewError('GATEWAY_CONFLICT', `${this.client.name}: ${what}; delete its entry`, { cause })
  }
}
