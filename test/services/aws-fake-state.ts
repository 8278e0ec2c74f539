import type { JsonAnswer } from './control-plane-server.ts'

export interface FakeKey {
  id: string
  name: string
  enabled: boolean
  description?: string
  tags?: Record<string, string>
}

export interface FakePlan {
  readonly id: string
  readonly name: string
  readonly apiStages: readonly {
    readonly apiId: string
    readonly stage: string
    readonly throttle?: object
  }[]
  readonly throttle?: { readonly rateLimit: number; readonly burstLimit: number }
  readonly quota?: { readonly limit: number; readonly period: string }
}

export interface FakeIpSet {
  readonly name: string
  readonly addresses: readonly string[]
  readonly description: string | null
  /** Its lock token. */
  readonly version: number
}

/** The user pool of the account. */
export const FAKE_POOL = 'eu-central-1_AbCdEf123'

type Item = Readonly<Record<string, Readonly<Record<string, unknown>>>>
type Body = Readonly<Record<string, unknown>>

/** What the stand-in for AWS stores, and what each operation does to it. */
export class AwsFakeState {
  keys = new Map<string, FakeKey>()
  plans = new Map<string, FakePlan>()
  /** Keys in each plan. */
  members = new Map<string, Set<string>>()
  items = new Map<string, Item>()
  ipSets = new Map<string, FakeIpSet>()
  /** Users of the pool by their `sub`, with how often each was signed out. */
  users = new Map<string, number>()
  flushes = 0
  private readonly pageSize: number

  constructor(pageSize: number) {
    this.pageSize = pageSize
  }

  addPlan(plan: FakePlan, keys: readonly string[] = []): void {
    this.plans.set(plan.id, plan)
    this.members.set(plan.id, new Set(keys))
  }

  /** Everything stored, in a stable order. A description that was never set and an empty one are the same. */
  content(): Readonly<Record<'keys' | 'members' | 'items' | 'ipSets', unknown>> {
    const byId = ([a]: readonly [string, unknown], [b]: readonly [string, unknown]) => (a < b ? -1 : 1)
    return {
      keys: [...this.keys].sort(byId).map(([, key]) => ({ ...key, description: key.description ?? '' })),
      members: [...this.members].sort(byId).map(([id, keys]) => [id, [...keys].sort()]),
      items: [...this.items].sort(byId),
      ipSets: [...this.ipSets].map(([id, { version: _version, ...set }]) => [id, set]),
    }
  }

  plansOf(keyId: string): readonly string[] {
    return [...this.members].filter(([, keys]) => keys.has(keyId)).map(([id]) => id)
  }

  snapshot(): readonly [
    Map<string, FakeKey>,
    Map<string, Set<string>>,
    Map<string, Item>,
    Map<string, FakeIpSet>,
    Map<string, number>,
  ] {
    return [
      new Map([...this.keys].map(([id, key]) => [id, { ...key }])),
      new Map([...this.members].map(([id, keys]) => [id, new Set(keys)])),
      new Map(this.items),
      new Map(this.ipSets),
      new Map(this.users),
    ]
  }

  restore([keys, members, items, ipSets, users]: ReturnType<AwsFakeState['snapshot']>): void {
    this.keys = keys
    this.members = members
    this.items = items
    this.ipSets = ipSets
    this.users = users
  }

  fault(status: number, type: string): JsonAnswer {
    return { status, body: { __type: type, message: type }, headers: { 'x-amzn-errortype': type } }
  }

  answer(
    operation: string,
    [first = '', second = '']: readonly string[],
    url: URL,
    body: unknown,
  ): JsonAnswer {
    const given = (body ?? {}) as Body
    switch (operation) {
      case 'GetApiKeys':
        return this.page([...this.keys.values()], url)
      case 'GetApiKey':
        return this.found(this.keys.get(first))
      case 'UpdateApiKey':
        return this.update(first, given.patchOperations as readonly Record<string, string>[])
      case 'GetUsagePlans': {
        const keyId = url.searchParams.get('keyId')
        const plans = [...this.plans.values()]
        return this.page(
          keyId === null ? plans : plans.filter(({ id }) => this.members.get(id)?.has(keyId)),
          url,
        )
      }
      case 'GetUsagePlan':
        return this.found(this.plans.get(first))
      case 'GetUsagePlanKeys':
        return this.members.has(first)
          ? this.page(
              [...this.members.get(first)!].map((id) => ({ id, type: 'API_KEY', value: 'secret', name: id })),
              url,
            )
          : this.fault(404, 'NotFoundException')
      case 'CreateUsagePlanKey':
        return this.join(first, String(given.keyId))
      case 'DeleteUsagePlanKey':
        if (!this.members.get(first)?.delete(second)) return this.fault(404, 'NotFoundException')
        return { status: 202, body: null }
      case 'FlushStageAuthorizersCache':
        this.flushes++
        return { status: 202, body: null }
      case 'GetIPSet':
      case 'UpdateIPSet':
        return this.ipSet(operation, given)
      case 'DescribeUserPool':
      case 'AdminUserGlobalSignOut':
        return this.pool(operation, given)
      default:
        return this.table(operation, given)
    }
  }

  private found(row: unknown): JsonAnswer {
    return row === undefined ? this.fault(404, 'NotFoundException') : { status: 200, body: row }
  }

  private page(rows: readonly unknown[], url: URL): JsonAnswer {
    const from = Number(url.searchParams.get('position') ?? 0)
    const size = Math.min(Number(url.searchParams.get('limit') ?? 25), this.pageSize)
    const next = from + size < rows.length ? { position: String(from + size) } : {}
    return { status: 200, body: { item: rows.slice(from, from + size), ...next } }
  }

  private update(id: string, operations: readonly Record<string, string>[]): JsonAnswer {
    const key = this.keys.get(id)
    if (key === undefined) return this.fault(404, 'NotFoundException')
    const changed = { ...key }
    for (const { op, path, value = '' } of operations) {
      if (op !== 'replace') return this.fault(400, 'BadRequestException')
      if (path === '/enabled' && /^(true|false)$/.test(value)) changed.enabled = value === 'true'
      else if (path === '/description') changed.description = value
      else return this.fault(400, 'BadRequestException')
    }
    this.keys.set(id, changed)
    return { status: 200, body: changed }
  }

  private join(planId: string, keyId: string): JsonAnswer {
    const plan = this.plans.get(planId)
    if (plan === undefined || !this.keys.has(keyId)) return this.fault(404, 'NotFoundException')
    const stages = (one: FakePlan) => one.apiStages.map(({ apiId, stage }) => `${apiId}/${stage}`)
    const taken = this.plansOf(keyId).some((id) => {
      const other = this.plans.get(id)
      return other !== undefined && stages(other).some((stage) => stages(plan).includes(stage))
    })
    if (taken) return this.fault(409, 'ConflictException')
    this.members.get(planId)!.add(keyId)
    return { status: 201, body: { id: keyId, type: 'API_KEY', name: keyId } }
  }

  private ipSet(operation: string, given: Body): JsonAnswer {
    const id = String(given.Id)
    const set = this.ipSets.get(id)
    if (set === undefined || set.name !== given.Name) return this.fault(400, 'WAFNonexistentItemException')
    const token = (version: number): string => `00000000-0000-4000-8000-${String(version).padStart(12, '0')}`
    if (operation === 'GetIPSet') {
      const IPSet = {
        Name: set.name,
        Id: id,
        ARN: `arn:aws:wafv2:eu-central-1:123456789012:regional/ipset/${set.name}/${id}`,
        IPAddressVersion: set.name.endsWith('6') ? 'IPV6' : 'IPV4',
        Addresses: set.addresses,
        ...(set.description === null ? {} : { Description: set.description }),
      }
      return { status: 200, body: { IPSet, LockToken: token(set.version) } }
    }
    if (given.LockToken !== token(set.version)) return this.fault(400, 'WAFOptimisticLockException')
    const description = typeof given.Description === 'string' ? given.Description : null
    const addresses = given.Addresses as readonly string[]
    this.ipSets.set(id, { ...set, addresses, description, version: set.version + 1 })
    return { status: 200, body: { NextLockToken: token(set.version + 1) } }
  }

  private pool(operation: string, given: Body): JsonAnswer {
    if (given.UserPoolId !== FAKE_POOL) return this.fault(400, 'ResourceNotFoundException')
    if (operation === 'DescribeUserPool') return { status: 200, body: { UserPool: { Id: FAKE_POOL } } }
    const user = String(given.Username)
    const times = this.users.get(user)
    if (times === undefined) return this.fault(400, 'UserNotFoundException')
    this.users.set(user, times + 1)
    return { status: 200, body: {} }
  }

  private table(operation: string, given: Body): JsonAnswer {
    const place = (item: Item): string => `${String(item.pk?.S)}\u0000${String(item.sk?.S)}`
    if (operation === 'PutItem') this.items.set(place(given.Item as Item), given.Item as Item)
    else if (operation === 'DeleteItem') this.items.delete(place(given.Key as Item))
    else if (operation === 'Query') return this.query(given)
    else return this.fault(400, 'UnknownOperationException')
    return { status: 200, body: {} }
  }

  private query(given: Body): JsonAnswer {
    const values = given.ExpressionAttributeValues as Item
    const condition = String(given.KeyConditionExpression)
    if (!/^pk = :pk( AND begins_with\(sk, :sk\))?$/.test(condition))
      return this.fault(400, 'ValidationException')
    const rows = [...this.items]
      .filter(([, item]) => item.pk?.S === values[':pk']?.S)
      .filter(
        ([, item]) => values[':sk'] === undefined || String(item.sk?.S).startsWith(String(values[':sk'].S)),
      )
      .sort(([a], [b]) => (a < b ? -1 : 1))
    const after = given.ExclusiveStartKey as Item | undefined
    const from = after === undefined ? 0 : rows.findIndex(([, item]) => item.sk?.S === after.sk?.S) + 1
    const Items = rows.slice(from, from + this.pageSize).map(([, item]) => item)
    const last = rows[from + this.pageSize - 1]?.[1]
    const more = from + this.pageSize < rows.length && last !== undefined
    return {
      status: 200,
      body: {
        Items,
        Count: Items.length,
        ScannedCount: Items.length,
        ...(more ? { LastEvaluatedKey: { pk: last.pk, sk: last.sk } } : {}),
      },
    }
  }
}
