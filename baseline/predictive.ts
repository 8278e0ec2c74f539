import {
  CELLS,
  CORE,
  DAY_WINDOW,
  DERIVED,
  FLAG_STALE,
  hourOfWeek,
  LEVEL_REQUESTS,
  LEVEL_STEPS_PER_NAT,
  LEVEL_VOLUME,
  LEVEL_WEIGHT,
  levelCell,
  M2,
  MEAN,
  SEEN,
  WINDOW_COUNT,
} from './layout.ts'
import type { Prior } from './prior.ts'
import type { ProfileView } from './slab.ts'
import { studentRange99 } from './tail.ts'

/** Bit per window, all set. */
export const ALL_WINDOWS = (1 << WINDOW_COUNT) - 1
/** Windows that the prior's within-variance is worth. */
const PRIOR_WINDOWS = 4
const WINDOWS_PER_DAY = 4
/** Tails never get thinner than a Student-t with this many degrees of freedom: traffic is not Gaussian. */
const MAX_DOF = 30
/** No caller is more regular than this (standard deviation in nats). */
const MIN_VARIANCE = 0.04
/** Weight of a level cell at which half of its offset is believed. */
const LEVEL_HALF_WEIGHT = 1.5

/** What the profile predicts for one cell: a Student-t on ln(1 + total of the whole window). */
export interface Prediction {
  readonly center: number
  readonly scale: number
  readonly dof: number
  /** Share of own history in the center; the rest is the peers' prior. */
  readonly ownShare: number
}

/**
 * How many independent windows a cell's history is worth. Windows of one day resemble each other, so each
 * former day counts as at most {@link WINDOWS_PER_DAY} of them, and the first day as none: nobody vouches
 * for itself, and a burst on day one is held against the peers. None of a STALE profile: what it knows is old.
 */
export function independentWindows(view: ProfileView, cell: number): number {
  return isStale(view) ? 0 : ownWindows(view, cell)
}

/** Independent windows of a profile whether it is STALE or not: what bounds the lessons that bring it up to date. */
export function ownWindows(view: ProfileView, cell: number): number {
  const seen = view.f32[view.base / 4 + SEEN / 4 + cell]!
  const most = daysWorth(view)
  return seen < most ? seen : most
}

/** Whether the profile was frozen for too long to be judged by its own history. */
export function isStale(view: ProfileView): boolean {
  return (view.bytes[view.base + CORE.flags]! & FLAG_STALE) !== 0
}

function mostWindows(view: ProfileView): number {
  return isStale(view) ? 0 : daysWorth(view)
}

function daysWorth(view: ProfileView): number {
  const days = view.u16[(view.base + CORE.activeDays) / 2]! - 1
  return days > 0 ? days * WINDOWS_PER_DAY : 0
}

/** Degrees of freedom of a predictive distribution that rests on so many independent windows. */
export function degreesOfFreedom(windows: number): number {
  const dof = PRIOR_WINDOWS + windows
  return dof < MAX_DOF ? dof : MAX_DOF
}

/** Variance of one window around the principal's mean: own spread at the weight of its independent windows, and the prior's. */
function withinOf(view: ProfileView, prior: Prior, cell: number, windows: number): number {
  if (windows === 0) return prior.within[cell]!
  const f = view.base / 4 + cell
  const own = view.f32[f + M2 / 4]! / view.f32[f + SEEN / 4]!
  return (PRIOR_WINDOWS * prior.within[cell]! + own * windows) / (PRIOR_WINDOWS + windows)
}

/** How far this hour's totals usually lie from the principal's mean, in nats; 0 where nothing is known. */
export function levelOffset(view: ProfileView, metric: number, hourIndex: number): number {
  const cell = levelCell(hourOfWeek(hourIndex))
  const weight = view.u16[(view.base + LEVEL_WEIGHT) / 2 + cell]!
  if (weight === 0) return 0
  const base = metric === 0 ? LEVEL_REQUESTS : LEVEL_VOLUME
  const steps = view.i16[(view.base + base) / 2 + cell]!
  return ((steps / LEVEL_STEPS_PER_NAT) * weight) / (weight + LEVEL_HALF_WEIGHT)
}

/**
 * The predictive distribution of one cell: normal-inverse-gamma style shrinkage of own statistics to the
 * prior. The mean has weight n / (n + s2/tau2); its remaining uncertainty, the spread of windows and the
 * Poisson noise of small counts add up in the scale (Gelman et al., Bayesian Data Analysis, ch. 3 and 5).
 * `seen` is how many windows the own statistics are worth.
 */
export function predict(
  view: ProfileView,
  prior: Prior,
  cell: number,
  hourIndex: number,
  seen: number = independentWindows(view, cell),
): Prediction {
  const f = view.base / 4 + cell
  const within = withinOf(view, prior, cell, seen)
  const between = prior.between[cell]!
  const ownShare = seen / (seen + within / between)
  let center = ownShare * view.f32[f + MEAN / 4]! + (1 - ownShare) * prior.center[cell]!
  if (cell % WINDOW_COUNT !== DAY_WINDOW) center += levelOffset(view, (cell / WINDOW_COUNT) | 0, hourIndex)
  if (center < 0) center = 0
  const variance = within + (1 - ownShare) * between + MIN_VARIANCE + Math.exp(-center)
  return { center, scale: Math.sqrt(variance), dof: degreesOfFreedom(seen), ownShare }
}

/**
 * Recomputes the derived fields that the hot path reads: {@link predict} for every cell, written out so
 * that nothing is allocated. A pure function of stored fields and prior. `windows` has a bit per window
 * that needs it.
 */
export function derive(view: ProfileView, prior: Prior, windows: number = ALL_WINDOWS): void {
  const hourIndex = view.u32[(view.base + CORE.hourIndex) / 4]!
  const own = view.base / 4
  const f = (view.base + view.derived) / 4
  const most = mostWindows(view)
  const requestsLevel = levelOffset(view, 0, hourIndex)
  const volumeLevel = levelOffset(view, 1, hourIndex)
  for (let cell = 0; cell < CELLS; cell++) {
    if ((windows & (1 << (cell % WINDOW_COUNT))) === 0) continue
    const learnt = view.f32[own + cell + SEEN / 4]!
    const seen = learnt < most ? learnt : most
    const within = withinOf(view, prior, cell, seen)
    const between = prior.between[cell]!
    const ownShare = seen / (seen + within / between)
    let center = ownShare * view.f32[own + cell + MEAN / 4]! + (1 - ownShare) * prior.center[cell]!
    if (cell % WINDOW_COUNT !== DAY_WINDOW) center += cell < WINDOW_COUNT ? requestsLevel : volumeLevel
    if (center < 0) center = 0
    const odds = Math.exp(center)
    view.f32[f + DERIVED.median / 4 + cell] = odds - 1
    view.f32[f + DERIVED.center / 4 + cell] = center
    view.f32[f + DERIVED.inverseScale / 4 + cell] =
      1 / Math.sqrt(within + (1 - ownShare) * between + MIN_VARIANCE + 1 / odds)
  }
  view.u32[f + DERIVED.version / 4] = prior.version + 1
}

/** The middle and the 99 % range of a prediction, as counts. */
export function rangeOf(p: Prediction): { expected: number; range: [number, number] } {
  const reach = studentRange99(p.dof) * p.scale
  return {
    expected: Math.expm1(p.center),
    range: [Math.max(0, Math.expm1(p.center - reach)), Math.expm1(p.center + reach)],
  }
}
