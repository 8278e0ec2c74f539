import { ALARM_MS, AREA_POINTS, DAY_MS, EVENT_LIMITS, inWarmUp } from '../judging/rules.ts'
import { bootstrap, type Interval, median, rounded, wilson } from '../judging/statistics.ts'
import { byScore, type Ranked } from './ranking.ts'

/** One call of a log with takeovers, with what the labels say of it. */
export interface LabelledCall {
  readonly principal: string
  /** Epoch ms. */
  readonly time: number
  readonly attack: boolean
}

/** What the labels say of one takeover; times are epoch ms. */
export interface Takeover {
  readonly principal: string
  readonly level: string
  readonly first: number
  readonly last: number
}

/** How one judge did at one threshold or budget. */
export interface Reading {
  /** False-alarm principal-days per 1,000 principal-days without an attack. */
  readonly falseAlarms: number
  /** Per judged takeover, attack calls until the alarm (itself included), or null when it was missed. */
  readonly eventsToDetect: readonly (number | null)[]
}

interface Settled {
  readonly time: number
  readonly day: number
  readonly index: number
}

const BOOTSTRAP_SEED = 17

/**
 * The rules of judging applied to one log: which calls can be charged, which takeovers are judged, and how
 * many principal-days there are. Calls must be in arrival order.
 */
export class TakeoverJudging {
  readonly judged: readonly Takeover[]
  /** Takeovers that begin while their victim is in its warm-up. */
  readonly coldStarts: readonly Takeover[]
  readonly principalDays: number
  /** Whether a call can be charged: no attack, not within 24 h after one, behind the warm-up. */
  private readonly chargeable: Uint8Array
  private readonly calls: readonly LabelledCall[]
  private readonly settled: readonly (readonly Settled[])[]
  /** Per takeover (judged first, then cold starts): calls of the victim until 24 h after the last attack call. */
  private readonly watched: ReadonlyMap<Takeover, readonly { index: number; attacksSoFar: number }[]>

  constructor(calls: readonly LabelledCall[], takeovers: readonly Takeover[]) {
    const kinds = kindsOf(calls)
    this.calls = calls
    this.chargeable = Uint8Array.from(kinds, (k) => (k.charged ? 1 : 0))
    const byPrincipal = new Map<string, Settled[]>()
    const days = new Map<string, boolean>()
    for (const [index, { principal, time, attack }] of calls.entries()) {
      const day = Math.floor(time / DAY_MS)
      const key = `${principal} ${day}`
      if (attack) days.set(key, true)
      else if (!kinds[index]!.warmUp && !days.has(key)) days.set(key, false)
      if (!kinds[index]!.charged) continue
      const own = byPrincipal.get(principal)
      if (own === undefined) byPrincipal.set(principal, [{ time, day, index }])
      else own.push({ time, day, index })
    }
    this.principalDays = [...days.values()].filter((attacked) => !attacked).length
    this.settled = [...byPrincipal.values()]
    const isCold = (t: Takeover) =>
      kinds[calls.findIndex((c) => c.principal === t.principal && c.attack)]!.warmUp
    this.judged = takeovers.filter((t) => !isCold(t))
    this.coldStarts = takeovers.filter(isCold)
    this.watched = new Map(takeovers.map((t) => [t, watchedCalls(calls, t)]))
  }

  /** False-alarm principal-days per 1,000: one alarm per principal and 24 h, days of its alarms. */
  falseAlarms(alarmed: (index: number) => boolean): number {
    let count = 0
    for (const calls of this.settled) {
      let quietUntil = Number.NEGATIVE_INFINITY
      let lastDay = -1
      for (const { time, day, index } of calls) {
        if (time < quietUntil || !alarmed(index)) continue
        quietUntil = time + ALARM_MS
        if (day !== lastDay) count++
        lastDay = day
      }
    }
    return (1000 * count) / this.principalDays
  }

  /** Attack calls until the alarm, per takeover; null for missed. */
  detections(
    alarmed: (index: number) => boolean,
    takeovers: readonly Takeover[] = this.judged,
  ): readonly (number | null)[] {
    return takeovers.map((takeover) => {
      const hit = this.watched.get(takeover)!.find(({ index }) => alarmed(index))
      return hit === undefined ? null : hit.attacksSoFar
    })
  }

  /**
   * Principal-days ranked by their largest score: positive are days with calls of a judged takeover, by
   * these calls; negative are days with chargeable calls, by those.
   */
  rankedDays(scores: Float64Array): readonly Ranked[] {
    const days = new Map<string, { score: number; positive: boolean }>()
    const take = (key: string, positive: boolean, score: number) => {
      const day = days.get(key)
      if (day === undefined || (positive && !day.positive)) days.set(key, { score, positive })
      else if (positive === day.positive) day.score = Math.max(day.score, score)
    }
    const victims = new Set(this.judged.map((t) => t.principal))
    for (const [index, { principal, time, attack }] of this.calls.entries()) {
      const key = `${principal} ${Math.floor(time / DAY_MS)}`
      if (attack && victims.has(principal)) take(key, true, scores[index]!)
      else if (this.chargeable[index] === 1) take(key, false, scores[index]!)
    }
    return byScore([...days.values()])
  }

  /**
   * The curve over thresholds ("oracle threshold"), from the strictest down, until false alarms exceed
   * `limit` per 1,000 principal-days for the first time.
   */
  curve(scores: Float64Array, limit: number): readonly (Reading & { readonly threshold: number })[] {
    const relevant = new Set<number>()
    for (const calls of this.settled) for (const { index } of calls) relevant.add(scores[index]!)
    for (const calls of this.watched.values()) for (const { index } of calls) relevant.add(scores[index]!)
    const curve: (Reading & { readonly threshold: number })[] = []
    for (const threshold of [...relevant].sort((a, b) => b - a)) {
      if (threshold <= 0) break
      const alarmed = (index: number) => scores[index]! >= threshold
      const falseAlarms = this.falseAlarms(alarmed)
      if (falseAlarms > limit) break
      curve.push({ threshold, falseAlarms, eventsToDetect: this.detections(alarmed) })
    }
    return curve
  }
}

/** The last reading of a curve that stays within this many false alarms; nothing detected without one. */
export function readingAt(curve: readonly Reading[], falseAlarms: number, takeovers: number): Reading {
  let found: Reading = { falseAlarms: 0, eventsToDetect: new Array<null>(takeovers).fill(null) }
  for (const reading of curve) {
    if (reading.falseAlarms > falseAlarms) break
    found = reading
  }
  return found
}

/** Share of takeovers detected, with Wilson's interval. */
export function shareDetected({ eventsToDetect }: Reading): { value: number; interval: Interval } {
  const hits = eventsToDetect.filter((events) => events !== null).length
  return { value: rounded(hits / eventsToDetect.length), interval: wilson(hits, eventsToDetect.length) }
}

/** Share of all takeovers that were detected within so many attack calls, for each of the limits. */
export function sharesWithin({ eventsToDetect }: Reading): readonly { limit: number; hits: number }[] {
  return EVENT_LIMITS.map((limit) => ({
    limit,
    hits: eventsToDetect.filter((events) => events !== null && events <= limit).length,
  }))
}

/** Median attack calls until the alarm over the detected, or null. */
export function medianEvents({ eventsToDetect }: Reading): number | null {
  return median(eventsToDetect.filter((events) => events !== null))
}

/** Mean share detected over 0.5 to 20 false-alarm principal-days per 1,000, with a bootstrap over takeovers. */
export function partialArea(
  curve: readonly Reading[],
  takeovers: number,
): { value: number; interval: Interval } {
  const readings = AREA_POINTS.map((point) => readingAt(curve, point, takeovers).eventsToDetect)
  /** Per takeover, the share of the points at which it is detected; the area is their mean. */
  const shares = Array.from(
    { length: takeovers },
    (_, i) => readings.filter((events) => events[i] !== null).length / readings.length,
  )
  const mean = (sample: readonly number[]) => sample.reduce((a, b) => a + b, 0) / sample.length
  return { value: rounded(mean(shares)), interval: bootstrap(shares, mean, BOOTSTRAP_SEED) ?? [0, 1] }
}

function kindsOf(calls: readonly LabelledCall[]): readonly { warmUp: boolean; charged: boolean }[] {
  const seen = new Map<string, { first: number; count: number; attackedAt: number }>()
  return calls.map(({ principal, time, attack }) => {
    let own = seen.get(principal)
    if (own === undefined) {
      own = { first: time, count: 0, attackedAt: Number.NEGATIVE_INFINITY }
      seen.set(principal, own)
    }
    const warmUp = inWarmUp(own.count, own.first, time)
    own.count++
    if (attack) own.attackedAt = time
    return { warmUp, charged: !attack && !warmUp && time - own.attackedAt >= ALARM_MS }
  })
}

function watchedCalls(calls: readonly LabelledCall[], { principal, first, last }: Takeover) {
  const watched: { index: number; attacksSoFar: number }[] = []
  let attacksSoFar = 0
  for (const [index, call] of calls.entries()) {
    if (call.principal !== principal || call.time < first || call.time > last + ALARM_MS) continue
    if (call.attack) attacksSoFar++
    if (attacksSoFar > 0) watched.push({ index, attacksSoFar })
  }
  return watched
}
