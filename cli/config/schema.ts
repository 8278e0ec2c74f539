import { type Static, Type } from '@sinclair/typebox'
import { DETECTORS } from '../../detectors/catalog.ts'
import { SETTING_SPECS, type SettingValues } from '../../engine/settings.ts'
import { coverageTimingSection, heartbeatSection } from './schema-coverage.ts'
import { decisionEndpointSchema } from './schema-decision-endpoint.ts'
import { drillSchema } from './schema-drill.ts'
import { enforcementSchema } from './schema-enforcement.ts'
import type { FileName, SecretName } from './schema-parts.ts'
import { count, kebabName, listen, oneOf, secret, section, url, words } from './schema-parts.ts'
import { principalsSchema } from './schema-principals.ts'
import { deadLettersSchema, sourcesSchema } from './schema-sources.ts'
import { logSchema, storeSchema } from './schema-storage.ts'
import type { Secret } from './secret.ts'

const modeWords = ['observe', 'approve', 'enforce'] as const

const modeRule = section(
  {
    principal: Type.Optional(
      words({
        description:
          'Only this principal, such as `consumer:orders-svc`; `ip:*` is every address. Many callers may share an address: one is acted on only where a rule names it or `ip:*`.',
      }),
    ),
    group: Type.Optional(words({ description: 'Only this peer group.' })),
    gateway: Type.Optional(kebabName('Only evidence that came through this gateway (its id).')),
    detector: Type.Optional(kebabName('Only when this detector is the strongest.')),
    action: Type.Optional(
      oneOf(['throttle', 'block', 'revoke-token', 'revoke-credential'], { description: 'Only this action.' }),
    ),
    mode: oneOf(modeWords, { description: 'The mode where all of the above agree.' }),
    onTimeout: Type.Optional(
      oneOf(['drop', 'act', 'extend'], {
        description:
          'With `approve`: what becomes of a decision that nobody agreed to within `detection.approvalSeconds`: it is dropped (so too when not given), carried out, or asked for anew for as long as the incident goes on.',
      }),
    ),
  },
  { description: 'Sets the mode somewhere. The most specific rule wins.' },
)

const instant = (description: string) =>
  Type.String({
    pattern: '^\\d{4}-\\d{2}-\\d{2}T\\d{2}:\\d{2}(:\\d{2}(\\.\\d{1,3})?)?(Z|[+-]\\d{2}:\\d{2})$',
    patternMeans: 'a time with a zone, such as `2026-12-01T02:00:00Z`',
    maxLength: 35,
    description,
  })

const allowRule = section(
  {
    tenant: words({ default: 'default', description: 'Tenant of the principal.' }),
    entity: words({ description: 'The principal, such as `consumer:backup`.' }),
    reason: words({ description: 'Why; shown wherever the rule has an effect.' }),
  },
  { description: 'A principal that is never acted on. Alerts go on.' },
)

const maintenanceWindow = section(
  {
    tenant: words({ default: 'default', description: 'Tenant of the callers.' }),
    entity: Type.Optional(words({ description: 'The caller, such as `consumer:backup`.' })),
    group: Type.Optional(words({ description: 'Or all callers of an owner, such as `org:acme`.' })),
    from: instant('When it begins.'),
    to: instant('When it ends, at most 90 days after it begins.'),
    reason: words({ description: 'What is being done; told with each incident that falls into it.' }),
  },
  {
    description:
      'Planned work of a caller or a group: nothing is newly enforced, and incidents count one severity less. They are told all the same.',
  },
)

const slackBot = section(
  {
    kind: Type.Literal('slack-bot', {
      description: 'A Slack app with a bot token: one message per incident, edited.',
    }),
    name: kebabName('Name of the channel, unique.'),
    ...secret('token', 'required', 'bot token (`xoxb-…`) with the scope chat:write'),
    channel: Type.String({
      pattern: '^[CGD][A-Z0-9]{2,20}$|^#[^\\s#]{1,80}$',
      patternMeans: 'a channel id such as `C0123456789` or a name such as `#security`',
      description: 'Slack channel.',
    }),
  },
  { description: 'Slack through a bot.' },
)

const slackWebhook = section(
  {
    kind: Type.Literal('slack-webhook', {
      description: 'A Slack incoming webhook: a message per transition.',
    }),
    name: kebabName('Name of the channel, unique.'),
    ...secret('url', 'required', 'address of the webhook (it is a secret)'),
  },
  { description: 'Slack through an incoming webhook.' },
)

const webhook = section(
  {
    kind: Type.Literal('webhook', { description: 'Any HTTP receiver, signed (Standard Webhooks).' }),
    name: kebabName('Name of the channel, unique.'),
    url: url('http', { description: 'Address of the receiver.' }),
    ...secret('secret', 'required', 'signing secret (`whsec_…`), at least 24 characters', 24),
  },
  { description: 'A signed webhook.' },
)

const alerts = section(
  {
    channels: Type.Array(Type.Union([slackBot, slackWebhook, webhook]), {
      default: [],
      maxItems: 32,
      description: 'Where incidents are told.',
    }),
    minSeverity: oneOf(['low', 'medium', 'high', 'critical'], {
      default: 'low',
      description: 'Incidents below this severity are kept and shown, but not sent.',
    }),
    budgetPerHour: count({
      default: 60,
      minimum: 1,
      maximum: 10_000,
      unit: 'messages per hour and channel',
      description: 'Beyond it incidents are told together in a digest.',
    }),
    heartbeat: heartbeatSection(),
    adminUrl: Type.Optional(
      url('http', {
        description: 'Address under which people reach the admin pages, for links in messages.',
      }),
    ),
  },
  { default: {}, description: 'Who is told about incidents.' },
)

const adminToken = section(
  {
    name: kebabName('Who holds the token; appears in the audit.'),
    role: oneOf(['viewer', 'responder', 'tuner', 'admin'], { description: 'What the holder may do.' }),
    ...secret('token', 'optional', 'the token, at least 24 characters', 24),
    sha256: Type.Optional(
      Type.String({
        pattern: '^[0-9a-f]{64}$',
        patternMeans: '64 hexadecimal digits in lower case',
        description: 'SHA-256 of the token, so that the token itself need not be here.',
      }),
    ),
  },
  { description: 'Give exactly one of `tokenEnv`, `tokenFile` and `sha256`.' },
)

const admin = section(
  {
    listen: listen({ default: '127.0.0.1:8740', description: 'Address of the admin API and the pages.' }),
    tokens: Type.Array(adminToken, { default: [], maxItems: 200, description: 'Who may sign in.' }),
    allowedHosts: Type.Array(
      Type.String({
        pattern: '^(\\[[0-9A-Fa-f:.]+\\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?$',
        patternMeans: 'a host name with an optional port',
        maxLength: 262,
        description: 'A value of the Host header.',
      }),
      {
        default: [],
        maxItems: 64,
        description: 'Host names under which the API answers, besides the address that it listens on.',
      },
    ),
  },
  { default: {}, description: 'Admin API and dashboard.' },
)

/** Thresholds: bounds, defaults and texts come from the engine's own table. */
const detection = Type.Unsafe<SettingValues>(
  section(
    Object.fromEntries(
      Object.entries(SETTING_SPECS).map(([name, spec]) => [
        name,
        Type.Number({
          default: spec.default,
          minimum: spec.min,
          maximum: spec.max,
          unit: spec.unit,
          description: spec.description,
        }),
      ]),
    ),
    {
      default: {},
      description:
        'Thresholds at the first start; from then on the admin API changes them, versioned and audited.',
    },
  ),
)

const detectorWords: string[] = DETECTORS.map(({ name }) => name)

/** The one description of the configuration: types, checks, JSON Schema and reference page derive from it. */
export const configSchema = section(
  {
    tenant: words({ default: 'default', description: 'Tenant of sources that name none.' }),
    ...secret(
      'identityKey',
      'optional',
      'key of the hashes under which principals are stored, at least 32 characters, the same for all workers',
      32,
    ),
    store: storeSchema,
    log: logSchema,
    sources: sourcesSchema,
    deadLetters: deadLettersSchema,
    coverage: coverageTimingSection(),
    detection,
    detectors: Type.Array(oneOf(detectorWords, { description: 'Name of a detector.' }), {
      default: detectorWords,
      minItems: 1,
      uniqueItems: true,
      description:
        'Detectors that judge; one that is left out costs nothing. What it learnt before stays in the profiles and is used again when it comes back; `probing` and `enumeration` take days that they did not see for days without refusals or steps, so watch their first days. The same for all workers.',
    }),
    defaultMode: oneOf(modeWords, {
      default: 'observe',
      description: 'What Curfew may do where no rule of `modes` says otherwise.',
    }),
    modes: Type.Array(modeRule, { default: [], maxItems: 1_000, description: 'Where another mode holds.' }),
    allow: Type.Array(allowRule, {
      default: [],
      maxItems: 10_000,
      description: 'Principals never acted on.',
    }),
    maintenance: Type.Array(maintenanceWindow, {
      default: [],
      maxItems: 1_000,
      description: 'Planned work.',
    }),
    principals: principalsSchema,
    enforcement: enforcementSchema,
    decisionEndpoint: decisionEndpointSchema,
    alerts,
    admin,
    drill: drillSchema,
    memory: section(
      {
        maxPrincipals: count({
          default: 1_000_000,
          minimum: 1_000,
          maximum: 100_000_000,
          unit: 'principals',
          description: 'Principals kept in memory per process; about 1.5 KB each.',
        }),
      },
      { default: {}, description: 'Bounds of memory.' },
    ),
    privacy: section(
      {
        emails: oneOf(['keep', 'hash'], {
          default: 'keep',
          description:
            'What becomes of e-mail addresses in the names of callers. `hash` puts a hash keyed with `identityKey`, which it needs, in their place; gateways cannot hold rules that name such a caller.',
        }),
      },
      { default: {}, description: 'How callers are named.' },
    ),
    retention: section(
      {
        auditDays: count({
          default: 400,
          minimum: 1,
          maximum: 36_500,
          unit: 'days',
          description: 'Audit entries older than this are cut off; the rest stays verifiable.',
        }),
        decisionDays: count({
          default: 90,
          minimum: 1,
          maximum: 3_650,
          unit: 'days',
          description: 'Decisions, with their receipts, are deleted so long after their hold ended.',
        }),
      },
      {
        default: {},
        description:
          'How long records are kept. Profiles and incidents follow event time: `detection.profileIdleDays`, `detection.incidentDays`.',
      },
    ),
    logLevel: oneOf(['debug', 'info', 'warn', 'error', 'silent'], {
      default: 'info',
      description: 'Least severe messages that are logged.',
    }),
  },
  { description: 'Configuration of Curfew.' },
)

type SecretKey<Key, Value, Needs> =
  NonNullable<Value> extends SecretName<infer Found extends 'required' | 'optional'>
    ? Found extends Needs
      ? Key extends `${infer Name}Env` | `${infer Name}File`
        ? Name
        : never
      : never
    : never

type FileKey<Key, Value> =
  NonNullable<Value> extends FileName ? (Key extends `${infer Name}File` ? Name : never) : never

type PlainKey<Key, Value> =
  NonNullable<Value> extends SecretName<'required' | 'optional'> | FileName ? never : Key

type ResolvedObject<T> = {
  readonly [Key in keyof T as PlainKey<Key, T[Key]>]: Resolved<T[Key]>
} & { readonly [Key in keyof T as SecretKey<Key, T[Key], 'required'>]-?: Secret } & {
  readonly [Key in keyof T as SecretKey<Key, T[Key], 'optional'>]?: Secret
} & { readonly [Key in keyof T as FileKey<Key, T[Key]>]?: string }

/** A part of the file as it is after loading: defaults filled in, secrets and files read. */
export type Resolved<T> = T extends readonly (infer Item)[]
  ? readonly Resolved<Item>[]
  : T extends object
    ? ResolvedObject<T>
    : T

/** A checked configuration: every default filled in, every secret read. */
export type Config = Resolved<Static<typeof configSchema>>
export type SourceConfig = Config['sources'][number]
export type GatewayConfig = Config['enforcement']['gateways'][number]
export type ChannelConfig = Config['alerts']['channels'][number]
