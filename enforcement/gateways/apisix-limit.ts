import type { Limit } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import type { ApisixRow } from './apisix-client.ts'

/** What `limit-count` lets through: so many requests in a window of so many seconds. */
export interface ApisixLimit {
  readonly count: number
  readonly seconds: number
}

/** Shorter windows that are tried out for each limit. */
const MAX_PARTS = 100

/** A limit of ours as `limit-count` takes it: whole numbers above 0. */
export function apisixLimit({ requests, windowSeconds }: Limit): ApisixLimit {
  const limit = { count: Math.floor(requests), seconds: Math.ceil(windowSeconds) }
  if (limit.count >= 1 && limit.seconds >= 1 && Number.isSafeInteger(limit.seconds)) return limit
  const what = `${requests} requests per ${windowSeconds} s`
  throw new CurfewError('GATEWAY_UNSUPPORTED', `APISIX cannot hold a throttle of ${what}: block instead`)
}

/**
 * The limits of a `limit-count` configuration. Throws `GATEWAY_UNSUPPORTED` where one is worked out for each call: nobody
 * can tell which limit is stricter then.
 */
export function limitsOf(conf: ApisixRow): readonly ApisixLimit[] {
  const parts = Array.isArray(conf.rules) ? conf.rules.filter(isRecord) : [conf]
  return parts.map(({ count, time_window: seconds }) => {
    if (typeof count === 'number' && typeof seconds === 'number' && count >= 1 && seconds >= 1)
      return { count, seconds }
    const why = 'a limit-count that applies to the consumer has no fixed limit'
    throw new CurfewError('GATEWAY_UNSUPPORTED', `APISIX: ${why}, so none can be told to be stricter: block`)
  })
}

/**
 * One limit that allows no more than any of these. Where windows differ it is the one of all that fit which leaves most;
 * a window of ours that is shorter than another's counts as often as it fits into it.
 */
export function strictest(all: readonly ApisixLimit[]): ApisixLimit {
  const windows = new Set(
    all.flatMap(({ count, seconds }) =>
      Array.from({ length: Math.min(count, MAX_PARTS) }, (_, i) => Math.ceil(seconds / (i + 1))),
    ),
  )
  let best: ApisixLimit = { count: 0, seconds: 1 }
  for (const seconds of [...windows].sort((a, b) => b - a)) {
    const count = Math.min(...all.map((one) => Math.floor(one.count / Math.ceil(one.seconds / seconds))))
    if (count / seconds > best.count / best.seconds) best = { count, seconds }
  }
  return best
}
