import { Type } from '@sinclair/typebox'
import { FORMAT_NAMES } from '../../ingest/formats/catalog.ts'
import { coverageSection } from './schema-coverage.ts'
import {
  brokers,
  count,
  kebabName,
  listen,
  oneOf,
  saslSection,
  secret,
  section,
  tlsSection,
  words,
} from './schema-parts.ts'

/** Settings that every source has, whatever it reads from. */
const shared = () => ({
  name: kebabName('Name of the source, unique; appears in metrics and messages.'),
  format: oneOf(FORMAT_NAMES, {
    description:
      'Log format of the gateway; `curfew formats` lists them, docs/gateways says what to configure.',
  }),
  tenant: Type.Optional(
    words({ description: 'Tenant of every event of this source; the top-level `tenant` when not given.' }),
  ),
  tenantField: Type.Optional(
    words({
      description:
        'Top-level field of the log object that names the tenant, when the source carries several.',
    }),
  ),
  gateway: section(
    {
      kind: kebabName('Kind of gateway, such as `kong`.'),
      id: kebabName('Which gateway of that kind this is.'),
      field: Type.Optional(
        words({
          description:
            'Top-level field of the log object that names the gateway, when several write to this source; at most 64 are told apart.',
        }),
      ),
    },
    { description: 'The gateway that writes this log.' },
  ),
  coverage: coverageSection(),
  principal: section(
    {
      order: Type.Array(
        oneOf(['consumer', 'sub', 'app', 'key', 'account'], { description: 'A kind of identity.' }),
        {
          default: ['consumer', 'sub', 'app', 'key', 'account'],
          minItems: 1,
          maxItems: 5,
          uniqueItems: true,
          description: 'Order in which identities are tried; the first that the gateway verified wins.',
        },
      ),
      issuers: Type.Record(
        Type.String({ minLength: 1, maxLength: 2048 }),
        kebabName('Alias of the issuer.'),
        {
          default: {},
          maxProperties: 100,
          description: 'Issuer URL to short alias; with two or more a subject is named `sub:<alias>/<sub>`.',
        },
      ),
    },
    { default: {}, description: 'How callers are named.' },
  ),
  records: section(
    {
      headers: Type.Array(
        Type.String({
          pattern: '^[a-z0-9-]{1,128}$',
          patternMeans: 'a header name in lower case',
          description: 'A response header.',
        }),
        {
          default: ['x-records-returned'],
          maxItems: 16,
          description: 'Response headers that state the number of records returned, tried in order.',
        },
      ),
      contentRange: Type.Boolean({
        default: true,
        description: 'Read `Content-Range: items 0-24/319` (25 records; units other than bytes).',
      }),
      field: Type.Optional(
        words({ description: 'Dotted path of a field of the log object that states it.' }),
      ),
      bytesPerRecord: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 1e9,
          unit: 'bytes',
          description:
            'Size of one record, to estimate the number when nothing states it. No estimate when not given.',
        }),
      ),
    },
    { default: {}, description: 'Where the number of records in a response is read from.' },
  ),
})

const fileSource = section(
  {
    kind: Type.Literal('file', { description: 'Log files or standard input.' }),
    ...shared(),
    paths: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 4096, description: 'A file, plain or gzip.' }), {
        minItems: 1,
        maxItems: 1_000,
        description: 'Files, read in this order; give this or `stdin`.',
      }),
    ),
    stdin: Type.Boolean({ default: false, description: 'Read standard input.' }),
    follow: Type.Boolean({ default: false, description: 'Go on reading as the files grow and rotate.' }),
  },
  { description: 'Reads log files.' },
)

const httpSource = section(
  {
    kind: Type.Literal('http', { description: 'Log lines pushed by HTTP.' }),
    ...shared(),
    listen: listen({
      default: '127.0.0.1:8741',
      description: 'Address to listen on. Sources may share one: the token tells them apart.',
    }),
    maxBodyBytes: count({
      default: 8_388_608,
      minimum: 1_024,
      maximum: 268_435_456,
      unit: 'bytes',
      description: 'Largest request body, after decompression.',
    }),
    ...secret('token', 'required', 'bearer token of the sender, at least 16 characters', 16),
  },
  { description: 'Takes log lines at `POST /ingest/<format>`.' },
)

const kafkaSource = section(
  {
    kind: Type.Literal('kafka', { description: 'Raw gateway logs on Kafka topics.' }),
    ...shared(),
    topics: Type.Array(
      Type.String({
        pattern: '^[A-Za-z0-9._-]{1,249}$',
        patternMeans: 'a Kafka topic name',
        description: 'A topic.',
      }),
      { minItems: 1, maxItems: 1_000, uniqueItems: true, description: 'Topics of raw log lines.' },
    ),
    groupId: Type.String({
      default: 'curfew-ingest',
      pattern: '^[A-Za-z0-9._-]{1,249}$',
      patternMeans: 'a Kafka consumer group name',
      description: 'Consumer group.',
    }),
    brokers: Type.Optional(brokers()),
    sasl: saslSection(),
    tls: tlsSection('the connection to Kafka'),
  },
  { description: 'Reads Kafka topics. Without `brokers` the connection of `log` is used.' },
)

/** Where gateway logs come from. */
export const sourcesSchema = Type.Array(Type.Union([fileSource, httpSource, kafkaSource]), {
  default: [],
  maxItems: 200,
  description: 'Where gateway logs come from.',
})

const fileDeadLetters = section(
  {
    kind: Type.Literal('file', { description: 'A local folder of NDJSON files.' }),
    folder: Type.String({
      default: 'curfew-data/dead-letters',
      minLength: 1,
      maxLength: 4096,
      description: 'Folder of the files.',
    }),
    maxFileBytes: count({
      default: 67_108_864,
      minimum: 65_536,
      maximum: 1e12,
      unit: 'bytes',
      description: 'Size at which a new file is started.',
    }),
    maxFiles: count({
      default: 8,
      minimum: 1,
      maximum: 1_000,
      unit: 'files',
      description: 'Files kept; the oldest goes first.',
    }),
  },
  { description: 'Writes unreadable lines to local files.' },
)

const kafkaDeadLetters = section(
  {
    kind: Type.Literal('kafka', { description: 'A Kafka topic on the connection of `log`.' }),
    topic: Type.String({
      default: 'curfew.dead-letters',
      pattern: '^[A-Za-z0-9._-]{1,249}$',
      patternMeans: 'a Kafka topic name',
      description: 'Topic of the letters.',
    }),
  },
  { description: 'Writes unreadable lines to a Kafka topic.' },
)

const noDeadLetters = section(
  { kind: Type.Literal('none', { description: 'Count them only.' }) },
  { description: 'Counts unreadable lines and keeps none.' },
)

/** Where lines go that could not be read. */
export const deadLettersSchema = Type.Union([fileDeadLetters, kafkaDeadLetters, noDeadLetters], {
  default: { kind: 'file' },
  description: 'Where lines go that could not be read, with the reason, secrets scrubbed.',
})
