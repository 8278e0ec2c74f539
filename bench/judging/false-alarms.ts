import type { EpisodeLabel } from '../traffic/labels.ts'
import { ALARM_MS, DAY_MS, HOUR_MS } from './rules.ts'
import { type AttackRecord, DAY, type HourScores, type SeedRecord } from './seed-record.ts'
import { entityName } from './truth.ts'

/** A false-alarm principal-day. `hour` counts from the start of the judged period. */
export interface FalseAlarm {
  readonly seed: number
  readonly caller: number
  /** Event time of the alarm, to the hour on a curve, epoch ms. */
  readonly time: number
}

const ALARM_HOURS = ALARM_MS / HOUR_MS

/** Attack calls of one caller on the hourly grid: when, and how high they scored. */
interface AttackPoint {
  readonly time: number
  readonly score: number
}

/** One scorer's scores on one log, ready to be asked for the false alarms at any threshold. */
export class ScoredLog {
  readonly record: SeedRecord
  private readonly rows: readonly { caller: number; hours: Float32Array; top: number }[]
  private readonly attacked: ReadonlyMap<number, readonly AttackPoint[]>
  private readonly heldOut: HeldOutTimes

  constructor(record: SeedRecord, scores: HourScores, scorer: number) {
    this.record = record
    this.heldOut = heldOutTimes(record)
    this.rows = [...scores]
      .map(([caller, hours]) => ({ caller, hours, top: hours.reduce((a, b) => (b > a ? b : a)) }))
      .sort((a, b) => b.top - a.top || a.caller - b.caller)
    this.attacked = attackPoints(record.attacks, scorer)
  }

  /** Every score that could be a threshold, unsorted. */
  *candidates(): Iterable<number> {
    for (const { hours } of this.rows)
      for (const score of hours) if (score > Number.NEGATIVE_INFINITY) yield score
  }

  /**
   * False-alarm principal-days if an alarm goes off at every score of at least `threshold`: one alarm per
   * caller and 24 hours, none that holds an attack call, none in a look-alike that is held out.
   */
  at(threshold: number): readonly FalseAlarm[] {
    const found: FalseAlarm[] = []
    const { judgeFrom, seed } = this.record.header
    for (const { caller, hours, top } of this.rows) {
      if (top < threshold) break
      const attack = this.attacked.get(caller)
      for (let hour = 0; hour < hours.length; hour++) {
        if (hours[hour]! < threshold) continue
        const time = judgeFrom + hour * HOUR_MS
        const holds = attack?.some((p) => p.score >= threshold && p.time >= time && p.time < time + ALARM_MS)
        if (holds !== true && !isHeldOut(this.heldOut, caller, time)) found.push({ seed, caller, time })
        hour += ALARM_HOURS - 1
      }
    }
    return found
  }
}

function attackPoints(attacks: readonly AttackRecord[], scorer: number): Map<number, AttackPoint[]> {
  const points = new Map<number, AttackPoint[]>()
  for (const { calls } of attacks) {
    for (const [i, caller] of calls.callers.entries()) {
      const list = points.get(caller) ?? []
      list.push({ time: calls.times[i]!, score: calls.scores[scorer]![i]! })
      points.set(caller, list)
    }
  }
  return points
}

/** Times in which a caller acts out a look-alike that is left out of tuning. */
export type HeldOutTimes = ReadonlyMap<number, readonly (readonly [from: number, to: number])[]>

export function heldOutTimes(record: SeedRecord): HeldOutTimes {
  const times = new Map<number, [number, number][]>()
  for (const episode of record.harmless) {
    if (!episode.heldOut || episode.kind !== 'lookalike') continue
    for (const caller of callersOf(record, episode)) {
      times.set(caller, [...(times.get(caller) ?? []), [episode.from, episode.to]])
    }
  }
  return times
}

/** To the day: what a look-alike does to a day's totals lasts as long as the day. */
export function isHeldOut(times: HeldOutTimes, caller: number, time: number): boolean {
  const ranges = times.get(caller)
  if (ranges === undefined) return false
  return ranges.some(([from, to]) => time >= Math.floor(from / DAY_MS) * DAY_MS && time < to + DAY_MS)
}

/** The callers that an episode is about; of a tenant or an org, all of theirs. */
export function callersOf(record: SeedRecord, episode: EpisodeLabel): readonly number[] {
  const names = new Set(episode.entities.map(entityName))
  return record.callers.flatMap(({ tenant, id, org }, i) => {
    if (tenant !== episode.tenant) return []
    const own = entityName({ type: 'principal', id })
    return names.has(own) || names.has(`tenant:${tenant}`) || (org !== null && names.has(org)) ? [i] : []
  })
}

/** Judged principal-days that can be charged, per caller: settled, with calls, without attack, noise or a held-out look-alike. */
export function chargeableDays(record: SeedRecord, bit: number = DAY.settled): Float64Array {
  const { days, dayBits, header } = record
  const heldOut = heldOutTimes(record)
  const counts = new Float64Array(record.callers.length)
  const first = Math.round((header.judgeFrom - header.learnFrom) / DAY_MS)
  for (let caller = 0; caller < counts.length; caller++) {
    for (let day = first; day < days; day++) {
      const bits = dayBits[caller * days + day]!
      if ((bits & bit) === 0 || (bits & (DAY.attack | DAY.noise)) !== 0) continue
      if (isHeldOut(heldOut, caller, header.learnFrom + day * DAY_MS)) continue
      counts[caller]! += 1
    }
  }
  return counts
}

/**
 * The smallest threshold with at most `perThousand` false-alarm principal-days per 1,000 over all logs
 * together: one threshold for everybody. It is chosen with the labels in hand ("oracle threshold"), which no
 * installation can do. Just above the highest harmless score when that alone would be too many.
 */
export function oracleThreshold(
  logs: readonly ScoredLog[],
  sorted: Float32Array,
  days: number,
  perThousand: number,
): number {
  const allowed = (perThousand * days) / 1000
  const isFine = (at: number) => logs.reduce((sum, log) => sum + log.at(sorted[at]!).length, 0) <= allowed
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (isFine(middle)) high = middle
    else low = middle + 1
  }
  if (low < sorted.length) return sorted[low]!
  const top = sorted.at(-1)
  return top === undefined ? -Number.MAX_VALUE : top + Math.max(1e-9, Math.abs(top) * 1e-6)
}

/** All scores of the logs, each once, ascending. */
export function sortedScores(logs: readonly ScoredLog[]): Float32Array {
  let size = 0
  for (const log of logs) for (const _ of log.candidates()) size++
  const all = new Float32Array(size)
  let at = 0
  for (const log of logs) for (const score of log.candidates()) all[at++] = score
  all.sort()
  let unique = 0
  for (let i = 0; i < all.length; i++) if (i === 0 || all[i] !== all[i - 1]) all[unique++] = all[i]!
  return all.subarray(0, unique)
}
