import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { CurfewError } from '../../core/errors.ts'
import type { Clock } from '../../core/time.ts'
import { LineSplitter } from '../line-splitter.ts'
import type { RawBatch, RawSource, SourcedRecord } from '../source.ts'
import { FollowedFile, type FollowSettings, loadPosition, savePosition } from './followed-file.ts'
import { type Logger, SILENT } from './logger.ts'

export interface FileSourceOptions {
  /** Name of the source in the configuration. */
  readonly name: string
  /** Read one after the other as one stream; plain or gzip, `-` is standard input. */
  readonly paths: readonly string[]
  /** What `-` stands for. */
  readonly stdin?: Readable
  /** Gives each record its time of receipt. */
  readonly clock: Clock
  /** Go on when the one file grows, is rotated or cut; acknowledged records are remembered in the named file. */
  readonly follow?: FollowSettings
  readonly log?: Logger
}

const CHUNK_BYTES = 1_048_576
const MAX_BATCH_RECORDS = 1_000
const GZIP_MAGIC = [0x1f, 0x8b] as const
const MAX_PATH_CHARACTERS = 80

/**
 * Lines of log files. The offset of a record counts the lines that hold something, over all files, from 0.
 * A second call of `batches` goes on behind the last acknowledged record.
 */
export class FileSource implements RawSource {
  readonly name: string
  readonly #options: FileSourceOptions
  #acknowledged = 0
  #truncatedLines = 0

  constructor(options: FileSourceOptions) {
    if (options.paths.length === 0)
      throw new CurfewError('CONFIG_INVALID', `source ${options.name} names no file`)
    if (options.follow !== undefined && (options.paths.length !== 1 || options.paths[0] === '-')) {
      throw new CurfewError('CONFIG_INVALID', `source ${options.name} can follow exactly one file`)
    }
    this.name = options.name
    this.#options = options
  }

  /** Lines so far of which only the first part was delivered, because they are too long. */
  get truncatedLines(): number {
    return this.#truncatedLines
  }

  batches(stop: AbortSignal): AsyncGenerator<RawBatch> {
    const { follow } = this.#options
    return follow === undefined ? this.#once(stop) : this.#following(follow, stop)
  }

  async *#once(stop: AbortSignal): AsyncGenerator<RawBatch> {
    const splitter = new LineSplitter()
    const topic = `file:${this.name}`
    let offset = 0
    let lines: Uint8Array[] = []
    const collect = (bytes: Uint8Array, truncated: boolean) => {
      if (truncated) this.#truncatedLines += 1
      lines.push(bytes)
    }
    for (const path of this.#options.paths) {
      for await (const chunk of this.#chunksOf(path, stop)) {
        if (chunk === null) splitter.end(collect)
        else splitter.push(chunk, collect)
        const ready = lines
        lines = []
        for (let at = 0; at < ready.length; at += MAX_BATCH_RECORDS) {
          if (stop.aborted) return
          const records = this.#records(ready.slice(at, at + MAX_BATCH_RECORDS), topic, offset)
          offset += records.length
          const end = offset
          if (end <= this.#acknowledged) continue
          const fresh = records.filter((record) => record.offset >= this.#acknowledged)
          yield { records: fresh, ack: async () => this.#acknowledge(end) }
        }
      }
    }
  }

  async *#following(follow: FollowSettings, stop: AbortSignal): AsyncGenerator<RawBatch> {
    const { positionFile } = follow
    const start = await loadPosition(positionFile)
    // Kept before anything is delivered: what comes again must come under the same name.
    await savePosition(positionFile, start)
    const topic = `file:${this.name}/${start.reading}`
    const file = new FollowedFile(this.#options.paths[0] ?? '', follow, this.#options.log ?? SILENT)
    const splitter = new LineSplitter()
    let record = start.record
    let inode = start.inode
    for await (const chunk of file.chunks(start, stop)) {
      const lines: Uint8Array[] = []
      const collect = (bytes: Uint8Array, truncated: boolean) => {
        if (truncated) this.#truncatedLines += 1
        lines.push(bytes)
      }
      if (chunk.inode !== inode) splitter.end(collect)
      inode = chunk.inode
      splitter.push(chunk.bytes, collect)
      if (lines.length === 0) continue
      const records = this.#records(lines, topic, record)
      record += lines.length
      const position = { reading: start.reading, inode, byte: chunk.byte, record }
      yield { records, ack: () => savePosition(positionFile, position) }
    }
  }

  #acknowledge(end: number): void {
    this.#acknowledged = Math.max(this.#acknowledged, end)
  }

  #records(lines: readonly Uint8Array[], topic: string, offset: number): SourcedRecord[] {
    const receivedAt = this.#options.clock.now()
    const source = this.name
    return lines.map((bytes, i) => ({ source, bytes, receivedAt, topic, partition: 0, offset: offset + i }))
  }

  /** Decompressed bytes of one file, then null. */
  async *#chunksOf(path: string, stop: AbortSignal): AsyncGenerator<Buffer | null> {
    const input = path === '-' ? this.#options.stdin : createReadStream(path, { highWaterMark: CHUNK_BYTES })
    if (input === undefined)
      throw new CurfewError('CONFIG_INVALID', `source ${this.name} has no standard input`)
    const abort = () => input.destroy()
    stop.addEventListener('abort', abort, { once: true })
    try {
      yield* decompressed(input)
      if (!stop.aborted) yield null
    } catch (error) {
      if (!stop.aborted) throw unreadable(path, error)
    } finally {
      stop.removeEventListener('abort', abort)
      input.destroy()
    }
  }
}

/** Looks at the first two bytes to tell gzip from text. */
async function* decompressed(input: Readable): AsyncGenerator<Buffer> {
  const iterator: AsyncIterator<Buffer | string> = input[Symbol.asyncIterator]()
  const head: Buffer[] = []
  for (let bytes = 0; bytes < GZIP_MAGIC.length; ) {
    const { value, done } = await iterator.next()
    if (done === true) break
    head.push(asBuffer(value))
    bytes += value.length
  }
  const first = Buffer.concat(head)
  const rest = remaining(first, iterator)
  if (!GZIP_MAGIC.every((byte, i) => first[i] === byte)) {
    yield* rest
    return
  }
  const gunzip = createGunzip({ chunkSize: 262_144 })
  const fed = feed(gunzip, rest)
  try {
    for await (const chunk of gunzip) yield chunk
  } finally {
    gunzip.destroy()
    await fed
  }
}

function asBuffer(chunk: Buffer | string): Buffer {
  return typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}

async function* remaining(first: Buffer, iterator: AsyncIterator<Buffer | string>): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first
  for (;;) {
    const { value, done } = await iterator.next()
    if (done === true) return
    yield asBuffer(value)
  }
}

/** Writes all chunks into the stream; a failure of the source destroys the stream with it. */
async function feed(target: ReturnType<typeof createGunzip>, chunks: AsyncIterable<Buffer>): Promise<void> {
  try {
    for await (const chunk of chunks) {
      if (target.destroyed) return
      if (!target.write(chunk)) await new Promise<void>((resolve) => whenReady(target, resolve))
    }
    target.end()
  } catch (error) {
    target.destroy(error instanceof Error ? error : new Error(String(error)))
  }
}

function whenReady(target: ReturnType<typeof createGunzip>, resolve: () => void): void {
  target.once('drain', resolve)
  target.once('close', resolve)
}

function unreadable(path: string, error: unknown): CurfewError {
  const name = JSON.stringify(path.slice(0, MAX_PATH_CHARACTERS))
  const problem = error instanceof Error ? error.message : String(error)
  return new CurfewError('LOG_UNREACHABLE', `cannot read ${name}: ${problem}`, { cause: error })
}
