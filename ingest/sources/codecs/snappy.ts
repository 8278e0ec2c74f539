import { BoundedOutput, badCompression } from './bounded-output.ts'

/** Header of the framing that the Java client (snappy-java) puts around snappy blocks. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00])
const XERIAL_HEADER_BYTES = 16

/** The uncompressed length in front of a block: a little-endian base-128 number of at most 32 bits. */
function readLength(block: Uint8Array): { length: number; next: number } {
  let length = 0
  for (let i = 0; i < 5; i += 1) {
    const byte = block[i]
    if (byte === undefined) break
    length += (byte & 0x7f) * 2 ** (7 * i)
    if (byte < 0x80) return { length, next: i + 1 }
  }
  throw badCompression('snappy', 'its length is malformed')
}

function readLittleEndian(block: Uint8Array, at: number, count: number): number {
  if (at + count > block.length) throw badCompression('snappy', 'it ends too early')
  let value = 0
  for (let i = 0; i < count; i += 1) value += (block[at + i] ?? 0) * 2 ** (8 * i)
  return value
}

/** One block after https://github.com/google/snappy/blob/main/format_description.txt */
function decodeBlock(block: Uint8Array, output: BoundedOutput): void {
  const { length, next } = readLength(block)
  const end = output.length + length
  let at = next
  while (at < block.length) {
    const tag = block[at] ?? 0
    at += 1
    const kind = tag & 3
    if (kind === 0) {
      const extra = Math.max(0, (tag >> 2) - 59)
      const count = (extra === 0 ? tag >> 2 : readLittleEndian(block, at, extra)) + 1
      output.append(block, at + extra, count)
      at += extra + count
    } else {
      const offsetBytes = kind === 3 ? 4 : kind
      const low = readLittleEndian(block, at, offsetBytes)
      at += offsetBytes
      if (kind === 1) output.repeat(((tag >> 5) << 8) | low, ((tag >> 2) & 7) + 4)
      else output.repeat(low, (tag >> 2) + 1)
    }
    if (output.length > end) throw badCompression('snappy', 'it holds more than it states')
  }
  if (output.length !== end) throw badCompression('snappy', 'it holds less than it states')
}

/** Decompresses a bare snappy block or the Java client's sequence of length-prefixed blocks. */
export function decompressSnappy(data: Buffer, limit: number): Buffer {
  const output = new BoundedOutput('snappy', limit, data.length * 4)
  if (!data.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) {
    decodeBlock(data, output)
    return output.result()
  }
  let at = XERIAL_HEADER_BYTES
  while (at < data.length) {
    const size = at + 4 <= data.length ? data.readUInt32BE(at) : Number.POSITIVE_INFINITY
    at += 4
    if (at + size > data.length) throw badCompression('snappy', 'it ends too early')
    decodeBlock(data.subarray(at, at + size), output)
    at += size
  }
  return output.result()
}
