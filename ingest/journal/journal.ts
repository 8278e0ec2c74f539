import { type FileHandle, mkdir, open, rm } from 'node:fs/promises'
import { CurfewError } from '../../core/errors.ts'
import { lockFolder } from '../../files/folder-lock.ts'
import { sealedNothing } from '../sealed.ts'
import type { EventLog, LogRecord, PartitionOwner } from '../source.ts'
import { type Logger, SILENT } from '../sources/logger.ts'
import { JournalWriter, type WriterLimits } from './journal-writer.ts'
import {
  createSegment,
  listSegments,
  openSegment,
  recoverSegment,
  type Segment,
  syncFolder,
} from './segment.ts'
import { SegmentReader } from './segment-reader.ts'

export interface JournalOptions {
  readonly folder: string
  /** Default 64 MiB. */
  readonly segmentBytes?: number
  /** Default 8 GiB. */
  readonly maxBytes?: number
  /** Default 64 MiB. */
  readonly maxPendingBytes?: number
  /** How often an idle reader is called, milliseconds. Default 1,000. */
  readonly idleMs?: number
  readonly log?: Logger
}

const MEBIBYTE = 1_048_576
const MAX_BATCH_RECORDS = 1_000
const MAX_BATCH_BYTES = MEBIBYTE

/** The engine's own log as a local folder, with one partition: 0. One process at a time. */
export class Journal implements EventLog {
  readonly partitions = 1
  readonly #unlock: () => Promise<void>
  readonly #segments: Segment[]
  readonly #writer: JournalWriter
  readonly #idleMs: number
  readonly #closing = new AbortController()
  #wake: () => void = () => undefined
  #reading: Promise<void> | null = null

  private constructor(
    options: JournalOptions,
    unlock: () => Promise<void>,
    segments: Segment[],
    handle: FileHandle,
    next: number,
  ) {
    const limits: WriterLimits = {
      segmentBytes: options.segmentBytes ?? 64 * MEBIBYTE,
      maxBytes: options.maxBytes ?? 8_192 * MEBIBYTE,
      maxPendingBytes: options.maxPendingBytes ?? 64 * MEBIBYTE,
    }
    this.#unlock = unlock
    this.#segments = segments
    this.#idleMs = options.idleMs ?? 1_000
    this.#writer = new JournalWriter(options.folder, segments, handle, next, limits, () => this.#wake())
  }

  /**
   * Opens or creates the journal. `STORE_FENCED` when another process has it, `STORE_CORRUPT` when a record
   * that was acknowledged cannot be read.
   */
  static async open(options: JournalOptions): Promise<Journal> {
    const { folder } = options
    await mkdir(folder, { recursive: true, mode: 0o700 })
    const unlock = await lockFolder(folder)
    try {
      const segments = await openAll(folder)
      const { handle, next } = await openNewest(folder, segments, options.log ?? SILENT)
      return new Journal(options, unlock, segments, handle, next)
    } catch (error) {
      await unlock()
      throw error
    }
  }

  /** Offset of the oldest record still there. */
  get first(): number {
    return this.#segments[0]?.first ?? 0
  }

  /** Offset that the next record will get. */
  get next(): number {
    return this.#writer.next
  }

  async append(records: Parameters<EventLog['append']>[0]): Promise<void> {
    const stray = records.find((record) => record.partition !== 0)
    if (stray !== undefined) throw new RangeError(`the journal has partition 0 only, not ${stray.partition}`)
    await this.#writer.append(records)
  }

  /**
   * Appends a record that holds nothing to a segment of its own: once it is released, everything before it has
   * left the disk, although nobody calls. Returns an offset that lies behind everything appended before.
   */
  async renew(): Promise<number> {
    const before = this.next
    await this.#writer.appendAnew([{ source: 'curfew', bytes: sealedNothing(), receivedAt: 0 }])
    return before
  }

  async read(owner: PartitionOwner, stop: AbortSignal): Promise<void> {
    if (this.#reading !== null) throw new CurfewError('STORE_FENCED', 'the journal is being read already')
    const ended = AbortSignal.any([stop, this.#closing.signal])
    if (ended.aborted) return
    const wake = () => this.#wake()
    ended.addEventListener('abort', wake)
    this.#reading = this.#serve(owner, ended).finally(() => {
      ended.removeEventListener('abort', wake)
      this.#reading = null
    })
    await this.#reading
  }

  async at(partition: number, offset: number): Promise<LogRecord | null> {
    if (partition !== 0 || offset < this.first || offset >= this.next) return null
    const reader = await this.#open(offset)
    try {
      const [record] = await reader.read(offset + 1, 1, MAX_BATCH_BYTES)
      return record ?? null
    } finally {
      await reader.close()
    }
  }

  /** Removes the segments that hold only records below the offset: a restart compares the record at it. */
  async release(_partition: number, offset: number): Promise<void> {
    for (;;) {
      const [oldest, second] = this.#segments
      if (oldest === undefined || second === undefined || second.first > offset) return
      this.#segments.shift()
      await rm(oldest.path, { force: true })
    }
  }

  async close(): Promise<void> {
    if (this.#closing.signal.aborted) return
    this.#closing.abort()
    await this.#reading?.catch(() => undefined)
    await this.#writer.close()
    await this.#unlock()
  }

  async #serve(owner: PartitionOwner, ended: AbortSignal): Promise<void> {
    const start = await owner.assigned(0)
    let reader: SegmentReader | null = null
    try {
      this.#checkStart(start)
      let position = start
      while (!ended.aborted) {
        if (position >= this.next) {
          if (!(await this.#waitForMore(position, ended)) && !ended.aborted) await owner.records(0, [], true)
          continue
        }
        const current: SegmentReader = await this.#advance(reader, position)
        reader = current
        const records = await current.read(this.#endOf(current), MAX_BATCH_RECORDS, MAX_BATCH_BYTES)
        position += records.length
        await owner.records(0, records, position >= this.next)
      }
    } finally {
      await reader?.close()
      await owner.revoked(0)
    }
  }

  #checkStart(start: number): void {
    if (start >= this.first && start <= this.next) return
    const range = `it holds ${this.first} to ${this.next - 1}`
    throw new CurfewError('LOG_GAP', `the state goes on at record ${start} of the journal, but ${range}`)
  }

  /** True when records came, false when the idle time passed. */
  #waitForMore(position: number, ended: AbortSignal): Promise<boolean> {
    return new Promise((resolve) => {
      const finish = () => {
        clearTimeout(timer)
        this.#wake = () => undefined
        resolve(position < this.next)
      }
      const timer = setTimeout(finish, this.#idleMs)
      this.#wake = finish
      if (ended.aborted || position < this.next) finish()
    })
  }

  #endOf(reader: SegmentReader): number {
    const following = this.#segments.find((segment) => segment.first > reader.segment.first)
    return Math.min(following?.first ?? this.next, this.next)
  }

  /** The reader that stands at the position: the given one, or one over the next segment. */
  async #advance(reader: SegmentReader | null, position: number): Promise<SegmentReader> {
    if (reader !== null && reader.next < this.#endOf(reader)) return reader
    await reader?.close()
    return this.#open(position)
  }

  async #open(offset: number): Promise<SegmentReader> {
    const segment = this.#segments.findLast((entry) => entry.first <= offset)
    if (segment === undefined) throw new CurfewError('LOG_GAP', `record ${offset} of the journal is gone`)
    const reader = await SegmentReader.open(segment)
    try {
      while (reader.next < offset) await reader.read(offset, MAX_BATCH_RECORDS, MAX_BATCH_BYTES)
    } catch (error) {
      await reader.close()
      throw error
    }
    return reader
  }
}

/** Opens what is there; a newest file whose header never reached the disk is removed. */
async function openAll(folder: string): Promise<Segment[]> {
  const found = await listSegments(folder)
  const segments: Segment[] = []
  for (const entry of found) {
    const segment = await openSegment(entry)
    if (segment !== null) segments.push(segment)
    else if (entry === found.at(-1)) await rm(entry.path)
    else
      throw new CurfewError(
        'STORE_CORRUPT',
        `journal segment ${entry.path} is damaged at byte 0: it has no header`,
      )
  }
  return segments
}

/** Cuts a torn tail off the newest segment and opens it for appending. */
async function openNewest(
  folder: string,
  segments: Segment[],
  log: Logger,
): Promise<{ handle: FileHandle; next: number }> {
  const newest = segments.at(-1)
  if (newest === undefined) {
    const { segment, handle } = await createSegment(folder, 0)
    segments.push(segment)
    return { handle, next: 0 }
  }
  const { records, end } = await recoverSegment(newest)
  const handle = await open(newest.path, 'r+')
  if (end < newest.size) {
    log.warn(
      { segment: newest.path, position: end, bytes: newest.size - end },
      'journal: cut off an unfinished write',
    )
    await handle.truncate(end)
    await syncFolder(folder)
  }
  // What survived a crash may be in memory only; from here on it counts as acknowledged.
  await handle.sync()
  newest.size = end
  return { handle, next: newest.first + records }
}
