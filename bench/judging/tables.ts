import type { Json } from '../report/result.ts'
import { callersOf, chargeableDays, type FalseAlarm } from './false-alarms.ts'
import { DELAYS } from './judge-log.ts'
import { attackFigures, type Outcome } from './outcomes.ts'
import { chargedAlarms, dailyPrecision, exposure, falseAlarmsOf, type Point, type Pool } from './pool.ts'
import { DAY_MS, LIST_SIZES } from './rules.ts'
import { DAY, type SeedRecord } from './seed-record.ts'
import { poissonUpper, rounded } from './statistics.ts'

type Row = { [name: string]: Json }

/** Attacks that figures are told of: not held out, and not begun in the warm-up of their caller. */
export function isMain({ attack }: Outcome): boolean {
  return !attack.episode.heldOut && !attack.coldStart
}

export function isColdStart({ attack }: Outcome): boolean {
  return !attack.episode.heldOut && attack.coldStart
}

export function isHeldOutAttack({ attack }: Outcome): boolean {
  return attack.episode.heldOut
}

/** Figures of some attacks as a plain row. */
export function attackRow(outcomes: readonly Outcome[]): Row {
  const f = attackFigures(outcomes, Object.keys(DELAYS).length)
  return {
    attacks: f.attacks,
    detected: f.detected,
    share: f.share,
    interval: f.interval,
    medianEvents: f.medianEvents,
    medianSeconds: f.medianSeconds,
    within5_20_100: f.within,
    leftBeforeDetection: f.leftBeforeDetection,
    saved: Object.fromEntries(Object.keys(DELAYS).map((name, i) => [name, f.saved[i]!])),
    rightEntity: f.rightEntity,
    rightReason: f.rightReason,
  }
}

/** The outcomes by a name of each, in alphabetical order. */
export function byName(outcomes: readonly Outcome[], name: (o: Outcome) => string): Row {
  const keys = [...new Set(outcomes.map(name))].sort()
  return Object.fromEntries(keys.map((key) => [key, attackRow(outcomes.filter((o) => name(o) === key))]))
}

/** Everything about the attacks at one operating point. */
export function attackTables(point: Point): Row {
  const main = point.outcomes.filter(isMain)
  return {
    all: attackRow(main),
    byLevel: byName(main, (o) => o.attack.episode.level ?? '-'),
    byAttack: byName(main, (o) => o.attack.episode.type),
    byArchetype: byName(main, (o) => o.attack.archetype),
    byTenant: byName(main, (o) => o.attack.episode.tenant),
    coldStart: byName(point.outcomes.filter(isColdStart), (o) => o.attack.episode.type),
    heldOut: byName(point.outcomes.filter(isHeldOutAttack), (o) => o.attack.episode.type),
  }
}

/** False alarms per tenant and archetype. */
export function falseAlarmTables(pool: Pool, falseAlarms: readonly FalseAlarm[]): Row {
  const records = new Map(pool.records.map((r, i) => [r.header.seed, i]))
  const by = (name: (record: SeedRecord, caller: number) => string): Row => {
    const counts = new Map<string, { days: number; alarms: number }>()
    const of = (key: string) => {
      const known = counts.get(key) ?? { days: 0, alarms: 0 }
      counts.set(key, known)
      return known
    }
    for (const [i, record] of pool.records.entries()) {
      for (const [caller, days] of pool.daysOf[i]!.entries())
        if (days > 0) of(name(record, caller)).days += days
    }
    for (const { seed, caller } of falseAlarms) {
      const record = pool.records[records.get(seed)!]!
      of(caller < 0 ? 'org or tenant' : name(record, caller)).alarms++
    }
    return Object.fromEntries(
      [...counts]
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([key, row]) => [key, rateRow(row.alarms, row.days)]),
    )
  }
  return {
    byTenant: by((record, caller) => record.callers[caller]!.tenant),
    byArchetype: by((record, caller) => record.callers[caller]!.archetype),
  }
}

function rateRow(falseAlarmDays: number, principalDays: number) {
  const perThousand = principalDays === 0 ? null : rounded((1000 * falseAlarmDays) / principalDays)
  return { principalDays, falseAlarmDays, perThousand }
}

interface Lookalikes {
  episodes: number
  alarmed: number
  days: number
  alarms: number
}

/** Per kind of look-alike: how many raised an alarm, and the rate on its days; those held out apart. */
export function lookalikeTables(pool: Pool, budget: number): Row {
  const rows: Record<string, Record<string, Lookalikes>> = {}
  for (const record of pool.records) {
    const days = daysWithCalls(record)
    const alarms = falseAlarmsOf(record, budget, 'ordinary')
    for (const episode of record.harmless) {
      if (episode.kind !== 'lookalike') continue
      const callers = callersOf(record, episode)
      const own = new Set(callers)
      const hits = alarms.filter(
        (a) => own.has(a.caller) && a.time >= episode.from && a.time <= episode.to + DAY_MS,
      )
      const held = episode.heldOut ? 'heldOut' : 'main'
      const kinds = rows[held] ?? {}
      const row = kinds[episode.type] ?? { episodes: 0, alarmed: 0, days: 0, alarms: 0 }
      rows[held] = { ...kinds, [episode.type]: row }
      row.episodes++
      if (hits.length > 0) row.alarmed++
      row.alarms += hits.length
      row.days += callers.reduce((sum, c) => sum + days(c, episode.from, episode.to), 0)
    }
  }
  return Object.fromEntries(
    Object.entries(rows).map(([held, kinds]) => [
      held,
      Object.fromEntries(
        Object.keys(kinds)
          .sort()
          .map((type) => {
            const { episodes, alarmed, days, alarms } = kinds[type]!
            return [type, { episodes, alarmed, ...rateRow(alarms, days) }]
          }),
      ),
    ]),
  )
}

function daysWithCalls(record: SeedRecord): (caller: number, from: number, to: number) => number {
  const { learnFrom } = record.header
  return (caller, from, to) => {
    let count = 0
    const last = Math.min(record.days - 1, Math.floor((to - learnFrom) / DAY_MS))
    for (let day = Math.max(0, Math.floor((from - learnFrom) / DAY_MS)); day <= last; day++) {
      if (record.dayBits[caller * record.days + day] !== 0) count++
    }
    return count
  }
}

/** Paired negatives that raised an alarm of the engine. */
export function pairRow(pool: Pool, budget: number): Row {
  let pairs = 0
  let alarmed = 0
  for (const record of pool.records) {
    const own = new Set(record.harmless.filter((e) => e.kind === 'pair').map((e) => e.id))
    const hits = new Set(falseAlarmsOf(record, budget, 'ordinary').map((a) => a.episode))
    pairs += own.size
    for (const id of own) if (hits.has(id)) alarmed++
  }
  return { pairs, alarmed }
}

/** Precision of the daily lists of every scorer, with what a perfect list would reach. */
export function precisionTable(pool: Pool): Row {
  return Object.fromEntries(
    pool.scorers.map((name, scorer) => [
      name,
      Object.fromEntries(
        LIST_SIZES.map((size) => [`top${size}`, { ...dailyPrecision(pool.records, scorer, size) }]),
      ),
    ]),
  )
}

/** Actions against callers that nobody attacked. `upper` is per 100,000 principal-days. */
export function wrongActions(pool: Pool, budget: number, kind: 'throttle' | 'revoke') {
  const days = exposure(pool.records)
  const count = pool.records
    .flatMap((record) => record.budgets.find((b) => b.budget === budget)!.actions)
    .filter((a) => a.kind === kind && a.judged && (a.call === 'ordinary' || a.call === 'warm-up')).length
  return {
    count,
    principalDays: days,
    upper: days === 0 ? null : rounded((1e5 * poissonUpper(count)) / days),
  }
}

/** False alarms on callers in their warm-up, and the rate day by day after an installation that knew nothing. */
export function coldStartTables(pool: Pool, budget: number) {
  const warm = pool.records.flatMap((record) => chargedAlarms(record, budget, 'warm-up')).length
  const warmDays = pool.records
    .map((record) => chargeableDays(record, DAY.warmUp).reduce((a, b) => a + b, 0))
    .reduce((a, b) => a + b, 0)
  const daily = dailyRates(pool, budget)
  return { newcomers: rateRow(warm, warmDays), daily, daysUntilNormal: daysUntilNormal(daily, budget) }
}

/** The engine's false-alarm principal-days per 1,000, day by day from the first of the log; null without principal-days. */
function dailyRates(pool: Pool, budget: number): (number | null)[] {
  const days = Math.max(0, ...pool.records.map((r) => r.days))
  const alarms = new Array<number>(days).fill(0)
  const counts = new Array<number>(days).fill(0)
  for (const record of pool.records) {
    for (const { time } of falseAlarmsOf(record, budget, 'ordinary')) {
      const day = Math.floor((time - record.header.learnFrom) / DAY_MS)
      if (day >= 0 && day < days) alarms[day]! += 1
    }
    for (const [i, bits] of record.dayBits.entries()) {
      if ((bits & DAY.settled) !== 0 && (bits & (DAY.attack | DAY.noise)) === 0) counts[i % record.days]! += 1
    }
  }
  return counts.map((count, day) => (count === 0 ? null : rounded((1000 * alarms[day]!) / count)))
}

const NORMAL_DAYS = 3

/**
 * Days from the first of the log until three days in a row stay, in the mean, within twice the budget; the
 * day on which that stretch begins. Null when it never does.
 */
export function daysUntilNormal(daily: readonly (number | null)[], budget: number): number | null {
  for (let day = 0; day + NORMAL_DAYS <= daily.length; day++) {
    const rates = daily.slice(day, day + NORMAL_DAYS)
    if (rates.some((rate) => rate === null)) continue
    if (rates.reduce<number>((sum, rate) => sum + rate!, 0) / NORMAL_DAYS <= 2 * budget) return day
  }
  return null
}

/** Held-out kinds that the seeds drew, by seed. */
export function heldOutKinds(pool: Pool): Row {
  return Object.fromEntries(
    pool.records.map(({ header }) => [
      String(header.seed),
      { attacks: [...header.heldOutAttacks], lookalikes: [...header.heldOutLookalikes] },
    ]),
  )
}
