import type { AccessEvent } from '../core/event.ts'

/** A record of the engine's own log, ready to be appended. */
interface PackedRecord {
  readonly partition: number
  readonly source: string
  readonly bytes: Uint8Array
  /** Of its last line, epoch ms. */
  readonly receivedAt: number
  /** What reading all of its lines would give; undefined where some line was added without its event. */
  readonly events: readonly AccessEvent[] | undefined
}

interface Open {
  lines: Uint8Array[]
  bytes: number
  receivedAt: number
  events: AccessEvent[] | null
}

const LINE_FEED = 0x0a
const LINE_END = Uint8Array.of(LINE_FEED)
/** A record is closed before it would become larger than this; a longer line has a record of its own. */
const RECORD_BYTES = 262_144

/**
 * Puts what one read of a source gave for a partition into one record, a line of JSON each: a record costs its
 * writer, the broker and its reader far more than a line. The lines of a partition keep their order.
 */
export class Packer {
  readonly #source: string
  readonly #open = new Map<number, Open>()
  readonly #closed: PackedRecord[] = []

  constructor(source: string) {
    this.#source = source
  }

  /**
   * `line` is JSON without a line feed; `receivedAt` in epoch ms; `event`: exactly what reading the line gives, if
   * known.
   */
  add(partition: number, line: Uint8Array, receivedAt: number, event: AccessEvent | null): void {
    let open = this.#open.get(partition)
    if (open !== undefined && open.bytes + line.length > RECORD_BYTES) {
      this.#close(partition, open)
      open = undefined
    }
    if (open === undefined) {
      open = { lines: [], bytes: 0, receivedAt, events: [] }
      this.#open.set(partition, open)
    } else open.lines.push(LINE_END)
    open.lines.push(line)
    open.bytes += line.length + 1
    open.receivedAt = receivedAt
    if (event === null) open.events = null
    else open.events?.push(event)
  }

  /** Everything added so far, per partition in order. */
  take(): readonly PackedRecord[] {
    for (const [partition, open] of this.#open) this.#close(partition, open)
    return this.#closed.splice(0)
  }

  #close(partition: number, { lines, receivedAt, events }: Open): void {
    this.#open.delete(partition)
    const bytes = lines.length === 1 ? lines[0]! : Buffer.concat(lines)
    this.#closed.push({ partition, source: this.#source, bytes, receivedAt, events: events ?? undefined })
  }
}

/** The lines of a record, in order. */
export function* packedLines(bytes: Uint8Array): Iterable<Uint8Array> {
  for (let start = 0; start < bytes.length; ) {
    const end = bytes.indexOf(LINE_FEED, start)
    if (end < 0) {
      yield start === 0 ? bytes : bytes.subarray(start)
      return
    }
    yield bytes.subarray(start, end)
    start = end + 1
  }
}
