import { Type } from '@sinclair/typebox'
import {
  brokers,
  count,
  hostPort,
  kebabName,
  saslSection,
  secret,
  section,
  tlsSection,
  url,
  words,
} from './schema-parts.ts'

const folder = (what: string, fallback: string) =>
  Type.String({
    default: fallback,
    minLength: 1,
    maxLength: 4096,
    description: `${what} Relative to the folder Curfew is started in.`,
  })

const embeddedStore = section(
  {
    kind: Type.Literal('embedded', { description: 'A local folder; one process.' }),
    folder: folder('Folder of profiles, incidents and decisions.', 'curfew-data/state'),
  },
  { description: 'Keeps state in a local folder. For one process.' },
)

const redisStore = section(
  {
    kind: Type.Literal('redis', { description: 'Redis or Redis Cluster; any number of workers.' }),
    url: Type.Optional(url('redis', { description: 'Address of the server; give this or `nodes`.' })),
    nodes: Type.Optional(
      Type.Array(hostPort('`host:port` of a node.'), {
        minItems: 1,
        maxItems: 100,
        description: 'Some nodes of a Redis Cluster; give this or `url`.',
      }),
    ),
    username: Type.Optional(words({ description: 'User name (Redis ACL).' })),
    ...secret('password', 'optional', 'password of the Redis user'),
    tls: tlsSection('the connection to Redis'),
    keyPrefix: Type.String({
      default: 'curfew:',
      pattern: '^[A-Za-z0-9_.:-]{1,64}$',
      patternMeans: '1 to 64 letters, digits and `_.:-`',
      description: 'Start of every key, so that others can share the server.',
    }),
    generation: count({
      default: 1,
      minimum: 1,
      maximum: 1_000_000,
      unit: 'number',
      description: 'Generation of the partitions; repartitioning starts a new one.',
    }),
    connectTimeoutMs: count({
      default: 5_000,
      minimum: 100,
      maximum: 120_000,
      unit: 'milliseconds',
      description: 'How long connecting may take before the start fails.',
    }),
  },
  { description: 'Keeps state in Redis. Its `maxmemory-policy` must not evict.' },
)

/** Where profiles, positions, incidents and decisions are kept. */
export const storeSchema = Type.Union([embeddedStore, redisStore], {
  default: { kind: 'embedded' },
  description: 'Where profiles, positions, incidents and decisions are kept.',
})

const embeddedLog = section(
  {
    kind: Type.Literal('embedded', { description: 'A journal in a local folder; one process.' }),
    folder: folder('Folder of the journal.', 'curfew-data/log'),
    maxBytes: count({
      default: 4_294_967_296,
      minimum: 134_217_728,
      maximum: 1e15,
      unit: 'bytes',
      description: 'Size at which the journal takes no more until what was processed is removed.',
    }),
  },
  { description: 'Keeps normalised events in a local journal until they are processed.' },
)

const kafkaLog = section(
  {
    kind: Type.Literal('kafka', { description: 'A Kafka topic; any number of workers.' }),
    brokers: brokers(),
    clientId: kebabName('Name under which Kafka knows this client.', 'curfew'),
    topic: Type.String({
      default: 'curfew.events',
      pattern: '^[A-Za-z0-9._-]{1,249}$',
      patternMeans: 'a Kafka topic name',
      description: 'Topic of normalised events, keyed by principal; created when absent.',
    }),
    partitions: count({
      default: 64,
      minimum: 1,
      maximum: 4_096,
      unit: 'partitions',
      description: 'Partitions of the topic. Fixed once events are in it, whatever the number of workers.',
    }),
    groupId: Type.String({
      default: 'curfew',
      pattern: '^[A-Za-z0-9._-]{1,249}$',
      patternMeans: 'a Kafka consumer group name',
      description: 'Consumer group of the workers.',
    }),
    sasl: saslSection(),
    tls: tlsSection('the connection to Kafka'),
  },
  { description: 'Keeps normalised events on a Kafka topic.' },
)

/** Where normalised events wait between ingest and detection. */
export const logSchema = Type.Union([embeddedLog, kafkaLog], {
  default: { kind: 'embedded' },
  description: 'Where normalised events wait between ingest and detection.',
})
