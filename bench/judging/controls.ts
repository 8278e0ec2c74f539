import { hash32 } from '../../core/hash.ts'

/** What a control may look at: who calls, when, and how much was returned. */
export interface ControlCall {
  readonly id: string
  /** Number of the caller, from 0. */
  readonly caller: number
  /** Event time, epoch ms. */
  readonly time: number
  readonly records: number
}

/**
 * A trivial judge that every figure is printed beside. Scores first, then learns, like the engine; a call
 * without a score raises no alarm. Only the order of its scores counts.
 */
export interface Control {
  readonly name: string
  score(call: ControlCall): number | null
}

const HOUR_MS = 3_600_000
const MINUTE_MS = 60_000
/** Past hours with calls that a z-score needs. */
const MIN_PAST_HOURS = 8
const RANDOM_SEED = 0x7261_6e64

/** The three controls, in the order in which they are printed. */
export function controls(): readonly Control[] {
  return [randomScore(), hourlyZ(), staticLimit()]
}

/** A score that knows nothing: a hash of the call's id, the same in every run. */
export function randomScore(): Control {
  return { name: 'random', score: ({ id }) => hash32(id, RANDOM_SEED) / 2 ** 32 }
}

interface Hours {
  hour: number
  requests: number
  records: number
  past: number
  readonly mean: [requests: number, records: number]
  readonly squares: [requests: number, records: number]
}

/**
 * Requests and records of the running hour against mean and standard deviation of the caller's own past
 * hours with calls; the larger of the two z-scores. One is added to each variance, so that a caller that is
 * always the same is not infinitely surprising. Learns everything, attacks included.
 */
export function hourlyZ(): Control {
  const callers: (Hours | undefined)[] = []
  return {
    name: 'hourly-z',
    score({ caller, time, records }) {
      const state = callers[caller] ?? newHours()
      callers[caller] = state
      const hour = Math.floor(time / HOUR_MS)
      if (hour > state.hour) closeHour(state, hour)
      state.requests++
      state.records += records
      if (state.past < MIN_PAST_HOURS) return null
      return Math.max(zOf(state, 0, state.requests), zOf(state, 1, state.records))
    },
  }
}

function newHours(): Hours {
  return { hour: -1, requests: 0, records: 0, past: 0, mean: [0, 0], squares: [0, 0] }
}

/** Welford's update with the hour that ended (Technometrics 4 (1962) 419). */
function closeHour(state: Hours, hour: number): void {
  if (state.hour >= 0) {
    state.past++
    for (const [i, value] of [state.requests, state.records].entries()) {
      const which = i as 0 | 1
      const delta = value - state.mean[which]
      state.mean[which] += delta / state.past
      state.squares[which] += delta * (value - state.mean[which])
    }
  }
  state.hour = hour
  state.requests = 0
  state.records = 0
}

function zOf(state: Hours, which: 0 | 1, value: number): number {
  const variance = state.squares[which] / (state.past - 1)
  return (value - state.mean[which]) / Math.sqrt(variance + 1)
}

/** One limit of requests per minute for every key, which is what gateways offer: the count of the running minute. */
export function staticLimit(): Control {
  const minutes: number[] = []
  const counts: number[] = []
  return {
    name: 'static-limit',
    score({ caller, time }) {
      const minute = Math.floor(time / MINUTE_MS)
      if (minute > (minutes[caller] ?? -1)) {
        minutes[caller] = minute
        counts[caller] = 0
      }
      counts[caller]! += 1
      return counts[caller]!
    },
  }
}
