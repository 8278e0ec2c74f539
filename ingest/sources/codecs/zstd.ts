import { decompress } from 'fzstd'
import { badCompression } from './bounded-output.ts'

const MAGIC = 0xfd2fb528
/** RFC 8878 section 3.1.1.1.2 recommends that decoders support windows up to 8 MiB; zstd level 19 needs that. */
const MAX_WINDOW_BYTES = 8_388_608
const MAX_BLOCK_BYTES = 131_072

function tooShort(): Error {
  return badCompression('zstd', 'it ends too early')
}

/** Size of the frame header, and the memory that it asks for (RFC 8878 section 3.1.1.1). */
function readHeader(
  data: Buffer,
  start: number,
): { bytes: number; window: number; content: number; checksum: boolean } {
  if (start + 18 > data.length && start + 6 > data.length) throw tooShort()
  if (data.readUInt32LE(start) !== MAGIC) throw badCompression('zstd', 'it does not begin with a zstd frame')
  const descriptor = data.readUInt8(start + 4)
  const single = (descriptor & 0x20) !== 0
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  if (dictionaryBytes !== 0) throw badCompression('zstd', 'it needs a dictionary')
  const contentBytes = [single ? 1 : 0, 2, 4, 8][descriptor >> 6] ?? 0
  let at = start + 5
  let window = 0
  if (!single) {
    const byte = data.readUInt8(at)
    const base = 2 ** (10 + (byte >> 3))
    window = base + (base / 8) * (byte & 7)
    at += 1
  }
  if (at + contentBytes > data.length) throw tooShort()
  let content = 0
  for (let i = 0; i < contentBytes; i += 1) content += data.readUInt8(at + i) * 2 ** (8 * i)
  if (contentBytes === 2) content += 256
  return { bytes: at + contentBytes - start, window, content, checksum: (descriptor & 4) !== 0 }
}

/** End of the frame at `start` and the most that may come out of it; nothing is allocated for this. */
function measureFrame(data: Buffer, start: number, limit: number): { end: number; most: number } {
  const header = readHeader(data, start)
  if (header.window > MAX_WINDOW_BYTES)
    throw badCompression('zstd', `it asks for a window of ${header.window} bytes`)
  if (header.content > limit) throw badCompression('zstd', `more than ${limit} bytes come out`)
  let at = start + header.bytes
  let most = 0
  for (let last = false; !last; ) {
    if (at + 3 > data.length) throw tooShort()
    const word = data.readUIntLE(at, 3)
    last = (word & 1) !== 0
    const kind = (word >> 1) & 3
    const size = word >> 3
    if (size > MAX_BLOCK_BYTES || kind === 3) throw badCompression('zstd', 'a block is malformed')
    most += kind === 2 ? MAX_BLOCK_BYTES : size
    at += 3 + (kind === 1 ? 1 : size)
  }
  at += header.checksum ? 4 : 0
  if (at > data.length) throw tooShort()
  return { end: at, most }
}

/** Decompresses zstd frames (RFC 8878) without dictionaries. */
export function decompressZstd(data: Buffer, limit: number): Buffer {
  const parts: Uint8Array[] = []
  let total = 0
  for (let at = 0; at < data.length; ) {
    const { end, most } = measureFrame(data, at, limit)
    // A writer that flushes often makes many small blocks, so the bound from blocks alone is generous.
    if (most > limit * 4) throw badCompression('zstd', `more than ${limit} bytes may come out`)
    parts.push(decodeFrame(data.subarray(at, end)))
    total += parts.at(-1)?.length ?? 0
    if (total > limit) throw badCompression('zstd', `more than ${limit} bytes come out`)
    at = end
  }
  return Buffer.concat(parts, total)
}

function decodeFrame(frame: Uint8Array): Uint8Array {
  try {
    return decompress(frame)
  } catch (error) {
    throw badCompression('zstd', error instanceof Error ? error.message : 'it is damaged')
  }
}
