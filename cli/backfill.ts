import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { SECOND_MS } from '../core/time.ts'
import type { DeadLetters } from '../ingest/dead-letters.ts'
import type { Format, RawRecord, SourceSettings } from '../ingest/format.ts'
import { FORMATS } from '../ingest/formats/catalog.ts'
import { LineSplitter } from '../ingest/line-splitter.ts'
import type { Logger } from '../ingest/sources/logger.ts'
import { Ingest, type IngestObserver, openDeadLetters } from './build-ingest.ts'
import { type OpenedLog, openLog } from './build-storage.ts'
import { sourceSettings } from './config/engine-input.ts'
import type { Config, SourceConfig } from './config/schema.ts'

/** What a backfill has put into the log. Times are epoch ms, NaN before the first call. */
export interface BackfillCounts {
  lines: number
  events: number
  /** Lines, or parts of lines, that could not be read. */
  rejected: number
  /** Lines left out because their calls are young enough to be acted on: the live source brings them. */
  tooRecent: number
  firstTime: number
  lastTime: number
}

const BATCH_LINES = 500
const NOTHING: IngestObserver = { events: () => undefined, rejected: () => undefined }

/**
 * Puts recorded lines of one source into the log of the configuration, each as if it had arrived when its
 * call ended. So old calls teach, and are too old for anything to be enforced because of them.
 */
export class Backfill {
  readonly counts: BackfillCounts = {
    lines: 0,
    events: 0,
    rejected: 0,
    tooRecent: 0,
    firstTime: Number.NaN,
    lastTime: Number.NaN,
  }
  private readonly opened: OpenedLog
  private readonly ingest: Ingest
  private readonly deadLetters: DeadLetters | null
  private readonly source: string
  private readonly format: Format
  private readonly settings: SourceSettings
  /** Calls that ended later than this are left out, epoch ms. */
  private readonly newest: number
  private offset: number
  private batch: RawRecord[] = []

  private constructor(config: Config, source: SourceConfig, opened: OpenedLog, clock: Clock, logger: Logger) {
    this.opened = opened
    this.deadLetters = openDeadLetters(config, opened, clock, logger)
    this.ingest = new Ingest(config, this.deadLetters, NOTHING, clock)
    this.source = source.name
    this.format = FORMATS.get(source.format)!
    this.settings = sourceSettings(config, source)
    this.newest = clock.now() - config.enforcement.maxEvidenceAgeSeconds * SECOND_MS
    // Above the positions of every earlier backfill, or its records would count as delivered again.
    this.offset = clock.now() * 1_000
  }

  /** Opens the log. `USAGE` when a running Curfew has the folder of an embedded log. */
  static async open(config: Config, source: SourceConfig, clock: Clock, logger: Logger): Promise<Backfill> {
    try {
      return new Backfill(config, source, await openLog(config, logger), clock, logger)
    } catch (cause) {
      const inUse = cause instanceof CurfewError && cause.code === 'STORE_FENCED'
      if (!inUse) throw cause
      throw new CurfewError('USAGE', `stop the running Curfew before a backfill: ${cause.message}`, { cause })
    }
  }

  /** Takes the lines of one log, in order. */
  async take(chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const splitter = new LineSplitter()
    const onLine = (bytes: Uint8Array) => this.line(bytes)
    for await (const chunk of chunks) {
      splitter.push(chunk, onLine)
      if (this.batch.length >= BATCH_LINES) await this.flush()
    }
    splitter.end(onLine)
    await this.flush()
  }

  private line(bytes: Uint8Array): void {
    const { counts } = this
    counts.lines++
    let ended = Number.NaN
    let events = 0
    const record = {
      bytes,
      receivedAt: Number.NaN,
      topic: `backfill:${this.source}`,
      partition: 0,
      offset: this.offset++,
    }
    this.format.parse(record, this.settings, {
      event: ({ time }) => {
        events++
        ended = ended > time ? ended : time
      },
      rejected: () => counts.rejected++,
    })
    if (ended > this.newest) {
      counts.tooRecent++
      return
    }
    counts.events += events
    // A line without a call has no time of its own; it still belongs to the dead letters of its day.
    const receivedAt = events > 0 ? ended : counts.lastTime
    if (Number.isNaN(receivedAt)) return
    if (Number.isNaN(counts.firstTime)) counts.firstTime = receivedAt
    counts.lastTime = receivedAt
    this.batch.push({ ...record, bytes: bytes.slice(), receivedAt })
  }

  private async flush(): Promise<void> {
    const records = this.batch
    this.batch = []
    if (records.length === 0) return
    if (this.opened.kafka !== null) return this.ingest.normalise(this.opened.log, this.source, records)
    const { ingest, source } = this
    await this.opened.log.append(
      records.flatMap(({ bytes, receivedAt }) =>
        ingest
          .seal(source, bytes, receivedAt)
          .map((sealed) => ({ partition: 0, source, bytes: sealed, receivedAt })),
      ),
    )
  }

  async close(): Promise<void> {
    await this.deadLetters?.close()
    await this.opened.close()
  }
}
