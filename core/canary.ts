import type { Principal } from './event.ts'

/** Who makes the calls of `curfew drill`, as the gateway must know it: the name of the consumer, subject or app. */
export const CANARY_NAME = 'curfew-canary'

/** An alias as the configuration of a source gives it to an issuer. */
const ALIAS = /^[a-z][a-z0-9-]{0,62}$/

/**
 * Whether a caller is the canary of the drill: nobody else has a use for that name, so each of its calls is an alarm.
 * Counts only where the gateway verified it. In front of a subject may stand the alias that the configuration gives its
 * issuer (`idp/curfew-canary`), and nothing else: not the name of an issuer without one, nor a part of the name.
 */
export function isCanary({ kind, id, label, verified }: Principal): boolean {
  // First what nearly every call fails: this is asked of each.
  if (!label.endsWith(CANARY_NAME) || !verified || kind === 'ip') return false
  if (label.length === CANARY_NAME.length) return true
  const alias = label.slice(0, -CANARY_NAME.length - 1)
  if (kind !== 'sub' || label !== `${alias}/${CANARY_NAME}` || !ALIAS.test(alias)) return false
  // An issuer without an alias stands in front with its own name, which whoever runs it may have chosen.
  return id.endsWith(`,${JSON.stringify(CANARY_NAME)}]`) && !id.startsWith(`[${JSON.stringify(alias)},`)
}
