import { randomUUID } from 'node:crypto'
import { type FileHandle, open, readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { CurfewError } from '../../core/errors.ts'
import type { Logger } from './logger.ts'

/** Where reading goes on: in which file, behind which byte, with which record number. */
export interface FilePosition {
  /** Tells apart two readings whose record numbers begin anew. */
  readonly reading: string
  readonly inode: number
  readonly byte: number
  readonly record: number
}

export interface FollowSettings {
  /** Where acknowledged positions are kept. */
  readonly positionFile: string
  /** How often an idle file is looked at, milliseconds. Default 250. */
  readonly pollMs?: number
  /** Bytes per read, and so about the size of a batch. Default 256 KiB. */
  readonly chunkBytes?: number
}

/** A piece of the file: whole lines, or a part of a line longer than a piece. */
export interface FollowedChunk {
  readonly bytes: Buffer
  readonly inode: number
  /** Byte behind the chunk. */
  readonly byte: number
}

const MAX_SIBLINGS = 10_000
const LF = 0x0a

/** Reads a position written by {@link savePosition}; a new reading when there is none. */
export async function loadPosition(path: string): Promise<FilePosition> {
  const fresh = { reading: randomUUID().slice(0, 8), inode: 0, byte: 0, record: 0 }
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw new CurfewError('STORE_UNREACHABLE', `cannot read ${path}: ${String(error)}`, { cause: error })
  })
  if (text === null) return fresh
  try {
    const { reading, inode, byte, record } = JSON.parse(text) as Partial<Record<string, unknown>>
    if (typeof reading === 'string' && [inode, byte, record].every(Number.isSafeInteger)) {
      return { reading, inode: Number(inode), byte: Number(byte), record: Number(record) }
    }
  } catch (error) {
    throw new CurfewError('STORE_CORRUPT', `${path} is no position of a followed file`, { cause: error })
  }
  throw new CurfewError('STORE_CORRUPT', `${path} is no position of a followed file`)
}

/** Replaces the position in one step. */
export async function savePosition(path: string, position: FilePosition): Promise<void> {
  const draft = `${path}.new`
  await writeFile(draft, JSON.stringify(position), { mode: 0o600 })
  await rename(draft, path)
}

/**
 * Reads a file as it grows, like `tail -F`: when it is renamed the old one is read to its end before its
 * successor, when it is cut reading starts at its front. Yields pieces that end with a line, except that
 * the unfinished last line of a file that was replaced is yielded as it is.
 */
export class FollowedFile {
  readonly #path: string
  readonly #pollMs: number
  readonly #chunkBytes: number
  readonly #log: Logger

  constructor(path: string, settings: FollowSettings, log: Logger) {
    this.#path = path
    this.#pollMs = settings.pollMs ?? 250
    this.#chunkBytes = settings.chunkBytes ?? 262_144
    this.#log = log
  }

  async *chunks(from: FilePosition, stop: AbortSignal): AsyncGenerator<FollowedChunk> {
    let path: string | null =
      (await this.#siblings()).find((entry) => entry.inode === from.inode)?.path ?? null
    let byte = path === null ? 0 : from.byte
    if (path === null && from.inode !== 0) {
      this.#log.warn(
        { path: this.#path },
        'the file that was read last is gone; what it held since then is lost',
      )
    }
    while (!stop.aborted) {
      const handle = await open(path ?? this.#path, 'r').catch((error: unknown) => this.#absent(error))
      if (handle === null) {
        await this.#pause(stop)
        continue
      }
      try {
        const { ino, mtimeMs } = yield* this.#readToItsEnd(handle, byte, stop)
        if (stop.aborted) return
        path = await this.#successor(ino, mtimeMs)
        byte = 0
      } finally {
        await handle.close()
      }
    }
  }

  /** Ends when another file has taken the name. */
  async *#readToItsEnd(handle: FileHandle, start: number, stop: AbortSignal) {
    const { ino } = await handle.stat()
    let byte = start
    let replaced = false
    while (!stop.aborted) {
      const { size, mtimeMs } = await handle.stat()
      if (size < byte) {
        this.#log.warn({ path: this.#path, size, byte }, 'the followed file was cut; reading from its front')
        byte = 0
      }
      const bytes = await readLines(handle, byte, this.#chunkBytes, replaced)
      if (bytes.length > 0) {
        byte += bytes.length
        yield { bytes, inode: ino, byte }
      } else if (replaced) {
        return { ino, mtimeMs }
      } else {
        // A writer may go on with the old file for a moment, so it is read once more after a pause.
        replaced = await this.#isReplaced(ino)
        await this.#pause(stop)
      }
    }
    return { ino, mtimeMs: 0 }
  }

  async #isReplaced(inode: number): Promise<boolean> {
    const current = await stat(this.#path).catch(() => null)
    return current !== null && current.ino !== inode
  }

  async #pause(stop: AbortSignal): Promise<void> {
    await sleep(this.#pollMs, undefined, { signal: stop }).catch(() => undefined)
  }

  #absent(error: unknown): null {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return null
    throw new CurfewError('LOG_UNREACHABLE', `cannot follow ${this.#path}: ${String(error)}`, {
      cause: error,
    })
  }

  /** The file and those that rotation named after it, without compressed ones. */
  async #siblings(): Promise<readonly { path: string; inode: number; mtimeMs: number }[]> {
    const folder = dirname(this.#path)
    const name = basename(this.#path)
    const names = (await readdir(folder).catch(() => [])).filter((entry) => entry.startsWith(name))
    const plain = names.filter((entry) => !/\.(gz|zst|xz|bz2)$/.test(entry)).slice(0, MAX_SIBLINGS)
    const found = await Promise.all(
      plain.map(async (entry) => {
        const path = join(folder, entry)
        const info = await stat(path).catch(() => null)
        return info?.isFile() ? [{ path, inode: info.ino, mtimeMs: info.mtimeMs }] : []
      }),
    )
    return found.flat()
  }

  /** The oldest file younger than the finished one: several rotations may have happened meanwhile. */
  async #successor(inode: number, mtimeMs: number): Promise<string | null> {
    const others = (await this.#siblings()).filter((entry) => entry.inode !== inode)
    const younger = others.filter((entry) => entry.mtimeMs > mtimeMs || entry.path === this.#path)
    return younger.sort((a, b) => a.mtimeMs - b.mtimeMs)[0]?.path ?? null
  }
}

/** Bytes from `start` up to the last line end; all that is left when `whole`. Lines of any length. */
async function readLines(handle: FileHandle, start: number, most: number, whole: boolean): Promise<Buffer> {
  const chunk = Buffer.allocUnsafe(most)
  const { bytesRead } = await handle.read(chunk, 0, most, start)
  const bytes = chunk.subarray(0, bytesRead)
  const end = bytes.lastIndexOf(LF)
  if (end >= 0) return bytes.subarray(0, end + 1)
  // A piece without any line end is either unfinished or part of a line longer than a chunk.
  return whole || bytesRead === most ? bytes : bytes.subarray(0, 0)
}
