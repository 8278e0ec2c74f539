import { setTimeout as pause } from 'node:timers/promises'
import type { ControlRequest, StateStore } from '../baseline/store.ts'
import { CurfewError } from '../core/errors.ts'
import type { Clock } from '../core/time.ts'
import { encodeEffect } from './control-records.ts'
import { BOUNDARY_MS, type Standing } from './knowledge.ts'
import {
  addUp,
  type MergedKnowledge,
  POPULATIONS,
  type PopulationName,
  sealKnowledge,
} from './merged-knowledge.ts'
import { cutKey, standingKey, storedCut, storedStanding } from './partition-state.ts'
import type { Logger } from './worker.ts'

/** How the newest version of a population stands. */
export interface KnowledgeReport {
  /** 0 while there is none. */
  readonly version: number
  /** Lowest version that a partition of the log has in force; 0 where one still goes by its own cuts. */
  readonly inForce: number
  /** Boundary up to which the version reaches, epoch ms. */
  readonly cutAt: number
  /** Partitions whose sums did not reach that boundary when it was merged, or that had none. */
  readonly missing: number
}

export interface KnowledgeMergerOptions {
  readonly store: Pick<StateStore, 'partitions' | 'read' | 'request' | 'getDocument' | 'putDocument'>
  /** Partitions of the log. */
  readonly partitions: number
  readonly clock: Clock
  readonly logger: Logger
  readonly observer: { knowledge(population: PopulationName, report: KnowledgeReport): void }
  /** How long a boundary waits for partitions that have not reached it, from when the first one has; default 30 s. */
  readonly patienceMs?: number
}

/** Much less than the ten minutes in which nobody uses the version yet, and enough for a worker that restarts. */
export const PATIENCE_MS = 30_000
const PASS_MS = 5_000
/** A partition that is this many versions behind what it was asked for is asked anew. */
const GIVEN_UP = 144

/** The newest version and who was asked to take which; one shared document per population. */
interface Stored {
  readonly knowledge: MergedKnowledge
  /** Per partition the boundary of the sums that count in it, epoch ms; 0 for none. */
  readonly cuts: readonly number[]
  /** Per partition the version that it was last asked to take; 0 for none. */
  readonly asked: readonly number[]
}

interface Found {
  readonly document: number
  readonly stored: Stored | null
}

/** Name of the shared document that holds the newest version. */
export function knowledgeDocument(population: PopulationName): string {
  return `knowledge/${population}`
}

/**
 * Merges what the partitions have learnt and asks each to take it. Any number of processes may do so at any
 * time: a version exists once the shared document says so (compare-and-set), whoever comes next asks where
 * the one that made it did not come to it, and the owners drop what they are asked twice.
 */
export class KnowledgeMerger {
  private readonly options: KnowledgeMergerOptions
  private readonly waitingSince: Record<PopulationName, number | null> = { known: null, strangers: null }
  /** Versions that this process has asked a partition to take, so that it does not repeat itself. */
  private readonly sent: Record<PopulationName, Map<number, number>> = {
    known: new Map(),
    strangers: new Map(),
  }
  private failing = false

  constructor(options: KnowledgeMergerOptions) {
    this.options = options
  }

  /** Looks about every `passMs` until `stop`. What fails is tried again; judging goes on with what it has. */
  async run(stop: AbortSignal, passMs = PASS_MS): Promise<void> {
    while (!stop.aborted) {
      try {
        await this.pass()
        this.failing = false
      } catch (error) {
        if (!this.failing) this.options.logger.warn({ error: String(error) }, 'knowledge cannot be merged')
        this.failing = true
      }
      await pause(passMs, undefined, { signal: stop }).catch(() => undefined)
    }
  }

  /** One look at all partitions. */
  async pass(): Promise<void> {
    const { store, partitions } = this.options
    const opened = (await store.partitions()).filter((partition) => partition < partitions)
    const keys = POPULATIONS.map(standingKey)
    const values = await Promise.all(opened.map((partition) => store.read(partition, keys)))
    for (const [i, population] of POPULATIONS.entries()) {
      const standings = new Map<number, Standing>()
      for (const [at, partition] of opened.entries()) {
        const bytes = values[at]![i]
        standings.set(partition, bytes === undefined ? { cutAt: 0, taken: null } : storedStanding(bytes))
      }
      await this.tend(population, standings)
    }
  }

  private async tend(population: PopulationName, standings: ReadonlyMap<number, Standing>): Promise<void> {
    const { version, body } = await this.options.store.getDocument(knowledgeDocument(population))
    const stored = version === 0 ? null : (JSON.parse(body) as Stored)
    this.report(population, stored, standings)
    const front = Math.max(0, ...[...standings.values()].map(({ cutAt }) => cutAt))
    // Before the next version replaces this one, everybody who is to have it was asked.
    const asked = stored === null ? null : await this.ask({ document: version, stored }, standings, front)
    if (stored !== null && asked === null) return
    await this.merge(population, asked ?? { document: version, stored }, standings, front)
  }

  /**
   * Asks the partitions that lag behind, once the time of the version has come. One that has not taken what it
   * was asked before has no owner or is far behind; it is not asked again, so that nothing piles up. Null when
   * somebody else was at it.
   */
  private async ask(
    found: Found & { readonly stored: Stored },
    standings: ReadonlyMap<number, Standing>,
    front: number,
  ): Promise<Found | null> {
    const { store, clock } = this.options
    const { knowledge } = found.stored
    const { population, version, cutAt } = knowledge
    if (Math.max(clock.now(), front) < cutAt + BOUNDARY_MS) return found
    const taken = (partition: number) => standings.get(partition)?.taken?.version ?? 0
    const asked = [...found.stored.asked]
    for (const partition of standings.keys()) {
      const before = asked[partition] ?? 0
      if (taken(partition) >= before || before <= version - GIVEN_UP) asked[partition] = version
    }
    let { document, stored } = found
    if (asked.some((v, partition) => v !== stored.asked[partition])) {
      const next = { ...stored, asked }
      const put = await store.putDocument(knowledgeDocument(population), document, JSON.stringify(next))
      if (put === null) return null
      document = put
      stored = next
    }
    const sent = this.sent[population]
    const due = [...standings.keys()].filter(
      (partition) =>
        asked[partition] === version && taken(partition) < version && sent.get(partition) !== version,
    )
    if (due.length === 0) return { document, stored }
    const body = encodeEffect({ kind: 'knowledge', ...knowledge })
    for (const partition of due) {
      await this.send(partition, { id: `knowledge-${population}-${version}`, kind: 'knowledge', body })
      sent.set(partition, version)
    }
    return { document, stored }
  }

  private async send(partition: number, request: ControlRequest): Promise<void> {
    try {
      await this.options.store.request(partition, request)
    } catch (error) {
      if (!(error instanceof CurfewError) || error.code !== 'LOG_FULL') throw error
      // An inbox that nobody empties must not keep the others from what is known.
      this.options.logger.warn({ partition, detail: error.message }, 'a partition cannot be asked')
    }
  }

  /**
   * Makes the next version when some partition has passed a boundary, and all have, or they were waited for long
   * enough. Each counts with its latest cut; the boundary is that of the latest of all.
   */
  private async merge(
    population: PopulationName,
    { document, stored }: Found,
    standings: ReadonlyMap<number, Standing>,
    front: number,
  ): Promise<void> {
    const { store, clock, partitions, patienceMs = PATIENCE_MS } = this.options
    if (front <= (stored?.knowledge.cutAt ?? 0)) {
      this.waitingSince[population] = null
      return
    }
    const since = this.waitingSince[population] ?? clock.now()
    this.waitingSince[population] = since
    const arrived = [...standings.values()].filter(({ cutAt }) => cutAt >= front).length
    if (arrived < partitions && clock.now() - since < patienceMs) return
    const cuts = new Array<number>(partitions).fill(0)
    const parts: Float64Array[] = []
    for (const partition of [...standings.keys()].sort((a, b) => a - b)) {
      const [bytes] = await store.read(partition, [cutKey(population)])
      const cut = bytes === undefined ? null : storedCut(bytes)
      if (cut === null) continue
      cuts[partition] = cut.cutAt
      parts.push(cut.sums)
    }
    const cutAt = Math.max(0, ...cuts)
    if (cutAt <= (stored?.knowledge.cutAt ?? 0)) return
    // Higher than any that was taken, should the document have been lost.
    const taken = [...standings.values()].map((standing) => standing.taken?.version ?? 0)
    const version = 1 + Math.max(stored?.knowledge.version ?? 0, ...taken)
    const knowledge = sealKnowledge(population, version, cutAt, addUp(parts))
    const asked = cuts.map((_, partition) => stored?.asked[partition] ?? 0)
    const next: Stored = { knowledge, cuts, asked }
    if ((await store.putDocument(knowledgeDocument(population), document, JSON.stringify(next))) === null)
      return
    this.waitingSince[population] = null
    this.report(population, next, standings)
  }

  private report(
    population: PopulationName,
    stored: Stored | null,
    standings: ReadonlyMap<number, Standing>,
  ): void {
    const { observer, partitions } = this.options
    const { version = 0, cutAt = 0 } = stored?.knowledge ?? {}
    const taken = [...standings.values()].map((standing) => standing.taken?.version ?? 0)
    const inForce = taken.length < partitions ? 0 : Math.min(...taken)
    const arrived = stored?.cuts.filter((at) => at >= cutAt).length ?? 0
    observer.knowledge(population, {
      version,
      inForce,
      cutAt,
      missing: stored === null ? 0 : partitions - arrived,
    })
  }
}
