import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { CurfewError } from '../../core/errors.ts'
import { secretsEqual } from '../../core/hash.ts'
import { type Logger, SILENT } from './logger.ts'
import { MAX_MESSAGES, pushedMessages } from './pushed-body.ts'

/** A configured source that may push. The token alone selects it. */
export interface PushSource {
  readonly name: string
  readonly format: string
  readonly token: string
}

export interface HttpSourceOptions {
  readonly sources: readonly PushSource[]
  /** Makes messages of a source durable, in order. Its retriable failures become 503. */
  readonly append: (source: string, bodies: readonly Uint8Array[]) => Promise<void>
  /** Default 127.0.0.1. */
  readonly host?: string
  /** 0 picks a free port. */
  readonly port: number
  /** Largest body, after decompression. Default 8 MiB. */
  readonly maxBodyBytes?: number
  /** Most bytes of bodies that are being received or made durable; 503 beyond. Default 64 MiB. */
  readonly maxInFlightBytes?: number
  /** A request must be complete within this time, milliseconds. Default 30,000. */
  readonly requestTimeoutMs?: number
  /** Default 1,000. */
  readonly maxConnections?: number
  readonly log?: Logger
}

const MEBIBYTE = 1_048_576
const MAX_HEADER_BYTES = 16_384
const MIN_TOKEN_CHARACTERS = 16
const HEADERS_TIMEOUT_MS = 10_000
const CHECK_INTERVAL_MS = 500
const RETRY_AFTER_SECONDS = 1

/** An answer other than 202. */
class Refusal extends Error {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>

  constructor(status: number, message: string, headers: Readonly<Record<string, string>> = {}) {
    super(message)
    this.status = status
    this.headers = headers
  }
}

function busy(message: string, seconds = RETRY_AFTER_SECONDS): Refusal {
  return new Refusal(503, message, { 'Retry-After': String(seconds) })
}

/**
 * Takes logs by `POST /ingest/{format}` with `Authorization: Bearer <token of the source>`. 202 means that
 * everything in the body is durable; broken lines inside are accepted too and end as dead letters.
 */
export class HttpSource {
  readonly #options: HttpSourceOptions
  readonly #server: Server
  #inFlightBytes = 0

  constructor(options: HttpSourceOptions) {
    for (const { name, token } of options.sources) {
      if (token.length < MIN_TOKEN_CHARACTERS) {
        throw new CurfewError(
          'CONFIG_INVALID',
          `the token of source ${name} has fewer than ${MIN_TOKEN_CHARACTERS} characters`,
        )
      }
    }
    if (new Set(options.sources.map((source) => source.token)).size < options.sources.length) {
      throw new CurfewError('CONFIG_INVALID', 'two push sources have the same token')
    }
    this.#options = options
    this.#server = createServer(
      {
        maxHeaderSize: MAX_HEADER_BYTES,
        headersTimeout: Math.min(HEADERS_TIMEOUT_MS, options.requestTimeoutMs ?? HEADERS_TIMEOUT_MS),
        requestTimeout: options.requestTimeoutMs ?? 30_000,
        connectionsCheckingInterval: CHECK_INTERVAL_MS,
      },
      (request, response) => void this.#answer(request, response),
    )
    this.#server.maxConnections = options.maxConnections ?? 1_000
  }

  /** Starts to listen; returns the port. */
  async start(): Promise<number> {
    const { port, host = '127.0.0.1' } = this.#options
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject)
      this.#server.listen(port, host, resolve)
    })
    const address = this.#server.address()
    return typeof address === 'object' && address !== null ? address.port : port
  }

  /** Answers what is under way, then closes. */
  async stop(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve())
      this.#server.closeIdleConnections()
    })
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const accepted = await this.#accept(request)
      reply(response, 202, { accepted })
    } catch (error) {
      const refusal = this.#refusalFor(error)
      // Unread bytes of a refused body would be taken for the next request.
      if (!request.complete) response.setHeader('Connection', 'close')
      for (const [name, value] of Object.entries(refusal.headers)) response.setHeader(name, value)
      reply(response, refusal.status, { error: refusal.message })
      if (!request.complete) request.resume()
    }
  }

  #refusalFor(error: unknown): Refusal {
    if (error instanceof Refusal) return error
    const { log = SILENT } = this.#options
    const message = error instanceof Error ? error.message : String(error)
    if (error instanceof CurfewError && error.retriable) {
      log.warn({ error: message }, 'pushed logs could not be stored for now')
      return busy('cannot store for now', Math.max(1, Math.ceil((error.retryAfterMs ?? 0) / 1_000)))
    }
    log.error({ error: message }, 'pushed logs could not be stored')
    return new Refusal(500, 'cannot store')
  }

  async #accept(request: IncomingMessage): Promise<number> {
    const source = this.#route(request)
    const counted = { bytes: 0 }
    try {
      const body = await this.#body(request, counted)
      const messages = pushedMessages(body)
      if (messages.length > MAX_MESSAGES)
        throw new Refusal(413, `the body has more than ${MAX_MESSAGES} lines`)
      if (messages.length > 0) await this.#options.append(source.name, messages)
      return messages.length
    } finally {
      this.#inFlightBytes -= counted.bytes
    }
  }

  /** Everything that can be refused before the body is read. */
  #route(request: IncomingMessage): PushSource {
    const path = (request.url ?? '').split('?', 1)[0] ?? ''
    const format = /^\/ingest\/([a-z0-9-]{1,64})$/.exec(path)?.[1]
    if (format === undefined) throw new Refusal(404, 'no such path')
    if (request.method !== 'POST') throw new Refusal(405, 'only POST', { Allow: 'POST' })
    const token = /^Bearer ([^\s]{1,1024})$/i.exec(request.headers.authorization ?? '')?.[1]
    const source = token === undefined ? undefined : this.#sourceOf(token)
    if (source === undefined) throw new Refusal(401, 'token unknown', { 'WWW-Authenticate': 'Bearer' })
    if (source.format !== format) throw new Refusal(404, 'the source of this token has another format')
    const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase()
    if (encoding !== 'identity' && encoding !== 'gzip') {
      throw new Refusal(415, 'content encoding is not gzip', { 'Accept-Encoding': 'gzip' })
    }
    if (Number(request.headers['content-length'] ?? 0) > this.#maxBodyBytes()) throw this.#tooLarge()
    if (this.#inFlightBytes >= this.#maxInFlightBytes()) throw busy('too much under way')
    return source
  }

  /** Compares with every token, so that the time taken says nothing about which one matched. */
  #sourceOf(token: string): PushSource | undefined {
    let found: PushSource | undefined
    for (const source of this.#options.sources) if (secretsEqual(source.token, token)) found = source
    return found
  }

  async #body(request: IncomingMessage, counted: { bytes: number }): Promise<Buffer> {
    const zipped = request.headers['content-encoding']?.toLowerCase() === 'gzip'
    const gunzip = zipped ? createGunzip() : null
    const closed = () => gunzip?.destroy(new Refusal(408, 'the request ended early'))
    if (gunzip !== null) {
      request.once('aborted', closed)
      request.pipe(gunzip)
    }
    const stream: Readable = gunzip ?? request
    const chunks: Buffer[] = []
    try {
      // The request itself stays open when reading stops, so that it can still be answered.
      for await (const chunk of stream.iterator({ destroyOnReturn: false })) {
        const bytes: Buffer = chunk
        counted.bytes += bytes.length
        this.#inFlightBytes += bytes.length
        if (counted.bytes > this.#maxBodyBytes()) throw this.#tooLarge()
        if (this.#inFlightBytes > this.#maxInFlightBytes()) throw busy('too much under way')
        chunks.push(bytes)
      }
    } catch (error) {
      if (error instanceof Refusal) throw error
      throw zipped
        ? new Refusal(400, 'the body is no valid gzip data')
        : new Refusal(408, 'the request ended early')
    } finally {
      request.off('aborted', closed)
      if (gunzip !== null) request.unpipe(gunzip)
      gunzip?.destroy()
    }
    return Buffer.concat(chunks)
  }

  #tooLarge(): Refusal {
    return new Refusal(413, `the body is larger than ${this.#maxBodyBytes()} bytes`)
  }

  #maxBodyBytes(): number {
    return this.#options.maxBodyBytes ?? 8 * MEBIBYTE
  }

  #maxInFlightBytes(): number {
    return this.#options.maxInFlightBytes ?? 64 * MEBIBYTE
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body)
  response.writeHead(status, {
    'Content-Type': 'application/json',
    'Content-Length': Buffer.byteLength(text),
  })
  response.end(text)
}
