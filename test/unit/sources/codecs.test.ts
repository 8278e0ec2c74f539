import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { decompressGzip } from '../../../ingest/sources/codecs/gzip.ts'
import { decompressLz4 } from '../../../ingest/sources/codecs/lz4.ts'
import { decompressSnappy } from '../../../ingest/sources/codecs/snappy.ts'
import { decompressZstd } from '../../../ingest/sources/codecs/zstd.ts'

const LIMIT = 1_000

/** A frame with one block: literals `ab`, then a match that repeats them (overlapping) 4 + 15 + 255 * n + rest times. */
function lz4Bomb(extensions: number): Buffer {
  const block = Buffer.concat([
    Buffer.from([0x2f, 0x61, 0x62, 0x02, 0x00]),
    Buffer.alloc(extensions, 255),
    Buffer.from([1]),
    Buffer.from([0x10, 0x63]),
  ])
  const size = Buffer.alloc(4)
  size.writeUInt32LE(block.length)
  return Buffer.concat([
    Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]),
    size,
    block,
    Buffer.alloc(4),
  ])
}

describe('lz4', () => {
  it('repeats overlapping matches', () => {
    const expected = `${'ab'.repeat(11)}c`
    expect(decompressLz4(lz4Bomb(0), LIMIT).toString()).toBe(expected)
  })

  it('stops at the bound', () => {
    expect(() => decompressLz4(lz4Bomb(1_000), LIMIT)).toThrow('more than 1000 bytes')
  })

  it.each([
    ['an empty frame header', Buffer.from([0x04, 0x22, 0x4d, 0x18])],
    ['another magic number', Buffer.alloc(40, 7)],
    ['a cut frame', lz4Bomb(3).subarray(0, 14)],
    ['a frame without its end', lz4Bomb(3).subarray(0, -4)],
  ])('refuses %s', (_, data) => {
    expect(() => decompressLz4(data, LIMIT)).toThrow(/cannot decompress lz4/)
  })
})

describe('snappy', () => {
  const block = Buffer.from([0x0c, 0x04, 0x61, 0x62, 0x1a, 0x02, 0x00, 0x08, 0x63, 0x64, 0x65])

  it('reads a bare block with a literal, an overlapping copy and a literal', () => {
    expect(decompressSnappy(block, LIMIT).toString()).toBe('ababababacde')
  })

  it('believes neither a length that is too large nor one that is wrong', () => {
    expect(() => decompressSnappy(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0x00, 0x61]), LIMIT)).toThrow(
      'less than',
    )
    expect(() => decompressSnappy(Buffer.from([0x01, 0x04, 0x61, 0x62]), LIMIT)).toThrow(
      'more than it states',
    )
    expect(() => decompressSnappy(Buffer.from([0x05, 0x01, 0x09]), LIMIT)).toThrow('before its start')
  })

  it('stops at the bound', () => {
    const copies = Buffer.concat(Array.from({ length: 100 }, () => Buffer.from([0xfe, 0x01, 0x00])))
    const data = Buffer.concat([Buffer.from([0x81, 0x32, 0x00, 0x61]), copies])
    expect(() => decompressSnappy(data, LIMIT)).toThrow('more than 1000 bytes')
  })
})

describe('zstd', () => {
  /** A frame that states no size, with one RLE block of `count` times `a`. */
  const runOf = (count: number, window = 0x00) => {
    const word = (count << 3) | 3
    return Buffer.from([
      0x28,
      0xb5,
      0x2f,
      0xfd,
      0x00,
      window,
      word & 255,
      (word >> 8) & 255,
      word >> 16,
      0x61,
    ])
  }

  it('reads a frame, and two in a row', () => {
    expect(decompressZstd(runOf(5), LIMIT).toString()).toBe('aaaaa')
    expect(decompressZstd(Buffer.concat([runOf(2), runOf(1)]), LIMIT).toString()).toBe('aaa')
  })

  it('stops at the bound and before allocating a huge window', () => {
    expect(() => decompressZstd(runOf(1_024), LIMIT)).toThrow('more than 1000 bytes')
    expect(() => decompressZstd(runOf(5, 0xff), LIMIT)).toThrow('window')
  })

  it.each([
    ['nothing but a magic number', Buffer.from([0x28, 0xb5, 0x2f, 0xfd])],
    ['noise', Buffer.from('this is not zstd at all')],
    ['a cut frame', runOf(5).subarray(0, -1)],
  ])('refuses %s', (_, data) => {
    expect(() => decompressZstd(data, LIMIT)).toThrow(/cannot decompress zstd/)
  })
})

describe('gzip', () => {
  it('stops at the bound', async () => {
    expect((await decompressGzip(gzipSync('a'.repeat(1_000)), LIMIT)).length).toBe(1_000)
    await expect(decompressGzip(gzipSync('a'.repeat(1_001)), LIMIT)).rejects.toThrow('cannot decompress gzip')
    await expect(decompressGzip(Buffer.from('x'), LIMIT)).rejects.toMatchObject({ code: 'LOG_UNREACHABLE' })
  })
})
