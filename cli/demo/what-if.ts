import type { EnvelopeLimits } from '../../core/envelope.ts'
import type { AccessEvent } from '../../core/event.ts'
import { DETECTORS } from '../../detectors/catalog.ts'
import { EnvelopeMeter } from '../../enforcement/envelope-meter.ts'
import { wholeLimits } from '../../enforcement/envelope-plan.ts'
import { Partition } from '../../engine/partition.ts'
import { FROZEN_KEY, PartitionState, PROFILE_PREFIX, storedPrior } from '../../engine/partition-state.ts'
import type { EngineSettings } from '../../engine/settings.ts'
import type { Format, SourceSettings } from '../../ingest/format.ts'
import { EnvelopeReader } from '../stored-envelopes.ts'
import { claimsAt, NIGHT, STOLEN_FROM } from './history.ts'
import { kongLine } from './kong-line.ts'

/** How an export could have been made, and how late its log lines arrive. */
export interface ExportPlan {
  readonly pageSize: number
  readonly connections: number
  readonly logDelaySeconds: number
}

/** What it would have come to. */
export interface ExportOutcome extends ExportPlan {
  /** Records in responses to requests that were made before the hold; null when none came within a minute. */
  readonly records: number | null
}

/** What would leave where the gateway holds the caller's envelope and Curfew never learns of a single call. */
export interface EnvelopedOutcome {
  readonly pageSize: number
  readonly connections: number
  /** Records in ten minutes. */
  readonly records: number
}

export interface WhatIfOptions {
  readonly history: readonly string[]
  readonly format: Format
  readonly source: SourceSettings
  readonly settings: EngineSettings
}

export const PAGE_SIZES = [1, 25, 500, 10_000] as const
export const CONNECTIONS = [1, 20] as const
export const LOG_DELAYS = [0, 1, 5] as const

/** Assumptions of the simulation, stated with its table. */
export const ASSUMED = { requestIntervalMs: 100, responseMs: 20, reactionMs: 20 } as const
const HORIZON_MS = 60_000
const ENVELOPED_MS = 600_000
const HASH_SEED = 0x6375_7266
const IDENTITY_KEY = new TextEncoder().encode('curfew demo: what if')
/** Size of a record in a response of the demo's API, bytes. */
const RECORD_BYTES = 150

/**
 * Judges other ways to make the same export, in event time, with the engine that runs live: the bundled
 * history first, then a client that never runs out of data. Deterministic.
 */
export class WhatIf {
  private readonly options: WhatIfOptions
  private readonly learnt: ReadonlyMap<string, Uint8Array>

  constructor(options: WhatIfOptions) {
    this.options = options
    const partition = this.newPartition()
    for (const [i, line] of options.history.entries()) partition.step(this.event(line, i))
    this.learnt = new PartitionState(partition, IDENTITY_KEY).takeChanges().puts
  }

  /** Every combination of page size, connections and log delay. */
  all(): readonly ExportOutcome[] {
    const outcomes: ExportOutcome[] = []
    for (const pageSize of PAGE_SIZES)
      for (const connections of CONNECTIONS)
        for (const logDelaySeconds of LOG_DELAYS) {
          outcomes.push(this.outcome({ pageSize, connections, logDelaySeconds }))
        }
    return outcomes
  }

  /** Plays one way to make the export against a fresh copy of what was learnt. */
  outcome(plan: ExportPlan): ExportOutcome {
    const partition = this.newPartition()
    const state = new PartitionState(partition, IDENTITY_KEY)
    for (const [key, bytes] of this.learnt) state.loadEntry(key, bytes)
    state.finishLoading()
    const step = ASSUMED.requestIntervalMs / plan.connections
    let heldAt = Number.POSITIVE_INFINITY
    let requests = 0
    for (let at = 0; at < heldAt; at = ++requests * step) {
      if (at >= HORIZON_MS) return { ...plan, records: null }
      if (heldAt !== Number.POSITIVE_INFINITY) continue
      partition.step(this.event(this.line(plan, at, requests), this.options.history.length + requests))
      const decided = partition.book.outputs.splice(0).some((output) => output.kind === 'decision')
      if (decided) heldAt = at + ASSUMED.responseMs + plan.logDelaySeconds * 1_000 + ASSUMED.reactionMs
    }
    return { ...plan, records: requests * plan.pageSize }
  }

  /** Every page size and number of connections against the envelope alone, from its profile on the eve of the night. */
  enveloped(headroom: number): readonly EnvelopedOutcome[] {
    const limits = this.envelope(headroom)
    return PAGE_SIZES.flatMap((pageSize) =>
      CONNECTIONS.map((connections) => ({
        pageSize,
        connections,
        records: enveloped(limits, pageSize, connections),
      })),
    )
  }

  private envelope(headroom: number): EnvelopeLimits {
    const prior = storedPrior(this.learnt.get(FROZEN_KEY)!)
    const reader = new EnvelopeReader(headroom)
    for (const [key, blob] of this.learnt) {
      const wish = key.startsWith(PROFILE_PREFIX) ? reader.wish(blob, prior) : null
      if (wish?.principal.label === STOLEN_FROM.username) return wholeLimits(wish.limits)
    }
    throw new Error('the history of the demo lacks the caller of the story')
  }

  private newPartition(): Partition {
    const { settings } = this.options
    return new Partition({ detectors: DETECTORS, settings, maxPrincipals: 1_000, seed: HASH_SEED })
  }

  private line({ pageSize }: ExportPlan, at: number, request: number): string {
    return kongLine({
      requestId: (0x57_0000_0000 + request).toString(16).padStart(32, '0'),
      startedAt: NIGHT + Math.floor(at),
      method: 'GET',
      uri: `/v1/orders?page=${request + 1}&size=${pageSize}`,
      status: 200,
      requestBytes: 440,
      responseBytes: 320 + pageSize * RECORD_BYTES,
      requestMs: ASSUMED.responseMs,
      proxyMs: ASSUMED.responseMs - 2,
      records: pageSize,
      clientIp: STOLEN_FROM.clientIp,
      userAgent: STOLEN_FROM.userAgent,
      identity: { caller: STOLEN_FROM, claims: claimsAt(STOLEN_FROM.username, NIGHT) },
      decision: null,
    })
  }

  private event(line: string, offset: number): AccessEvent {
    let found: AccessEvent | null = null
    const record = {
      bytes: Buffer.from(line),
      receivedAt: Number.NaN,
      topic: 'what-if',
      partition: 0,
      offset,
    }
    this.options.format.parse(record, this.options.source, {
      event: (event) => {
        found = event
      },
      rejected: ({ reason, detail }) => {
        throw new Error(`a line of the demo cannot be read: ${reason} ${detail}`)
      },
    })
    if (found === null) throw new Error('a line of the demo holds no call')
    return found
  }
}

function enveloped(limits: EnvelopeLimits, pageSize: number, connections: number): number {
  const meter = new EnvelopeMeter()
  const caller = STOLEN_FROM.username
  const bytes = 320 + pageSize * RECORD_BYTES
  const step = ASSUMED.requestIntervalMs / connections
  const ends: number[] = []
  let served = 0
  for (let request = 0; request * step < ENVELOPED_MS; request++) {
    const now = NIGHT + request * step
    while (ends.length > 0 && ends[0]! <= now) meter.end(caller, pageSize, bytes, ends.shift()!)
    if (meter.exceeded(caller, limits, now) !== null) continue
    meter.begin(caller, now)
    ends.push(now + ASSUMED.responseMs)
    served += 1
  }
  return served * pageSize
}
