import { CurfewError } from '../../core/errors.ts'
import { hashOf } from '../../core/hash.ts'
import { wallTime } from '../../core/time.ts'
import type { Capability, GatewayAdapter, Rule } from '../gateway.ts'
import { capabilityFor, RULE_ID } from '../gateway.ts'
import { isRecord } from './answer-shape.ts'
import type { AuthorizerCaches } from './aws-authorizer-caches.ts'
import type { AwsAnswer, AwsCall } from './aws-sdk.ts'
import { denyKeys } from './deny-list-index.ts'
import { parseRule } from './deny-list-store.ts'

export interface AwsDenyTableOptions {
  readonly name: string
  /** DynamoDB. */
  readonly call: AwsCall
  /** Table with the keys `pk` and `sk`, both texts, and `exp` as its time to live. */
  readonly table: string
  /** Start of the partitions, so that several lists fit into one table; `deny` is what the authorizer asks. */
  readonly list?: 'deny' | 'waf' | 'waf-theirs' | 'cognito'
  /** Longest time that an authorizer's answer is cached, seconds. */
  readonly cacheSeconds: number
  /** Caches to empty after each change; null leaves that to their time to live. */
  readonly caches: AuthorizerCaches | null
}

/** Beyond the caches: until a consistent read sees a write, and an authorizer that is at work has answered. */
const SETTLING_MS = 2_000
/** Rules are spread over so many partitions, so that looking them up and listing them both stay cheap. */
const SHARDS = '0123456789abcdef'
const MAX_PAGES = 1_000

const SUPPORTED: readonly (readonly [Rule['action'], Capability['scope']])[] = [
  ['block', 'principal'],
  ['block', 'subject'],
  ['block', 'credential'],
  ['block', 'token'],
  ['block', 'token-issue'],
  ['revoke-token', 'token'],
  ['revoke-token', 'token-issue'],
  ['revoke-token', 'subject'],
  ['revoke-credential', 'principal'],
  ['revoke-credential', 'credential'],
]

interface Place {
  readonly pk: string
  readonly sk: string
}

interface Row extends Place {
  readonly rule: Rule
  /** Set while caches may still answer from before the change. */
  readonly pending: boolean
}

/**
 * The deny list in DynamoDB that the Lambda authorizer of `samples/aws` asks. A rule is one item, or two where it
 * names a token and its holder. Items expire by themselves; since DynamoDB deletes late, the authorizer compares
 * `exp` with its own clock. Throttles need counting, which an authorizer cannot: those are for usage plans.
 */
export class AwsDenyTable implements GatewayAdapter {
  readonly name: string
  readonly kind = 'aws-deny-table'
  readonly can: readonly Capability[]
  private readonly call: AwsCall
  private readonly table: string
  private readonly prefix: string
  private readonly caches: AuthorizerCaches | null

  constructor({ name, call, table, list = 'deny', cacheSeconds, caches }: AwsDenyTableOptions) {
    this.name = name
    this.call = call
    this.table = table
    this.prefix = list
    this.caches = caches
    this.can = SUPPORTED.map(([action, scope]) => ({
      action,
      scope,
      worstCaseDelayMs: cacheSeconds * 1_000 + SETTLING_MS,
    }))
  }

  /** Every rule of ours; one with a missing item, or whose caches were not emptied, as expired at time 0. */
  async list(stop: AbortSignal): Promise<readonly Rule[]> {
    const found = new Map<string, { readonly row: Row; items: number; pending: boolean }>()
    for (const row of await this.rows(stop)) {
      const key = JSON.stringify(row.rule)
      const entry = found.get(key) ?? { row, items: 0, pending: false }
      entry.items++
      entry.pending ||= row.pending
      found.set(key, entry)
    }
    return [...found.values()].map(({ row: { rule }, items, pending }) =>
      items >= this.placesOf(rule).length && !pending ? rule : { ...rule, until: wallTime(0) },
    )
  }

  async put(rule: Rule, stop: AbortSignal): Promise<void> {
    if (capabilityFor(this, rule) === null || rule.limit !== null || !RULE_ID.test(rule.id)) {
      const what = `${this.name}: the deny table cannot hold ${rule.action} of a ${rule.scope.kind}`
      throw new CurfewError('GATEWAY_UNSUPPORTED', what)
    }
    const places = this.placesOf(rule)
    const before = (await this.rows(stop)).filter((row) => row.rule.id === rule.id)
    const stays = (row: Place): boolean => places.some(({ pk, sk }) => pk === row.pk && sk === row.sk)
    const same = before.filter((row) => stays(row) && !row.pending && sameText(row.rule, rule))
    if (same.length === places.length && before.length === places.length) return
    for (const place of places) await this.write(place, rule, this.caches !== null, stop)
    await this.caches?.flush(stop)
    if (this.caches !== null) for (const place of places) await this.write(place, rule, false, stop)
    for (const row of before) if (!stays(row)) await this.erase(row, stop)
    await this.assertThere(places, rule, stop)
  }

  /** An item goes last: while its caches are being emptied it is there, ended, so that a failure is seen. */
  async remove(id: string, stop: AbortSignal): Promise<void> {
    const rows = (await this.rows(stop)).filter((row) => row.rule.id === id)
    if (rows.length === 0) return
    if (this.caches !== null) {
      for (const row of rows) await this.write(row, { ...row.rule, until: wallTime(0) }, true, stop)
      await this.caches.flush(stop)
    }
    for (const row of rows) await this.erase(row, stop)
    const left = (await this.rows(stop)).some((row) => row.rule.id === id)
    if (left) throw this.lost('an item that was deleted is still there')
  }

  async check(stop: AbortSignal): Promise<void> {
    await this.shard(SHARDS[0]!, stop)
  }

  private async assertThere(places: readonly Place[], rule: Rule, stop: AbortSignal): Promise<void> {
    const now = await this.rows(stop)
    const there = places.every(({ pk, sk }) =>
      now.some((row) => row.pk === pk && row.sk === sk && sameText(row.rule, rule)),
    )
    if (!there) throw this.lost('an item that was written is not there')
  }

  private async rows(stop: AbortSignal): Promise<readonly Row[]> {
    const shards = await Promise.all([...SHARDS].map((shard) => this.shard(shard, stop)))
    return shards.flat()
  }

  private async shard(shard: string, stop: AbortSignal): Promise<readonly Row[]> {
    const found: Row[] = []
    let from: unknown
    for (let page = 0; page < MAX_PAGES; page++) {
      const answer = await this.call(
        'Query',
        {
          TableName: this.table,
          ConsistentRead: true,
          KeyConditionExpression: 'pk = :pk',
          ExpressionAttributeValues: { ':pk': { S: `${this.prefix}#${shard}` } },
          ...(from === undefined ? {} : { ExclusiveStartKey: from }),
        },
        stop,
      )
      if (!Array.isArray(answer?.Items)) throw this.nonsense('a page without items')
      for (const item of answer.Items) {
        const row = this.row(item)
        if (row !== null) found.push(row)
      }
      from = answer.LastEvaluatedKey
      if (from === undefined || from === null) return found
    }
    throw this.nonsense(`more than ${MAX_PAGES} pages`)
  }

  /** Null for an item of others. */
  private row(item: unknown): Row | null {
    if (!isRecord(item)) throw this.nonsense('an item that is no object')
    const [pk, sk, owner, text, id] = ['pk', 'sk', 'owner', 'rule', 'id'].map((field) => textIn(item, field))
    if (owner !== 'curfew') return null
    if (pk == null || sk == null || text == null || id == null) throw this.damaged(sk)
    try {
      return { pk, sk, rule: parseRule(id, text), pending: isRecord(item.pending) }
    } catch (cause) {
      throw this.damaged(sk, cause)
    }
  }

  /** Where the items of a rule stand: found by what they are about, told apart by the id of the rule. */
  private placesOf(rule: Rule): readonly Place[] {
    const { key, holderKey } = denyKeys(rule)
    return [...new Set([key, holderKey])].map((about) => {
      const hash = hashOf(about)
      return { pk: `${this.prefix}#${hash[0]}`, sk: `${hash}#${rule.id}` }
    })
  }

  private async write({ pk, sk }: Place, rule: Rule, pending: boolean, stop: AbortSignal): Promise<void> {
    const Item = {
      pk: { S: pk },
      sk: { S: sk },
      owner: { S: 'curfew' },
      id: { S: rule.id },
      exp: { N: String(Math.ceil(rule.until / 1_000)) },
      action: { S: rule.action },
      ...(rule.scope.kind === 'subject' && rule.scope.notBefore !== null
        ? { before: { N: String(rule.scope.notBefore) } }
        : {}),
      rule: { S: JSON.stringify({ layout: 1, ...rule }) },
      ...(pending ? { pending: { BOOL: true } } : {}),
    }
    await this.call('PutItem', { TableName: this.table, Item }, stop)
  }

  private async erase({ pk, sk }: Place, stop: AbortSignal): Promise<void> {
    await this.call('DeleteItem', { TableName: this.table, Key: { pk: { S: pk }, sk: { S: sk } } }, stop)
  }

  private nonsense(what: string): CurfewError {
    return new CurfewError('GATEWAY_UNREACHABLE', `${this.name}: DynamoDB answered ${what}`, {
      retriable: true,
    })
  }

  private lost(what: string): CurfewError {
    return new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}: somebody else writes the same item`, {
      retriable: true,
    })
  }

  private damaged(sk: string | null | undefined, cause?: unknown): CurfewError {
    const what = `item ${JSON.stringify((sk ?? '').slice(0, 80))} of ${this.table} was edited or is of a newer build`
    return new CurfewError('GATEWAY_CONFLICT', `${this.name}: ${what}; delete it`, { cause })
  }
}

function sameText(a: Rule, b: Rule): boolean {
  const text = (rule: Rule): string =>
    JSON.stringify(parseRule(rule.id, JSON.stringify({ layout: 1, ...rule })))
  return text(a) === text(b)
}

function textIn(item: AwsAnswer, field: string): string | null {
  const value = item[field]
  return isRecord(value) && typeof value.S === 'string' ? value.S : null
}
