import { createHash } from 'node:crypto'
import type { PartitionStore, Position, StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { AccessEvent } from '../core/event.ts'
import type { Detector } from '../detectors/detector.ts'
import { Partition } from '../engine/partition.ts'
import { PartitionState } from '../engine/partition-state.ts'
import { decisionLine, scoreLine } from '../engine/records.ts'
import type { EngineSettings } from '../engine/settings.ts'
import type { Format, RawRecord, Rejection, SourceSettings } from '../ingest/format.ts'
import { withHashedEmails } from '../ingest/hashed-emails.ts'
import { unreadableLine } from './build-ingest.ts'
import type { LineOutput } from './output-file.ts'
import { ReplayCoverage } from './replay-coverage.ts'

export interface ReplayOptions {
  readonly format: Format
  readonly source: SourceSettings
  readonly detectors: readonly Detector[]
  readonly settings: EngineSettings
  readonly maxPrincipals: number
  readonly identityKey: Uint8Array
  /** Key of the hashes that stand for e-mail addresses; null where they are kept. */
  readonly emailKey: Uint8Array | null
  readonly coverageSlotMs: number
  readonly outputs: {
    readonly alerts: LineOutput
    readonly decisions: LineOutput
    readonly scores: LineOutput
    readonly rejected: LineOutput
    /** Coverage incidents; judged only when wanted, in slots of `coverageSlotMs`. */
    readonly coverage?: LineOutput
  }
}

/** What a replay has done so far; the counters of the summary. */
export interface ReplayCounts {
  events: number
  rejected: number
  duplicates: number
  decisions: number
  incidents: number
}

const HASH_DOCUMENT = 'replay'
const SEED = 0x6375_7266

/** Folds log lines, in order, through one partition. Event time only: no arrival times, no clock. */
export class Replay {
  readonly counts: ReplayCounts = { events: 0, rejected: 0, duplicates: 0, decisions: 0, incidents: 0 }
  readonly partition: Partition
  private readonly options: ReplayOptions
  private readonly state: PartitionState
  private readonly emit: { event(e: AccessEvent): void; rejected(r: Rejection): void }
  private readonly record: { -readonly [K in keyof RawRecord]: RawRecord[K] }
  private store: PartitionStore | null = null
  private readonly coverage: ReplayCoverage | null

  constructor(options: ReplayOptions) {
    this.options = options
    const { detectors, settings, maxPrincipals } = options
    this.partition = new Partition({ detectors, settings, maxPrincipals, seed: SEED })
    this.state = new PartitionState(this.partition, options.identityKey)
    const { coverageSlotMs } = options
    const { coverage } = options.outputs
    const { tenant, gateway } = options.source
    this.coverage = coverage?.wanted ? new ReplayCoverage(coverage, gateway.id, tenant, coverageSlotMs) : null
    this.record = { bytes: new Uint8Array(0), receivedAt: Number.NaN, topic: 'line', partition: 0, offset: 0 }
    this.emit = { event: (event) => this.event(event), rejected: (rejection) => this.reject(rejection) }
  }

  /** Takes one log line. */
  line(bytes: Uint8Array): void {
    this.record.offset++
    this.record.bytes = bytes
    this.options.format.parse(this.record, this.options.source, this.emit)
  }

  private event(raw: AccessEvent): void {
    const { partition, counts, options } = this
    const event = options.emailKey === null ? raw : withHashedEmails(raw, options.emailKey)
    counts.events++
    this.coverage?.take(event)
    const outcome = partition.step(event)
    if (outcome.duplicate) counts.duplicates++
    if (options.outputs.scores.wanted)
      options.outputs.scores.line(scoreLine(event, this.record.offset, outcome))
    if (partition.book.outputs.length > 0) this.drain()
  }

  private drain(): void {
    const { alerts, decisions } = this.options.outputs
    for (const output of this.partition.book.outputs.splice(0)) {
      if (output.kind === 'alert') {
        if (output.alert.transition === 'opened') this.counts.incidents++
        alerts.line(JSON.stringify(output.alert))
      } else if (output.kind === 'decision') {
        this.counts.decisions++
        decisions.line(decisionLine(output.decision))
      }
    }
  }

  private reject(rejection: Rejection): void {
    this.counts.rejected++
    const { source } = this.options
    this.partition.unreadable(unreadableLine('replay', source, this.record, rejection))
    if (this.partition.book.outputs.length > 0) this.drain()
    const reason = rejection.detail === '' ? rejection.reason : `${rejection.reason}: ${rejection.detail}`
    this.options.outputs.rejected.line(
      JSON.stringify({ line: this.record.offset, reason, excerpt: rejection.excerpt }),
    )
  }

  /** Takes up a saved state. `USAGE` when it was made under another configuration. */
  async resume(store: StateStore, configurationHash: string): Promise<void> {
    const document = await store.getDocument(HASH_DOCUMENT)
    if (document.version === 0) await store.putDocument(HASH_DOCUMENT, 0, configurationHash)
    else if (document.body !== configurationHash) {
      throw new CurfewError(
        'USAGE',
        `the state was saved under configuration ${document.body.slice(0, 12)}, this one is ${configurationHash.slice(0, 12)}; use another --state folder`,
      )
    }
    this.store = await store.open(0)
    for await (const [key, bytes] of this.store.scan('')) this.state.loadEntry(key, bytes)
    this.state.finishLoading()
    if (this.store.position.offset > 0) this.record.offset = this.store.position.offset
  }

  /** Saves the state for a later replay that goes on where this one ended. */
  async save(): Promise<void> {
    if (this.store === null) return
    const position: Position = {
      offset: this.record.offset,
      recordHash: createHash('sha256').update(this.record.bytes).digest('hex'),
    }
    const { puts, deletes } = this.state.takeChanges()
    await this.store.commit({ expected: this.store.position, position, puts, deletes })
  }
}
