import { MAX_LABEL_LENGTH } from '../core/decision.ts'
import type { Principal } from '../core/event.ts'
import { hashOf } from '../core/hash.ts'
import type { PrincipalRule } from './principal.ts'
import { cutText } from './scrub.ts'

/** Longest stable id kept as it is; a longer one is replaced by its hash, since a cut could join two callers. */
export const MAX_ID_LENGTH = 256

/** A stable id of bounded length, different for different ids. */
export function boundedId(id: string): string {
  return id.length <= MAX_ID_LENGTH ? id : `sha256-${hashOf(id)}`
}

/** A verified principal. */
export function verifiedPrincipal(
  kind: Exclude<Principal['kind'], 'ip'>,
  id: string,
  label: string,
): Principal {
  return { kind, id: boundedId(id), label: cutText(label, MAX_LABEL_LENGTH), verified: true }
}

/**
 * The principal of a verified JWT subject. Its id is the JSON array of issuer and subject, so no issuer can
 * speak for another's subjects. Its label is the subject alone with one issuer (or none) configured, and
 * `<alias>/<sub>` with several; an issuer that is not configured keeps its full name in front.
 */
export function subjectPrincipal(iss: string | null, sub: string, rule: PrincipalRule): Principal {
  const alias = iss === null ? undefined : rule.issuers.get(iss)
  return verifiedPrincipal(
    'sub',
    JSON.stringify([iss, sub]),
    subjectLabel(iss, alias, sub, rule.issuers.size),
  )
}

function subjectLabel(iss: string | null, alias: string | undefined, sub: string, issuers: number): string {
  if (issuers === 0) return sub
  if (alias === undefined) return iss === null ? sub : `${iss}/${sub}`
  return issuers === 1 ? sub : `${alias}/${sub}`
}
