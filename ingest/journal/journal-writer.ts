import type { FileHandle } from 'node:fs/promises'
import { CurfewError } from '../../core/errors.ts'
import { encodeFrame, frameSize, type JournalEntry, MAX_RECORD_BYTES, sourceText } from './frame.ts'
import { createSegment, type Segment } from './segment.ts'

export interface WriterLimits {
  /** A segment that reached this size is closed and a new one begun. */
  readonly segmentBytes: number
  /** Most bytes of all segments together. */
  readonly maxBytes: number
  /** Most bytes that may wait for the disk. */
  readonly maxPendingBytes: number
}

interface Pending {
  readonly entries: readonly JournalEntry[]
  readonly bytes: number
  readonly done: (error: CurfewError | null) => void
}

const MAX_WRITE_BYTES = 8_388_608

/**
 * Appends in the order of the calls. Everything that waits goes to disk in one write and one `fdatasync`.
 * A failed append fails all that wait behind it, so that nothing overtakes it.
 */
export class JournalWriter {
  readonly #folder: string
  readonly #segments: Segment[]
  readonly #limits: WriterLimits
  readonly #onDurable: () => void
  #handle: FileHandle
  #next: number
  #pending: Pending[] = []
  #pendingBytes = 0
  #working: Promise<void> | null = null
  #broken: CurfewError | null = null
  #rollNext = false

  /** `segments` is shared with the readers; its last member is the open one, `handle` its file. */
  constructor(
    folder: string,
    segments: Segment[],
    handle: FileHandle,
    next: number,
    limits: WriterLimits,
    onDurable: () => void,
  ) {
    this.#folder = folder
    this.#segments = segments
    this.#handle = handle
    this.#next = next
    this.#limits = limits
    this.#onDurable = onDurable
  }

  /** Offset behind the last durable record. */
  get next(): number {
    return this.#next
  }

  append(entries: readonly JournalEntry[]): Promise<void> {
    if (entries.length === 0) return Promise.resolve()
    let bytes = 0
    for (const entry of entries) {
      if (entry.bytes.length > MAX_RECORD_BYTES || Buffer.byteLength(sourceText(entry)) > 65_535) {
        return Promise.reject(
          new CurfewError(
            'LOG_FULL',
            `a record of ${entry.bytes.length} bytes is larger than the journal takes`,
          ),
        )
      }
      bytes += frameSize(entry)
    }
    if (this.#broken !== null) return Promise.reject(this.#broken)
    if (this.#pendingBytes + bytes > this.#limits.maxPendingBytes && this.#pendingBytes > 0) {
      return Promise.reject(
        new CurfewError('LOG_FULL', 'too much waits for the journal', { retriable: true }),
      )
    }
    this.#pendingBytes += bytes
    return new Promise((resolve, reject) => {
      this.#pending.push({ entries, bytes, done: (error) => (error === null ? resolve() : reject(error)) })
      this.#working ??= this.#drain().finally(() => {
        this.#working = null
      })
    })
  }

  /** Appends to a segment of its own, whatever room the open one has. */
  appendAnew(entries: readonly JournalEntry[]): Promise<void> {
    this.#rollNext = true
    return this.append(entries)
  }

  /** Waits for what was appended and closes the file. */
  async close(): Promise<void> {
    await this.#working
    this.#broken ??= new CurfewError('ABORTED', 'the journal is closed')
    await this.#handle.close()
  }

  async #drain(): Promise<void> {
    // Lets appends of the same turn share one write.
    await new Promise(setImmediate)
    while (this.#pending.length > 0) {
      const group = this.#takeGroup()
      try {
        await this.#write(group)
      } catch (error) {
        const failure = await this.#recover(error)
        const failed = [...group, ...this.#pending]
        this.#pending = []
        this.#pendingBytes = 0
        for (const pending of failed) pending.done(failure)
        return
      }
      for (const pending of group) {
        this.#pendingBytes -= pending.bytes
        pending.done(null)
      }
      this.#onDurable()
    }
  }

  #takeGroup(): readonly Pending[] {
    let bytes = 0
    let count = 0
    for (const pending of this.#pending) {
      if (count > 0 && bytes + pending.bytes > MAX_WRITE_BYTES) break
      bytes += pending.bytes
      count += 1
    }
    return this.#pending.splice(0, count)
  }

  #current(): Segment {
    const segment = this.#segments.at(-1)
    if (segment === undefined) throw new Error('the journal has no open segment')
    return segment
  }

  async #write(group: readonly Pending[]): Promise<void> {
    const bytes = group.reduce((sum, pending) => sum + pending.bytes, 0)
    const total = this.#segments.reduce((sum, segment) => sum + segment.size, 0)
    if (total + bytes > this.#limits.maxBytes) {
      const text = `the journal ${this.#folder} holds ${total} bytes, its limit is ${this.#limits.maxBytes}`
      throw new CurfewError('LOG_FULL', text, { retriable: true })
    }
    const full = this.#current().size >= this.#limits.segmentBytes
    if (full || (this.#rollNext && this.#next > this.#current().first)) await this.#roll()
    this.#rollNext = false
    const segment = this.#current()
    const data = Buffer.allocUnsafe(bytes)
    let at = 0
    let records = 0
    for (const { entries } of group) {
      for (const entry of entries) at = encodeFrame(data, at, entry, segment.size, segment.seed)
      records += entries.length
    }
    for (let written = 0; written < at; ) {
      const { bytesWritten } = await this.#handle.write(data, written, at - written, segment.size + written)
      written += bytesWritten
    }
    await this.#handle.datasync()
    segment.size += at
    this.#next += records
  }

  async #roll(): Promise<void> {
    const { segment, handle } = await createSegment(this.#folder, this.#next)
    await this.#handle.close()
    this.#handle = handle
    this.#segments.push(segment)
  }

  /**
   * Takes back what a failed write left. After an I/O error other than a full disk nobody knows what the
   * disk holds (a second fsync would lie), so the journal stays closed until it is opened again.
   */
  async #recover(error: unknown): Promise<CurfewError> {
    if (error instanceof CurfewError) return error
    const code = error instanceof Error && 'code' in error ? String(error.code) : ''
    const text = `cannot write to the journal ${this.#folder}: ${error instanceof Error ? error.message : String(error)}`
    const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG'
    const undone = await this.#handle.truncate(this.#current().size).then(
      () => true,
      () => false,
    )
    if (full && undone) return new CurfewError('LOG_FULL', text, { retriable: true, cause: error })
    this.#broken = new CurfewError('LOG_UNREACHABLE', text, { cause: error })
    return this.#broken
  }
}
