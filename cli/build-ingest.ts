import type { Readable } from 'node:stream'
import { type AccessEvent, profileKey } from '../core/event.ts'
import { partitionOf } from '../core/hash.ts'
import type { Clock } from '../core/time.ts'
import { sourceKey, type UnreadableLines } from '../core/unreadable.ts'
import type { Decoded } from '../engine/owned-partition.ts'
import type { DeadLetters } from '../ingest/dead-letters.ts'
import { deadLetterFile, deadLetterTopic } from '../ingest/dead-letters.ts'
import type { Format, RawRecord, Rejection, SourceSettings } from '../ingest/format.ts'
import { FORMATS } from '../ingest/formats/catalog.ts'
import {
  decodeInternal,
  decodeUnreadable,
  encodeInternal,
  encodeUnreadable,
  isReadBackAlike,
} from '../ingest/formats/internal.ts'
import { withHashedEmails } from '../ingest/hashed-emails.ts'
import { withoutSecrets } from '../ingest/kept-text.ts'
import { type Pace, sizeOf } from '../ingest/pace.ts'
import { Packer, packedLines } from '../ingest/packed.ts'
import { addressOf } from '../ingest/principal-address.ts'
import { isSealedNothing, readSealed, Sealer, UNPLACED } from '../ingest/sealed.ts'
import type { EventLog, LogRecord, RawSource, SourcedRecord } from '../ingest/source.ts'
import { FileSource } from '../ingest/sources/file-source.ts'
import { HttpSource } from '../ingest/sources/http-source.ts'
import { KafkaClient } from '../ingest/sources/kafka-client.ts'
import { KafkaSource } from '../ingest/sources/kafka-source.ts'
import type { Logger } from '../ingest/sources/logger.ts'
import { kafkaOptions, type OpenedLog } from './build-storage.ts'
import { sourceSettings } from './config/engine-input.ts'
import { listenAddress } from './config/listen-address.ts'
import type { Config, SourceConfig } from './config/schema.ts'
import { identityKeyOf } from './identity-key.ts'

/** Counts what ingest sees; metrics. */
export interface IngestObserver {
  events(source: string, count: number): void
  rejected(reason: string): void
}

/** Counts lines and the pace of reading, for coverage. */
export interface IngestCoverage {
  readonly counter: { count(source: string, event: AccessEvent): void }
  readonly progress: { read(source: string, topic: string, partition: number, receivedAt: number): void }
}

interface NamedSource {
  readonly config: SourceConfig
  readonly format: Format
  readonly settings: SourceSettings
}

/** Everything between log bytes and the engine's own log. */
export class Ingest {
  private readonly sources = new Map<string, NamedSource>()
  private readonly deadLetters: DeadLetters | null
  private readonly observer: IngestObserver
  private readonly coverage: IngestCoverage | null
  /** Key of the hashes that stand for e-mail addresses; null where they are kept. */
  private readonly emailKey: Uint8Array | null
  /** Numbers records of sources that have no offsets of their own; above those of any earlier process. */
  private counter: number

  constructor(
    config: Config,
    deadLetters: DeadLetters | null,
    observer: IngestObserver,
    clock: Clock,
    coverage: IngestCoverage | null = null,
  ) {
    for (const source of config.sources) {
      const format = FORMATS.get(source.format)!
      this.sources.set(source.name, { config: source, format, settings: sourceSettings(config, source) })
    }
    this.deadLetters = deadLetters
    this.observer = observer
    this.coverage = coverage
    this.emailKey = config.privacy.emails === 'hash' ? identityKeyOf(config) : null
    this.counter = clock.now() * 1000
  }

  /** Parses one message of a source; what it held in order, rejections to the dead letters as well. */
  parse(source: string, record: RawRecord, to: Decoded): void {
    const named = this.sources.get(source)
    if (named === undefined) return
    let events = 0
    named.format.parse(record, named.settings, {
      event: (event) => {
        events++
        const kept = this.kept(event)
        this.coverage?.counter.count(source, kept)
        to.event(kept)
      },
      rejected: (rejection) => this.reject(source, rejection, record, to),
    })
    this.observer.events(source, events)
    const { topic, partition, receivedAt } = record
    this.coverage?.progress.read(source, topic, partition, receivedAt)
  }

  /** The event as it may be stored: without secrets, and with its caller named as the configuration says. */
  private kept(event: AccessEvent): AccessEvent {
    return withoutSecrets(this.emailKey === null ? event : withHashedEmails(event, this.emailKey))
  }

  private reject(source: string, rejection: Rejection, record: Omit<RawRecord, 'bytes'>, to: Decoded): void {
    this.observer.rejected(rejection.reason)
    const { topic, partition, offset } = record
    this.deadLetters?.write(source, rejection, { topic, partition, offset, index: rejection.index })
    const named = this.sources.get(source)
    if (named !== undefined) to.unreadable(unreadableLine(source, named.settings, record, rejection))
  }

  /** A message as the local journal keeps it: normalised, so that no raw line with its secrets is stored. */
  seal(source: string, bytes: Uint8Array, receivedAt: number): readonly Uint8Array[] {
    const named = this.sources.get(source)
    if (named === undefined) return []
    const sealer = new Sealer()
    named.format.parse({ bytes, receivedAt, ...UNPLACED }, named.settings, {
      event: (event) => sealer.event(this.kept(event)),
      rejected: (rejection) => sealer.rejected(rejection),
    })
    return sealer.take()
  }

  /** A pulled record as the local journal keeps it. */
  sealed(pulled: PulledSource, record: SourcedRecord) {
    const entry = journalEntry(pulled, record)
    return this.seal(record.source, record.bytes, record.receivedAt).map((bytes) => ({ ...entry, bytes }))
  }

  /** Reads a record of the local journal, see {@link seal}; those of older journals are raw lines. */
  readonly decodeJournal = (record: LogRecord, to: Decoded): void => {
    const { bytes, receivedAt, offset, source } = record
    if (isSealedNothing(bytes)) return
    // What the source delivers again after a crash is known by where it stood there.
    const at = record.origin ?? { topic: source, partition: 0, offset }
    let events = 0
    const isSealed = readSealed(bytes, {
      ...at,
      receivedAt,
      event: (event) => {
        events++
        this.coverage?.counter.count(source, event)
        to.event(event)
      },
      rejected: (rejection) => this.reject(source, rejection, { ...at, receivedAt }, to),
      foreign: () => this.observer.rejected('unknown-format'),
    })
    if (isSealed) {
      this.observer.events(source, events)
      this.coverage?.progress.read(source, at.topic, at.partition, receivedAt)
    } else this.parse(source, { bytes, receivedAt, ...at }, to)
  }

  /** Reads a record of `curfew.events`: a line per normalised event, or what is to be told of unreadable lines. */
  readonly decodeEvent = (record: LogRecord, to: Decoded): void => {
    if (record.events === undefined)
      for (const line of packedLines(record.bytes)) this.decodeLine(line, record.receivedAt, to)
    else for (const event of record.events) to.event(event)
  }

  private decodeLine(line: Uint8Array, receivedAt: number, to: Decoded): void {
    const event = decodeInternal(line, receivedAt)
    if (event !== null) {
      to.event(event)
      return
    }
    const lines = decodeUnreadable(line, receivedAt)
    if (lines === null) this.observer.rejected('unknown-format')
    else to.unreadable(lines)
  }

  /** Normalises raw records and appends the events to the partitions of their principals. */
  async normalise(log: EventLog, source: string, records: readonly RawRecord[]): Promise<void> {
    const packing = this.packing(log, source)
    for (const record of records) packing.add(record)
    await log.append(packing.take())
  }

  /**
   * What {@link normalise} appends, made at a pace that lets other work come in between: the next records of the
   * source must wait until these are given.
   */
  async normalised(
    log: EventLog,
    source: string,
    records: readonly RawRecord[],
    pace: Pace,
  ): Promise<ReturnType<Packer['take']>> {
    const packing = this.packing(log, source)
    let behind = sizeOf(records)
    for (const record of records) {
      behind -= record.bytes.length
      const turn = pace.take(record.bytes.length, behind)
      if (turn !== undefined) await turn
      packing.add(record)
    }
    return packing.take()
  }

  private packing(log: EventLog, source: string) {
    const packer = new Packer(source)
    const unreadable = new Map<string, UnreadableLines>()
    return {
      add: (record: RawRecord): void =>
        this.parse(source, record, {
          event: (event) => {
            const partition = partitionOf(profileKey(event.tenant, event.principal), log.partitions)
            const line = encodeInternal(event)
            packer.add(partition, line, record.receivedAt, isReadBackAlike(event, line) ? event : null)
          },
          unreadable: (line) => {
            const { topic, partition } = line.position
            const key = JSON.stringify([topic, partition, line.address])
            unreadable.set(key, { ...line, lines: line.lines + (unreadable.get(key)?.lines ?? 0) })
          },
        }),
      take: () => {
        // In the order of their positions, since what does not lie above the last one counts as delivered again.
        for (const lines of [...unreadable.values()].sort(byPosition)) {
          const partition = partitionOf(sourceKey(lines.tenant, source), log.partitions)
          packer.add(partition, encodeUnreadable(lines), lines.receivedAt, null)
        }
        return packer.take()
      },
    }
  }

  /** Makes pushed messages durable, normalised. */
  async append(
    opened: OpenedLog,
    source: string,
    bodies: readonly Uint8Array[],
    receivedAt: number,
  ): Promise<void> {
    if (opened.kafka === null) {
      await opened.log.append(
        bodies.flatMap((body) =>
          this.seal(source, body, receivedAt).map((bytes) => ({ partition: 0, source, bytes, receivedAt })),
        ),
      )
      return
    }
    const records = bodies.map((bytes) => ({
      bytes,
      receivedAt,
      topic: source,
      partition: 0,
      offset: this.counter++,
    }))
    await this.normalise(opened.log, source, records)
  }
}

function byPosition({ position: a }: UnreadableLines, { position: b }: UnreadableLines): number {
  return a.offset - b.offset || a.index - b.index
}

/** What detection is told of a line that went to the dead letters. */
export function unreadableLine(
  source: string,
  settings: SourceSettings,
  record: Omit<RawRecord, 'bytes'>,
  rejection: Rejection,
): UnreadableLines {
  const { topic, partition, offset, receivedAt } = record
  const { clientIp, index } = rejection
  return {
    tenant: settings.tenant,
    source,
    gateway: settings.gateway,
    address: clientIp === null ? null : (addressOf(clientIp)?.principal.id ?? null),
    lines: 1,
    receivedAt,
    // Counted apart from the events: a damaged line may be both.
    position: { topic: `${topic}!`, partition, offset, index },
  }
}

export function openDeadLetters(
  config: Config,
  opened: OpenedLog,
  clock: Clock,
  log: Logger,
): DeadLetters | null {
  const letters = config.deadLetters
  if (letters.kind === 'none') return null
  if (letters.kind === 'kafka') {
    const { kafka } = opened
    if (kafka === null) return null
    const { topic } = letters
    const prepare = async () => {
      if ((await kafka.partitionCount(topic)) === null) await kafka.createTopic(topic, 1)
    }
    return deadLetterTopic({ producer: kafka.producer(), prepare, topic, clock, log })
  }
  const { maxFileBytes, maxFiles } = letters
  return deadLetterFile({ path: `${letters.folder}/dead-letters.ndjson`, clock, maxFileBytes, maxFiles, log })
}

/** A push server and the address that the configuration gives it. */
export interface PushServer {
  readonly listen: string
  readonly server: HttpSource
}

/** Push servers, one per listen address; tokens tell the sources apart. */
export function pushServers(
  config: Config,
  ingest: Ingest,
  opened: OpenedLog,
  clock: Clock,
  log: Logger,
): PushServer[] {
  const byAddress = new Map<string, Extract<SourceConfig, { kind: 'http' }>[]>()
  for (const source of config.sources) {
    if (source.kind !== 'http') continue
    const sharing = byAddress.get(source.listen)
    if (sharing === undefined) byAddress.set(source.listen, [source])
    else sharing.push(source)
  }
  return [...byAddress].map(([listen, sources]) => {
    const address = listenAddress(listen)!
    const server = new HttpSource({
      sources: sources.map(({ name, format, token }) => ({ name, format, token: token.reveal() })),
      append: (source, bodies) => ingest.append(opened, source, bodies, clock.now()),
      host: address.host,
      port: address.port,
      maxBodyBytes: Math.max(...sources.map((s) => s.maxBodyBytes)),
      log,
    })
    return { listen, server }
  })
}

/** A source that is read rather than pushed, with the way their records become durable. */
export interface PulledSource {
  readonly source: RawSource
  /** Whether a record has the same position in every process that reads it. */
  readonly lasting: boolean
  readonly close: () => Promise<void>
}

export function pulledSources(
  config: Config,
  kinds: readonly SourceConfig['kind'][],
  opened: OpenedLog,
  clock: Clock,
  stdin: Readable,
  log: Logger,
): PulledSource[] {
  const out: PulledSource[] = []
  for (const source of config.sources) {
    if (!kinds.includes(source.kind)) continue
    if (source.kind === 'file') {
      const paths = source.stdin ? ['-'] : (source.paths ?? [])
      const follow = source.follow ? { follow: { positionFile: followFile(config, source.name) } } : {}
      out.push({
        source: new FileSource({ name: source.name, paths, stdin, clock, log, ...follow }),
        lasting: source.follow,
        close: async () => undefined,
      })
    } else if (source.kind === 'kafka') {
      const own = source.brokers !== undefined
      const client = own
        ? new KafkaClient(kafkaOptions({ ...source, brokers: source.brokers! }, 'curfew'), log)
        : opened.kafka
      if (client === null) continue
      const { name, topics, groupId } = source
      out.push({
        source: new KafkaSource(client, { name, topics, groupId, log }),
        lasting: true,
        close: async () => (own ? client.close() : undefined),
      })
    }
  }
  return out
}

/** A pulled record as the local journal keeps it, sealed. */
export function journalEntry({ source, lasting }: PulledSource, record: SourcedRecord) {
  const { bytes, receivedAt, topic, partition, offset } = record
  const entry = { partition: 0, source: source.name, bytes, receivedAt }
  return lasting ? { ...entry, origin: { topic, partition, offset } } : entry
}

function followFile(config: Config, source: string): string {
  const folder = config.log.kind === 'embedded' ? config.log.folder : 'curfew-data'
  return `${folder}/follow-${source}.json`
}
