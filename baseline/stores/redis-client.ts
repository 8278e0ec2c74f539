import { createHash } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Cluster, Command, Redis } from 'ioredis'
import { CurfewError } from '../../core/errors.ts'
import { quoted } from './limits.ts'

/** Where Redis is and how to log in. Either `url` or `clusterNodes`. */
export interface RedisClientOptions {
  /** `redis://[user:password@]host[:port][/db]`, or `rediss://` for TLS. */
  readonly url?: string
  /** Some nodes of a Redis Cluster, each `host:port`; the others are discovered. */
  readonly clusterNodes?: readonly string[]
  readonly username?: string
  readonly password?: string
  /** PEM texts. Setting it turns TLS on. The server's certificate is always verified. */
  readonly tls?: {
    readonly ca?: string
    readonly cert?: string
    readonly key?: string
    readonly servername?: string
  }
  /** How long the first connection may take, in milliseconds. */
  readonly connectTimeoutMs?: number
  /** How long a command may take, retries included, in milliseconds (twice that when the last try hangs). */
  readonly commandTimeoutMs?: number
}

export type RedisArgument = string | number | Uint8Array
/** Bulk strings come as bytes. */
export type RedisReply = Buffer | string | number | null | readonly RedisReply[]

/** A Lua script, addressed by the SHA-1 of its text as EVALSHA wants it. */
export interface RedisScript {
  readonly text: string
  readonly sha1: string
}

/** Prepares a Lua script. All keys of one call must share a hash slot. */
export function redisScript(text: string): RedisScript {
  return { text, sha1: createHash('sha1').update(text).digest('hex') }
}

/** The only door to the Redis client library. */
export interface RedisClient {
  /** `host:port` of the server or the first cluster node; no credentials. */
  readonly address: string
  call(command: string, args: readonly RedisArgument[]): Promise<RedisReply>
  /**
   * Runs a script. `args` gets the number of the attempt, from 1: a script whose answer got lost is sent
   * again, so it must notice that it already ran.
   */
  run(
    script: RedisScript,
    keys: readonly string[],
    args: (attempt: number) => readonly RedisArgument[],
  ): Promise<RedisReply>
  /** One command to every primary. */
  callEach(command: string, args: readonly RedisArgument[]): Promise<readonly RedisReply[]>
  subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>>
  close(): Promise<void>
}

const DEFAULT_CONNECT_TIMEOUT_MS = 10_000
const DEFAULT_COMMAND_TIMEOUT_MS = 5_000
const MAX_RECONNECT_DELAY_MS = 1_000
const FIRST_RETRY_DELAY_MS = 20

/** Reply errors that a later try of the same command can get past. */
const PASSING = /^(LOADING|CLUSTERDOWN|TRYAGAIN|MASTERDOWN|READONLY|OOM|MISCONF|NOREPLICAS|BUSY|UNBLOCKED)\b/
/** Reply errors of the server that stay: a wrong password, a forbidden command, a broken script. */
const LASTING = /^(NOAUTH|WRONGPASS|NOPERM|ERR|WRONGTYPE|EXECABORT|CROSSSLOT)\b/
/** Worth an immediate try with the same connection or the next one. */
const RETRY_NOW =
  /isn't writeable|Connection is closed|max retries per request|ECONN|EPIPE|LOADING|CLUSTERDOWN|TRYAGAIN|READONLY|MASTERDOWN|None of startup nodes|Failed to refresh slots|Too many Cluster redirections/

function reconnectDelay(times: number): number {
  return Math.min(20 * 2 ** Math.min(times, 10), MAX_RECONNECT_DELAY_MS)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message || error.name : String(error)
}

/** Carries no cause: the library's errors hold the arguments of the command, passwords and stored bytes included. */
function storeError(address: string, error: unknown): CurfewError {
  const message = messageOf(error)
  const retriable = PASSING.test(message) || !LASTING.test(message)
  return new CurfewError('STORE_UNREACHABLE', `Redis at ${address}: ${quoted(message)}`, { retriable })
}

interface Target {
  readonly address: string
  readonly connection: Redis | Cluster
}

function shared(options: RedisClientOptions) {
  const { username, password, tls } = options
  return {
    ...(username === undefined ? {} : { username }),
    ...(password === undefined ? {} : { password }),
    ...(tls === undefined ? {} : { tls }),
    protocol: 2 as const,
    maxRetriesPerRequest: 0,
    autoResendUnfulfilledCommands: false,
    connectTimeout: options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS,
    commandTimeout: options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS,
  }
}

function single(text: string, options: RedisClientOptions): Target {
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || !['redis:', 'rediss:'].includes(url.protocol) || url.hostname === '') {
    throw new CurfewError(
      'CONFIG_INVALID',
      'the Redis url must look like redis://host:6379 or rediss://host:6379',
    )
  }
  const db = url.pathname.replace(/^\//, '')
  if (!/^\d{0,3}$/.test(db)) {
    throw new CurfewError(
      'CONFIG_INVALID',
      `the path of the Redis url must be a database number, not ${quoted(db)}`,
    )
  }
  const host = url.hostname.replace(/^\[|\]$/g, '')
  const port = url.port === '' ? 6379 : Number(url.port)
  const named = {
    ...(url.username === '' ? {} : { username: decodeURIComponent(url.username) }),
    ...(url.password === '' ? {} : { password: decodeURIComponent(url.password) }),
    ...(url.protocol === 'rediss:' ? { tls: {} } : {}),
  }
  const connection = new Redis({
    ...shared({ ...named, ...options }),
    host,
    port,
    db: Number(db),
    lazyConnect: true,
    enableOfflineQueue: false,
    retryStrategy: reconnectDelay,
  })
  return { address: `${url.hostname}:${port}`, connection }
}

function clustered(nodes: readonly string[], options: RedisClientOptions): Target {
  const parsed = nodes.map((node) => {
    const match = /^\[?([^\s[\]]+)\]?:(\d{1,5})$/.exec(node)
    if (match === null) {
      throw new CurfewError('CONFIG_INVALID', `a Redis cluster node must be host:port, not ${quoted(node)}`)
    }
    return { host: match[1]!, port: Number(match[2]) }
  })
  const connection = new Cluster(parsed, {
    lazyConnect: true,
    enableOfflineQueue: false,
    clusterRetryStrategy: reconnectDelay,
    slotsRefreshTimeout: 2_000,
    ...(options.tls === undefined ? {} : { dnsLookup: (host, callback) => callback(null, host) }),
    redisOptions: shared(options),
  })
  return { address: nodes[0]!, connection }
}

/** Resolves when ready; rejects as soon as waiting cannot help, else after the timeout. */
async function ready(
  { address, connection }: Target,
  timeoutMs: number,
  lastError: () => unknown,
): Promise<void> {
  const failure = (why: string) =>
    new CurfewError('STORE_UNREACHABLE', `cannot reach Redis at ${address}: ${why}`, {
      retriable: !/NOAUTH|WRONGPASS|NOPERM/.test(why),
    })
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(() => {
      const last = lastError()
      reject(failure(last === undefined ? `no answer within ${timeoutMs} ms` : quoted(messageOf(last))))
    }, timeoutMs)
    const settle = (action: () => void) => {
      clearTimeout(timer)
      action()
    }
    connection.once('ready', () => settle(resolve))
    connection.on('error', (error: unknown) => {
      if (/NOAUTH|WRONGPASS|NOPERM/.test(messageOf(error)))
        settle(() => reject(failure(quoted(messageOf(error)))))
    })
    connection.connect().catch((error: unknown) => {
      if (/NOAUTH|WRONGPASS|NOPERM/.test(messageOf(error)))
        settle(() => reject(failure(quoted(messageOf(error)))))
    })
  })
}

function asArgument(value: RedisArgument): string | Buffer {
  if (typeof value === 'string') return value
  if (typeof value === 'number') return String(value)
  return Buffer.from(value.buffer, value.byteOffset, value.byteLength)
}

function send(
  connection: Redis | Cluster,
  name: string,
  args: readonly (string | Buffer)[],
): Promise<RedisReply> {
  const command = new Command(name, args as (string | Buffer)[], { replyEncoding: null })
  // The library answers a promise of whatever the server said; bulk strings are bytes without an encoding.
  return connection.sendCommand(command) as Promise<RedisReply>
}

class IoredisClient implements RedisClient {
  readonly address: string
  readonly #connection: Redis | Cluster
  readonly #retryBudgetMs: number
  readonly #subscribers = new Set<Redis | Cluster>()

  constructor(target: Target, retryBudgetMs: number) {
    this.address = target.address
    this.#connection = target.connection
    this.#retryBudgetMs = retryBudgetMs
  }

  call(command: string, args: readonly RedisArgument[]): Promise<RedisReply> {
    const prepared = args.map(asArgument)
    return this.#retry(() => send(this.#connection, command, prepared))
  }

  run(
    script: RedisScript,
    keys: readonly string[],
    args: (attempt: number) => readonly RedisArgument[],
  ): Promise<RedisReply> {
    return this.#retry(async (attempt) => {
      const prepared: (string | Buffer)[] = [String(keys.length)]
      for (const key of keys) prepared.push(key)
      for (const value of args(attempt)) prepared.push(asArgument(value))
      try {
        return await send(this.#connection, 'evalsha', [script.sha1, ...prepared])
      } catch (error) {
        if (!messageOf(error).startsWith('NOSCRIPT')) throw error
        return await send(this.#connection, 'eval', [script.text, ...prepared])
      }
    })
  }

  callEach(command: string, args: readonly RedisArgument[]): Promise<readonly RedisReply[]> {
    const prepared = args.map(asArgument)
    return this.#retry(async () => {
      const nodes =
        this.#connection instanceof Cluster ? this.#connection.nodes('master') : [this.#connection]
      if (nodes.length === 0) throw new Error('Connection is closed: no cluster node is known')
      return await Promise.all(nodes.map((node) => send(node, command, prepared)))
    })
  }

  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const subscriber = this.#duplicate()
    this.#subscribers.add(subscriber)
    subscriber.on('error', () => undefined)
    subscriber.on('message', (_channel: string, message: string) => listener(message))
    const end = async () => {
      // A message that is already on its way would still be handed over.
      subscriber.removeAllListeners('message')
      if (this.#subscribers.delete(subscriber)) subscriber.disconnect()
    }
    try {
      await subscriber.subscribe(channel)
    } catch (error) {
      await end()
      throw storeError(this.address, error)
    }
    return end
  }

  async close(): Promise<void> {
    for (const subscriber of this.#subscribers) subscriber.disconnect()
    this.#subscribers.clear()
    this.#connection.disconnect()
  }

  /** A connection of its own; this one may queue its single command while it connects. */
  #duplicate(): Redis | Cluster {
    if (this.#connection instanceof Cluster) {
      return this.#connection.duplicate([], { enableOfflineQueue: true, lazyConnect: false })
    }
    return this.#connection.duplicate({
      enableOfflineQueue: true,
      lazyConnect: false,
      maxRetriesPerRequest: 3,
    })
  }

  /** Tries again with growing pauses until their sum reaches the budget. */
  async #retry<T>(attemptOnce: (attempt: number) => Promise<T>): Promise<T> {
    let waited = 0
    for (let attempt = 1; ; attempt++) {
      try {
        return await attemptOnce(attempt)
      } catch (error) {
        const pause = Math.min(FIRST_RETRY_DELAY_MS * 2 ** (attempt - 1), MAX_RECONNECT_DELAY_MS)
        const closed = this.#connection.status === 'end'
        if (closed || waited + pause > this.#retryBudgetMs || !RETRY_NOW.test(messageOf(error))) {
          throw storeError(this.address, error)
        }
        waited += pause
        await sleep(pause)
      }
    }
  }
}

/**
 * Connects to Redis or Redis Cluster. Throws `CONFIG_INVALID` for options that cannot be meant and
 * `STORE_UNREACHABLE` naming host and port when there is no connection within `connectTimeoutMs`.
 */
export async function connectRedis(options: RedisClientOptions): Promise<RedisClient> {
  const nodes = options.clusterNodes ?? []
  if ((options.url === undefined) === (nodes.length === 0)) {
    throw new CurfewError('CONFIG_INVALID', 'Redis needs either a url or cluster nodes, and not both')
  }
  const target = options.url === undefined ? clustered(nodes, options) : single(options.url, options)
  let lastError: unknown
  target.connection.on('error', (error: unknown) => {
    lastError = error
  })
  try {
    await ready(target, options.connectTimeoutMs ?? DEFAULT_CONNECT_TIMEOUT_MS, () => lastError)
  } catch (error) {
    target.connection.disconnect()
    throw error
  }
  return new IoredisClient(target, options.commandTimeoutMs ?? DEFAULT_COMMAND_TIMEOUT_MS)
}
