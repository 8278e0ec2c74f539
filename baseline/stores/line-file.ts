import { access } from 'node:fs/promises'
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
  readonly #index: { readonly first: number; readonly offset: number }[] = []
  #file!: FrameFile
  #last = 0

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
    for await (const payload of this.#file.payloads(start.offset)) {
      const { first, bodies } = groupOf(payload)
      for (const [i, body] of bodies.entries()) {
        if (first + i > afterSeq) lines.push({ seq: first + i, body })
        if (lines.length === limit) return lines
      }
    }
    return lines
  }

  async close(): Promise<void> {
    await this.#queue.idle()
    await this.#file.close()
  }

  #found(payload: Buffer, offset: number): void {
    const { first, bodies } = groupOf(payload)
    this.#remember(first, bodies.length, offset)
  }

  #remember(first: number, count: number, offset: number): void {
    const indexed = this.#index.at(-1)?.first
    if (indexed === undefined || first - indexed >= INDEX_LINES) this.#index.push({ first, offset })
    this.#last = first + count - 1
  }

  async #flush(waiting: readonly Waiting[]): Promise<number> {
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
      const content: LineGroup = { first, bodies: group.map(({ body }) => body) }
      const offset = await this.#file.append([Buffer.from(JSON.stringify(content))])
      this.#remember(first, taken, offset)
    } catch (error) {
      failure = error
    }
    for (const [i, { settle }] of group.entries()) settle(first + i, failure)
    return taken
  }
}

function groupOf(payload: Buffer): LineGroup {
  // Checksummed and written by this file.
  return JSON.parse(payload.toString())
}
