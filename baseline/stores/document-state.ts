import { CurfewError } from '../../core/errors.ts'
import type { StoredDocument } from '../store.ts'
import type { JournaledState } from './journal.ts'

interface DocumentChange extends StoredDocument {
  readonly type: 'document'
  readonly name: string
}

const ABSENT: StoredDocument = { version: 0, body: '' }

/** Record of a document's new version. */
export function encodeDocument(name: string, document: StoredDocument): Buffer {
  const change: DocumentChange = { type: 'document', name, version: document.version, body: document.body }
  return Buffer.from(JSON.stringify(change))
}

/** The shared documents, in memory. */
export class DocumentState implements JournaledState {
  liveBytes = 0
  readonly #documents = new Map<string, StoredDocument>()

  get(name: string): StoredDocument {
    return this.#documents.get(name) ?? ABSENT
  }

  apply(record: Buffer): void {
    // Checksummed and written by this file.
    const change: DocumentChange = JSON.parse(record.toString())
    if (change.type !== 'document') {
      throw new CurfewError('STORE_NEWER_LAYOUT', 'the journal of documents has a record of a later release')
    }
    const { name, version, body } = change
    this.liveBytes += body.length - (this.#documents.get(name)?.body.length ?? 0)
    this.#documents.set(name, { version, body })
  }

  snapshot(): Iterable<Buffer> {
    const documents = [...this.#documents]
    return (function* () {
      for (const [name, document] of documents) yield encodeDocument(name, document)
    })()
  }
}

/** What a group of changes has decided so far, on top of the durable documents. */
export class DocumentDraft {
  readonly #state: DocumentState
  readonly #versions = new Map<string, number>()

  constructor(state: DocumentState) {
    this.#state = state
  }

  /** The new version, or null when the present one is not the expected one. */
  raise(name: string, expectedVersion: number): number | null {
    const version = this.#versions.get(name) ?? this.#state.get(name).version
    if (version !== expectedVersion) return null
    this.#versions.set(name, version + 1)
    return version + 1
  }
}
