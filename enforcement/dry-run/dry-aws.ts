import { isRecord, isTexts } from '../gateways/answer-shape.ts'
import type { AwsAnswer, AwsCall, AwsServiceName } from '../gateways/aws-sdk.ts'
import type { Recorder } from './recorder.ts'

/** Operations of the SDK that change nothing. Any other is not sent. */
const READS: ReadonlySet<string> = new Set([
  'GetApiKeys',
  'GetApiKey',
  'GetUsagePlans',
  'GetUsagePlan',
  'GetUsagePlanKeys',
  'Query',
  'GetIPSet',
  'DescribeUserPool',
])

const NEXT_TOKEN = 'the-next-lock-token'

/** An account of AWS that believes what a dry run tells it, for all services of one gateway. */
export class DryAws {
  readonly #recorder: Recorder
  /** What was changed of API keys. */
  readonly #keys = new Map<string, AwsAnswer>()
  /** Whether a key is in a plan, by both. */
  readonly #members = new Map<string, boolean>()
  readonly #plans = new Map<string, AwsAnswer>()
  /** Items by table and place; null for a deleted one. */
  readonly #items = new Map<string, AwsAnswer | null>()
  readonly #ipSets = new Map<string, readonly string[]>()

  constructor(recorder: Recorder) {
    this.#recorder = recorder
  }

  /** One service: its reads go through `real` unless the dry run is offline. */
  service(name: AwsServiceName, real: AwsCall): AwsCall {
    return async (operation, input, stop) => {
      const isRead = READS.has(operation)
      const shown = this.#recorder.mask.value(input)
      this.#recorder.add({
        kind: 'aws',
        ...this.#recorder.mark(isRead),
        service: name,
        operation,
        input: shown,
      })
      const given = input as AwsAnswer
      if (!isRead) return this.#write(operation, given)
      const answer = this.#recorder.offline
        ? this.#offline(operation, given)
        : await real(operation, input, stop)
      return answer === null ? null : this.#read(operation, given, answer)
    }
  }

  #write(operation: string, input: AwsAnswer): AwsAnswer {
    if (operation === 'UpdateApiKey') this.#updateKey(input)
    else if (operation === 'CreateUsagePlanKey') this.#members.set(memberKey(input), true)
    else if (operation === 'DeleteUsagePlanKey') this.#members.set(memberKey(input), false)
    else if (operation === 'PutItem') this.#items.set(placeOf(input, input.Item), record(input.Item))
    else if (operation === 'DeleteItem') this.#items.set(placeOf(input, input.Key), null)
    else if (operation === 'UpdateIPSet') {
      if (input.LockToken === NEXT_TOKEN)
        this.#recorder.note(`AWS gives a new lock token with each update; ${NEXT_TOKEN} stands for it`)
      this.#ipSets.set(String(input.Id), isTexts(input.Addresses) ? input.Addresses : [])
    }
    return {}
  }

  #updateKey({ apiKey, patchOperations }: AwsAnswer): void {
    const operations = Array.isArray(patchOperations) ? patchOperations.filter(isRecord) : []
    const changes = operations.map(({ path, value }) =>
      path === '/enabled' ? ['enabled', value === 'true'] : [String(path).slice(1), value],
    )
    this.#keys.set(String(apiKey), { ...this.#keys.get(String(apiKey)), ...Object.fromEntries(changes) })
  }

  #read(operation: string, input: AwsAnswer, answer: AwsAnswer): AwsAnswer {
    switch (operation) {
      case 'GetApiKeys':
        return { ...answer, items: rowsIn(answer, 'items').map((row) => this.#key(row)) }
      case 'GetApiKey':
        return this.#key(answer)
      case 'GetUsagePlan':
        this.#plans.set(String(answer.id), answer)
        return answer
      case 'GetUsagePlans':
        return this.#withPlans(input, answer)
      case 'GetUsagePlanKeys':
        return this.#withMembers(input, answer)
      case 'Query':
        return this.#withItems(input, answer)
      case 'GetIPSet': {
        const Addresses = this.#ipSets.get(String(input.Id))
        if (Addresses === undefined) return answer
        return { ...answer, LockToken: NEXT_TOKEN, IPSet: { ...record(answer.IPSet), Addresses } }
      }
      default:
        return answer
    }
  }

  #key(row: AwsAnswer): AwsAnswer {
    return { ...row, ...this.#keys.get(String(row.id)) }
  }

  #withPlans({ keyId }: AwsAnswer, answer: AwsAnswer): AwsAnswer {
    const rows = rowsIn(answer, 'items')
    for (const row of rows) this.#plans.set(String(row.id), row)
    const state = (plan: AwsAnswer) => this.#members.get(memberKey({ usagePlanId: plan.id, keyId }))
    const kept = rows.filter((row) => state(row) !== false)
    const joined = [...this.#plans.values()].filter(
      (plan) => state(plan) === true && !kept.some(({ id }) => id === plan.id),
    )
    return { ...answer, items: [...kept, ...(isLast(answer) ? joined : [])] }
  }

  #withMembers({ usagePlanId }: AwsAnswer, answer: AwsAnswer): AwsAnswer {
    const state = (id: unknown) => this.#members.get(memberKey({ usagePlanId, keyId: id }))
    const kept = rowsIn(answer, 'items').filter(({ id }) => state(id) === undefined)
    const joined = [...this.#members].flatMap(([key, isIn]) => {
      const [plan, id] = JSON.parse(key) as readonly [string, string]
      return isIn && plan === usagePlanId ? [{ id, type: 'API_KEY', name: id }] : []
    })
    return { ...answer, items: [...kept, ...(isLast(answer) ? joined : [])] }
  }

  #withItems(input: AwsAnswer, answer: AwsAnswer): AwsAnswer {
    const wanted = record(record(input.ExpressionAttributeValues)[':pk']).S
    const kept = rowsIn(answer, 'Items').filter((item) => !this.#items.has(placeOf(input, item)))
    const added = [...this.#items].flatMap(([place, item]) => {
      const [table, pk] = JSON.parse(place) as readonly [string, string]
      return item !== null && table === input.TableName && pk === wanted ? [item] : []
    })
    const last = answer.LastEvaluatedKey === undefined || answer.LastEvaluatedKey === null
    return { ...answer, Items: [...kept, ...(last ? added : [])] }
  }

  #offline(operation: string, input: AwsAnswer): AwsAnswer | null {
    switch (operation) {
      case 'GetApiKey':
        this.#recorder.note('offline: the API key counts as switched on and without a description')
        return { id: input.apiKey, enabled: true }
      case 'GetUsagePlan':
        this.#recorder.note('offline: which plan a throttle would choose is known at AWS only')
        return null
      case 'Query':
        return { Items: [] }
      case 'GetIPSet':
        this.#recorder.note('offline: an update of an IP set replaces all its addresses; only ours are shown')
        return { IPSet: { Addresses: [] }, LockToken: 'from-the-answer' }
      default:
        return { items: [] }
    }
  }
}

function memberKey({ usagePlanId, keyId }: AwsAnswer): string {
  return JSON.stringify([usagePlanId, keyId])
}

function placeOf({ TableName }: AwsAnswer, item: unknown): string {
  const { pk, sk } = record(item)
  return JSON.stringify([TableName, record(pk).S, record(sk).S])
}

function isLast({ position }: AwsAnswer): boolean {
  return position === undefined || position === null || position === ''
}

function rowsIn(answer: AwsAnswer, field: string): readonly AwsAnswer[] {
  const rows = answer[field]
  return Array.isArray(rows) ? rows.filter(isRecord) : []
}

function record(value: unknown): AwsAnswer {
  return isRecord(value) ? value : {}
}
