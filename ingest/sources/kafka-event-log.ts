import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../../core/errors.ts'
import type { EventLog, LogRecord, PartitionOwner } from '../source.ts'
import { deferred } from './deferred.ts'
import { KafkaAppender, logRecord } from './kafka-appender.ts'
import type { GroupMember, KafkaClient, OffsetRange } from './kafka-client.ts'
import { KafkaReader } from './kafka-reader.ts'
import { type Logger, SILENT } from './logger.ts'
import type { RecordProducer } from './producer-thread.ts'

export interface KafkaEventLogOptions {
  /** Usually `curfew.events`. */
  readonly topic: string
  /** Partitions of the topic when it has to be created; an existing topic must have as many. */
  readonly partitions: number
  /** Replicas when it has to be created; default: the broker's own. */
  readonly replicas?: number
  /** Consumer group that shares the partitions out. */
  readonly groupId: string
  /** How often an idle owner is called, milliseconds. Default 1,000. */
  readonly idleMs?: number
  /** Longest wait of an empty fetch, milliseconds. Default 100. */
  readonly maxWaitMs?: number
  /** A worker silent for so long loses its partitions. Default 30,000. */
  readonly sessionTimeoutMs?: number
  /** With it a partition whose log has a gap is stopped and reported here; else `read` fails. */
  readonly onPartitionStopped?: (partition: number, error: CurfewError) => void
  readonly log?: Logger
  /** What writes the records, closed with the log. Default: a producer of the client. */
  readonly producer?: RecordProducer
}

/** Above the largest record that ingest produces, with room for its headers. */
const TOPIC_MAX_MESSAGE_BYTES = 2_097_152
const MAX_BATCH_BYTES = 921_600

/** How often, and with which pauses, the leaders of a new topic are asked for. */
const LEADER_ATTEMPTS = 40
const LEADER_PAUSE_MS = 250

/** Waits until every partition of a topic that was just made has a leader that answers. */
async function hosted(client: KafkaClient, topic: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      await client.offsets(topic)
      return
    } catch (error) {
      const again = error instanceof CurfewError && error.retriable && attempt < LEADER_ATTEMPTS
      if (!again) throw error
      await sleep(LEADER_PAUSE_MS)
    }
  }
}

/** The engine's own log on a Kafka topic. */
export class KafkaEventLog implements EventLog {
  readonly partitions: number
  readonly #client: KafkaClient
  readonly #options: KafkaEventLogOptions
  readonly #appender: KafkaAppender
  readonly #closing = new AbortController()
  #reader: KafkaReader | null = null
  #reading: Promise<void> | null = null
  #ranges: Promise<ReadonlyMap<number, OffsetRange>> | null = null

  private constructor(client: KafkaClient, options: KafkaEventLogOptions) {
    this.partitions = options.partitions
    this.#client = client
    this.#options = options
    const written = (partition: number, records: readonly LogRecord[]) =>
      this.#reader?.wrote(partition, records)
    const producer = options.producer ?? client.producer()
    this.#appender = new KafkaAppender(producer, options.topic, MAX_BATCH_BYTES, written)
  }

  /** Creates the topic if it is absent. The client stays the caller's to close. */
  static async open(client: KafkaClient, options: KafkaEventLogOptions): Promise<KafkaEventLog> {
    const { topic, partitions } = options
    const config = { 'max.message.bytes': String(TOPIC_MAX_MESSAGE_BYTES), 'cleanup.policy': 'delete' }
    const existing = await client.partitionCount(topic)
    if (existing === null) {
      await client.createTopic(topic, partitions, config, options.replicas)
      await hosted(client, topic)
    }
    const count = existing ?? (await client.partitionCount(topic)) ?? partitions
    if (count !== partitions) {
      throw new CurfewError(
        'CONFIG_INVALID',
        `topic ${topic} has ${count} partitions, the configuration says ${partitions}`,
      )
    }
    return new KafkaEventLog(client, options)
  }

  async append(records: Parameters<EventLog['append']>[0]): Promise<void> {
    const stray = records.find(({ partition }) => partition < 0 || partition >= this.partitions)
    if (stray !== undefined)
      throw new RangeError(`the log has ${this.partitions} partitions, not ${stray.partition}`)
    await this.#appender.append(records)
  }

  async read(owner: PartitionOwner, stop: AbortSignal): Promise<void> {
    if (this.#reading !== null) throw new CurfewError('STORE_FENCED', 'this log is being read already')
    const ended = AbortSignal.any([stop, this.#closing.signal])
    if (ended.aborted) return
    this.#reading = this.#serve(owner, ended).finally(() => {
      this.#reading = null
      this.#reader = null
    })
    await this.#reading
  }

  async at(partition: number, offset: number): Promise<LogRecord | null> {
    const range = (await this.#client.offsets(this.#options.topic)).get(partition)
    if (range === undefined || offset < range.low || offset >= range.high) return null
    return this.#reader?.look(partition, offset) ?? this.#lookAlone(partition, offset)
  }

  async release(): Promise<void> {
    // Retention is a matter of the topic.
  }

  async close(): Promise<void> {
    this.#closing.abort()
    await this.#reading?.catch(() => undefined)
    await this.#appender.close()
  }

  async #serve(owner: PartitionOwner, ended: AbortSignal): Promise<void> {
    const { topic, groupId, log = SILENT, onPartitionStopped } = this.#options
    const sessionTimeoutMs = this.#options.sessionTimeoutMs ?? 30_000
    const heartbeatIntervalMs = Math.max(100, Math.floor(sessionTimeoutMs / 10))
    const failure = deferred<never>()
    const ranges = () => this.#sharedRanges()
    const options = { topic, log, ranges, heartbeatMs: heartbeatIntervalMs, onPartitionStopped }
    const reader = new KafkaReader(owner, options, failure.reject)
    this.#reader = reader
    const stopped = new Promise<void>((resolve) =>
      ended.addEventListener('abort', () => resolve(), { once: true }),
    )
    const member = await this.#client.join(
      {
        groupId,
        topics: [topic],
        fromBeginning: true,
        concurrency: this.partitions,
        maxWaitMs: this.#options.maxWaitMs ?? 100,
        sessionTimeoutMs,
        heartbeatIntervalMs,
      },
      reader,
    )
    const ticker = setInterval(() => void reader.tick(), this.#options.idleMs ?? 1_000)
    try {
      await Promise.race([stopped, failure.promise])
    } finally {
      clearInterval(ticker)
      reader.left()
      await member.close()
      reader.left()
      await reader.settled()
    }
  }

  /** One request for all partitions that ask at the same time. */
  #sharedRanges(): Promise<ReadonlyMap<number, OffsetRange>> {
    this.#ranges ??= this.#client.offsets(this.#options.topic).finally(() => {
      this.#ranges = null
    })
    return this.#ranges
  }

  /** Reads one record through a group of its own, for callers that own no partition. */
  async #lookAlone(partition: number, offset: number): Promise<LogRecord | null> {
    const { topic, groupId } = this.#options
    const found = deferred<LogRecord | null>()
    const member = await this.#client.join(
      {
        groupId: `${groupId}.look.${randomUUID()}`,
        topics: [topic],
        fromBeginning: true,
        concurrency: 1,
        maxWaitMs: 50,
      },
      {
        joined: (joined: GroupMember, assigned) => {
          for (const other of assigned)
            if (other.partition !== partition) joined.pause(topic, other.partition)
          joined.seek(topic, partition, offset)
        },
        left: () => undefined,
        failed: (error, again) => {
          if (!again) found.reject(error)
        },
        batch: async (batch) => {
          if (batch.partition !== partition) return
          const message = batch.messages.find((candidate) => candidate.offset >= offset)
          found.resolve(message?.offset === offset ? logRecord(message) : null)
        },
      },
    )
    try {
      return await found.promise
    } finally {
      await member.close()
    }
  }
}
