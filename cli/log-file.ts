import { closeSync, createReadStream, openSync, readSync } from 'node:fs'
import type { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { CurfewError } from '../core/errors.ts'

const CHUNK_BYTES = 1 << 20

/** Opens a log file for replay: plain or gzip by its first bytes, `-` for standard input. */
export async function openLog(path: string, stdin: Readable): Promise<AsyncIterable<Uint8Array>> {
  if (path === '-') return unzipped(stdin, '-')
  // Asked first: a stream over a file that is not there fails where nobody waits for it.
  const isZipped = startsWithGzipMagic(path)
  const stream = createReadStream(path, { highWaterMark: CHUNK_BYTES })
  if (!isZipped) return readable(stream, path)
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  stream.on('error', (error) => gunzip.destroy(error))
  return readable(stream.pipe(gunzip), path)
}

function startsWithGzipMagic(path: string): boolean {
  const head = Buffer.alloc(2)
  try {
    const fd = openSync(path, 'r')
    readSync(fd, head, 0, 2, 0)
    closeSync(fd)
  } catch (cause) {
    throw new CurfewError('USAGE', `cannot read ${path} (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    })
  }
  return head[0] === 0x1f && head[1] === 0x8b
}

async function* unzipped(stdin: Readable, name: string): AsyncIterable<Uint8Array> {
  const chunks = stdin[Symbol.asyncIterator]()
  const first = await chunks.next()
  if (first.done === true) return
  const head = first.value as Uint8Array
  const rest = async function* () {
    yield head
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next())
      yield next.value as Uint8Array
  }
  if (head[0] !== 0x1f || head[1] !== 0x8b) {
    yield* rest()
    return
  }
  const { Readable: Source } = await import('node:stream')
  yield* readable(Source.from(rest()).pipe(createGunzip({ chunkSize: CHUNK_BYTES })), name)
}

async function* readable(stream: Readable, name: string): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk as Uint8Array
  } catch (cause) {
    throw new CurfewError('LOG_UNREACHABLE', `${name}: ${(cause as Error).message}`, { cause })
  }
}
