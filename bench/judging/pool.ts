import {
  chargeableDays,
  type FalseAlarm,
  heldOutTimes,
  isHeldOut,
  oracleThreshold,
  ScoredLog,
  sortedScores,
} from './false-alarms.ts'
import { type Outcome, outcomesAt, outcomesOf } from './outcomes.ts'
import { AREA_POINTS, type CallKind, DAY_MS, OPERATING_POINTS } from './rules.ts'
import { type Alarm, DAY, type SeedRecord } from './seed-record.ts'
import { bootstrap, type Interval, rounded } from './statistics.ts'

/** False alarms and found attacks, of all seeds of a pool together. */
export interface Point {
  /** Score from which an alarm goes off; null at the engine's own budget, where it moves. */
  readonly threshold: number | null
  readonly falseAlarms: readonly FalseAlarm[]
  readonly outcomes: readonly Outcome[]
}

/** A scorer over all thresholds, with the labels in hand. */
export interface OracleCurve {
  readonly scorer: string
  /** By the allowed false-alarm principal-days per 1,000. */
  readonly points: ReadonlyMap<number, Point>
}

/** The records of several seeds, one world each, judged together. */
export class Pool {
  readonly records: readonly SeedRecord[]
  /** Principal-days that can be charged. */
  readonly days: number
  /** The same, per record and caller. */
  readonly daysOf: readonly Float64Array[]

  constructor(records: readonly SeedRecord[]) {
    this.records = records
    this.daysOf = records.map((record) => chargeableDays(record))
    this.days = this.daysOf.reduce((sum, days) => sum + days.reduce((a, b) => a + b, 0), 0)
  }

  get scorers(): readonly string[] {
    return this.records[0]?.scorers ?? []
  }

  /** Detection against false alarms at every told point; one threshold for all seeds. */
  oracle(scorer: number): OracleCurve {
    const logs = this.records.map((record) => new ScoredLog(record, record.settled[scorer]!, scorer))
    const sorted = sortedScores(logs)
    const targets = [...new Set([...OPERATING_POINTS, ...AREA_POINTS])].sort((a, b) => a - b)
    const points = new Map<number, Point>()
    for (const target of targets) {
      const threshold = oracleThreshold(logs, sorted, this.days, target)
      points.set(target, {
        threshold,
        falseAlarms: logs.flatMap((log) => log.at(threshold)),
        outcomes: this.records.flatMap((record) => outcomesAt(record, scorer, threshold)),
      })
    }
    return { scorer: this.scorers[scorer]!, points }
  }

  /** The engine at its own budget and calibration. */
  atBudget(budget: number): Point {
    const falseAlarms = this.records.flatMap((record) => chargedAlarms(record, budget, 'ordinary'))
    const outcomes = this.records.flatMap((record) =>
      outcomesOf(record, record.budgets.find((b) => b.budget === budget)!),
    )
    return { threshold: null, falseAlarms, outcomes }
  }

  /** False-alarm principal-days per 1,000 with a 95 % interval by bootstrap over callers. */
  rate(falseAlarms: readonly FalseAlarm[]): {
    readonly rate: number | null
    readonly interval: Interval | null
  } {
    if (this.days === 0) return { rate: null, interval: null }
    const counts = this.records.map((record) => new Float64Array(record.callers.length + 1))
    const bySeed = new Map(this.records.map((record, i) => [record.header.seed, i]))
    for (const { seed, caller } of falseAlarms) {
      const row = counts[bySeed.get(seed)!]!
      row[caller < 0 ? row.length - 1 : caller]! += 1
    }
    const units: (readonly [alarms: number, days: number])[] = []
    for (const [i, row] of counts.entries()) {
      row.forEach((alarms, caller) => {
        const days = this.daysOf[i]![caller] ?? 0
        if (alarms > 0 || days > 0) units.push([alarms, days])
      })
    }
    const rateOf = (sample: typeof units) => {
      let alarms = 0
      let days = 0
      for (const [a, d] of sample) {
        alarms += a
        days += d
      }
      return days === 0 ? null : (1000 * alarms) / days
    }
    return { rate: rounded(rateOf(units)!), interval: bootstrap(units, (s) => rateOf([...s]), 1_217) }
  }
}

/** Alarms of the engine in the judged period that count against it, opened by a call of the given kind. */
export function chargedAlarms(record: SeedRecord, budget: number, kind: CallKind): readonly FalseAlarm[] {
  const { judgeFrom, judgeTo, seed } = record.header
  const heldOut = heldOutTimes(record)
  return falseAlarmsOf(record, budget, kind)
    .filter(({ time, caller }) => time >= judgeFrom && time < judgeTo && !isHeldOut(heldOut, caller, time))
    .map(({ caller, time }) => ({ seed, caller, time }))
}

/** Alarms of the engine that hold no attack call, learning period included. */
export function falseAlarmsOf(record: SeedRecord, budget: number, kind: CallKind): readonly Alarm[] {
  const run = record.budgets.find((b) => b.budget === budget)
  return (run?.alarms ?? []).filter((alarm) => alarm.kind === kind && !alarm.holdsAttack)
}

/** Mean share of attacks found over the points of the partial area, 0.5 to 20 in equal steps. */
export function partialArea(
  curve: OracleCurve,
  wanted: (outcome: Outcome) => boolean,
): { readonly area: number | null; readonly interval: Interval | null } {
  const sums = new Map<Outcome['attack'], number>()
  for (const target of AREA_POINTS) {
    for (const outcome of curve.points.get(target)!.outcomes) {
      if (!wanted(outcome)) continue
      sums.set(outcome.attack, (sums.get(outcome.attack) ?? 0) + (outcome.call === null ? 0 : 1))
    }
  }
  const shares = [...sums.values()].map((sum) => sum / AREA_POINTS.length)
  const average = (sample: readonly number[]) => sample.reduce((a, b) => a + b, 0) / sample.length
  if (shares.length === 0) return { area: null, interval: null }
  return { area: rounded(average(shares)), interval: bootstrap(shares, average, 2_003) }
}

/** Per size of list: share of the top callers of a day, by largest score, that were under attack on it. */
export function dailyPrecision(
  records: readonly SeedRecord[],
  scorer: number,
  size: number,
): { readonly precision: number | null; readonly attainable: number | null } {
  let hits = 0
  let attainable = 0
  let listed = 0
  for (const record of records) {
    for (const day of dailyScores(record, scorer)) {
      const top = day.sort((a, b) => b.score - a.score || a.caller - b.caller).slice(0, size)
      hits += top.filter((entry) => entry.attack).length
      attainable += Math.min(size, day.filter((entry) => entry.attack).length)
      listed += size
    }
  }
  if (listed === 0) return { precision: null, attainable: null }
  return { precision: rounded(hits / listed), attainable: rounded(attainable / listed) }
}

interface DayScore {
  readonly caller: number
  score: number
  attack: boolean
}

function dailyScores(record: SeedRecord, scorer: number): DayScore[][] {
  const { judgeFrom, judgeTo } = record.header
  const days = Array.from(
    { length: Math.ceil((judgeTo - judgeFrom) / DAY_MS) },
    () => new Map<number, DayScore>(),
  )
  const put = (day: number, caller: number, score: number, attack: boolean) => {
    if (days[day] === undefined || score === Number.NEGATIVE_INFINITY) return
    const entry = days[day].get(caller) ?? { caller, score: Number.NEGATIVE_INFINITY, attack: false }
    entry.score = Math.max(entry.score, score)
    entry.attack ||= attack
    days[day].set(caller, entry)
  }
  for (const [caller, hours] of record.settled[scorer]!) {
    for (const [hour, score] of hours.entries()) put(Math.floor(hour / 24), caller, score, false)
  }
  for (const { calls } of record.attacks) {
    for (const [i, caller] of calls.callers.entries()) {
      put(Math.floor((calls.times[i]! - judgeFrom) / DAY_MS), caller, calls.scores[scorer]![i]!, true)
    }
  }
  return days.map((day) => [...day.values()])
}

/** Judged principal-days without attack and noise, warm-up included: what wrong actions are counted against. */
export function exposure(records: readonly SeedRecord[]): number {
  let days = 0
  for (const record of records) {
    const first = Math.round((record.header.judgeFrom - record.header.learnFrom) / DAY_MS)
    for (let i = 0; i < record.dayBits.length; i++) {
      const bits = record.dayBits[i]!
      if (i % record.days >= first && bits !== 0 && (bits & (DAY.attack | DAY.noise)) === 0) days++
    }
  }
  return days
}
