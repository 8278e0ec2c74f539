import type { EnvelopeLimits } from '../core/envelope.ts'
import { BURST_BINS, callsOfBin } from './bursts.ts'
import { CORE, DAY_WINDOW, M2, MEAN, SEEN, TOTAL, WINDOW_COUNT } from './layout.ts'
import { degreesOfFreedom, independentWindows, levelOffset, predict } from './predictive.ts'
import type { Prior } from './prior.ts'
import type { ProfileView } from './slab.ts'
import { studentQuantile } from './tail.ts'

/** What a caller's busiest ten seconds of each former day were like, in ln(calls). */
export interface DailyBursts {
  /** Former days counted. */
  readonly days: number
  readonly mean: number
  /** Sum of squared deviations. */
  readonly m2: number
  /** The largest of today, in calls, as far as nobody holds them against the caller. */
  readonly today: number
}

/** The share of windows that stay below the quantile which limits start from: 99.9 %, as a normal z. */
const Z_999 = 3.0902323
/** -log10 of the remaining share. */
const SURPRISE_999 = 3
/** Whatever was done once may fall across the border of two windows, and be counted in one of a gateway's. */
const ACROSS = 2
/** Nobody is held to one call at a time: a retry overlaps with what it repeats. */
const LEAST_IN_FLIGHT = 2
/** Active days from which a caller's own minutes say how much it does side by side. */
const KNOWN_DAYS = 7
/** Single precision of stored statistics, as a share. */
const PRECISION = 1e-4
/** Spread of a caller's daily bursts, as variance in square nats, and the days that it is worth. */
const USUAL_BURST_VARIANCE = 0.25
const USUAL_BURST_DAYS = 4
const MAX_BURST_DOF = 30

/** One hour of each level, since the epoch: those of a Thursday and of a Saturday. */
const HOURS = Array.from({ length: 48 }, (_, i) => (i < 24 ? i : i + 24))

const REQUESTS = 0
const RECORDS = 1
const BYTES = 2
const MINUTE = 0
const TEN_MINUTES = 1

/**
 * The limits of one caller, from its profile and what is known of its peers. Never below what the profile remembers
 * of it, with room for windows that lie across each other; above that, `headroom` times the 99.9 % quantile of its
 * predictive distribution. A caller without former days gets `headroom` times what 999 of 1,000 windows of its peers
 * hold. Calls that take longer than a minute may exceed `inFlight`. Pure.
 */
export function envelopeOf(
  view: ProfileView,
  prior: Prior,
  bursts: DailyBursts | null,
  headroom: number,
): EnvelopeLimits {
  const minute = remembered(view, REQUESTS, MINUTE)
  const peersMinute = isKnown(view) ? 0 : peersQuantile(prior, REQUESTS * WINDOW_COUNT + MINUTE)
  return {
    inFlight: Math.max(LEAST_IN_FLIGHT, ACROSS * minute, peersMinute),
    requestsPer10s: Math.max(
      headroom * burstQuantile(bursts, prior),
      ACROSS * Math.max(minute, burstRemembered(bursts)),
    ),
    recordsPer10min: volumeLimit(view, prior, RECORDS, headroom),
    bytesPer10min: volumeLimit(view, prior, BYTES, headroom),
  }
}

/** Null for a known caller of whom nothing of this kind was ever logged. */
function volumeLimit(view: ProfileView, prior: Prior, metric: number, headroom: number): number | null {
  const cell = metric * WINDOW_COUNT + TEN_MINUTES
  if (isKnown(view) && view.f32[view.base / 4 + SEEN / 4 + cell] === 0) return null
  return Math.max(
    headroom * windowQuantile(view, prior, metric),
    ACROSS * remembered(view, metric, TEN_MINUTES),
  )
}

/** Whether the caller was active on enough days for its own past to say what it does. */
export function isKnown(view: ProfileView): boolean {
  return view.u16[(view.base + CORE.activeDays) / 2]! >= KNOWN_DAYS
}

/** The 99.9 % quantile of the next ten minutes, in the hour of the week in which most is usual. */
function windowQuantile(view: ProfileView, prior: Prior, metric: number): number {
  const cell = metric * WINDOW_COUNT + TEN_MINUTES
  const windows = independentWindows(view, cell)
  if (windows === 0) return peersQuantile(prior, cell)
  const { center, scale } = predict(view, prior, cell, busiestHour(view, metric))
  return Math.expm1(center + studentQuantile(Z_999, degreesOfFreedom(windows)) * scale)
}

/** Means of peers and their windows around these are many, so their spread is known: a normal tail. */
function peersQuantile(prior: Prior, cell: number): number {
  const center = prior.center[cell]!
  const variance = prior.between[cell]! + prior.within[cell]! + Math.exp(-center)
  return Math.expm1(center + Z_999 * Math.sqrt(variance))
}

/**
 * No less than the largest window that the profile has learnt. By Samuelson's inequality ("How deviant can you be?",
 * JASA 63, 1968) no value of a sample lies further from its mean than the root of its sum of squared deviations; and
 * a window holds no more than the hour and the day around it, so the smallest of these bounds counts. Of windows that
 * fade from the profile it fades, too.
 */
function remembered(view: ProfileView, metric: number, window: number): number {
  const f = view.base / 4
  let least = Number.POSITIVE_INFINITY
  for (let w = window; w < WINDOW_COUNT; w++) {
    const cell = metric * WINDOW_COUNT + w
    if (view.f32[f + SEEN / 4 + cell] === 0) continue
    const level = w === DAY_WINDOW ? 0 : Math.max(0, levelOffset(view, metric, busiestHour(view, metric)))
    const most = view.f32[f + MEAN / 4 + cell]! + rootOf(view.f32[f + M2 / 4 + cell]!) + level
    // What has been learnt of the open hour or day is no part of a closed one.
    const open = view.f64[(view.base + TOTAL) / 8 + cell]!
    least = Math.min(least, Math.max(wholeBelow(Math.expm1(most)), w === window ? 0 : open))
  }
  return Number.isFinite(least) ? least : 0
}

/** A sum of squares in single precision can come out below 0. */
function rootOf(squares: number): number {
  return squares > 0 ? Math.sqrt(squares) : 0
}

/** Totals are whole, so a bound may be rounded down; not by what single precision has lost. */
function wholeBelow(bound: number): number {
  return Math.floor(bound * (1 + PRECISION) + PRECISION)
}

/** An hour of the level that lies highest above the caller's mean, in hours since the epoch. */
function busiestHour(view: ProfileView, metric: number): number {
  return HOURS.reduce((best, hour) =>
    levelOffset(view, metric, hour) > levelOffset(view, metric, best) ? hour : best,
  )
}

function burstRemembered(bursts: DailyBursts | null): number {
  if (bursts === null) return 0
  const former = bursts.days === 0 ? 0 : wholeBelow(Math.exp(bursts.mean + rootOf(bursts.m2)))
  return Math.max(former, bursts.today)
}

/** The 99.9 % quantile of a day's largest burst; without former days, of the peers'. */
function burstQuantile(bursts: DailyBursts | null, prior: Prior): number {
  if (bursts === null || bursts.days === 0) {
    const bin = prior.peaks.bursts.findIndex((surprise) => surprise >= SURPRISE_999)
    return callsOfBin(bin === -1 ? BURST_BINS - 1 : bin)
  }
  const { days, mean, m2 } = bursts
  const variance = (USUAL_BURST_DAYS * USUAL_BURST_VARIANCE + Math.max(0, m2)) / (USUAL_BURST_DAYS + days)
  const dof = Math.min(MAX_BURST_DOF, USUAL_BURST_DAYS + days)
  return Math.exp(mean + studentQuantile(Z_999, dof) * Math.sqrt(variance * (1 + 1 / days)))
}
