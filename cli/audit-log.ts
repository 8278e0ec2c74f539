import type { StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import { type Clock, isoTime } from '../core/time.ts'
import type { AuditView } from '../engine/control-plane.ts'
import {
  type AuditEntry,
  type AuditedChange,
  type ChainHead,
  EMPTY_CHAIN,
  nextEntry,
  parseEntry,
} from './audit-chain.ts'
import type { AuditSubject, AuditSubjects } from './audit-subjects.ts'

/** Name of the shared log. */
export const AUDIT_LOG = 'audit'

/** An entry with its place in the log of all writers; an export holds these, so it can be verified. */
export interface AuditRecord extends AuditEntry, AuditView {}

export interface AuditLog {
  /**
   * Durable when resolved: append first, change afterwards. Throws what the store throws, and `STORE_FENCED`
   * when another process writes under the same name; the change must not happen then.
   */
  append(change: AuditedChange, about?: AuditSubject): Promise<AuditRecord>
  /** Entries of all writers above a sequence number, oldest first. */
  read(afterSeq: number, limit: number): Promise<readonly AuditRecord[]>
}

export interface AuditLogOptions {
  readonly store: StateStore
  /** Name of this process's chain; one process at a time may use it. Lower-case letters, digits and hyphens. */
  readonly writer: string
  readonly clock: Clock
  /** Seals what is said about a principal; without it everything is stored as it is. */
  readonly subjects?: AuditSubjects
}

/** What is remembered beside the log, so that a restart reads its tail only. */
export interface StoredHead extends ChainHead {
  /** Number of the line that holds the entry; 0 before the first. */
  readonly line: number
}

const NO_HEAD: StoredHead = { ...EMPTY_CHAIN, line: 0 }
const WRITER = /^[a-z0-9-]{1,64}$/
const TAIL_PAGE = 500
const MAX_ATTEMPTS = 5

/** Name of the document with the end of a writer's chain. */
export function headDocument(writer: string): string {
  return `audit-head/${writer}`
}

/**
 * Takes over a writer's chain where it ended. Its end is kept in a document that is written before each
 * entry, where a second process loses the race, and after it; a crash leaves at most one line to find behind it.
 */
export async function openAuditLog(options: AuditLogOptions): Promise<AuditLog> {
  if (!WRITER.test(options.writer)) throw new RangeError(`writer must match ${WRITER.source}`)
  const chain = new WriterChain(options)
  await chain.takeOver()
  return {
    append: (change, about) => chain.append(change, about),
    read: async (afterSeq, limit) => {
      const records = await readAudit(options.store, afterSeq, limit)
      return records.map((record) => options.subjects?.opened(record) ?? record)
    },
  }
}

/** Entries of all writers above a sequence number. Throws `STORE_CORRUPT` for a line that is none. */
export async function readAudit(
  store: StateStore,
  afterSeq: number,
  limit: number,
): Promise<readonly AuditRecord[]> {
  const lines = await store.readLines(AUDIT_LOG, afterSeq, limit)
  return lines.map(({ seq, body }) => {
    const entry = parseEntry(body)
    if (entry === null)
      throw new CurfewError('STORE_CORRUPT', `line ${seq} of the audit log is no audit entry`)
    return { seq, ...entry }
  })
}

class WriterChain {
  private readonly options: AuditLogOptions
  private head: StoredHead = NO_HEAD
  private version = 0
  /** False after a failed append: the line may or may not be there. */
  private certain = false
  private turn: Promise<unknown> = Promise.resolve()

  constructor(options: AuditLogOptions) {
    this.options = options
  }

  /** Finds the end of the chain and makes it known as ours. */
  async takeOver(): Promise<void> {
    for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
      const { store, writer } = this.options
      const stored = await store.getDocument(headDocument(writer))
      this.head = await this.findEnd(stored.version === 0 ? NO_HEAD : (JSON.parse(stored.body) as StoredHead))
      if (await this.claim(stored.version)) {
        this.certain = true
        return
      }
    }
    throw this.fenced()
  }

  append(change: AuditedChange, about?: AuditSubject): Promise<AuditRecord> {
    const mine = this.turn.then(() => this.appendNow(change, about))
    this.turn = mine.catch(() => undefined)
    return mine
  }

  private async appendNow(change: AuditedChange, about?: AuditSubject): Promise<AuditRecord> {
    const { store, writer, clock, subjects } = this.options
    const seal = about === undefined ? undefined : await subjects?.sealFor(about)
    if (!this.certain) this.head = await this.findEnd(this.head)
    this.certain = false
    if (!(await this.claim(this.version))) throw this.fenced()
    const entry = nextEntry(this.head, writer, isoTime(clock.now()), change, seal)
    const seq = await store.appendLine(AUDIT_LOG, JSON.stringify(entry))
    this.head = { entry: entry.entry, hash: entry.hash, line: seq }
    // Remembered behind the line as well, so that a cut end of the log shows.
    if (!(await this.claim(this.version))) throw this.fenced()
    this.certain = true
    return { seq, ...entry }
  }

  private async claim(expected: number): Promise<boolean> {
    const { store, writer } = this.options
    const version = await store.putDocument(headDocument(writer), expected, JSON.stringify(this.head))
    if (version !== null) this.version = version
    return version !== null
  }

  /** Entries of this writer behind the remembered one. A remembered line that is gone shows as a gap to a check. */
  private async findEnd(from: StoredHead): Promise<StoredHead> {
    const { store, writer } = this.options
    let head = from
    for (let after = from.line; ; ) {
      const lines = await store.readLines(AUDIT_LOG, after, TAIL_PAGE)
      for (const { seq, body } of lines) {
        const entry = parseEntry(body)
        if (entry?.writer === writer) head = { entry: entry.entry, hash: entry.hash, line: seq }
      }
      if (lines.length === 0) return head
      after = lines.at(-1)!.seq
    }
  }

  private fenced(): CurfewError {
    return new CurfewError('STORE_FENCED', `another process writes the audit log as "${this.options.writer}"`)
  }
}
