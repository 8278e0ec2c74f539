import { KeycloakGateway } from '../../enforcement/gateways/keycloak.ts'
import { FAKE_SECRET, FakeKeycloak } from './keycloak-fake.ts'

/** Users of the realm: three of its own, one of a federated store. */
export const FAKE_USERS = [
  '11111111-1111-4111-8111-111111111111',
  '22222222-2222-4222-8222-222222222222',
  '33333333-3333-4333-8333-333333333333',
  'f:44444444-4444-4444-8444-444444444444:bob.b@x',
] as const
const CLIENT = '55555555-5555-4555-8555-555555555555'

/** A started realm with users who are logged in, one of them switched off already. */
export async function fakeKeycloak(): Promise<FakeKeycloak> {
  const keycloak = new FakeKeycloak()
  for (const [i, id] of FAKE_USERS.entries())
    keycloak.state.users.set(id, {
      username: `user-${i}`,
      enabled: i !== 2,
      notBefore: 0,
      sessions: [`session-${i}-a`, `session-${i}-b`],
      offline: { [CLIENT]: [`offline-${i}`] },
      attributes: { locale: ['de'] },
    })
  await keycloak.start()
  return keycloak
}

/** The adapter of one Curfew on it. */
export function fakeKeycloakGateway(
  keycloak: FakeKeycloak,
  name: string,
  disablesUsers: boolean,
  timeoutMs = 5_000,
): KeycloakGateway {
  return new KeycloakGateway({
    name,
    url: keycloak.url,
    realm: 'acme',
    clientId: 'curfew',
    clientSecret: FAKE_SECRET,
    issuer: 'https://login.example.org/realms/acme',
    disablesUsers,
    accessTokenSeconds: 300,
    timeoutMs,
  })
}
