import { CurfewError } from '../../core/errors.ts'
import type { EventLog, LogRecord } from '../source.ts'
import type { IncomingMessage, OutgoingMessage } from './kafka-client.ts'
import type { RecordProducer } from './producer-thread.ts'

type Entry = Parameters<EventLog['append']>[0][number]

interface Pending {
  readonly entries: readonly Entry[]
  readonly bytes: number
  readonly done: (error: unknown) => void
}

/** Told which records are durable now, per partition in the order of their offsets, without a gap. */
export type Written = (partition: number, records: readonly LogRecord[]) => void

/** The one header of a record on the internal topic: what {@link encodeHeader} makes. */
const HEADER = 'curfew'

/** Time of receipt and name of the source in one text: each header of its own costs as much as a record. */
function encodeHeader({ receivedAt, source }: Pick<Entry, 'receivedAt' | 'source'>): string {
  return `${receivedAt} ${source}`
}

/** Null when the text is not what {@link encodeHeader} makes. */
function decodeHeader(text: string): { readonly receivedAt: number; readonly source: string } | null {
  const space = text.indexOf(' ')
  const receivedAt = space > 0 ? Number(text.slice(0, space)) : Number.NaN
  return Number.isFinite(receivedAt) ? { receivedAt, source: text.slice(space + 1) } : null
}

const OVERHEAD_BYTES = 100
const MAX_PENDING_BYTES = 67_108_864
/** Beyond it what waits is kept as bytes alone: parsed events take several times their room, and can be read again. */
const MAX_EVENTFUL_BYTES = 8_388_608
const MAX_SEND_BYTES = 8_388_608

/**
 * Writes in the order of the calls, one request per broker at a time; what waits meanwhile shares the next
 * request. A failed append fails all that wait behind it, so that nothing overtakes it.
 */
export class KafkaAppender {
  readonly #producer: RecordProducer
  readonly #topic: string
  readonly #maxBatchBytes: number
  readonly #written: Written
  #pending: Pending[] = []
  #pendingBytes = 0
  #working: Promise<void> | null = null
  #closed = false

  /** `maxBatchBytes`: most bytes per partition in a request; below the topic's `max.message.bytes`. */
  constructor(producer: RecordProducer, topic: string, maxBatchBytes: number, written: Written) {
    this.#written = written
    this.#producer = producer
    this.#topic = topic
    this.#maxBatchBytes = maxBatchBytes
  }

  append(entries: readonly Entry[]): Promise<void> {
    if (this.#closed) return Promise.reject(new CurfewError('ABORTED', 'the event log is closed'))
    if (entries.length === 0) return Promise.resolve()
    const bytes = entries.reduce((sum, entry) => sum + entry.bytes.length + OVERHEAD_BYTES, 0)
    if (this.#pendingBytes > 0 && this.#pendingBytes + bytes > MAX_PENDING_BYTES) {
      return Promise.reject(new CurfewError('LOG_FULL', 'too much waits for Kafka', { retriable: true }))
    }
    this.#pendingBytes += bytes
    return new Promise((resolve, reject) => {
      const kept = this.#pendingBytes > MAX_EVENTFUL_BYTES ? entries.map(withoutEvents) : entries
      this.#pending.push({
        entries: kept,
        bytes,
        done: (error) => (error === null ? resolve() : reject(error)),
      })
      this.#working ??= this.#drain().finally(() => {
        this.#working = null
      })
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    await this.#working
    await this.#producer.close()
  }

  async #drain(): Promise<void> {
    // Lets appends of the same turn share one request.
    await new Promise(setImmediate)
    while (this.#pending.length > 0) {
      const group = this.#takeGroup()
      try {
        for (const entries of this.#requests(group)) {
          const firsts = await this.#producer.send(this.#topic, entries.map(messageOf))
          this.#tell(entries, firsts)
        }
      } catch (error) {
        const failed = [...group, ...this.#pending]
        this.#pending = []
        this.#pendingBytes = 0
        for (const pending of failed) pending.done(error)
        return
      }
      for (const pending of group) {
        this.#pendingBytes -= pending.bytes
        pending.done(null)
      }
    }
  }

  #takeGroup(): readonly Pending[] {
    let bytes = 0
    let count = 0
    for (const pending of this.#pending) {
      if (count > 0 && bytes + pending.bytes > MAX_SEND_BYTES) break
      bytes += pending.bytes
      count += 1
    }
    return this.#pending.splice(0, count)
  }

  #tell(entries: readonly Entry[], firsts: ReadonlyMap<number, number>): void {
    const written = new Map<number, LogRecord[]>()
    for (const { partition, source, receivedAt, bytes, events } of entries) {
      const first = firsts.get(partition)
      if (first === undefined || first < 0) continue
      const records = written.get(partition) ?? []
      records.push({ offset: first + records.length, receivedAt, source, bytes, events })
      written.set(partition, records)
    }
    for (const [partition, records] of written) this.#written(partition, records)
  }

  /** Cuts a group into requests that the broker takes. */
  *#requests(group: readonly Pending[]): Generator<readonly Entry[]> {
    let entries: Entry[] = []
    let sizes = new Map<number, number>()
    for (const entry of group.flatMap((pending) => pending.entries)) {
      const size = entry.bytes.length + OVERHEAD_BYTES
      const before = sizes.get(entry.partition) ?? 0
      if (before + size > this.#maxBatchBytes && entries.length > 0) {
        yield entries
        entries = []
        sizes = new Map()
      }
      sizes.set(entry.partition, (sizes.get(entry.partition) ?? 0) + size)
      entries.push(entry)
    }
    if (entries.length > 0) yield entries
  }
}

function withoutEvents({ events: _, ...rest }: Entry): Entry {
  return rest
}

function messageOf(entry: Entry): OutgoingMessage {
  return { partition: entry.partition, value: entry.bytes, headers: { [HEADER]: encodeHeader(entry) } }
}

/** What the engine sees of a message on the internal topic. */
export function logRecord(message: IncomingMessage): LogRecord {
  const header = decodeHeader(message.header(HEADER) ?? '')
  return {
    offset: message.offset,
    receivedAt: header?.receivedAt ?? message.timestamp,
    source: header?.source ?? '',
    bytes: message.value,
  }
}
