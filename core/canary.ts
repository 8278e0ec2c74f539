import type { Principal } from './event.ts'

/** Who makes the calls of `curfew drill`, as the gateway must know it: the name of the consumer, subject or app. */
export const CANARY_NAME = 'curfew-canary'

/**
 * Whether a caller is the canary of the drill: nobody else has a use for that name, so each of its calls is an alarm.
 * Counts only where the gateway verified it. A subject may carry the alias of its issuer in front (`idp/curfew-canary`).
 */
export function isCanary({ kind, label, verified }: Principal): boolean {
  // First what nearly every call fails: this is asked of each.
  if (!label.endsWith(CANARY_NAME) || !verified || kind === 'ip') return false
  return label.length === CANARY_NAME.length || label.at(-CANARY_NAME.length - 1) === '/'
}
