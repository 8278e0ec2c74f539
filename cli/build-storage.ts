import type { StateStore } from '../baseline/store.ts'
import { openEmbeddedStore } from '../baseline/stores/embedded-store.ts'
import type { connectRedis } from '../baseline/stores/redis-client.ts'
import { openRedisStore } from '../baseline/stores/redis-store.ts'
import { CurfewError } from '../core/errors.ts'
import { Journal } from '../ingest/journal/journal.ts'
import type { EventLog } from '../ingest/source.ts'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import { KafkaEventLog, type KafkaEventLogOptions } from '../ingest/sources/kafka-event-log.ts'
import type { KafkaOptions } from '../ingest/sources/kafka-options.ts'
import type { Logger } from '../ingest/sources/logger.ts'
import { ProducerThread } from '../ingest/sources/producer-thread.ts'
import type { Config } from './config/schema.ts'

type KafkaConnection = Pick<Extract<Config['log'], { kind: 'kafka' }>, 'brokers' | 'sasl' | 'tls'>

/** Kafka connection settings of the configuration in the words of the client. */
export function kafkaOptions(connection: KafkaConnection, clientId: string): KafkaOptions {
  const { brokers, sasl, tls } = connection
  return {
    brokers,
    clientId,
    ...(sasl === undefined
      ? {}
      : { sasl: { mechanism: sasl.mechanism, username: sasl.username, password: sasl.password.reveal() } }),
    ...(tls === undefined ? {} : { tls: tlsOptions(tls) }),
  }
}

function tlsOptions(tls: NonNullable<KafkaConnection['tls']>): NonNullable<KafkaOptions['tls']> {
  const { ca, cert, key, rejectUnauthorized } = tls
  return {
    ...(ca === undefined ? {} : { ca }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key: key.reveal() }),
    rejectUnauthorized,
  }
}

/** What the file system refuses is a fault of the configuration or of what it names: `STORE_UNREACHABLE`. */
async function inFolder<T>(setting: string, folder: string, open: () => Promise<T>): Promise<T> {
  try {
    return await open()
  } catch (cause) {
    if (cause instanceof CurfewError || !(cause instanceof Error && 'code' in cause)) throw cause
    throw new CurfewError('STORE_UNREACHABLE', `${setting}: cannot use ${folder} (${String(cause.code)})`, {
      cause,
    })
  }
}

/**
 * Opens the state store of the configuration; fails in one line when it is unreachable or may lose state. `connect`
 * opens the connection to Redis.
 */
export async function openStore(
  config: Config,
  logger: Logger,
  connect?: typeof connectRedis,
): Promise<StateStore> {
  const { store } = config
  if (store.kind === 'embedded') {
    const onDamage = (detail: string) => logger.error({ detail }, 'state store damaged')
    return inFolder('store.folder', store.folder, () => openEmbeddedStore({ folder: store.folder, onDamage }))
  }
  const options = {
    ...(store.url === undefined ? {} : { url: store.url }),
    ...(store.nodes === undefined ? {} : { clusterNodes: store.nodes }),
    ...(store.username === undefined ? {} : { username: store.username }),
    ...(store.password === undefined ? {} : { password: store.password.reveal() }),
    ...(store.tls === undefined ? {} : { tls: tlsOptions(store.tls) }),
    keyPrefix: store.keyPrefix,
    topic: config.log.kind === 'kafka' ? config.log.topic : 'curfew.events',
    generation: store.generation,
    connectTimeoutMs: store.connectTimeoutMs,
  }
  const opened = await openRedisStore(options, connect)
  try {
    await opened.check()
  } catch (error) {
    await opened.close()
    throw error
  }
  return opened
}

/** The engine's own log and, on Kafka, the connection that it shares. */
export interface OpenedLog {
  readonly log: EventLog
  readonly kafka: KafkaClient | null
  /** Partitions that go on no more because their log has a gap, with the reason. */
  readonly stopped: ReadonlyMap<number, string>
  /**
   * Lets the records so far leave the disk once they are judged, although nobody calls. Tells whether they have; of
   * a topic always, whose retention is its own.
   */
  renew(): Promise<() => boolean>
  close(): Promise<void>
}

export async function openLog(config: Config, logger: Logger): Promise<OpenedLog> {
  const { log } = config
  if (log.kind === 'embedded') {
    const { folder, maxBytes } = log
    const journal = await inFolder('log.folder', folder, () =>
      Journal.open({ folder, maxBytes, log: logger }),
    )
    const renew = async () => {
      const offset = await journal.renew()
      return () => journal.first >= offset
    }
    return { log: journal, kafka: null, stopped: new Map(), renew, close: () => journal.close() }
  }
  const reaching = kafkaOptions(log, log.clientId)
  const kafka = new KafkaClient(reaching, logger)
  const producer = new ProducerThread(reaching, logger)
  const { topic, partitions, groupId } = log
  const stopped = new Map<number, string>()
  const onPartitionStopped = (partition: number, error: CurfewError) => {
    stopped.set(partition, error.message)
    logger.error({ partition, code: error.code, detail: error.message }, 'partition stopped')
  }
  const options = { topic, partitions, groupId, log: logger, onPartitionStopped, producer }
  const events = await openEvents(kafka, options)
  return {
    log: events,
    kafka,
    stopped,
    renew: async () => () => true,
    close: async () => {
      await events.close()
      await kafka.close()
    },
  }
}

/** Leaves no connection behind when the topic cannot be opened. */
async function openEvents(kafka: KafkaClient, options: KafkaEventLogOptions): Promise<KafkaEventLog> {
  try {
    return await KafkaEventLog.open(kafka, options)
  } catch (error) {
    await kafka.close()
    throw error
  }
}
