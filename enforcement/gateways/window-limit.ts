import type { Limit } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'

/** So many requests in a window of so many seconds, both whole. */
export interface WindowLimit {
  readonly count: number
  readonly seconds: number
}

/** Shorter windows that are tried out for each limit. */
const MAX_PARTS = 100

/** A limit of ours in whole numbers above 0. Throws `GATEWAY_UNSUPPORTED`, naming the gateway, where less than one request is left. */
export function wholeLimit(gateway: string, { requests, windowSeconds }: Limit): WindowLimit {
  const limit = { count: Math.floor(requests), seconds: Math.ceil(windowSeconds) }
  if (limit.count >= 1 && limit.seconds >= 1 && Number.isSafeInteger(limit.seconds)) return limit
  const what = `${requests} requests per ${windowSeconds} s`
  throw new CurfewError('GATEWAY_UNSUPPORTED', `${gateway} cannot hold a throttle of ${what}: block instead`)
}

/**
 * One limit that allows no more than any of these. Where windows differ it is the one of all that fit which leaves most;
 * a window of ours that is shorter than another's counts as often as it fits into it.
 */
export function strictest(all: readonly WindowLimit[]): WindowLimit {
  const windows = new Set(
    all.flatMap(({ count, seconds }) =>
      Array.from({ length: Math.min(count, MAX_PARTS) }, (_, i) => Math.ceil(seconds / (i + 1))),
    ),
  )
  let best: WindowLimit = { count: 0, seconds: 1 }
  for (const seconds of [...windows].sort((a, b) => b - a)) {
    const count = Math.min(...all.map((one) => Math.floor(one.count / Math.ceil(one.seconds / seconds))))
    if (count / seconds > best.count / best.seconds) best = { count, seconds }
  }
  return best
}
