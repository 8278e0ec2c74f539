import { createReadStream, openSync } from 'node:fs'
import { Readable } from 'node:stream'
import { createGunzip } from 'node:zlib'
import { CurfewError } from '../core/errors.ts'

const CHUNK_BYTES = 1 << 20

/**
 * Opens a log for replay: plain or gzip by its first bytes, `-` for standard input. What cannot be opened
 * throws `USAGE`; what cannot be read to its end throws `LOG_UNREACHABLE` while it is read.
 */
export async function openLog(path: string, stdin: Readable): Promise<AsyncIterable<Uint8Array>> {
  if (path === '-') return unzipped(stdin, '-')
  try {
    // Opened once and read once, from its first byte on: it may be a pipe.
    const fd = openSync(path, 'r')
    return unzipped(createReadStream(path, { fd, highWaterMark: CHUNK_BYTES }), path)
  } catch (cause) {
    throw new CurfewError('USAGE', `cannot read ${path} (${(cause as NodeJS.ErrnoException).code})`, {
      cause,
    })
  }
}

async function* unzipped(stream: Readable, name: string): AsyncIterable<Uint8Array> {
  const chunks = readable(stream, name)[Symbol.asyncIterator]()
  const head: Uint8Array[] = []
  let length = 0
  while (length < 2) {
    const next = await chunks.next()
    if (next.done === true) break
    head.push(next.value)
    length += next.value.length
  }
  const rest = async function* () {
    yield* head
    for (let next = await chunks.next(); next.done !== true; next = await chunks.next()) yield next.value
  }
  const start = Buffer.concat(head).subarray(0, 2)
  if (start[0] !== 0x1f || start[1] !== 0x8b) {
    yield* rest()
    return
  }
  const gunzip = createGunzip({ chunkSize: CHUNK_BYTES })
  const source = Readable.from(rest())
  source.on('error', (error) => gunzip.destroy(error))
  yield* readable(source.pipe(gunzip), name)
}

async function* readable(stream: Readable, name: string): AsyncIterable<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk as Uint8Array
  } catch (cause) {
    if (cause instanceof CurfewError) throw cause
    throw new CurfewError('LOG_UNREACHABLE', `${name}: ${(cause as Error).message}`, { cause })
  }
}
