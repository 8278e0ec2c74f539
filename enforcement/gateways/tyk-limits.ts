import type { Limit } from '../../core/decision.ts'
import { CurfewError } from '../../core/errors.ts'
import { isRecord } from './answer-shape.ts'
import type { TykRow } from './tyk-client.ts'
import { strictest, wholeLimit } from './window-limit.ts'

/** A place in a session that holds a `rate` and a `per`. */
export interface RatePlace {
  readonly path: readonly (string | number)[]
  readonly rate: number
  /** Seconds. */
  readonly per: number
}

/** Fields by which a limit of one API counts as one (`APILimit.IsEmpty` in user/session.go). */
const LIMITING = [
  'rate',
  'per',
  'throttle_interval',
  'throttle_retry_limit',
  'max_query_depth',
  'quota_max',
  'quota_renewal_rate',
]

/**
 * Every place that may decide the rate of a call: that of its endpoint, else of its API, else of the session
 * (`ForwardMessage` in gateway/session_manager.go).
 */
export function ratePlaces(session: TykRow): readonly RatePlace[] {
  const places: RatePlace[] = [placeOf([], session)]
  for (const [api, rights] of rightsOf(session)) {
    const { limit, endpoints } = rights
    if (isRecord(limit) && LIMITING.some((field) => (limit[field] ?? 0) !== 0))
      places.push(placeOf(['access_rights', api, 'limit'], limit))
    for (const [i, endpoint] of rows(endpoints))
      for (const [j, method] of rows(endpoint.methods)) {
        const path = ['access_rights', api, 'endpoints', i, 'methods', j, 'limit']
        places.push(placeOf(path, isRecord(method.limit) ? method.limit : {}))
      }
  }
  return places
}

/**
 * What each place must say so that all calls together keep to these limits, and to no looser one than before. Tyk
 * counts endpoints and APIs of a scope of their own each for itself, so each gets its part. Throws
 * `GATEWAY_UNSUPPORTED` where a throttle would not hold.
 */
export function throttledTo(session: TykRow, limits: readonly Limit[]): readonly RatePlace[] {
  const places = ratePlaces(session)
  const scopes = new Set(rightsOf(session).map(([, rights]) => String(rights.allowance_scope ?? '')))
  const endpoints = places.filter(({ path }) => path.includes('endpoints')).length
  const counters = Math.max(scopes.size, 1) + endpoints
  const ours = limits.map((limit) => partOf(limit, counters))
  return places.map(({ path, rate, per }) => {
    const { count, seconds } = strictest([...ours, ...limitOf(rate, per)])
    return { path, rate: count, per: seconds }
  })
}

/** Throws `GATEWAY_UNSUPPORTED` where a rate of the session would not be the one that Tyk keeps to. */
export function mustObeyRate(session: TykRow, countsInRedis: boolean): void {
  const refuse = (why: string): never => {
    throw new CurfewError('GATEWAY_UNSUPPORTED', `Tyk: ${why}: block instead`)
  }
  const { apply_policies: policies, apply_policy_id: policy } = session
  if ((Array.isArray(policies) && policies.length > 0) || (typeof policy === 'string' && policy !== ''))
    refuse('the key has policies, and they decide its rate')
  const limits = [session, ...rightsOf(session).map(([, { limit }]) => (isRecord(limit) ? limit : {}))]
  if (limits.some(({ smoothing }) => isRecord(smoothing) && smoothing.enabled === true))
    refuse('the rate of the key is smoothed, so it changes by itself')
  const hasQuota = limits.some(({ quota_max: quota }) => typeof quota === 'number' && quota > 0)
  if (hasQuota && !countsInRedis)
    refuse('the key has a quota, which would begin anew where rates are counted in memory')
}

function partOf({ requests, windowSeconds }: Limit, counters: number) {
  try {
    return wholeLimit('Tyk', { requests: requests / counters, windowSeconds })
  } catch {
    const what = `${requests} requests per ${windowSeconds} s over ${counters} separate counters`
    throw new CurfewError('GATEWAY_UNSUPPORTED', `Tyk cannot hold a throttle of ${what}: block instead`)
  }
}

/** A rate of others as whole requests; none where there is no limit (a rate or a time of 0 or below). */
function limitOf(rate: number, per: number) {
  if (rate <= 0 || per <= 0) return []
  return rate >= 1
    ? [{ count: Math.floor(rate), seconds: per }]
    : [{ count: 1, seconds: Math.ceil(per / rate) }]
}

function placeOf(path: readonly (string | number)[], { rate, per }: TykRow): RatePlace {
  return { path, rate: typeof rate === 'number' ? rate : 0, per: typeof per === 'number' ? per : 0 }
}

function rightsOf({ access_rights: rights }: TykRow): readonly (readonly [string, TykRow])[] {
  return Object.entries(isRecord(rights) ? rights : {}).map(([api, one]) => [api, isRecord(one) ? one : {}])
}

function rows(list: unknown): readonly (readonly [number, TykRow])[] {
  return (Array.isArray(list) ? list : []).map((one, i) => [i, isRecord(one) ? one : {}])
}
