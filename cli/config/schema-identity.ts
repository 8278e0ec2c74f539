import { Type } from '@sinclair/typebox'
import { ASYMMETRIC_ALGORITHMS } from '../../core/signature-algorithms.ts'
import { count, kebabName, oneOf, secret, section, url, words } from './schema-parts.ts'

/** Ids of gateways whose evidence an entry acts on. */
export const gatewayIds = () =>
  Type.Optional(
    Type.Array(kebabName('Id of a gateway, as a source names it.'), {
      minItems: 1,
      maxItems: 100,
      description: 'Act only on evidence that came through these gateways; on all when not given.',
    }),
  )

const accessTokenSeconds = (fallback: number) =>
  count({
    default: fallback,
    minimum: 1,
    maximum: 86_400,
    unit: 'seconds',
    description: 'Longest life of an access token: until then a gateway that checks tokens offline takes it.',
  })

/** User pool of Cognito, part of the deny table of a gateway of kind `aws`. */
export const userPoolSection = () =>
  Type.Optional(
    section(
      {
        id: Type.String({
          pattern: '^[\\w-]{1,40}_[0-9a-zA-Z]{1,14}$',
          patternMeans: 'the id of a user pool, such as `eu-central-1_AbCdEf123`',
          description: 'Id of the user pool.',
        }),
        accessTokenSeconds: accessTokenSeconds(3_600),
      },
      { description: 'Cognito user pool that revoked subjects are signed out of. Off when not given.' },
    ),
  )

/** Identity provider: it refuses no call, but ends what further tokens come from. */
export const keycloakSection = section(
  {
    kind: Type.Literal('keycloak', { description: 'A realm of Keycloak, through its admin API.' }),
    name: kebabName('Name of the gateway, unique.'),
    url: url('http', { description: 'Address of Keycloak, with its relative path if it has one.' }),
    realm: words({ description: 'Realm whose users are acted on.' }),
    clientId: words({ description: 'Client with a service account that has `manage-users` of the realm.' }),
    ...secret('clientSecret', 'required', 'secret of that client'),
    issuer: Type.Optional(
      words({ description: '`iss` of the tokens of the realm; `<url>/realms/<realm>` when not given.' }),
    ),
    users: oneOf(['log-out', 'switch-off'], {
      default: 'log-out',
      description:
        'What a revoked subject loses: its sessions, once (`log-out`), or also the account for as long as the decision stands (`switch-off`). A service account needs `switch-off`: it has no session, and asks for the next token at once.',
    }),
    accessTokenSeconds: accessTokenSeconds(300),
    onlyFor: gatewayIds(),
  },
  { description: 'Keycloak, as identity provider of the callers.' },
)
/** Receiver of security events: it refuses no call itself. */
export const caepSection = section(
  {
    kind: Type.Literal('caep', {
      description: 'A receiver of CAEP `session-revoked` events, pushed as signed Security Event Tokens.',
    }),
    name: kebabName('Name of the gateway, unique.'),
    url: url('http', { description: 'Address that events are pushed to.' }),
    issuer: words({ description: '`iss` of the events: how the receiver knows Curfew.' }),
    audience: words({ description: '`aud` of the events: what the receiver calls itself.' }),
    alg: oneOf(ASYMMETRIC_ALGORITHMS, { description: 'Algorithm that events are signed with.' }),
    ...secret('signingKey', 'required', 'private key that signs events, PKCS #8 PEM'),
    keyId: Type.Optional(words({ description: 'Sent as `kid`, where the receiver knows several keys.' })),
    ...secret('token', 'optional', 'bearer token for the receiver'),
    tokenIssuer: Type.Optional(
      words({
        description:
          'Issuer whose users the receiver knows: those of others are not told to it. Also meant where a decision names none; without it such decisions are not told.',
      }),
    ),
    effectSeconds: count({
      default: 300,
      minimum: 1,
      maximum: 86_400,
      unit: 'seconds',
      description: 'How long the receiver, and tokens given out before, may take at the most.',
    }),
    onlyFor: gatewayIds(),
  },
  { description: 'Whoever listens to CAEP events, such as an identity provider.' },
)
