import { Type } from '@sinclair/typebox'
import { apisixSection } from './schema-apisix.ts'
import { envelopesSection } from './schema-envelopes.ts'
import { caepSection, gatewayIds, keycloakSection, userPoolSection } from './schema-identity.ts'
import { count, kebabName, secret, section, url } from './schema-parts.ts'
import { tykSection } from './schema-tyk.ts'

const haproxy = section(
  {
    kind: Type.Literal('haproxy', { description: 'HAProxy, through its runtime sockets.' }),
    name: kebabName('Name of the gateway, unique.'),
    sockets: Type.Array(
      Type.String({
        minLength: 1,
        maxLength: 4096,
        description: 'Path of a runtime socket, or `host:port`.',
      }),
      {
        minItems: 1,
        maxItems: 64,
        description: 'Runtime sockets of every HAProxy process that holds the rules.',
      },
    ),
    mapFolder: Type.String({
      minLength: 1,
      maxLength: 4096,
      description: 'Folder of the map files, rewritten so that a reload keeps the rules.',
    }),
    onlyFor: gatewayIds(),
  },
  { description: 'HAProxy with the rules of `samples/haproxy/curfew.cfg`.' },
)

const identifier = (pattern: string, patternMeans: string, description: string) =>
  Type.String({ pattern, patternMeans, description })

const kong = section(
  {
    kind: Type.Literal('kong', { description: 'Kong, through its admin API.' }),
    name: kebabName('Name of the gateway, unique.'),
    adminUrl: url('http', {
      description: 'Address of the admin API; for Konnect `https://<region>.api.konghq.com`.',
    }),
    ...secret('token', 'optional', 'admin token, sent as Kong-Admin-Token, to Konnect as bearer token'),
    controlPlane: Type.Optional(
      identifier(
        '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$',
        'the id of a control plane',
        'Control plane of Konnect; without it this is Kong’s own admin API.',
      ),
    ),
    workspace: Type.Optional(
      Type.String({
        pattern: '^[A-Za-z0-9._~-]{1,128}$',
        patternMeans: 'a Kong workspace name',
        description: 'Workspace (Kong Enterprise).',
      }),
    ),
    declarative: Type.Optional(
      section(
        {
          path: Type.String({
            minLength: 1,
            maxLength: 4096,
            description:
              'Declarative file (JSON) with our plugins, Curfew’s alone. Relative to the folder Curfew is started in.',
          }),
          appliedWithinSeconds: count({
            default: 300,
            minimum: 1,
            maximum: 86_400,
            unit: 'seconds',
            description: 'How long it takes at the most until a changed file is loaded into Kong.',
          }),
        },
        {
          description:
            'For a Kong without a database: our plugins are written to a file that your build of its configuration takes along. `adminUrl` is only read then.',
        },
      ),
    ),
    onlyFor: gatewayIds(),
  },
  { description: 'Kong 3.x with a database or without, or a control plane of Konnect.' },
)

const ipSet = (description: string) =>
  identifier('^[A-Za-z0-9_-]{1,128}/[0-9a-f-]{1,36}$', '`name/id` of a regional IP set', description)

const aws = section(
  {
    kind: Type.Literal('aws', {
      description: 'AWS API Gateway (REST): API keys, and a deny table for its Lambda authorizer.',
    }),
    name: kebabName(
      'Name of the gateway, unique. Its deny table appears as `<name>-deny`, its IP sets as `<name>-waf`, its user pool as `<name>-cognito`.',
    ),
    region: identifier('^[a-z]{2}(-[a-z]+)+-[0-9]{1,2}$', 'an AWS region', 'Region of API and table.'),
    ...secret('accessKeyId', 'optional', 'id of an AWS access key; without it the chain of the AWS SDK', 16),
    ...secret('secretAccessKey', 'optional', 'secret of that access key', 16),
    ...secret('sessionToken', 'optional', 'session token of temporary credentials'),
    apiGatewayUrl: Type.Optional(
      url('http', { description: 'Address of the API Gateway service; that of the region when not given.' }),
    ),
    dynamodbUrl: Type.Optional(
      url('http', { description: 'Address of DynamoDB; that of the region when not given.' }),
    ),
    wafUrl: Type.Optional(
      url('http', { description: 'Address of AWS WAF; that of the region when not given.' }),
    ),
    cognitoUrl: Type.Optional(
      url('http', { description: 'Address of Cognito user pools; that of the region when not given.' }),
    ),
    requestsPerSecond: Type.Number({
      default: 5,
      minimum: 0.1,
      maximum: 10,
      unit: 'requests per second',
      description:
        'Most calls to the API Gateway service from this process. AWS takes 10 of an account and region, from everybody together.',
    }),
    apiKeys: Type.Optional(
      section(
        {
          ...secret(
            'markKey',
            'required',
            'key that signs our marks on API keys, at least 32 characters',
            32,
          ),
          quarantinePlans: Type.Array(
            identifier('^[A-Za-z0-9]{1,64}$', 'the id of a usage plan', 'Id of a usage plan.'),
            {
              default: [],
              maxItems: 16,
              description:
                'Usage plans that throttled keys are moved into; without any there is no throttle.',
            },
          ),
        },
        { description: 'Acting on API keys. Off when not given.' },
      ),
    ),
    denyTable: Type.Optional(
      section(
        {
          table: identifier('^[A-Za-z0-9_.-]{3,255}$', 'the name of a DynamoDB table', 'Name of the table.'),
          authorizerCacheSeconds: count({
            default: 300,
            minimum: 0,
            maximum: 3_600,
            unit: 'seconds',
            description: 'Result TTL of the Lambda authorizer: how late a refusal may come at the worst.',
          }),
          flushStages: Type.Array(
            identifier('^[A-Za-z0-9]{1,64}/[A-Za-z0-9_-]{1,128}$', '`api-id/stage`', 'API and stage.'),
            {
              default: [],
              maxItems: 16,
              description:
                'Stages whose authorizer cache is emptied at each change, for all their callers at once.',
            },
          ),
          ipv4Set: Type.Optional(ipSet('IP set of AWS WAF that takes blocked IPv4 addresses.')),
          ipv6Set: Type.Optional(ipSet('IP set of AWS WAF that takes blocked IPv6 networks.')),
          userPool: userPoolSection(),
        },
        { description: 'The deny list in DynamoDB. Off when not given.' },
      ),
    ),
    onlyFor: gatewayIds(),
  },
  { description: 'AWS API Gateway, with `samples/aws`.' },
)

const apigeeName = (description: string) =>
  identifier('^[A-Za-z0-9][A-Za-z0-9_-]{0,254}$', 'a name as Apigee takes it', description)

const path = (description: string) =>
  Type.Optional(Type.String({ minLength: 1, maxLength: 4096, description }))

const apigee = section(
  {
    kind: Type.Literal('apigee', { description: 'Apigee X, through its management API.' }),
    name: kebabName('Name of the gateway, unique. Its security actions appear as `<name>-actions`.'),
    organization: apigeeName('Organisation.'),
    environment: apigeeName('Environment of the key value map and of security actions.'),
    url: url('http', {
      default: 'https://apigee.googleapis.com',
      description: 'Address of the management API.',
    }),
    accessTokenPath: path(
      'File with an access token that something else renews, read before every call. Relative to the folder Curfew is started in.',
    ),
    credentialsPath: path(
      'Credentials file for Google’s library. Without it and `accessTokenPath` the library looks where it always does.',
    ),
    map: Type.Unsafe<string>({
      ...apigeeName(
        'Key value map of the environment that is Curfew’s alone; the shared flow names it, too.',
      ),
      default: 'curfew',
    }),
    throttles: Type.Boolean({
      default: false,
      description:
        'Whether proxies run the shared flow `samples/apigee/curfew-quota`; else there is no throttle.',
    }),
    securityActions: Type.Boolean({
      default: false,
      description: 'Block addresses through security actions (Advanced API Security).',
    }),
    onlyFor: gatewayIds(),
  },
  { description: 'Apigee X, with `samples/apigee`.' },
)

const decision = section(
  {
    kind: Type.Literal('decision', { description: 'The deny list behind the decision endpoint.' }),
    name: kebabName('Name of the gateway, unique.'),
    onlyFor: gatewayIds(),
  },
  { description: 'Our own deny list, asked by nginx, Caddy, Traefik and others through `decisionEndpoint`.' },
)

const guard = section(
  {
    maxNewPrincipals: count({
      default: 20,
      minimum: 1,
      maximum: 1_000_000,
      unit: 'principals per 10 minutes',
      description: 'More new principals acted on than this, and decisions wait for approval.',
    }),
    maxShareOfPrincipals: Type.Number({
      default: 0.01,
      minimum: 0,
      maximum: 1,
      unit: 'share',
      description: 'Replaces `maxNewPrincipals` where this share of the known principals is larger.',
    }),
    maxLiveRules: count({
      default: 1_000,
      minimum: 1,
      maximum: 1_000_000,
      unit: 'rules',
      description: 'More rules in force than this, and decisions wait for approval.',
    }),
  },
  { default: {}, description: 'Stops mass action.' },
)

/** How decisions reach gateways. */
export const enforcementSchema = section(
  {
    maxEvidenceAgeSeconds: count({
      default: 300,
      minimum: 10,
      maximum: 86_400,
      unit: 'seconds',
      description: 'Nothing is enforced on older evidence.',
    }),
    maxTokenLifetimeSeconds: count({
      default: 86_400,
      minimum: 60,
      maximum: 31_536_000,
      unit: 'seconds',
      description: 'How long a revoked token without a known expiry stays on the deny list.',
    }),
    guard,
    envelopes: envelopesSection,
    folder: Type.String({
      default: 'curfew-data/enforcement',
      minLength: 1,
      maxLength: 4096,
      description:
        'Folder of latches (`curfew panic`, `curfew resume`) and of the record that tells a first start from a lost store. On the machine that enforces, never on a disk that is thrown away with the store. Relative to the folder Curfew is started in.',
    }),
    gateways: Type.Array(
      Type.Union([
        haproxy,
        kong,
        aws,
        apigee,
        apisixSection,
        tykSection,
        keycloakSection,
        caepSection,
        decision,
      ]),
      {
        default: [],
        maxItems: 64,
        description: 'Gateways that decisions are enforced at.',
      },
    ),
  },
  { default: {}, description: 'How decisions reach gateways.' },
)
