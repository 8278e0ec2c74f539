import type { AccessEvent } from '../core/event.ts'
import type { Rejection } from './format.ts'
import { decodeInternal, encodeInternal } from './formats/internal.ts'

/**
 * One message of a source as the local journal keeps it: its calls and rejections, normalised, and never the
 * raw line, which holds headers, query strings and cookies. A mark, then one line each: `E` and the event, or
 * `R` and the rejection, in the order in which the message gave them.
 */
const MARK = 0x01
const LINE_END = 0x0a
const EVENT = 0x45
const REJECTION = 0x52
/** A message of many calls is kept as several records of about this size, in bytes. */
const RECORD_BYTES = 1_048_576
/** Stands for the position of a record until the journal has given it one. */
export const UNPLACED = { topic: 'unplaced', partition: 0, offset: 0 } as const

/** Collects what one message gave. */
export class Sealer {
  readonly #records: Uint8Array[] = []
  #parts: Uint8Array[] = []
  #size = 0

  event(event: AccessEvent): void {
    this.#add(EVENT, encodeInternal(event))
  }

  rejected(rejection: Rejection): void {
    this.#add(REJECTION, Buffer.from(JSON.stringify(rejection)))
  }

  /** The records, in order; none for a message without calls and rejections. */
  take(): readonly Uint8Array[] {
    this.#close()
    return this.#records
  }

  #add(kind: number, json: Uint8Array): void {
    if (this.#size + json.length > RECORD_BYTES) this.#close()
    this.#parts.push(Uint8Array.of(kind), json, Uint8Array.of(LINE_END))
    this.#size += json.length
  }

  #close(): void {
    if (this.#parts.length === 0) return
    this.#records.push(Buffer.concat([Uint8Array.of(MARK), ...this.#parts]))
    this.#parts = []
    this.#size = 0
  }
}

/** A record without calls and rejections. */
export function sealedNothing(): Uint8Array {
  return Uint8Array.of(MARK)
}

/** Whether a record is {@link sealedNothing}. */
export function isSealedNothing(bytes: Uint8Array): boolean {
  return bytes.length === 1 && bytes[0] === MARK
}

/** Where a sealed record stands, and what it held. */
export interface SealedReader {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly receivedAt: number
  event(event: AccessEvent): void
  rejected(rejection: Rejection): void
  /** A line that is none of ours. */
  foreign(): void
}

/** Reads a record of the journal; false when it is not sealed, as older journals are. */
export function readSealed(bytes: Uint8Array, reader: SealedReader): boolean {
  if (bytes[0] !== MARK) return false
  const data = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  for (let start = 1; start < data.length; ) {
    const end = data.indexOf(LINE_END, start)
    if (end < 0) {
      reader.foreign()
      return true
    }
    const json = data.subarray(start + 1, end)
    if (data[start] === REJECTION) reader.rejected(JSON.parse(json.toString()) as Rejection)
    else {
      const event = decodeInternal(json, reader.receivedAt)
      if (event === null) reader.foreign()
      else reader.event(placed(event, reader))
    }
    start = end + 1
  }
  return true
}

/** The event at the place that the journal gave its record; an id made from the position follows. */
function placed(event: AccessEvent, { topic, partition, offset }: SealedReader): AccessEvent {
  const { index } = event.source
  const standIn = `${UNPLACED.topic}/${UNPLACED.partition}/${UNPLACED.offset}/${index}`
  const id = event.id === standIn ? `${topic}/${partition}/${offset}/${index}` : event.id
  return { ...event, id, source: { topic, partition, offset, index } }
}
