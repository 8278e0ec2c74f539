import type { GatewayAdapter } from '../../enforcement/gateway.ts'
import { createApigeeGateways } from '../../enforcement/gateways/apigee-gateways.ts'
import { credentialOf } from '../../enforcement/gateways/apigee-targets.ts'
import { ApigeeDescription } from './apigee-description.ts'
import { FakeApigee } from './apigee-fake.ts'

/** Consumer keys of the apps, in clear: they must stay out of everything that we write. */
export const FAKE_CONSUMER_KEYS = ['canaryKEY0/a', 'canaryKEY1', 'canaryKEY2', 'canaryKEY3'] as const
/** Ids of apps as the log format gives them. */
export const FAKE_APPS = ['orders', 'billing', 'web shop', 'reports'].map((app, i) =>
  JSON.stringify([`dev-${i}`, app]),
)
export const FAKE_CREDENTIALS = FAKE_CONSUMER_KEYS.map(credentialOf)

/** A started organisation with four apps of four developers. */
export async function fakeApigee(pageSize = 100): Promise<FakeApigee> {
  const apigee = new FakeApigee(ApigeeDescription.open(), pageSize)
  for (const [i, id] of FAKE_APPS.entries()) {
    const [developerId, name] = JSON.parse(id) as [string, string]
    apigee.state.developers.set(developerId, 'active')
    const credentials = [{ consumerKey: FAKE_CONSUMER_KEYS[i]!, status: 'approved' }]
    apigee.state.apps.push({ name, developerId, status: 'approved', credentials })
  }
  await apigee.start()
  return apigee
}

/** The adapters of one Curfew on it: callers, security actions. */
export function fakeApigeeGateways(
  apigee: FakeApigee,
  name: string,
  timeoutMs = 5_000,
): readonly GatewayAdapter[] {
  return createApigeeGateways({
    name,
    url: apigee.url,
    organization: 'acme',
    environment: 'prod',
    token: async () => 'canary-access-token',
    map: 'curfew',
    throttles: true,
    securityActions: true,
    timeoutMs,
  })
}
