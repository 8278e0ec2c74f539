import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import type { ApisixRow } from './apisix-client.ts'
import type { WindowLimit } from './window-limit.ts'

/**
 * The limits of a `limit-count` configuration. Throws `GATEWAY_UNSUPPORTED` where one is worked out for each call: nobody
 * can tell which limit is stricter then.
 */
export function limitsOf(conf: ApisixRow): readonly WindowLimit[] {
  const parts = Array.isArray(conf.rules) ? conf.rules.filter(isRecord) : [conf]
  return parts.map(({ count, time_window: seconds }) => {
    if (typeof count === 'number' && typeof seconds === 'number' && count >= 1 && seconds >= 1)
      return { count, seconds }
    const why = 'a limit-count that applies to the consumer has no fixed limit'
    throw new CurfewError('GATEWAY_UNSUPPORTED', `APISIX: ${why}, so none can be told to be stricter: block`)
  })
}
