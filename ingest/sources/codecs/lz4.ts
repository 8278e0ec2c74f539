import { BoundedOutput, badCompression } from './bounded-output.ts'

const MAGIC = 0x184d2204
const VERSION = 1
const UNCOMPRESSED_BLOCK = 0x80000000

function tooShort(): Error {
  return badCompression('lz4', 'it ends too early')
}

/** A length whose nibble is 15 goes on in bytes of 255 until a smaller one. */
function extendedLength(block: Uint8Array, at: number): { extra: number; next: number } {
  let extra = 0
  let next = at
  for (;;) {
    const byte = block[next]
    if (byte === undefined) throw tooShort()
    next += 1
    extra += byte
    if (byte !== 255) return { extra, next }
  }
}

/** One block after https://github.com/lz4/lz4/blob/dev/doc/lz4_Block_format.md */
function decodeBlock(block: Uint8Array, output: BoundedOutput): void {
  let at = 0
  while (at < block.length) {
    const token = block[at] ?? 0
    at += 1
    let literals = token >> 4
    if (literals === 15) {
      const { extra, next } = extendedLength(block, at)
      literals += extra
      at = next
    }
    output.append(block, at, literals)
    at += literals
    if (at >= block.length) return
    if (at + 2 > block.length) throw tooShort()
    const distance = (block[at] ?? 0) | ((block[at + 1] ?? 0) << 8)
    at += 2
    let match = (token & 15) + 4
    if (match === 19) {
      const { extra, next } = extendedLength(block, at)
      match += extra
      at = next
    }
    output.repeat(distance, match)
  }
}

/** Decodes the frame at `start`; returns where it ends. */
function decodeFrame(data: Buffer, start: number, output: BoundedOutput): number {
  if (start + 7 > data.length) throw tooShort()
  if (data.readUInt32LE(start) !== MAGIC) throw badCompression('lz4', 'it does not begin with an LZ4 frame')
  const flags = data.readUInt8(start + 4)
  if (flags >> 6 !== VERSION) throw badCompression('lz4', `frame version ${flags >> 6} is unknown`)
  if ((flags & 1) !== 0) throw badCompression('lz4', 'it needs a dictionary')
  const blockChecksum = (flags & 0x10) === 0 ? 0 : 4
  const contentChecksum = (flags & 0x04) === 0 ? 0 : 4
  let at = start + 7 + ((flags & 0x08) === 0 ? 0 : 8)
  for (;;) {
    if (at + 4 > data.length) throw tooShort()
    const word = data.readUInt32LE(at)
    at += 4
    if (word === 0) return at + contentChecksum
    const size = word % UNCOMPRESSED_BLOCK
    if (at + size > data.length) throw tooShort()
    if (word >= UNCOMPRESSED_BLOCK) output.append(data, at, size)
    else decodeBlock(data.subarray(at, at + size), output)
    at += size + blockChecksum
  }
}

/**
 * Decompresses LZ4 frames (https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md). Checksums are not
 * verified: the record batch around the data has its own.
 */
export function decompressLz4(data: Buffer, limit: number): Buffer {
  const output = new BoundedOutput('lz4', limit, data.length * 4)
  for (let at = 0; at < data.length; ) at = decodeFrame(data, at, output)
  return output.result()
}
