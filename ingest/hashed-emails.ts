import type { AccessEvent, Principal } from '../core/event.ts'
import { keyedHash } from '../core/hash.ts'

const EMAIL = /[^\s"'/,;<>@]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,8}/g

/**
 * The event with a keyed hash in place of every e-mail address in what names its caller: the same address is
 * the same caller, and nobody without the key can tell whose. A gateway does not know the hash, so it cannot
 * hold a rule that names this caller; one that names a token by `jti` works.
 */
export function withHashedEmails(event: AccessEvent, key: Uint8Array): AccessEvent {
  const { principal, token, parents, credential } = event
  const hashed = (text: string) => withoutEmails(text, key)
  const label = hashed(principal.label)
  const id = hashed(principal.id)
  const named: Principal =
    label === principal.label && id === principal.id ? principal : { ...principal, id, label }
  const sub = token === null || token.sub === null ? null : hashed(token.sub)
  return {
    ...event,
    principal: named,
    parents: parents.map(hashed),
    token: token === null || token.sub === sub ? token : { ...token, sub },
    credential: credential === null ? null : hashed(credential),
  }
}

function withoutEmails(text: string, key: Uint8Array): string {
  if (!text.includes('@')) return text
  return text.replace(EMAIL, (email) => `mail-${keyedHash(key, email.toLowerCase()).slice(0, 16)}`)
}
