import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CurfewError } from '../../core/errors.ts'
import { lockFolder } from '../../files/folder-lock.ts'
import type {
  ControlRequest,
  OutboxEntry,
  PartitionStore,
  StateStore,
  StoredDocument,
  StoredLine,
} from '../store.ts'
import { DocumentDraft, DocumentState, encodeDocument } from './document-state.ts'
import {
  appendRequest,
  EmbeddedPartition,
  PartitionDraft,
  type PartitionJournal,
  readValues,
  scanValues,
} from './embedded-partition.ts'
import { Journal, type JournalOptions } from './journal.ts'
import { checkName, checkPartition, checkText, MAX_BODY_BYTES, MAX_DOCUMENT_BYTES } from './limits.ts'
import { LineFile } from './line-file.ts'
import { PartitionState } from './partition-state.ts'

/** State in a local folder, for one process. */
export interface EmbeddedStoreOptions {
  /** Made when absent; belongs to one process at a time. */
  readonly folder: string
  /** Told in one line when something unreadable was left out and the last good state is used. */
  readonly onDamage?: (detail: string) => void
  /** A log is compacted when it is larger than this, in bytes, and than twice its live state. Default 64 MiB. */
  readonly minLogBytes?: number
}

const MIN_LOG_BYTES = 64 * 1024 * 1024

/** What the file system refused, as a failure of the store. */
function storeFailure(folder: string, error: unknown): CurfewError {
  if (error instanceof CurfewError) return error
  const why = error instanceof Error ? error.message : String(error)
  return new CurfewError('STORE_UNREACHABLE', `cannot use ${folder}: ${why}`, { cause: error })
}

class EmbeddedStore implements StateStore {
  readonly name = 'embedded'
  readonly #folder: string
  readonly #options: JournalOptions
  readonly #unlock: () => Promise<void>
  readonly #documents: Journal<DocumentState, DocumentDraft>
  readonly #partitions = new Map<number, Promise<PartitionJournal>>()
  readonly #logs = new Map<string, Promise<LineFile>>()
  readonly #listeners = new Set<(partition: number) => void>()
  #closed = false

  constructor(
    folder: string,
    options: JournalOptions,
    unlock: () => Promise<void>,
    documents: Journal<DocumentState, DocumentDraft>,
  ) {
    this.#folder = folder
    this.#options = options
    this.#unlock = unlock
    this.#documents = documents
  }

  async open(partition: number): Promise<PartitionStore> {
    const journal = await this.#journal(partition)
    return await EmbeddedPartition.open(journal, partition, () => this.#grew(partition))
  }

  async partitions(): Promise<readonly number[]> {
    const opened: number[] = []
    for (const partition of await this.#present()) {
      if ((await this.#journal(partition)).state.epoch > 0) opened.push(partition)
    }
    return opened.sort((a, b) => a - b)
  }

  async read(partition: number, keys: readonly string[]): Promise<readonly (Uint8Array | undefined)[]> {
    const state = await this.#existing(partition)
    return state === null ? keys.map(() => undefined) : readValues(state, keys)
  }

  async *scan(partition: number, prefix: string): AsyncGenerator<readonly [string, Uint8Array]> {
    const state = await this.#existing(partition)
    if (state !== null) yield* scanValues(state, prefix)
  }

  async readOutbox(partition: number, afterSeq: number, limit: number): Promise<readonly OutboxEntry[]> {
    return (await this.#existing(partition))?.outboxAfter(afterSeq, limit) ?? []
  }

  async watchOutbox(listener: (partition: number) => void): Promise<() => Promise<void>> {
    const own = (partition: number) => listener(partition)
    this.#listeners.add(own)
    return async () => void this.#listeners.delete(own)
  }

  async request(partition: number, request: ControlRequest): Promise<void> {
    await appendRequest(await this.#journal(partition), partition, request)
  }

  async getDocument(name: string): Promise<StoredDocument> {
    checkName(name)
    this.#refuseClosed()
    return this.#documents.state.get(name)
  }

  async putDocument(name: string, expectedVersion: number, body: string): Promise<number | null> {
    checkName(name)
    checkText(`document ${name}`, body, MAX_DOCUMENT_BYTES)
    this.#refuseClosed()
    return await this.#documents.submit((draft) => {
      const version = draft.raise(name, expectedVersion)
      return { records: version === null ? [] : [encodeDocument(name, { version, body })], result: version }
    })
  }

  async appendLine(log: string, body: string): Promise<number> {
    checkText(`line of ${log}`, body, MAX_BODY_BYTES)
    return await (await this.#log(log)).append(body)
  }

  async readLines(log: string, afterSeq: number, limit: number): Promise<readonly StoredLine[]> {
    return await (await this.#log(log)).read(afterSeq, limit)
  }

  async trimLines(log: string, throughSeq: number): Promise<void> {
    await (await this.#log(log)).trim(throughSeq)
  }

  async scour(): Promise<void> {
    this.#refuseClosed()
    for (const partition of await this.#present()) await (await this.#journal(partition)).scour()
    await this.#documents.scour()
  }

  async check(): Promise<void> {
    this.#refuseClosed()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    this.#listeners.clear()
    const parts = [...this.#partitions.values(), ...this.#logs.values()]
    const outcomes = await Promise.allSettled(parts.map(async (part) => await (await part).close()))
    await this.#documents.close()
    await this.#unlock()
    // A part that could not be opened has told its callers already.
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected' && !(outcome.reason instanceof CurfewError)) throw outcome.reason
    }
  }

  /** Partitions that have a folder. */
  async #present(): Promise<readonly number[]> {
    const names = await readdir(this.#folder)
    return names.flatMap((name) => {
      const match = /^partition-(\d{1,5})$/.exec(name)
      return match === null ? [] : [Number(match[1])]
    })
  }

  /** The durable state of a partition, without making one. */
  async #existing(partition: number): Promise<PartitionState | null> {
    checkPartition(partition)
    if (!this.#partitions.has(partition) && !(await this.#present()).includes(partition)) return null
    return (await this.#journal(partition)).state
  }

  #journal(partition: number): Promise<PartitionJournal> {
    checkPartition(partition)
    this.#refuseClosed()
    return this.#once(this.#partitions, partition, () =>
      Journal.open(
        join(this.#folder, `partition-${partition}`),
        () => new PartitionState(),
        (state) => new PartitionDraft(state),
        this.#options,
      ),
    )
  }

  #log(name: string): Promise<LineFile> {
    checkName(name)
    this.#refuseClosed()
    const path = join(this.#folder, 'logs', `${encodeURIComponent(name)}.lines`)
    return this.#once(this.#logs, name, () => LineFile.open(path, this.#options.onDamage))
  }

  /** Opens at the first call; a failed opening is tried again by the next call. */
  #once<Key, Part>(parts: Map<Key, Promise<Part>>, key: Key, make: () => Promise<Part>): Promise<Part> {
    const known = parts.get(key)
    if (known !== undefined) return known
    const opening = make().catch((error: unknown) => {
      throw storeFailure(this.#folder, error)
    })
    parts.set(key, opening)
    opening.catch(() => parts.delete(key))
    return opening
  }

  #grew(partition: number): void {
    for (const listener of this.#listeners) setImmediate(listener, partition)
  }

  #refuseClosed(): void {
    if (this.#closed) throw new CurfewError('STORE_UNREACHABLE', `the store in ${this.#folder} is closed`)
  }
}

/**
 * Opens state in a local folder. Throws `STORE_FENCED` when another process uses the folder,
 * `STORE_CORRUPT` naming file and byte when no state is certain, `STORE_NEWER_LAYOUT` for files of a later
 * release. A torn end, as a crash leaves it, is cut and reported; what was acknowledged is before it.
 */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<StateStore> {
  const { folder, onDamage = () => undefined, minLogBytes = MIN_LOG_BYTES } = options
  const unlock = await lockFolder(folder)
  try {
    await mkdir(join(folder, 'logs'), { recursive: true })
    const journal: JournalOptions = { minLogBytes, onDamage }
    const documents = await Journal.open(
      join(folder, 'documents'),
      () => new DocumentState(),
      (state) => new DocumentDraft(state),
      journal,
    )
    return new EmbeddedStore(folder, journal, unlock, documents)
  } catch (error) {
    await unlock()
    throw storeFailure(folder, error)
  }
}
