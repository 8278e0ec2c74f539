import { access, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { StoredLine } from '../store.ts'
import { FrameFile, syncFolder } from './frame-file.ts'
import { GroupQueue } from './group-queue.ts'

/** Lines written together: the number of the first, and the texts. */
interface LineGroup {
  readonly first: number
  readonly bodies: readonly string[]
}

interface Waiting {
  readonly body: string
  settle(seq: number, failure: unknown): void
}

/** Every so many lines the place of a frame is remembered: memory stays small however long the log gets. */
const INDEX_LINES = 256
const GROUP_LINES = 1_024
const GROUP_CHARACTERS = 32 * 1024 * 1024

/** An append-only shared log on disk; only a sparse index of it is in memory. */
export class LineFile {
  readonly #queue = new GroupQueue<Waiting>((waiting) => this.#flush(waiting))
  #index: { readonly first: number; readonly offset: number }[] = []
  #file!: FrameFile
  #last = 0
  #first = 1
  /** Groups and replacements of the file take turns. */
  #turn: Promise<unknown> = Promise.resolve()
  #reading = 0
  /** Replaced files that are still being read. */
  #retired: FrameFile[] = []

  /** Opens or starts a log. A torn end is cut and reported; damage elsewhere is `STORE_CORRUPT`. */
  static async open(path: string, onDamage: (detail: string) => void): Promise<LineFile> {
    const log = new LineFile()
    const exists = await access(path).then(
      () => true,
      () => false,
    )
    if (!exists) {
      log.#file = await FrameFile.create(path, 0)
      await syncFolder(dirname(path))
      return log
    }
    const { file, tail } = await FrameFile.open(path, 0, (payload, offset) => log.#found(payload, offset))
    log.#file = file
    if (tail !== null) {
      onDamage(`${path}: ${tail.bytes} unreadable bytes cut at byte ${tail.offset}`)
      await file.cut()
    }
    return log
  }

  /** Durable when resolved. Returns the line's sequence number, from 1. */
  append(body: string): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#queue.push({
        body,
        settle: (seq, failure) => (failure === undefined ? resolve(seq) : reject(failure)),
      })
    })
  }

  /** Lines above a sequence number, oldest first. */
  async read(afterSeq: number, limit: number): Promise<readonly StoredLine[]> {
    const lines: StoredLine[] = []
    const start = this.#index.findLast(({ first }) => first <= afterSeq + 1) ?? this.#index[0]
    if (start === undefined || limit <= 0 || afterSeq >= this.#last) return lines
    this.#reading++
    try {
      for await (const payload of this.#file.payloads(start.offset)) {
        const { first, bodies } = groupOf(payload)
        for (const [i, body] of bodies.entries()) {
          if (first + i > afterSeq) lines.push({ seq: first + i, body })
          if (lines.length === limit) return lines
        }
      }
      return lines
    } finally {
      this.#reading--
      await this.#closeRetired()
    }
  }

  /**
   * Removes lines up to a sequence number, but never the last: its number is where the next goes on. The rest
   * is written to a new file that takes the place of the old in one step; a crash leaves one or the other.
   */
  trim(throughSeq: number): Promise<void> {
    return this.#inTurn(async () => {
      const bound = Math.min(throughSeq, this.#last - 1)
      if (bound < this.#first) return
      const { path } = this.#file
      const next = await FrameFile.create(`${path}.tmp`, 0)
      const index: { first: number; offset: number }[] = []
      try {
        for await (const payload of this.#file.payloads(this.#startOf(bound))) {
          const { first, bodies } = groupOf(payload)
          const kept = bodies.slice(Math.max(0, bound + 1 - first))
          if (kept.length === 0) continue
          const from = Math.max(first, bound + 1)
          const offset = await next.append([encodeGroup({ first: from, bodies: kept })], false)
          if (index.length === 0 || from - index.at(-1)!.first >= INDEX_LINES)
            index.push({ first: from, offset })
        }
        await next.sync()
        await rename(`${path}.tmp`, path)
      } catch (error) {
        await next.close()
        await rm(`${path}.tmp`, { force: true })
        throw error
      }
      await syncFolder(dirname(path))
      this.#retired.push(this.#file)
      this.#file = next.renamed(path)
      this.#index = index
      this.#first = bound + 1
      await this.#closeRetired()
    })
  }

  async #closeRetired(): Promise<void> {
    if (this.#reading === 0) for (const file of this.#retired.splice(0)) await file.close()
  }

  #startOf(seq: number): number {
    return (this.#index.findLast(({ first }) => first <= seq + 1) ?? this.#index[0])!.offset
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(work)
    this.#turn = mine.catch(() => undefined)
    return mine
  }

  async close(): Promise<void> {
    await this.#queue.idle()
    await this.#turn
    await this.#file.close()
  }

  #found(payload: Buffer, offset: number): void {
    const { first, bodies } = groupOf(payload)
    this.#remember(first, bodies.length, offset)
  }

  #remember(first: number, count: number, offset: number): void {
    const indexed = this.#index.at(-1)?.first
    if (indexed === undefined) this.#first = first
    if (indexed === undefined || first - indexed >= INDEX_LINES) this.#index.push({ first, offset })
    this.#last = first + count - 1
  }

  #flush(waiting: readonly Waiting[]): Promise<number> {
    return this.#inTurn(() => this.#append(waiting))
  }

  async #append(waiting: readonly Waiting[]): Promise<number> {
    let characters = 0
    let taken = 0
    while (taken < waiting.length && taken < GROUP_LINES && characters < GROUP_CHARACTERS) {
      characters += waiting[taken]!.body.length
      taken++
    }
    const group = waiting.slice(0, taken)
    const first = this.#last + 1
    let failure: unknown
    try {
      const content = encodeGroup({ first, bodies: group.map(({ body }) => body) })
      const offset = await this.#file.append([content])
      this.#remember(first, taken, offset)
    } catch (error) {
      failure = error
    }
    for (const [i, { settle }] of group.entries()) settle(first + i, failure)
    return taken
  }
}

function encodeGroup(group: LineGroup): Buffer {
  return Buffer.from(JSON.stringify(group))
}

function groupOf(payload: Buffer): LineGroup {
  // Checksummed and written by this file.
  return JSON.parse(payload.toString())
}
