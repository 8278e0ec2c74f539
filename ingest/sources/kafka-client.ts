import { connect, isIP } from 'node:net'
import { connect as connectTls } from 'node:tls'
import kafkajs, {
  type Admin,
  type Consumer,
  type EachBatchPayload,
  type IHeaders,
  type ISocketFactory,
  type Kafka,
  type KafkaConfig,
  type KafkaMessage,
  type LogEntry,
  type Producer,
  type SASLOptions,
} from 'kafkajs'
import { CurfewError } from '../../core/errors.ts'
import { compressGzip, decompressGzip } from './codecs/gzip.ts'
import { decompressLz4 } from './codecs/lz4.ts'
import { decompressSnappy } from './codecs/snappy.ts'
import { decompressZstd } from './codecs/zstd.ts'
import type { KafkaOptions } from './kafka-options.ts'
import { type Logger, SILENT } from './logger.ts'

const { CompressionCodecs, CompressionTypes, KafkaJSError, logLevel } = kafkajs

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** `low` is the oldest offset still there, `high` the offset that the next record will get. */
export interface OffsetRange {
  readonly low: number
  readonly high: number
}

/** A record to be produced; without `partition` the default partitioner decides by key. */
export interface OutgoingMessage {
  readonly partition?: number
  readonly key?: string
  readonly value: Uint8Array
  readonly headers?: Readonly<Record<string, string>>
  /** Epoch ms; the time of sending when not given. */
  readonly timestamp?: number
}

export interface IncomingMessage {
  readonly offset: number
  /** Epoch ms. */
  readonly timestamp: number
  /** Empty for a tombstone. */
  readonly value: Uint8Array
  header(name: string): string | undefined
}

/** Records of one partition out of one fetch, in order. */
export interface IncomingBatch extends TopicPartition {
  readonly messages: readonly IncomingMessage[]
  readonly highWatermark: number
  /** Marks everything up to the offset as read, so that the next fetch goes on behind it. */
  resolve(offset: number): void
  /** Throws when the group is rebalancing: stop working on the batch then. */
  heartbeat(): Promise<void>
}

/** What happens to a group member. `joined` and `left` must not throw and do their work later. */
export interface MemberHandlers {
  /** A complete new assignment, before anything is fetched under it. */
  joined(member: GroupMember, assigned: readonly TopicPartition[]): void
  /** The assignment is void: the group rebalances, the member crashed or was stopped. */
  left(): void
  /** A batch at a time per partition. */
  batch(batch: IncomingBatch): Promise<void>
  /** The member failed; when `again` it joins again by itself after a pause. */
  failed(error: CurfewError, again: boolean): void
}

export interface MemberOptions {
  readonly groupId: string
  readonly topics: readonly string[]
  readonly fromBeginning: boolean
  /** How many partitions are worked on at the same time. */
  readonly concurrency: number
  /** Longest wait of an empty fetch: the worst case of the delay that is ours. */
  readonly maxWaitMs: number
  readonly sessionTimeoutMs?: number
  readonly heartbeatIntervalMs?: number
  readonly maxBytesPerPartition?: number
}

const DEFAULT_MAX_DECOMPRESSED_BYTES = 16_777_216
const DEFAULT_RETRIES = 5
const MAX_LOGGED_CHARACTERS = 300

/**
 * The client library keeps one table of codecs per process, so the largest configured bound holds for
 * all. Compressing is left to gzip: what we write ourselves is written with it or not compressed.
 */
let decompressionBound = 0

function registerCodecs(bound: number): void {
  const first = decompressionBound === 0
  decompressionBound = Math.max(decompressionBound, bound)
  if (!first) return
  const decodeOnly = (name: string, decode: (data: Buffer, limit: number) => Buffer) => () => ({
    compress: () =>
      Promise.reject(new CurfewError('CONFIG_INVALID', `Curfew reads ${name} but does not write it`)),
    decompress: async (data: Buffer) => decode(data, decompressionBound),
  })
  CompressionCodecs[CompressionTypes.GZIP] = () => ({
    compress: (encoder: { readonly buffer: Buffer }) => compressGzip(encoder.buffer),
    decompress: (data: Buffer) => decompressGzip(data, decompressionBound),
  })
  CompressionCodecs[CompressionTypes.Snappy] = decodeOnly('snappy', decompressSnappy)
  CompressionCodecs[CompressionTypes.LZ4] = decodeOnly('lz4', decompressLz4)
  CompressionCodecs[CompressionTypes.ZSTD] = decodeOnly('zstd', decompressZstd)
}

/** Turns a failure of the client library into ours. */
export function kafkaError(error: unknown, doing: string): CurfewError {
  if (error instanceof CurfewError) return error
  const message = error instanceof Error ? error.message : String(error)
  const type = error instanceof Error && 'type' in error ? String(error.type) : ''
  const name = error instanceof Error ? error.name : ''
  const tooLarge = type === 'MESSAGE_TOO_LARGE' || type === 'RECORD_LIST_TOO_LARGE'
  const retriable =
    !tooLarge &&
    (name === 'KafkaJSNumberOfRetriesExceeded' || (error instanceof KafkaJSError && error.retriable))
  const text = `Kafka: ${doing}: ${message.slice(0, MAX_LOGGED_CHARACTERS)}`
  return new CurfewError(tooLarge ? 'LOG_FULL' : 'LOG_UNREACHABLE', text, { retriable, cause: error })
}

/** The door to Kafka: no other file knows which client library is used. */
export class KafkaClient {
  readonly #kafka: Kafka
  #admin: Promise<Admin> | null = null

  constructor(options: KafkaOptions, log: Logger = SILENT) {
    registerCodecs(options.maxDecompressedBytes ?? DEFAULT_MAX_DECOMPRESSED_BYTES)
    this.#kafka = new kafkajs.Kafka(connectionConfig(options, log))
  }

  /** Names of all topics; the cheapest question that only a working cluster answers. */
  async topics(): Promise<readonly string[]> {
    return this.#ask('listing topics', (admin) => admin.listTopics())
  }

  /** Creates the topic unless it is there. True when created. */
  async createTopic(
    topic: string,
    partitions: number,
    config: Readonly<Record<string, string>> = {},
    replicas: number = -1,
  ): Promise<boolean> {
    const configEntries = Object.entries(config).map(([name, value]) => ({ name, value }))
    const entry = { topic, numPartitions: partitions, replicationFactor: replicas, configEntries }
    return this.#ask(`creating topic ${topic}`, (admin) =>
      admin.createTopics({ topics: [entry], waitForLeaders: true }),
    )
  }

  /** Number of partitions, or null when there is no such topic. */
  async partitionCount(topic: string): Promise<number | null> {
    return this.#ask(`describing topic ${topic}`, async (admin) => {
      if (!(await admin.listTopics()).includes(topic)) return null
      const { topics } = await admin.fetchTopicMetadata({ topics: [topic] })
      return topics[0]?.partitions.length ?? null
    })
  }

  /** What each partition of the topic holds. */
  async offsets(topic: string): Promise<ReadonlyMap<number, OffsetRange>> {
    return this.#ask(`reading the offsets of ${topic}`, async (admin) => {
      const rows = await admin.fetchTopicOffsets(topic)
      return new Map(rows.map((row) => [row.partition, { low: Number(row.low), high: Number(row.high) }]))
    })
  }

  /** Connects lazily. One request per broker is under way at a time, so order within a partition is kept. */
  producer(): KafkaProducer {
    return new KafkaProducer(this.#kafka.producer({ allowAutoTopicCreation: false, maxInFlightRequests: 1 }))
  }

  /** Joins a consumer group and works until `close` of the member. */
  async join(options: MemberOptions, handlers: MemberHandlers): Promise<GroupMember> {
    const consumer = this.#kafka.consumer({
      groupId: options.groupId,
      minBytes: 1,
      maxWaitTimeInMs: options.maxWaitMs,
      allowAutoTopicCreation: false,
      ...(options.maxBytesPerPartition === undefined
        ? {}
        : { maxBytesPerPartition: options.maxBytesPerPartition }),
      ...(options.sessionTimeoutMs === undefined ? {} : { sessionTimeout: options.sessionTimeoutMs }),
      ...(options.heartbeatIntervalMs === undefined
        ? {}
        : { heartbeatInterval: options.heartbeatIntervalMs }),
    })
    const member = new GroupMember(consumer)
    try {
      await member.start(options, handlers)
    } catch (error) {
      await consumer.disconnect().catch(() => undefined)
      throw kafkaError(error, `joining group ${options.groupId}`)
    }
    return member
  }

  async close(): Promise<void> {
    const admin = await this.#admin?.catch(() => null)
    this.#admin = null
    await admin?.disconnect()
  }

  async #ask<T>(doing: string, question: (admin: Admin) => Promise<T>): Promise<T> {
    this.#admin ??= (async () => {
      const admin = this.#kafka.admin()
      await admin.connect()
      return admin
    })()
    try {
      return await question(await this.#admin)
    } catch (error) {
      const failed = this.#admin
      this.#admin = null
      await failed.then((admin) => admin.disconnect()).catch(() => undefined)
      throw kafkaError(error, doing)
    }
  }
}

type FirstOffsets = ReadonlyMap<number, number>
/** Writes with acks from all in-sync replicas. */
export class KafkaProducer {
  readonly #producer: Producer
  #connected: Promise<void> | null = null

  constructor(producer: Producer) {
    this.#producer = producer
  }

  /** Resolves when all are durable, with the first offset of each partition; its others follow without a gap. */
  async send(topic: string, messages: readonly OutgoingMessage[], gzip = false): Promise<FirstOffsets> {
    this.#connected ??= this.#producer.connect()
    try {
      await this.#connected
    } catch (error) {
      this.#connected = null
      throw kafkaError(error, 'connecting')
    }
    try {
      const written = await this.#producer.send({
        topic,
        acks: -1,
        compression: gzip ? CompressionTypes.GZIP : CompressionTypes.None,
        messages: messages.map(({ value, timestamp, ...rest }) => ({
          ...rest,
          ...(timestamp === undefined ? {} : { timestamp: String(timestamp) }),
          value: Buffer.from(value.buffer, value.byteOffset, value.byteLength),
        })),
      })
      return new Map(written.map(({ partition, baseOffset }) => [partition, Number(baseOffset ?? -1)]))
    } catch (error) {
      throw kafkaError(error, `writing to ${topic}`)
    }
  }

  async close(): Promise<void> {
    await this.#connected?.catch(() => undefined)
    await this.#producer.disconnect()
  }
}

/** A member of a consumer group. Offsets are committed only when asked. */
export class GroupMember {
  readonly #consumer: Consumer

  constructor(consumer: Consumer) {
    this.#consumer = consumer
  }

  async start(options: MemberOptions, handlers: MemberHandlers): Promise<void> {
    const consumer = this.#consumer
    consumer.on(consumer.events.GROUP_JOIN, ({ payload }) => {
      const entries = Object.entries(payload.memberAssignment)
      const assigned = entries.flatMap(([topic, list]) => list.map((partition) => ({ topic, partition })))
      handlers.joined(this, assigned)
    })
    consumer.on(consumer.events.REBALANCING, () => handlers.left())
    consumer.on(consumer.events.CRASH, ({ payload }) => {
      handlers.left()
      handlers.failed(kafkaError(payload.error, `reading as ${options.groupId}`), payload.restart)
    })
    await consumer.connect()
    await consumer.subscribe({ topics: [...options.topics], fromBeginning: options.fromBeginning })
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: options.concurrency,
      eachBatch: (payload) => handlers.batch(incomingBatch(payload)),
    })
  }

  /** The next fetch starts at the offset. */
  seek(topic: string, partition: number, offset: number): void {
    this.#consumer.seek({ topic, partition, offset: String(offset) })
  }

  pause(topic: string, partition: number): void {
    this.#consumer.pause([{ topic, partitions: [partition] }])
  }

  resume(topic: string, partition: number): void {
    this.#consumer.resume([{ topic, partitions: [partition] }])
  }

  /** Commits the offset to read next for each partition. */
  async commit(next: readonly (TopicPartition & { readonly offset: number })[]): Promise<void> {
    try {
      await this.#consumer.commitOffsets(next.map((entry) => ({ ...entry, offset: String(entry.offset) })))
    } catch (error) {
      throw kafkaError(error, 'committing offsets')
    }
  }

  /** Waits for the batch handlers, leaves the group and disconnects. */
  async close(): Promise<void> {
    await this.#consumer.disconnect()
  }
}

function incomingBatch(payload: EachBatchPayload): IncomingBatch {
  const { batch } = payload
  return {
    topic: batch.topic,
    partition: batch.partition,
    highWatermark: Number(batch.highWatermark),
    messages: batch.messages.map(incomingMessage),
    resolve: (offset) => payload.resolveOffset(String(offset)),
    heartbeat: () => payload.heartbeat(),
  }
}

const NOTHING = new Uint8Array(0)

function incomingMessage(message: KafkaMessage): IncomingMessage {
  const headers: IHeaders | undefined = message.headers
  return {
    offset: Number(message.offset),
    timestamp: Number(message.timestamp),
    value: message.value ?? NOTHING,
    header: (name) => {
      const value = headers?.[name]
      const first = Array.isArray(value) ? value[0] : value
      return first?.toString()
    },
  }
}

function connectionConfig(options: KafkaOptions, log: Logger): KafkaConfig {
  const sasl: SASLOptions | undefined = options.sasl
  return {
    clientId: options.clientId,
    brokers: [...options.brokers],
    connectionTimeout: options.connectionTimeoutMs ?? 5_000,
    authenticationTimeout: options.authenticationTimeoutMs ?? 10_000,
    requestTimeout: options.requestTimeoutMs ?? 30_000,
    retry: { retries: options.retries ?? DEFAULT_RETRIES, initialRetryTime: 100, maxRetryTime: 5_000 },
    logLevel: logLevel.WARN,
    socketFactory,
    logCreator: () => (entry) => forwardLog(entry, log),
    ...(options.tls === undefined ? {} : { ssl: { ...options.tls } }),
    ...(sasl === undefined ? {} : { sasl }),
  }
}

const KEEP_ALIVE_MS = 60_000

/**
 * As the client's own, but without Nagle's algorithm (RFC 896): the end of a request that fills more than one
 * segment must not wait until the broker acknowledges its beginning.
 */
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket =
    ssl === undefined || ssl === null
      ? connect({ host, port }, onConnect)
      : connectTls({ host, port, ...(isIP(host) ? {} : { servername: host }), ...ssl }, onConnect)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  socket.setNoDelay(true)
  return socket
}

function forwardLog(entry: LogEntry, log: Logger): void {
  const { message, broker, groupId, retryCount, error } = entry.log
  const cut = (value: unknown) =>
    typeof value === 'string' ? value.slice(0, MAX_LOGGED_CHARACTERS) : undefined
  const fields = { from: `kafka/${entry.namespace}`, broker, groupId, retryCount, error: cut(error) }
  if (entry.level <= logLevel.ERROR) log.error(fields, cut(message) ?? '')
  else log.warn(fields, cut(message) ?? '')
}
