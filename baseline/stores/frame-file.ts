import { randomBytes } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { crc32 } from 'node:zlib'
import { CurfewError } from '../../core/errors.ts'

/**
 * A file of checksummed frames that only grows.
 *
 * Header, 28 bytes: `CURFEWF1`, 8 random bytes (the salt), generation (u64), CRC-32 of the 24 bytes before.
 * Frame: the first 4 bytes of the salt, payload length (u32), number of the frame in this file from 1 (u64),
 * CRC-32 (u32) over salt, number, length and payload. Numbers are little-endian.
 *
 * The salt is secret and new in each file, so that content written by strangers, which the payloads carry,
 * can neither look like a frame nor slow the search for one down.
 */
const MAGIC = 'CURFEWF'
const VERSION = '1'
const HEADER_BYTES = 28
const FRAME_HEADER_BYTES = 20
/** Largest payload of a frame. */
export const MAX_FRAME_BYTES = 256 * 1024 * 1024
const WINDOW_BYTES = 1024 * 1024
/** Parts are joined into one write until they are this large together. */
const JOIN_BYTES = 4 * 1024 * 1024

/** What opening a file found behind its last good frame. */
export interface Tail {
  /** Where the good frames end. */
  readonly offset: number
  /** Bytes behind it that are not a frame. */
  readonly bytes: number
}

interface Frame {
  readonly payload: Buffer
  readonly next: number
}

function corrupt(path: string, offset: number, what: string, cause?: unknown): CurfewError {
  return new CurfewError('STORE_CORRUPT', `${path} is damaged at byte ${offset}: ${what}`, { cause })
}

function header(generation: number, salt: Buffer): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES)
  bytes.write(MAGIC + VERSION, 0, 'latin1')
  salt.copy(bytes, 8)
  bytes.writeBigUInt64LE(BigInt(generation), 16)
  bytes.writeUInt32LE(crc32(bytes.subarray(0, 24)), 24)
  return bytes
}

function frameHeader(salt: Buffer, number: number, payload: readonly Uint8Array[], length: number): Buffer {
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES)
  salt.copy(bytes, 0, 0, 4)
  bytes.writeUInt32LE(length, 4)
  bytes.writeBigUInt64LE(BigInt(number), 8)
  let sum = crc32(bytes.subarray(4, 16), crc32(salt))
  for (const part of payload) sum = crc32(part, sum)
  bytes.writeUInt32LE(sum, 16)
  return bytes
}

/** Reads ranges of a file through a window, so that small frames do not cost a system call each. */
class Window {
  readonly size: number
  readonly #handle: FileHandle
  #start = 0
  #bytes: Buffer = Buffer.alloc(0)

  constructor(handle: FileHandle, size: number) {
    this.#handle = handle
    this.size = size
  }

  async at(offset: number, length: number): Promise<Buffer> {
    if (offset < this.#start || offset + length > this.#start + this.#bytes.length) {
      const wanted = Math.min(Math.max(length, WINDOW_BYTES), this.size - offset)
      // A buffer of its own: earlier payloads may still be in use.
      const bytes = Buffer.allocUnsafeSlow(Math.max(wanted, 0))
      let filled = 0
      while (filled < bytes.length) {
        const { bytesRead } = await this.#handle.read(bytes, filled, bytes.length - filled, offset + filled)
        if (bytesRead === 0) break
        filled += bytesRead
      }
      this.#start = offset
      this.#bytes = bytes.subarray(0, filled)
    }
    return this.#bytes.subarray(offset - this.#start, offset - this.#start + length)
  }
}

/** The frame at an offset, or null when there is none with a right checksum. */
async function frameAt(
  window: Window,
  salt: Buffer,
  offset: number,
  number: number | null,
): Promise<Frame | null> {
  if (offset + FRAME_HEADER_BYTES > window.size) return null
  const head = Buffer.from(await window.at(offset, FRAME_HEADER_BYTES))
  if (head.length < FRAME_HEADER_BYTES || head.compare(salt, 0, 4, 0, 4) !== 0) return null
  const length = head.readUInt32LE(4)
  const found = Number(head.readBigUInt64LE(8))
  if (length > MAX_FRAME_BYTES || offset + FRAME_HEADER_BYTES + length > window.size) return null
  if (number !== null && found !== number) return null
  const payload = await window.at(offset + FRAME_HEADER_BYTES, length)
  if (payload.length < length) return null
  if (frameHeader(salt, found, [payload], length).readUInt32LE(16) !== head.readUInt32LE(16)) return null
  return { payload, next: offset + FRAME_HEADER_BYTES + length }
}

/** Where a good frame stands behind a bad one, or -1: the difference between a torn end and damage. */
async function laterFrame(window: Window, salt: Buffer, from: number): Promise<number> {
  const mark = salt.subarray(0, 4)
  for (let start = from; start < window.size; start += WINDOW_BYTES - 4) {
    const bytes = Buffer.from(await window.at(start, Math.min(WINDOW_BYTES, window.size - start)))
    for (let hit = bytes.indexOf(mark); hit !== -1; hit = bytes.indexOf(mark, hit + 1)) {
      if ((await frameAt(window, salt, start + hit, null)) !== null) return start + hit
    }
  }
  return -1
}

/** Makes created, renamed and removed names of a folder durable. */
export async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** An open file of frames. One writer; `append` is not to be called again before it settled. */
export class FrameFile {
  /** Where the file is; see {@link renamed}. */
  path: string
  readonly #handle: FileHandle
  readonly #salt: Buffer
  #size: number
  #frames: number
  #broken = false

  private constructor(path: string, handle: FileHandle, salt: Buffer, size: number, frames: number) {
    this.path = path
    this.#handle = handle
    this.#salt = salt
    this.#size = size
    this.#frames = frames
  }

  /** Bytes that are durable. */
  get size(): number {
    return this.#size
  }

  /** Starts a file anew. The caller makes its name durable with {@link syncFolder}. */
  static async create(path: string, generation: number): Promise<FrameFile> {
    const handle = await open(path, 'w+')
    const salt = randomBytes(8)
    try {
      await handle.write(header(generation, salt), 0, HEADER_BYTES, 0)
      await handle.datasync()
    } catch (error) {
      await handle.close()
      throw new CurfewError('STORE_UNREACHABLE', `cannot write ${path}`, { retriable: true, cause: error })
    }
    return new FrameFile(path, handle, salt, HEADER_BYTES, 0)
  }

  /**
   * Opens a file and shows each good frame to `visit` in order, with where it stands. The bytes of a torn
   * end stay in the file until {@link cut}. Throws `STORE_CORRUPT` naming file and offset when a good frame
   * stands behind a bad one, `STORE_NEWER_LAYOUT` for a file of a later release.
   */
  static async open(
    path: string,
    generation: number,
    visit: (payload: Buffer, offset: number) => void,
  ): Promise<{ readonly file: FrameFile; readonly tail: Tail | null }> {
    const handle = await open(path, 'r+')
    try {
      const window = new Window(handle, (await handle.stat()).size)
      const head = Buffer.from(await window.at(0, Math.min(HEADER_BYTES, window.size)))
      if (
        head.length === HEADER_BYTES &&
        head.toString('latin1', 0, 7) === MAGIC &&
        head[7]! > VERSION.charCodeAt(0)
      ) {
        throw new CurfewError('STORE_NEWER_LAYOUT', `${path} was written by a later release`)
      }
      const salt = head.subarray(8, 16)
      if (head.length < HEADER_BYTES || !head.equals(header(generation, salt))) {
        // Frames are only written behind a durable header, so a file this short never held any.
        if (window.size > HEADER_BYTES) throw corrupt(path, 0, 'the header is wrong')
        await handle.truncate(0)
        await handle.close()
        return { file: await FrameFile.create(path, generation), tail: { offset: 0, bytes: window.size } }
      }
      let offset = HEADER_BYTES
      let frames = 0
      for (;;) {
        const frame = await frameAt(window, salt, offset, frames + 1)
        if (frame === null) break
        visit(frame.payload, offset)
        frames++
        offset = frame.next
      }
      const bytes = window.size - offset
      if (bytes > 0 && (await laterFrame(window, salt, offset + 1)) !== -1) {
        throw corrupt(path, offset, 'the checksum is wrong and good data follows')
      }
      const file = new FrameFile(path, handle, salt, offset, frames)
      return { file, tail: bytes > 0 ? { offset, bytes } : null }
    } catch (error) {
      await handle.close().catch(() => undefined)
      throw error
    }
  }

  /** Removes a torn end for good. */
  async cut(): Promise<void> {
    await this.#handle.truncate(this.#size)
    await this.#handle.datasync()
  }

  /** The durable payloads from an offset on that `open` or `append` gave. */
  async *payloads(from: number): AsyncGenerator<Buffer> {
    const window = new Window(this.#handle, this.#size)
    for (let offset = from; offset < window.size; ) {
      const frame = await frameAt(window, this.#salt, offset, null)
      if (frame === null) throw corrupt(this.path, offset, 'the checksum is wrong')
      yield frame.payload
      offset = frame.next
    }
  }

  /**
   * Writes one frame; durable when resolved. Returns its offset. A full disk is retriable and leaves the
   * file as it was; after a failed sync nothing is known, so the file refuses everything until reopened.
   */
  async append(payload: readonly Uint8Array[], sync = true): Promise<number> {
    if (this.#broken)
      throw new CurfewError('STORE_UNREACHABLE', `${this.path} failed earlier; restart to recover`)
    const length = payload.reduce((sum, part) => sum + part.byteLength, 0)
    if (length > MAX_FRAME_BYTES)
      throw new RangeError(`frame of ${length} bytes, the limit is ${MAX_FRAME_BYTES}`)
    const head = frameHeader(this.#salt, this.#frames + 1, payload, length)
    const offset = this.#size
    try {
      await this.#write([head, ...payload], offset)
    } catch (error) {
      await this.#handle.truncate(offset).catch(() => {
        this.#broken = true
      })
      throw new CurfewError('STORE_UNREACHABLE', `cannot write ${this.path}`, {
        retriable: !this.#broken,
        cause: error,
      })
    }
    if (sync) await this.sync()
    this.#size = offset + head.length + length
    this.#frames++
    return offset
  }

  /** Makes frames appended without sync durable. */
  async sync(): Promise<void> {
    try {
      await this.#handle.datasync()
    } catch (error) {
      this.#broken = true
      throw new CurfewError('STORE_UNREACHABLE', `cannot sync ${this.path}; restart to recover`, {
        cause: error,
      })
    }
  }

  /** Notes where the file was moved to. */
  renamed(path: string): this {
    this.path = path
    return this
  }

  async close(): Promise<void> {
    await this.#handle.close()
  }

  async #write(parts: readonly Uint8Array[], start: number): Promise<void> {
    let offset = start
    let pending: Uint8Array[] = []
    let bytes = 0
    const flush = async () => {
      const joined = pending.length === 1 ? pending[0]! : Buffer.concat(pending, bytes)
      for (let done = 0; done < joined.byteLength; ) {
        const { bytesWritten } = await this.#handle.write(
          joined,
          done,
          joined.byteLength - done,
          offset + done,
        )
        done += bytesWritten
      }
      offset += joined.byteLength
      pending = []
      bytes = 0
    }
    for (const part of parts) {
      if (bytes > 0 && bytes + part.byteLength > JOIN_BYTES) await flush()
      pending.push(part)
      bytes += part.byteLength
    }
    if (bytes > 0) await flush()
  }
}
