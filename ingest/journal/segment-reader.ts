import { type FileHandle, open } from 'node:fs/promises'
import type { LogRecord } from '../source.ts'
import { decodeFrame, MAX_FRAME_BYTES, peekFrame } from './frame.ts'
import { corrupt, HEADER_BYTES, type Segment } from './segment.ts'

const FIRST_READ_BYTES = 262_144

/** Reads the records of one segment in order, as far as they are on disk. */
export class SegmentReader {
  readonly segment: Segment
  readonly #handle: FileHandle
  #buffer: Buffer = Buffer.alloc(0)
  #at = 0
  #position = HEADER_BYTES
  #next: number

  private constructor(segment: Segment, handle: FileHandle) {
    this.segment = segment
    this.#handle = handle
    this.#next = segment.first
  }

  static async open(segment: Segment): Promise<SegmentReader> {
    return new SegmentReader(segment, await open(segment.path, 'r'))
  }

  /** Offset of the record that comes next. */
  get next(): number {
    return this.#next
  }

  /**
   * At most `maxRecords` records of about `maxBytes`, none at or above `end` (an offset). The records
   * below `end` must be on disk: one that cannot be read is `STORE_CORRUPT`.
   */
  async read(end: number, maxRecords: number, maxBytes: number): Promise<LogRecord[]> {
    const records: LogRecord[] = []
    let bytes = 0
    while (this.#next < end && records.length < maxRecords && bytes < maxBytes) {
      const frame = decodeFrame(this.#buffer, this.#at, this.#next, this.segment.seed)
      if (frame === null) {
        if (records.length > 0) break
        await this.#more()
        continue
      }
      records.push(frame.record)
      bytes += frame.size
      this.#at += frame.size
      this.#next += 1
    }
    return records
  }

  close(): Promise<void> {
    return this.#handle.close()
  }

  /** Reads on in the file; fails when what is there already should have been enough. */
  async #more(): Promise<void> {
    const rest = this.#buffer.subarray(this.#at)
    const wanted = peekFrame(rest, 0)
    if (rest.length >= MAX_FRAME_BYTES || (wanted !== null && rest.length >= wanted)) throw this.#damaged()
    const onDisk = this.segment.size - this.#position
    if (onDisk <= 0) throw this.#damaged()
    const chunk = Buffer.allocUnsafe(
      Math.min(onDisk, Math.max(FIRST_READ_BYTES, (wanted ?? 0) - rest.length)),
    )
    const { bytesRead } = await this.#handle.read(chunk, 0, chunk.length, this.#position)
    if (bytesRead === 0) throw this.#damaged()
    this.#buffer = Buffer.concat([rest, chunk.subarray(0, bytesRead)])
    this.#at = 0
    this.#position += bytesRead
  }

  #damaged(): Error {
    const position = this.#position - (this.#buffer.length - this.#at)
    return corrupt(this.segment.path, position, `record ${this.#next} cannot be read`)
  }
}
