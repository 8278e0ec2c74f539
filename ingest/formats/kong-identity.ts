import type { Principal, Token } from '../../core/event.ts'
import type { PrincipalRule } from '../principal.ts'
import { subjectPrincipal, verifiedPrincipal } from '../principal-name.ts'
import { ABSENT, type Fields, NO_TEXTS, NULL, OBJECT } from './json-fields.ts'
import { KONG } from './kong-fields.ts'
import { type Line, scopesOf, wholeNumber } from './line.ts'

/** Who called, as far as Kong itself vouches for it. */
export interface KongIdentity {
  readonly principal: Principal | null
  readonly parents: readonly string[]
  readonly token: Token | null
  readonly credential: string | null
}

/**
 * A consumer or credential in the log means that an authentication plugin accepted the call; claims are
 * believed only beside one of them, because the log may take them from an unchecked header. A line with a
 * key stated twice names nobody: it is booked on its address.
 */
export function kongIdentity(f: Fields, rule: PrincipalRule, line: Line): KongIdentity {
  if (!line.believesNames) return addressIdentity(line)
  const credential = f.kind(KONG.entity) === OBJECT ? line.name(f, KONG.credential) : null
  const consumer = consumerOf(f, line, credential !== null)
  const token = credential !== null || (consumer !== null && !line.salvaged) ? tokenOf(f, line) : null
  for (const kind of rule.order) {
    if (kind === 'consumer' && consumer !== null) {
      return { principal: consumer, parents: NO_TEXTS, token, credential }
    }
    if (kind === 'sub' && token !== null && token.sub !== null) {
      const parents = consumer === null ? NO_TEXTS : [`app:${consumer.label}`]
      return { principal: subjectPrincipal(token.iss, token.sub, rule), parents, token, credential }
    }
    if (kind === 'key' && credential !== null) {
      const principal = verifiedPrincipal('key', credential, credential)
      return { principal, parents: NO_TEXTS, token, credential }
    }
  }
  return addressIdentity(line)
}

/** Books the call on its address. Many callers may share that, so nothing of one of them is kept. */
export function addressIdentity(line: Line): KongIdentity {
  return { principal: line.addressPrincipal(), parents: NO_TEXTS, token: null, credential: null }
}

/**
 * Kong books calls without credentials on a configured `anonymous` consumer and tells the upstream so by a
 * header, which it removes from authenticated calls: many strangers share that name, so it is nobody's.
 */
function consumerOf(f: Fields, line: Line, hasCredential: boolean): Principal | null {
  const kind = f.kind(KONG.consumer)
  if (kind === ABSENT || kind === NULL) return null
  if (kind !== OBJECT) return line.nothing('wrong-type', 'consumer', f.value(KONG.consumer))
  if (!hasCredential && f.kind(KONG.anonymous) !== ABSENT) return null
  const id = line.knownName(f, KONG.consumerId)
  if (id !== null) {
    const label = line.name(f, KONG.username) ?? line.name(f, KONG.customId) ?? id.text
    if (id.principal?.kind !== 'consumer' || id.principal.label !== label) {
      id.principal = verifiedPrincipal('consumer', id.text, label)
    }
    return id.principal
  }
  const empty = f.kind(KONG.consumerId) === ABSENT && f.kind(KONG.username) === ABSENT
  return empty ? null : line.nothing('wrong-type', 'consumer.id', f.value(KONG.consumerId))
}

function tokenOf(f: Fields, line: Line): Token | null {
  if (f.kind(KONG.jwt) !== OBJECT) return null
  return {
    iss: line.name(f, KONG.iss),
    sub: line.name(f, KONG.sub),
    jti: line.name(f, KONG.jti),
    iat: wholeNumber(f, KONG.iat),
    exp: wholeNumber(f, KONG.exp),
    scopes: f.kind(KONG.scope) === ABSENT ? NO_TEXTS : scopesOf(f.value(KONG.scope)),
  }
}
