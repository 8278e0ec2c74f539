import type { GatewayAdapter } from '../../enforcement/gateway.ts'
import { createAwsGateways } from '../../enforcement/gateways/aws.ts'
import { CallBudget } from '../../enforcement/gateways/aws-budget.ts'
import { AwsDescription } from './aws-description.ts'
import { FakeAws } from './aws-fake.ts'
import { FAKE_POOL } from './aws-fake-state.ts'

/** Ids as API Gateway makes them. */
export const FAKE_KEYS = ['aaaa111111', 'bbbb222222', 'cccc333333', 'dddd444444'] as const
/** IP sets of the account. */
export const FAKE_IP_SETS = [
  { name: 'blocked', id: '11111111-1111-4111-8111-111111111111' },
  { name: 'blocked6', id: '22222222-2222-4222-8222-222222222222' },
] as const
/** Users of the pool. */
export const FAKE_SUBS = ['a', 'b', 'c'].map((c) => `${c.repeat(8)}-1111-4111-8111-111111111111`)
export const FAKE_POOL_ISSUER = `https://cognito-idp.eu-central-1.amazonaws.com/${FAKE_POOL}`
export const FAKE_MARK_KEY = Buffer.from('m'.repeat(32))

export function awsDescriptions() {
  return {
    apigateway: AwsDescription.of('apigateway'),
    cognito: AwsDescription.of('cognito'),
    dynamodb: AwsDescription.of('dynamodb'),
    wafv2: AwsDescription.of('wafv2'),
  }
}

/** A started account with four keys in two plans, and three quarantine plans. */
export async function fakeAws(pageSize = 500): Promise<FakeAws> {
  const aws = new FakeAws({ ...awsDescriptions(), pageSize })
  const [first, second] = [
    { apiId: 'api1', stage: 'prod' },
    { apiId: 'api2', stage: 'prod' },
  ]
  for (const [i, id] of FAKE_KEYS.entries())
    aws.state.keys.set(id, {
      id,
      name: `key ${i}`,
      enabled: true,
      ...(i === 1 ? { description: 'of team b' } : {}),
    })
  const plan = (
    id: string,
    apiStages: readonly { apiId: string; stage: string }[],
    rateLimit: number,
    burstLimit: number,
  ) => ({
    id,
    name: id,
    apiStages,
    throttle: { rateLimit, burstLimit },
  })
  aws.state.addPlan(plan('plan1', [first], 100, 200), [FAKE_KEYS[0], FAKE_KEYS[1]])
  aws.state.addPlan(plan('plan2', [second], 50, 80), [FAKE_KEYS[0], FAKE_KEYS[2]])
  aws.state.addPlan(plan('quarant1', [first, second], 1, 2))
  aws.state.addPlan(plan('quarant2', [first, second], 0.1, 1))
  aws.state.addPlan(plan('quarant3', [first], 1, 2))
  for (const { name, id } of FAKE_IP_SETS)
    aws.state.ipSets.set(id, { name, addresses: [], description: 'of the network team', version: 1 })
  for (const sub of FAKE_SUBS) aws.state.users.set(sub, 0)
  await aws.start()
  return aws
}

/** The adapters of one Curfew on the account: API keys, deny table, addresses, user pool. */
export function fakeAwsGateways(aws: FakeAws, name: string, timeoutMs = 5_000): readonly GatewayAdapter[] {
  return createAwsGateways({
    name,
    region: 'eu-central-1',
    credentials: { accessKeyId: 'AKIDEXAMPLE', secretAccessKey: 'secret' },
    endpoints: { apiGateway: aws.url, cognito: aws.url, dynamodb: aws.url, wafv2: aws.url },
    budget: new CallBudget(10_000, 10_000),
    timeoutMs,
    apiKeys: { quarantinePlans: ['quarant1', 'quarant2', 'quarant3'], markKey: FAKE_MARK_KEY },
    denyTable: {
      table: 'curfew-deny',
      cacheSeconds: 30,
      flushStages: [{ restApiId: 'api1', stage: 'prod' }],
      ipSets: { ipv4: FAKE_IP_SETS[0], ipv6: FAKE_IP_SETS[1] },
      userPool: { id: FAKE_POOL, issuer: FAKE_POOL_ISSUER, accessTokenSeconds: 3_600 },
    },
  })
}
