import { crc32 } from 'node:zlib'
import type { LogRecord, Origin } from '../source.ts'

/**
 * A record in a segment file, all numbers little-endian:
 *
 *     magic u32 | length u32 | crc32 u32 | durable u32 | receivedAt f64 | source length u16 | source | bytes
 *
 * `source` is the name of the source; where the record has an origin, partition, offset and topic of that
 * follow, each behind a NUL. `length` counts what stands behind the checksum; the checksum covers the same and starts from a secret
 * number of the segment, so that nobody can smuggle a valid frame inside a log line. `durable` is how much
 * of the segment was known to be on disk when the frame was written: a damaged frame in front of that mark
 * was acknowledged, one behind it never was.
 */
export const FRAME_MAGIC = 0xf14a5743
const MAGIC_BYTES = Buffer.from([0x43, 0x57, 0x4a, 0xf1])
const PREFIX_BYTES = 12
const FIXED_BYTES = 14

/** The largest record; HTTP bodies are at most half of it. */
export const MAX_RECORD_BYTES = 16_777_216
export const MAX_FRAME_BYTES = PREFIX_BYTES + FIXED_BYTES + 65_535 + MAX_RECORD_BYTES

/** What is appended. */
export interface JournalEntry {
  readonly source: string
  readonly bytes: Uint8Array
  readonly receivedAt: number
  readonly origin?: Origin
}

export interface DecodedFrame {
  readonly record: LogRecord
  /** Size of the whole frame in the file. */
  readonly size: number
  readonly durable: number
}

const PART = '\u0000'

/** Source and origin as one text. No name of a source or topic contains a NUL. */
export function sourceText({ source, origin }: JournalEntry): string {
  return origin === undefined ? source : [source, origin.partition, origin.offset, origin.topic].join(PART)
}

function readSourceText(text: string): Pick<LogRecord, 'source' | 'origin'> {
  const [source = '', partition, offset, topic] = text.split(PART)
  if (topic === undefined) return { source }
  return { source, origin: { topic, partition: Number(partition), offset: Number(offset) } }
}

/** Bytes that the entry takes in a file. */
export function frameSize(entry: JournalEntry): number {
  return PREFIX_BYTES + FIXED_BYTES + Buffer.byteLength(sourceText(entry)) + entry.bytes.length
}

/** Writes the frame at `at`; returns where it ends. The caller checked the bounds. */
export function encodeFrame(
  target: Buffer,
  at: number,
  entry: JournalEntry,
  durable: number,
  seed: number,
): number {
  const body = at + PREFIX_BYTES
  target.writeUInt32LE(durable, body)
  target.writeDoubleLE(entry.receivedAt, body + 4)
  const sourceBytes = target.write(sourceText(entry), body + FIXED_BYTES, 'utf8')
  target.writeUInt16LE(sourceBytes, body + 12)
  target.set(entry.bytes, body + FIXED_BYTES + sourceBytes)
  const end = body + FIXED_BYTES + sourceBytes + entry.bytes.length
  target.writeUInt32LE(FRAME_MAGIC, at)
  target.writeUInt32LE(end - body, at + 4)
  target.writeUInt32LE(crc32(target.subarray(body, end), seed), at + 8)
  return end
}

/** Bytes that the frame at `at` takes, `null` when its prefix is not all there or is no frame. */
export function peekFrame(data: Buffer, at: number): number | null {
  if (at + PREFIX_BYTES > data.length || data.readUInt32LE(at) !== FRAME_MAGIC) return null
  const length = data.readUInt32LE(at + 4)
  return length < FIXED_BYTES || length > MAX_FRAME_BYTES - PREFIX_BYTES ? null : PREFIX_BYTES + length
}

/** The frame at `at`, or null when it is damaged or not all there. The record's bytes are a copy. */
export function decodeFrame(data: Buffer, at: number, offset: number, seed: number): DecodedFrame | null {
  const size = peekFrame(data, at)
  if (size === null || at + size > data.length) return null
  const body = at + PREFIX_BYTES
  const end = at + size
  if (crc32(data.subarray(body, end), seed) !== data.readUInt32LE(at + 8)) return null
  const start = body + FIXED_BYTES + data.readUInt16LE(body + 12)
  if (start > end) return null
  const record = {
    offset,
    receivedAt: data.readDoubleLE(body + 4),
    ...readSourceText(data.toString('utf8', body + FIXED_BYTES, start)),
    bytes: new Uint8Array(data.subarray(start, end)),
  }
  return { record, size, durable: data.readUInt32LE(body) }
}

/** Whether some intact frame behind `from` says that the byte at `from` was already safe on disk. */
export function provesLoss(data: Buffer, from: number, seed: number): boolean {
  for (let at = data.indexOf(MAGIC_BYTES, from + 1); at >= 0; at = data.indexOf(MAGIC_BYTES, at + 1)) {
    const frame = decodeFrame(data, at, 0, seed)
    if (frame !== null && frame.durable > from) return true
  }
  return false
}
