import { EVENT_LIMITS } from './rules.ts'
import type { AttackRecord, BudgetRecord, SeedRecord } from './seed-record.ts'
import { bootstrap, type Interval, mean, median, rounded, wilson } from './statistics.ts'

/** What became of one attack at one operating point. */
export interface Outcome {
  readonly seed: number
  readonly attack: AttackRecord
  /** Place of the detecting call among the attack's calls, from 0; null when it was not found. */
  readonly call: number | null
  /** Null for scorers that name no entity and no reason. */
  readonly rightEntity: boolean | null
  readonly rightReason: boolean | null
  /** Records that left before enforcement took effect, per stated delay; null where nothing is enforced. */
  readonly left: readonly number[] | null
}

/** Figures over some attacks. Shares are 0..1; medians are of the detected, the other shares of all. */
export interface AttackFigures {
  readonly attacks: number
  readonly detected: number
  readonly share: number | null
  readonly interval: Interval
  readonly medianEvents: number | null
  readonly medianEventsInterval: Interval | null
  readonly medianSeconds: number | null
  /** Share of all attacks that were detected within 5, 20, 100 harmful events. */
  readonly within: readonly (number | null)[]
  readonly rightEntity: number | null
  readonly rightReason: number | null
  /** Mean over attacks of the records that left before the detecting call was over. */
  readonly leftBeforeDetection: number | null
  /** Mean over attacks of 1 - left / planned, per stated delay. */
  readonly saved: readonly (number | null)[]
  readonly savedIntervals: readonly (Interval | null)[]
}

const SEED = 4_711

/** Outcomes of every attack at a threshold: found at its first judged call that scores as high. */
export function outcomesAt(record: SeedRecord, scorer: number, threshold: number): readonly Outcome[] {
  return record.attacks.map((attack) => {
    const call = attack.calls.scores[scorer]!.findIndex((score) => score >= threshold)
    return {
      seed: record.header.seed,
      attack,
      call: call < 0 ? null : call,
      rightEntity: null,
      rightReason: null,
      left: null,
    }
  })
}

/** Outcomes of every attack in a run of the engine at its own budget. */
export function outcomesOf(record: SeedRecord, budget: BudgetRecord): readonly Outcome[] {
  const credits = new Map(budget.credits.map((credit) => [credit.episode, credit]))
  return record.attacks.map((attack) => {
    const credit = credits.get(attack.episode.id)
    return {
      seed: record.header.seed,
      attack,
      call: credit?.call ?? null,
      rightEntity: credit?.rightEntity ?? null,
      rightReason: credit?.rightReason ?? null,
      left: budget.left.get(attack.episode.id) ?? null,
    }
  })
}

/** Harmful calls up to and with the detecting one; 0 when it was found while it only prepared itself. */
export function eventsToDetect({ attack, call }: Outcome): number | null {
  if (call === null) return null
  let count = 0
  for (let i = 0; i <= call; i++) if (attack.calls.times[i]! >= attack.episode.harmFrom) count++
  return count
}

/** Event time from the first harmful call to the detecting one. */
export function secondsToDetect({ attack, call }: Outcome): number | null {
  return call === null ? null : Math.max(0, (attack.calls.times[call]! - attack.episode.harmFrom) / 1000)
}

/** Share of the planned records that left up to and with the detecting call; null when none were planned. */
export function leftBeforeDetection({ attack, call }: Outcome): number | null {
  const { plannedRecords, harmFrom } = attack.episode
  if (plannedRecords === 0) return null
  let left = 0
  const last = call ?? attack.calls.times.length - 1
  for (let i = 0; i <= last; i++) if (attack.calls.times[i]! >= harmFrom) left += attack.calls.records[i]!
  return Math.min(1, left / plannedRecords)
}

/** 1 - left / planned under the stated delay; null when nothing was planned or nothing is enforced. */
export function savedShare({ attack, left }: Outcome, delay: number): number | null {
  const { plannedRecords } = attack.episode
  if (plannedRecords === 0 || left === null) return null
  return Math.max(0, 1 - left[delay]! / plannedRecords)
}

export function attackFigures(outcomes: readonly Outcome[], delays: number): AttackFigures {
  const found = outcomes.filter((o) => o.call !== null)
  const events = known(found.map(eventsToDetect))
  const share = (count: number, of: number) => (of === 0 ? null : rounded(count / of))
  const right = (which: 'rightEntity' | 'rightReason') => {
    const told = found.filter((o) => o[which] !== null)
    return share(told.filter((o) => o[which] === true).length, told.length)
  }
  const indexes = Array.from({ length: delays }, (_, i) => i)
  const saved = indexes.map((i) => known(outcomes.map((o) => savedShare(o, i))))
  return {
    attacks: outcomes.length,
    detected: found.length,
    share: share(found.length, outcomes.length),
    interval: wilson(found.length, outcomes.length),
    medianEvents: median(events),
    medianEventsInterval: bootstrap(events, median, SEED),
    medianSeconds: orNull(median(known(found.map(secondsToDetect)))),
    within: EVENT_LIMITS.map((limit) => share(events.filter((n) => n <= limit).length, outcomes.length)),
    rightEntity: right('rightEntity'),
    rightReason: right('rightReason'),
    leftBeforeDetection: orNull(mean(known(outcomes.map(leftBeforeDetection)))),
    saved: saved.map((shares) => orNull(mean(shares))),
    savedIntervals: saved.map((shares) => bootstrap(shares, mean, SEED)),
  }
}

function known(values: readonly (number | null)[]): readonly number[] {
  return values.filter((v) => v !== null)
}

function orNull(value: number | null): number | null {
  return value === null ? null : rounded(value)
}
