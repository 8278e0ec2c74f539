import type { Limit } from '../../core/decision.ts'
import { hashOf } from '../../core/hash.ts'
import type { Rule } from '../gateway.ts'

/** What a rule acts on at Apigee, by names that hold no secret. */
export type ApigeeTarget =
  | { readonly kind: 'app'; readonly developer: string; readonly app: string }
  /** A consumer key, known by its hash only. */
  | { readonly kind: 'key'; readonly credential: string }
  | { readonly kind: 'developer'; readonly developer: string }

/** The target of a rule; null for whoever is no verified app, key or developer of Apigee. */
export function targetOf({ scope, action }: Rule): ApigeeTarget | null {
  if (scope.kind === 'credential')
    return scope.principal.verified && KEY_HASH.test(scope.credential)
      ? { kind: 'key', credential: scope.credential }
      : null
  if (scope.kind !== 'principal' || !scope.principal.verified) return null
  const { kind, id } = scope.principal
  if (kind === 'key') return KEY_HASH.test(id) ? { kind: 'key', credential: id } : null
  if (kind === 'account')
    return NAME.test(id) && action === 'block' ? { kind: 'developer', developer: id } : null
  const names = kind === 'app' ? appNames(id) : null
  return names === null ? null : { kind: 'app', ...names }
}

/** Equal text, equal target. */
export function targetKey(target: ApigeeTarget): string {
  return JSON.stringify(target)
}

/** What stands for a consumer key in logs and decisions. */
export function credentialOf(consumerKey: string): string {
  return `sha256-${hashOf(consumerKey).slice(0, 32)}`
}

const KEY_HASH = /^sha256-[0-9a-f]{32}$/
/** What Apigee allows in names of apps and ids or addresses of developers. */
const NAME = /^[A-Za-z0-9@+._\-$%# ]{1,255}$/

/** The id of an app as the log format gives it: JSON of developer and app, since an app's name alone is not unique. */
function appNames(id: string): { readonly developer: string; readonly app: string } | null {
  let names: unknown
  try {
    names = JSON.parse(id)
  } catch {
    return null
  }
  if (!Array.isArray(names) || names.length !== 2) return null
  const [developer, app] = names as readonly unknown[]
  const isName = (value: unknown): value is string => typeof value === 'string' && NAME.test(value)
  return isName(developer) && isName(app) ? { developer, app } : null
}

/** Name of the entry that the shared flow reads for an app. Apigee joins the parts of a key with two underscores. */
export function quotaEntry(developer: string, app: string): string {
  return `quota__${developer}__${app}`
}

/**
 * Requests per minute for a limit: the shared flow counts by the minute. A shorter window gets its number of requests
 * per minute, so that no burst is larger than asked for. Null where less than one request would be left.
 */
export function perMinute({ requests, windowSeconds }: Limit): number | null {
  const count = windowSeconds <= 60 ? Math.floor(requests) : Math.floor((requests * 60) / windowSeconds)
  return count >= 1 && windowSeconds > 0 ? count : null
}
