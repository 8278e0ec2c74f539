import { unescaped } from '../scrub.ts'
import type { Members } from './members.ts'

/** The decision endpoint cuts the names that it tells a gateway here; what is as long may be half a name. */
const CUT_AT = 256

/** A name that the decision endpoint told the gateway, percent-encoded as it is in `X-Curfew-Subject`. */
export function encodedName(m: Members, member: string): string | null {
  const text = m.name(member)
  return text === null || text.length >= CUT_AT ? null : unescaped(text)
}
