import { randomBytes } from 'node:crypto'
import { CurfewError } from '../../core/errors.ts'
import type {
  ControlRequest,
  OutboxEntry,
  PartitionStore,
  StateStore,
  StoredDocument,
  StoredLine,
} from '../store.ts'
import {
  checkName,
  checkPartition,
  checkRequest,
  checkText,
  MAX_BODY_BYTES,
  MAX_DOCUMENT_BYTES,
  MAX_WAITING_REQUESTS,
  quoted,
} from './limits.ts'
import { connectRedis, type RedisClient, type RedisClientOptions } from './redis-client.ts'
import {
  entryOf,
  listOf,
  PartitionKeys,
  RedisPartition,
  readKeys,
  readOutboxEntries,
  scanKeys,
  textOf,
} from './redis-partition.ts'
import { APPEND_LINE, PUT_DOCUMENT, REQUEST, TRIM_LINES } from './redis-scripts.ts'

/** State in Redis 6.2 or newer, or Redis Cluster. */
export interface RedisStoreOptions extends RedisClientOptions {
  /** Goes before every key. Default `curfew:`. */
  readonly keyPrefix?: string
  /** The keyed topic whose partitions are stored. Default `curfew.events`. */
  readonly topic?: string
  /** Raised by a repartition, so that old and new state stand side by side. Default 1. */
  readonly generation?: number
}

const PREFIX = /^[A-Za-z0-9._:/-]{0,64}$/
const TOPIC = /^[A-Za-z0-9._-]{1,249}$/

function infoField(info: string, field: string): string | undefined {
  return new RegExp(`^${field}:(.*?)\\r?$`, 'm').exec(info)?.[1]
}

class RedisStore implements StateStore {
  readonly name = 'redis'
  readonly #client: RedisClient
  readonly #prefix: string
  readonly #log: string

  constructor(client: RedisClient, prefix: string, log: string) {
    this.#client = client
    this.#prefix = prefix
    this.#log = log
  }

  async open(partition: number): Promise<PartitionStore> {
    const keys = this.#keys(partition)
    await this.#client.call('sadd', [this.#partitionsKey(), partition])
    return await RedisPartition.open(this.#client, keys, this.#channel(), partition)
  }

  async partitions(): Promise<readonly number[]> {
    const reply = await this.#client.call('smembers', [this.#partitionsKey()])
    return listOf(reply)
      .map((member) => Number(textOf(member)))
      .sort((a, b) => a - b)
  }

  async read(partition: number, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    return await readKeys(this.#client, this.#keys(partition), keys)
  }

  scan(partition: number, prefix: string): AsyncIterable<readonly [string, Uint8Array]> {
    return scanKeys(this.#client, this.#keys(partition), prefix)
  }

  async readOutbox(partition: number, afterSeq: number, limit: number): Promise<readonly OutboxEntry[]> {
    return await readOutboxEntries(this.#client, this.#keys(partition), afterSeq, limit)
  }

  async watchOutbox(listener: (partition: number) => void): Promise<() => Promise<void>> {
    return await this.#client.subscribe(this.#channel(), (message) => {
      const partition = Number(message)
      if (Number.isInteger(partition)) listener(partition)
    })
  }

  async request(partition: number, request: ControlRequest): Promise<void> {
    checkRequest(request)
    const keys = this.#keys(partition)
    const args = [request.id, JSON.stringify([request.id, request.kind, request.body]), MAX_WAITING_REQUESTS]
    const reply = await this.#client.run(REQUEST, [keys.of('requests'), keys.of('requests-seq')], () => args)
    if (textOf(reply) === 'full') {
      throw new CurfewError(
        'LOG_FULL',
        `partition ${partition} has ${MAX_WAITING_REQUESTS} requests waiting`,
        {
          retriable: true,
        },
      )
    }
  }

  async getDocument(name: string): Promise<StoredDocument> {
    const reply = listOf(await this.#client.call('hmget', [this.#documentKey(name), 'version', 'body']))
    return { version: Number(textOf(reply[0])), body: textOf(reply[1]) }
  }

  async putDocument(name: string, expectedVersion: number, body: string): Promise<number | null> {
    checkText(`document ${name}`, body, MAX_DOCUMENT_BYTES)
    const args = [expectedVersion, randomBytes(12).toString('hex'), body]
    const version = Number(await this.#client.run(PUT_DOCUMENT, [this.#documentKey(name)], () => args))
    return version === -1 ? null : version
  }

  async appendLine(log: string, body: string): Promise<number> {
    checkText(`line of ${log}`, body, MAX_BODY_BYTES)
    const base = this.#logKey(log)
    const token = randomBytes(12).toString('hex')
    const reply = await this.#client.run(APPEND_LINE, [`${base}:seq`, `${base}:lines`], (attempt) => [
      token,
      attempt,
      body,
    ])
    return Number(reply)
  }

  async readLines(log: string, afterSeq: number, limit: number): Promise<readonly StoredLine[]> {
    const args = [`${this.#logKey(log)}:lines`, `${afterSeq + 1}-0`, '+', 'COUNT', limit]
    return listOf(await this.#client.call('xrange', args)).map((item) => {
      const { seq, fields } = entryOf(item)
      return { seq, body: fields.get('body') ?? '' }
    })
  }

  async trimLines(log: string, throughSeq: number): Promise<void> {
    await this.#client.run(TRIM_LINES, [`${this.#logKey(log)}:lines`], () => [throughSeq])
  }

  async scour(): Promise<void> {
    // A snapshot or an append-only file is the server's: it goes with its next save or rewrite.
  }

  async check(): Promise<void> {
    await this.#client.callEach('ping', [])
    for (const reply of await this.#client.callEach('info', ['replication'])) {
      if (infoField(textOf(reply), 'role') === 'slave') {
        throw new CurfewError('STORE_UNREACHABLE', `Redis at ${this.#client.address} is a read-only replica`)
      }
    }
    // INFO rather than CONFIG GET: managed services forbid the latter, and it tells the same.
    for (const reply of await this.#client.callEach('info', ['memory'])) {
      const info = textOf(reply)
      const policy = infoField(info, 'maxmemory_policy') ?? 'unknown'
      const limited = (infoField(info, 'maxmemory') ?? '0') !== '0'
      if (limited && policy !== 'noeviction') {
        throw new CurfewError(
          'STORE_MAY_EVICT',
          `Redis at ${this.#client.address} may evict state: maxmemory-policy is ${quoted(policy)}, it must be noeviction`,
        )
      }
    }
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #keys(partition: number): PartitionKeys {
    checkPartition(partition)
    return new PartitionKeys(this.#prefix, this.#log, partition)
  }

  #partitionsKey(): string {
    return `${this.#prefix}{${this.#log}}:partitions`
  }

  #channel(): string {
    return `${this.#prefix}{${this.#log}}:outbox`
  }

  #documentKey(name: string): string {
    checkName(name)
    return `${this.#prefix}document:{${name}}`
  }

  #logKey(name: string): string {
    checkName(name)
    return `${this.#prefix}log:{${name}}`
  }
}

/**
 * Opens state in Redis. Throws `CONFIG_INVALID` for impossible options, `STORE_UNREACHABLE` when there is no
 * connection in time, and whatever {@link StateStore.check} throws: state that Redis may evict is no state.
 */
export async function openRedisStore(
  options: RedisStoreOptions,
  connect: typeof connectRedis = connectRedis,
): Promise<StateStore> {
  const { keyPrefix = 'curfew:', topic = 'curfew.events', generation = 1 } = options
  if (!PREFIX.test(keyPrefix)) {
    throw new CurfewError(
      'CONFIG_INVALID',
      `the Redis key prefix has forbidden characters: ${quoted(keyPrefix)}`,
    )
  }
  if (!TOPIC.test(topic)) throw new CurfewError('CONFIG_INVALID', `not a topic name: ${quoted(topic)}`)
  if (!Number.isInteger(generation) || generation < 1) {
    throw new CurfewError('CONFIG_INVALID', `the generation must be an integer from 1, not ${generation}`)
  }
  const client = await connect(options)
  const store = new RedisStore(client, keyPrefix, `${topic}/${generation}`)
  try {
    await store.check()
  } catch (error) {
    await client.close()
    throw error
  }
  return store
}
