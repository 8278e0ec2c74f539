import type { EpisodeLabel, HeaderLabel } from '../traffic/labels.ts'
import type { CallKind } from './rules.ts'
import type { Caller } from './truth.ts'

/** Bits of a principal-day. */
export const DAY = { settled: 1, warmUp: 2, attack: 4, noise: 8 } as const

/** Largest score per hour of the judged period, per caller that had one; -Infinity where there was none. */
export type HourScores = Map<number, Float32Array>

/** The calls of one attack, in arrival order, in columns. */
export interface AttackCalls {
  readonly callers: Uint32Array
  /** Event time, epoch ms. */
  readonly times: Float64Array
  /** Records that the call took; a write counts one. */
  readonly records: Float64Array
  /** Scores per scorer; -Infinity where it had none. */
  readonly scores: readonly Float32Array[]
}

/** An attack and what came of it. */
export interface AttackRecord {
  readonly episode: EpisodeLabel
  /** Whether it began inside the warm-up of its caller. */
  readonly coldStart: boolean
  readonly archetype: string
  readonly calls: AttackCalls
}

/** An alarm of the engine: everything it said about one entity within 24 hours of the first incident. */
export interface Alarm {
  /** Entity as in the labels, and the caller's number, or -1 when the entity is no caller. */
  readonly entity: string
  readonly tenant: string
  readonly caller: number
  /** Event time, epoch ms. */
  readonly time: number
  /** What the call was that opened it. */
  readonly kind: CallKind
  /** Episode of the opening call (a pair, an attack), or null. */
  readonly episode: string | null
  /** An attack call fell into one of its incidents: not a false alarm. */
  holdsAttack: boolean
}

/** How the engine found an attack. */
export interface Credit {
  readonly episode: string
  /** Place of the detecting call among the attack's calls, from 0. */
  readonly call: number
  readonly time: number
  readonly rightEntity: boolean
  readonly rightReason: boolean
}

/** Something the engine would have done to a caller. */
export interface Action {
  readonly incident: string
  readonly kind: 'throttle' | 'revoke'
  readonly caller: number
  readonly time: number
  /** What the call was that led to it. */
  readonly call: CallKind
  readonly judged: boolean
}

/** What one run of the engine at one budget came to. */
export interface BudgetRecord {
  readonly budget: number
  readonly alarms: readonly Alarm[]
  readonly credits: readonly Credit[]
  readonly actions: readonly Action[]
  /** Records of harmful calls that were let through, per attack, for each of the stated delays. */
  readonly left: ReadonlyMap<string, readonly number[]>
}

/** Everything that judging needs of one log; what a seed's run leaves behind. */
export interface SeedRecord {
  /** What it was made from: build, data, options. */
  readonly key: string
  readonly header: HeaderLabel
  readonly logEvents: number
  readonly scorers: readonly string[]
  readonly callers: readonly Caller[]
  readonly days: number
  /** Per caller and day of the log, the bits of {@link DAY}. */
  readonly dayBits: Uint8Array
  /** Per scorer: scores of settled callers' ordinary calls, and of those in warm-up. */
  readonly settled: readonly HourScores[]
  readonly warmUp: readonly HourScores[]
  readonly attacks: readonly AttackRecord[]
  /** Look-alikes and pairs. */
  readonly harmless: readonly EpisodeLabel[]
  /** Per pair, the largest score of each scorer. */
  readonly pairScores: ReadonlyMap<string, readonly number[]>
  readonly budgets: readonly BudgetRecord[]
  /** Per share q: calls of settled callers that scored above 1 - q, as a mean over callers. */
  readonly scoreShares: readonly { readonly q: number; readonly share: number; readonly callers: number }[]
}
