import type { AccessEvent } from '../../core/event.ts'
import { DETECTORS } from '../../detectors/catalog.ts'
import { Partition } from '../../engine/partition.ts'
import { DEFAULT_SETTINGS, type SettingValues } from '../../engine/settings.ts'
import type { Emit, SourceSettings } from '../../ingest/format.ts'
import { canonical } from '../../ingest/formats/canonical.ts'

/** One call in the members of the canonical format that public data can fill. */
export interface Call {
  /** Epoch ms, event time. */
  readonly time: number
  /** Stable name of the caller; becomes a verified consumer. */
  readonly principal: string
  readonly method: string
  readonly path: string
  /** When the data names the operation; templated from the path otherwise. */
  readonly route?: string
  readonly objectIds?: readonly string[]
  readonly responseBytes?: number
}

/** What the engine made of one call. */
export interface Judged {
  /** -log10 of the combined tail probability; 0 when every detector abstained. */
  readonly surprise: number
  /** An incident of the caller was opened by this call. */
  readonly opened: boolean
  /** The call opened an incident or is evidence in an open one. */
  readonly hostile: boolean
}

const SOURCE: SourceSettings = {
  tenant: 'default',
  tenantField: null,
  gateway: { kind: 'canonical', id: 'bench' },
  principal: { order: ['consumer'], issuers: new Map() },
  records: { headers: [], contentRange: false, field: null, bytesPerRecord: null },
}
/** The seed of `curfew replay`: it keeps outsiders from choosing hash collisions, no more. */
const SEED = 0x6375_7266
const MAX_PRINCIPALS = 1_000_000

/**
 * The engine as `curfew replay --format canonical` builds it: one partition, all detectors, event time,
 * each call written as a canonical line, parsed, scored and then learnt.
 */
export class CallJudge {
  private readonly partition: Partition
  private readonly emit: Emit
  private readonly text = new TextEncoder()
  private offset = 0
  private surprise = 0

  constructor(values: Partial<SettingValues> = {}) {
    this.partition = new Partition({
      detectors: DETECTORS,
      settings: { version: 1, values: { ...DEFAULT_SETTINGS, ...values }, modes: [], allow: [] },
      maxPrincipals: MAX_PRINCIPALS,
      seed: SEED,
    })
    this.emit = {
      event: (event) => this.step(event),
      rejected: ({ reason, detail, excerpt }) => {
        throw new Error(`the engine rejected a line (${reason} ${detail}): ${excerpt}`)
      },
    }
  }

  /** Judges one call in arrival order, then learns from it. */
  judge(call: Call): Judged {
    const { time, principal, ...rest } = call
    const line = JSON.stringify({ time, principal: { kind: 'consumer', id: principal }, ...rest })
    this.surprise = 0
    this.offset++
    const record = { bytes: this.text.encode(line), receivedAt: Number.NaN, topic: 'line', partition: 0 }
    canonical.parse({ ...record, offset: this.offset }, SOURCE, this.emit)
    let opened = false
    for (const output of this.partition.book.outputs.splice(0)) {
      const id = `consumer:${principal}`
      if (output.kind === 'alert' && output.alert.transition === 'opened' && output.alert.entity.id === id)
        opened = true
    }
    return { surprise: this.surprise, opened, hostile: this.surprise >= this.partition.known.threshold }
  }

  private step(event: AccessEvent): void {
    const outcome = this.partition.step(event)
    if (outcome.duplicate) throw new Error(`the engine took ${event.id} for a duplicate`)
    this.surprise = outcome.surprise ?? 0
  }
}

/** Names of the detectors that took part, for the settings of a result. */
export function detectorNames(): readonly string[] {
  return DETECTORS.map(({ name, version }) => `${name}/${version}`)
}
