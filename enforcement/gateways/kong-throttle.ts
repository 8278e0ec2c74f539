import type { Limit } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'

/** The fixed windows of Kong's rate-limiting plugin, in seconds, shortest first. */
const PERIODS = [
  ['second', 1],
  ['minute', 60],
  ['hour', 3_600],
  ['day', 86_400],
  ['month', 2_592_000],
  ['year', 31_536_000],
] as const

export type KongPeriod = (typeof PERIODS)[number][0]

/** Requests per period; null where there is no limit. */
export type KongLimits = Readonly<Record<KongPeriod, number | null>>

/** Reads the limits out of a rate-limiting configuration. */
export function limitsOf(config: Readonly<Record<string, unknown>>): KongLimits {
  return limits((period) => {
    const value = config[period]
    return typeof value === 'number' && Number.isFinite(value) ? value : null
  })
}

/**
 * A limit in Kong's periods: the longest period that fits into the window, so that no shorter burst is
 * larger than asked for; where that would round to nothing, the shortest period that contains the window,
 * at the same rate. Kong takes no limit of 0.
 */
export function kongLimits({ requests, windowSeconds }: Limit): KongLimits {
  const scaled = (seconds: number): number => Math.floor((requests * seconds) / windowSeconds)
  const within = PERIODS.filter(([, seconds]) => seconds <= windowSeconds && scaled(seconds) >= 1).at(-1)
  const chosen = within ?? PERIODS.find(([, seconds]) => seconds >= windowSeconds && scaled(seconds) >= 1)
  if (!(requests >= 1 && windowSeconds > 0) || chosen === undefined) {
    const what = `${requests} requests per ${windowSeconds} s`
    throw new CurfewError('GATEWAY_UNSUPPORTED', `Kong cannot hold a throttle of ${what}: block instead`)
  }
  return limits((period) => (period === chosen[0] ? scaled(chosen[1]) : null))
}

/**
 * The smallest limit per period, so that nothing gets looser. Kong refuses a longer period with a smaller
 * limit than a shorter one, so shorter ones come down to it, which allows no more than before.
 */
export function strictest(all: readonly KongLimits[]): KongLimits {
  const least = new Map<KongPeriod, number>()
  for (const one of all) {
    for (const [period] of PERIODS) {
      const value = one[period]
      if (value !== null) least.set(period, Math.min(value, least.get(period) ?? value))
    }
  }
  let bound = Number.POSITIVE_INFINITY
  for (const [period] of [...PERIODS].reverse()) {
    const value = least.get(period)
    if (value === undefined) continue
    bound = Math.min(bound, value)
    least.set(period, bound)
  }
  return limits((period) => least.get(period) ?? null)
}

function limits(value: (period: KongPeriod) => number | null): KongLimits {
  return {
    second: value('second'),
    minute: value('minute'),
    hour: value('hour'),
    day: value('day'),
    month: value('month'),
    year: value('year'),
  }
}
