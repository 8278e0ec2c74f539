import { unreadableLine } from '../../../cli/build-ingest.ts'
import type { AccessEvent } from '../../../core/event.ts'
import type { Output } from '../../../engine/incident-book.ts'
import type { Partition } from '../../../engine/partition.ts'
import type { Format, SourceSettings } from '../../../ingest/format.ts'

/** What came of one line. */
export interface LineResult {
  readonly events: readonly AccessEvent[]
  /** Why the line, or part of it, went to the dead letters; null when it did not. */
  readonly rejected: string | null
  readonly outputs: readonly Output[]
}

/** Feeds log lines of one source to a partition, as a process with an embedded log does. */
export class LineFeed {
  private readonly format: Format
  private readonly settings: SourceSettings
  private readonly partition: Partition
  private offset = 0

  constructor(format: Format, settings: SourceSettings, partition: Partition) {
    this.format = format
    this.settings = settings
    this.partition = partition
  }

  line(bytes: Uint8Array, receivedAt: number): LineResult {
    const record = { bytes, receivedAt, topic: 'edge', partition: 0, offset: ++this.offset }
    const events: AccessEvent[] = []
    let rejected: string | null = null
    this.format.parse(record, this.settings, {
      event: (event) => {
        events.push(event)
        this.partition.step(event)
      },
      rejected: (rejection) => {
        rejected = rejection.reason
        this.partition.unreadable(unreadableLine('edge', this.settings, record, rejection))
      },
    })
    return { events, rejected, outputs: this.partition.book.outputs.splice(0) }
  }
}
